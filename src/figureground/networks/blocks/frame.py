"""What all networks share: any image size in, the same size out, and the outputs that only training looks at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from figureground.errors import NetworkError


def is_recorded() -> bool:
    """Whether a graph is being recorded: sizes are symbols, and a decision by their values would freeze them."""
    return torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export()


def check_size(x: Tensor, least: int) -> None:
    """Raise NetworkError when a side of ``x`` (N, C, H, W) is under ``least`` pixels.

    Skipped while a graph is recorded.
    """
    if is_recorded():
        return
    height, width = x.shape[-2:]
    if min(height, width) < least:
        raise NetworkError(
            f"an image of {height}x{width} pixels is too small for this network",
            remedy=f"give at least {least}x{least} pixels",
        )


def whole_multiple(length: int, multiple: int) -> int:
    """``length`` rounded up to a multiple of ``multiple``.

    Written as multiple * q so that graph exporters can prove that halved and doubled sizes meet again.
    """
    return multiple * ((length + multiple - 1) // multiple)


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and column of ``x`` (N, C, H, W) until both sides are multiples of ``multiple``.

    Edges are repeated rather than filled with zeros, so that the network sees no artificial border inside the photo.
    What fits is not copied.
    """
    height, width = x.shape[-2:]
    below, right = whole_multiple(height, multiple) - height, whole_multiple(width, multiple) - width
    if not is_recorded() and below == right == 0:
        return x
    return F.pad(x, (0, right, 0, below), mode="replicate")


def resize_logits(logits: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """Bilinear resize of (N, K, h, w) to ``size``, half-pixel centres."""
    return F.interpolate(logits, size=tuple(size), mode="bilinear", align_corners=False)


def check_channels(x: Tensor, channels: int | None) -> None:
    """Raise NetworkError unless ``x`` is a batch of images (N, channels, H, W); None takes any number of channels.

    Skipped while a graph is recorded.
    """
    if is_recorded():
        return
    if x.ndim != 4:
        raise NetworkError(
            f"a tensor of shape {tuple(x.shape)} is no batch of images",
            remedy="give one of shape (N, C, H, W); image[None] makes a batch of one",
        )
    if channels is not None and x.shape[1] != channels:
        raise NetworkError(
            f"this network reads {channels} channels, but the image has {x.shape[1]}",
            remedy=f"build the network with in_channels={x.shape[1]}, or give it {channels}",
        )


def is_of_a_single_value(error: Exception) -> bool:
    """Whether a batch normalisation failed because it saw one value per channel."""
    return isinstance(error, ValueError) and "more than 1 value per channel" in str(error)


@contextmanager
def _single_values_told(x: Tensor) -> Iterator[None]:
    """Turn the failure of a batch normalisation that sees one value per channel into a NetworkError."""
    try:
        yield
    except ValueError as error:
        if not is_of_a_single_value(error):
            raise
        raise NetworkError(
            f"one image of {x.shape[-2]}x{x.shape[-1]} pixels leaves a layer a single value per channel, which batch "
            "normalisation cannot learn from",
            remedy="train with a batch of at least 2 or with larger images",
        ) from error


class SegmentationNetwork(nn.Module):
    """Base of the networks: checks the image, pads to ``multiple``, computes, crops back.

    A subclass writes `compute`; one with auxiliary heads also writes `compute_training`.

    multiple: both sides of what `compute` gets are multiples of it (1: no padding, `compute` copes with any size).
    least: the least side accepted, in pixels.

    `in_channels`, which the registry sets, is the number of channels accepted; None for any.
    """

    in_channels: int | None = None

    def __init__(self, *, multiple: int, least: int) -> None:
        super().__init__()
        self.multiple = multiple
        self.least = least

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) float -> logits (N, leaves, H, W).

        Raises NetworkError when the image is too small or has other channels, and in training when it is too small to
        be alone in its batch.
        """
        if is_recorded():
            return self._forward(x)
        with _single_values_told(x):
            return self._forward(x)

    def forward_training(self, x: Tensor) -> dict[str, Tensor]:
        """All outputs a loss may use: "logits", and "aux_..." where the network has them, each (N, leaves, H, W).

        Networks that predict classes and masks for queries also give these, as "query_...", in shapes of their own.
        Raises NetworkError as `forward` does.
        """
        if is_recorded():
            return self._forward_training(x)
        with _single_values_told(x):
            return self._forward_training(x)

    def compute(self, x: Tensor) -> Tensor:
        """Logits of the padded image, at its size."""
        return self.compute_training(x)["logits"]

    def compute_training(self, x: Tensor) -> dict[str, Tensor]:
        """Logits and auxiliary logits of the padded image, at its size."""
        return {"logits": self.compute(x)}

    def _forward(self, x: Tensor) -> Tensor:
        return self._crop(self.compute(self._fit(x)), x)

    def _forward_training(self, x: Tensor) -> dict[str, Tensor]:
        outputs = self.compute_training(self._fit(x))
        return {name: out if name.startswith("query_") else self._crop(out, x) for name, out in outputs.items()}

    def _fit(self, x: Tensor) -> Tensor:
        check_channels(x, self.in_channels)
        check_size(x, self.least)
        return x if self.multiple == 1 else pad_to_multiple(x, self.multiple)

    def _crop(self, logits: Tensor, x: Tensor) -> Tensor:
        return logits if self.multiple == 1 else logits[..., : x.shape[-2], : x.shape[-1]]
