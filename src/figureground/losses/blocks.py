"""Pixels in blocks that fit a processor's cache, for losses that compute their own gradient."""

from __future__ import annotations

from collections.abc import Iterator

import torch

_VALUES = 80_000
"""Logits at a time on a CPU: a third of a megabyte of float32, and as much again for each thing computed of them."""


def blocks(logits: torch.Tensor) -> Iterator[tuple[int, slice]]:
    """(N, K, P) -> (image, slice of its pixels) for all of it; whole images where a processor has no such cache."""
    _, channels, pixels = logits.shape
    size = max(1024, _VALUES // channels) if logits.device.type == "cpu" else max(1, pixels)
    for image in range(len(logits)):
        for start in range(0, pixels, size):
            yield image, slice(start, start + size)
