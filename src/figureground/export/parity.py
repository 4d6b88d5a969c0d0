"""Proof that a bundle computes what the trained network computes, measured on pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import nn

from figureground.losses import with_background

Pixels = NDArray[np.uint8]

TOLERANCE = 1e-4
"""Largest difference of a logit, relative to the largest logit, between torch and the uncompressed ONNX model."""


@dataclass(frozen=True)
class Parity:
    """Differences between a torch network and an ONNX model over some pictures.

    Attributes:
        pictures: how many were compared.
        logit_max: largest difference of a logit.
        logit_relative: the same, divided by the largest absolute logit of torch.
        probability_max: largest difference of a leaf's probability.
        pixels_changed: share of all pixels that went to another class.
    """

    pictures: int
    logit_max: float
    logit_relative: float
    probability_max: float
    pixels_changed: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def compare(
    model: nn.Module,
    onnx_model: bytes,
    pictures: Sequence[Pixels],
    depths: Sequence[NDArray[np.float32]] | None = None,
) -> Parity:
    """Run both on each picture, (H, W, 3) uint8 at the network's size, and measure the differences.

    Args:
        model: (N, 3, H, W) float of 0 to 255 -> (N, K, H, W) logits, in evaluation mode.
        onnx_model: the serialised model with the bundle's interface.
        pictures: at least one.
        depths: for each picture its normalised depth, (H, W), where both take it; the model as a fourth channel.
    """
    session = ort.InferenceSession(onnx_model, providers=["CPUExecutionProvider"])
    largest = highest = probability = 0.0
    changed = pixels = 0
    for number, picture in enumerate(pictures):
        seen = torch.from_numpy(picture.copy()).permute(2, 0, 1).unsqueeze(0).float()
        fed: dict[str, NDArray[Any]] = {"image": picture[None]}
        if depths is not None:
            fed["depth"] = depths[number][None]
            seen = torch.cat([seen, torch.from_numpy(depths[number])[None, None]], dim=1)
        with torch.no_grad():
            wanted = model(seen)
        got = torch.from_numpy(session.run(None, fed)[0])
        ours, theirs = with_background(wanted).softmax(1), with_background(got).softmax(1)
        largest = max(largest, _distance(wanted, got))
        highest = max(highest, float(wanted.abs().max()))
        probability = max(probability, _distance(ours, theirs))
        changed += int((ours.argmax(1) != theirs.argmax(1)).sum())
        pixels += picture.shape[0] * picture.shape[1]
    return Parity(len(pictures), largest, largest / max(highest, 1e-12), probability, changed / pixels)


def _distance(wanted: torch.Tensor, got: torch.Tensor) -> float:
    # max() passes over NaN: a model that gives no numbers must not look like one that gives the right ones.
    return float((wanted - got).abs().nan_to_num(nan=math.inf).max())
