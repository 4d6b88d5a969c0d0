"""What all networks share: any image size in, the same size out, and the outputs that only training looks at."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from figureground.errors import NetworkError


def _is_recorded() -> bool:
    """A graph is being recorded: sizes are symbols, and a decision by their values would freeze them."""
    return torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export()


def check_size(x: Tensor, least: int) -> None:
    """Raise NetworkError when a side of ``x`` (N, C, H, W) is under ``least`` pixels.

    Skipped while a graph is recorded.
    """
    if _is_recorded():
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
    if not _is_recorded() and below == right == 0:
        return x
    return F.pad(x, (0, right, 0, below), mode="replicate")


def resize_logits(logits: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """Bilinear resize of (N, K, h, w) to ``size``, half-pixel centres."""
    return F.interpolate(logits, size=tuple(size), mode="bilinear", align_corners=False)


class SegmentationNetwork(nn.Module):
    """Base of the networks: checks the size, pads to ``multiple``, computes, crops back.

    A subclass writes `compute`; one with auxiliary heads also writes `compute_training`.

    multiple: both sides of what `compute` gets are multiples of it (1: no padding, `compute` copes with any size).
    least: the least side accepted, in pixels.
    """

    def __init__(self, *, multiple: int, least: int) -> None:
        super().__init__()
        self.multiple = multiple
        self.least = least

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) float -> logits (N, leaves, H, W); NetworkError when the image is too small."""
        return self._crop(self.compute(self._fit(x)), x)

    def forward_training(self, x: Tensor) -> dict[str, Tensor]:
        """All outputs a loss may use: "logits", and "aux_..." where the network has them, each (N, leaves, H, W).

        Networks that predict classes and masks for queries also give these, as "query_...", in shapes of their own.
        """
        outputs = self.compute_training(self._fit(x))
        return {name: out if name.startswith("query_") else self._crop(out, x) for name, out in outputs.items()}

    def compute(self, x: Tensor) -> Tensor:
        """Logits of the padded image, at its size."""
        return self.compute_training(x)["logits"]

    def compute_training(self, x: Tensor) -> dict[str, Tensor]:
        """Logits and auxiliary logits of the padded image, at its size."""
        return {"logits": self.compute(x)}

    def _fit(self, x: Tensor) -> Tensor:
        check_size(x, self.least)
        return x if self.multiple == 1 else pad_to_multiple(x, self.multiple)

    def _crop(self, logits: Tensor, x: Tensor) -> Tensor:
        return logits if self.multiple == 1 else logits[..., : x.shape[-2], : x.shape[-1]]
