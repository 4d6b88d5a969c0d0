"""Losses that ask for consistent masks, not for right ones: conditional random fields without labels.

`smooth_crf` asks the network to say at once what the smoothing CRF makes of its answer, `dense_crf` what the dense one
makes of it, which sees the picture. They repair the loss of FastSeg, the mean of CRF(z) - z, which has no lower bound.
`dense_potts` is the regularised loss of Tang et al. (arXiv:1803.09569), the price of cutting the picture where its
colours do not change; `gated_potts` is its local form, after Obukhov et al. (arXiv:1906.04651). Pixels whose target is
not counted take no part in any of them; but for `dense_crf` as a layer a target that counts everywhere, whatever it
says, is all that is needed.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch.nn import functional as F

from figureground.checks import ArgumentError, require_in_range
from figureground.labels import LabelTree
from figureground.losses.background import IGNORE, with_background
from figureground.losses.mean_field import bilateral_sums, dense_crf_logits, smooth_crf_logits
from figureground.losses.pixel import cross_entropy
from figureground.refine import DenseCrf, SmoothCrf


def smooth_crf(
    logits: torch.Tensor,
    target: torch.Tensor,
    *,
    iterations: int = 5,
    width: float = 1.0,
    size: int = 11,
    strength: float = 1.0,
) -> torch.Tensor:
    """Mean Kullback-Leibler divergence from the smoothing CRF's probabilities, which get no gradient, to the network's.

    Args:
        logits: (N, K, H, W), one map per leaf.
        target: (N, H, W) int64; only where it is not counted matters.
        iterations: of the CRF, as for `refine.SmoothCrf`; so are the rest.
        width: standard deviation of its window in pixels.
        size: side of its window.
        strength: weight of the neighbours.

    Raises ArgumentError for an option out of its range.
    """
    settings = SmoothCrf(iterations=iterations, width=width, size=size, weight=strength)
    with torch.no_grad():
        wanted = smooth_crf_logits(logits.detach(), settings)
    return _distance(logits, wanted, target)


def dense_crf(
    logits: torch.Tensor,
    target: torch.Tensor,
    *,
    image: torch.Tensor,
    labels: LabelTree | None = None,
    form: Literal["distance", "through"] = "distance",
    iterations: int = 5,
    width: float = 80.0,
    color: float = 13.0,
    weight: float = 10.0,
    smooth_width: float = 3.0,
    smooth_weight: float = 3.0,
) -> torch.Tensor:
    """What the dense CRF of the picture makes of the network's answer, as a goal or as a layer.

    "distance" is as `smooth_crf`: the mean divergence from the CRF's probabilities, which get no gradient. "through" is
    the cross-entropy of the CRF's answer, with the gradient through its rounds (Zheng et al., arXiv:1502.03240, with a
    fixed CRF): for a network that will be refined by it. Each picture is prepared anew, on the processor: much slower
    than the other two.

    Args:
        logits: (N, K, H, W), one map per leaf.
        target: (N, H, W) int64: 0 background, k + 1 leaf k, 255 not counted; for the distance only that counts.
        image: (N, 3, H, W), red, green and blue of 0 to 255.
        labels: the label tree, by which labels contradict one another more or less.
        form: distance or through.
        iterations: of the CRF, as for `refine.DenseCrf`; so are the rest.
        width: standard deviation of the distance, beside colour, in pixels.
        color: standard deviation of the colour, in steps of 0 to 255.
        weight: of the pixels alike.
        smooth_width: standard deviation of the distance alone, in pixels.
        smooth_weight: of the pixels near.

    Raises ArgumentError for an option out of its range, and for an image of another size.
    """
    settings = DenseCrf(
        iterations=iterations, width=width, color=color, weight=weight,
        smooth_width=smooth_width, smooth_weight=smooth_weight,
    )  # fmt: skip
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if form == "through":
        return cross_entropy(dense_crf_logits(wide, image, settings, labels=labels), target)
    with torch.no_grad():
        wanted = dense_crf_logits(wide, image, settings, labels=labels)
    return _distance(wide, wanted, target)


def dense_potts(
    logits: torch.Tensor,
    target: torch.Tensor,
    *,
    image: torch.Tensor,
    width: float = 100.0,
    color: float = 15.0,
    scale: float = 0.5,
) -> torch.Tensor:
    """Share of the weight between all pairs of pixels that lies between different labels.

    For S of shape (pixels, classes) and W the Gaussian of position and colour it is sum_k S_k' W (1 - S_k) / sum W, so
    between 0 (one label everywhere) and 1, whatever the size of the picture.

    Args:
        logits: (N, K, H, W), one map per leaf.
        target: (N, H, W) int64; only where it is not counted matters.
        image: (N, 3, H, W), red, green and blue of 0 to 255.
        width: standard deviation of the position, in pixels of `image`, above 0.
        color: standard deviation of the colour, in steps of 0 to 255, above 0.
        scale: probabilities and picture are brought to this size first, 0.05 to 1; the width shrinks with them.

    Raises ArgumentError for an option out of its range, and for an image of another size.
    """
    require_in_range("width", width, 0.1, 10000)
    require_in_range("color", color, 0.1, 1000)
    require_in_range("scale", scale, 0.05, 1)
    shares, counted, small = _prepared(logits, target, image, scale)
    losses = []
    for share, inside, picture in zip(shares, counted, small, strict=True):
        sums = bilateral_sums(picture, width * scale, color, share)
        # A pixel's weight for itself is 1, and the published loss counts it.
        weighed = sums(share) + share
        around = sums(inside) + inside
        total = (inside * around).sum()
        losses.append(((share * around).sum() - (share * weighed).sum()) / total.clamp(min=1))
    return torch.stack(losses).mean()


def gated_potts(
    logits: torch.Tensor,
    target: torch.Tensor,
    *,
    image: torch.Tensor,
    radius: int = 5,
    width: float = 6.0,
    color: float = 25.5,
    scale: float = 1.0,
) -> torch.Tensor:
    """As `dense_potts`, over the pairs at most `radius` rows and columns apart, without a pixel's weight for itself.

    Arguments and errors are those of `dense_potts`; `radius` is 1 to 50, in pixels at the scale worked at.
    """
    require_in_range("radius", radius, 1, 50)
    require_in_range("width", width, 0.1, 10000)
    require_in_range("color", color, 0.1, 1000)
    require_in_range("scale", scale, 0.05, 1)
    shares, counted, small = _prepared(logits, target, image, scale)
    cut, total = shares.new_zeros(len(shares)), shares.new_zeros(len(shares))
    for down in range(min(radius + 1, shares.shape[2])):
        # Each pair once: downwards, and to the right along a row.
        for right in range(-radius if down else 1, radius + 1):
            if abs(right) >= shares.shape[3]:
                continue
            (a, b), (one, other), (near, far) = (_apart(v, down, right) for v in (shares, counted, small))
            distance = (down**2 + right**2) * (1 / (width * scale) ** 2)
            unlike = ((near - far) ** 2).sum(1, keepdim=True) / color**2
            weight = torch.exp(-0.5 * (distance + unlike))
            pairs = one * other
            cut = cut + (weight * (pairs - (a * b).sum(1, keepdim=True))).sum((1, 2, 3))
            total = total + (weight * pairs).sum((1, 2, 3))
    return (cut / total.clamp(min=1e-6)).mean()


def _distance(logits: torch.Tensor, wanted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean divergence from the probabilities of `wanted` to those of `logits`, over the pixels that count."""
    ours, theirs = (with_background(v).log_softmax(1) for v in (logits, wanted))
    divergence = (theirs.exp() * (theirs - ours)).sum(1)
    counted = (target != IGNORE).to(divergence)
    return (divergence * counted).sum() / counted.sum().clamp(min=1)


def _prepared(
    logits: torch.Tensor, target: torch.Tensor, image: torch.Tensor, scale: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Class probabilities (N, 1 + K, h, w) times what is counted of a pixel, that share (N, 1, h, w), the picture."""
    if image.shape[-2:] != logits.shape[-2:] or len(image) != len(logits):
        raise ArgumentError(f"image is {tuple(image.shape)}, but logits are {tuple(logits.shape)}")
    counted = (target != IGNORE).unsqueeze(1).to(logits)
    # Before it is brought to another size: what is not counted must not reach its neighbours.
    shares = with_background(logits).softmax(1) * counted
    picture = image.to(shares)
    if scale < 1:
        size = [max(1, round(side * scale)) for side in shares.shape[2:]]
        shares, counted, picture = (
            F.interpolate(v, size, mode="bilinear", antialias=True) for v in (shares, counted, picture)
        )
    return shares, counted, picture


def _apart(values: torch.Tensor, down: int, right: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The two views of maps in which one pixel lies `down` rows and `right` columns from the other."""
    height, width = values.shape[2:]
    upper, lower = values[:, :, : height - down], values[:, :, down:]
    if right >= 0:
        return upper[..., : width - right], lower[..., right:]
    return upper[..., -right:], lower[..., : width + right]
