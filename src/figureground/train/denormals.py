"""Numbers too small for full precision, which processors compute with at a hundredth of their speed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Let this thread take numbers below 1e-38 for 0; afterwards, whatever happened, it is as it was."""
    before = _are_flushed()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def _are_flushed() -> bool:
    """There is no way to ask but to compute one."""
    return float(torch.tensor(1e-20) * torch.tensor(1e-20)) == 0
