"""Losses over distances to the true contour: Kervadec's boundary loss and the active boundary loss.

Distances are exact Euclidean ones in pixels, computed by scipy on the CPU.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch.nn import functional as F

from figureground.checks import require_in_range
from figureground.losses.background import IGNORE, mean_of_classes, one_hot, weights_of_classes, with_background

_NEIGHBOURS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))


def boundary(
    logits: torch.Tensor,
    target: torch.Tensor,
    *,
    normalised: bool = True,
    class_weights: Sequence[float] | None = None,
) -> torch.Tensor:
    """Mean over pixels and leaves of probability times signed distance to the contour (Kervadec, arXiv:1812.07032).

    The distance is positive outside, zero on the inner rim and negative inside, so the loss can be negative. It says
    nothing about a leaf that is nowhere in the image: combine it with Dice or cross-entropy, at a weight of about 0.01
    that may grow. Distances are between pixels that count: where a leaf ends at an ignored area there is no contour.

    Args:
        logits: (N, K, H, W), one map per leaf.
        target: (N, H, W) int64: 0 background, k + 1 leaf k, 255 not counted.
        normalised: divide the distance by the image's diagonal, so that the weight does not depend on its size.
        class_weights: of background and then each leaf, as for `cross_entropy`; the mean over leaves becomes a weighted
            one, in which the background has no part.

    Raises:
        RecipeError: a number of class weights that is not one more than there are leaves.
    """
    scores = with_background(logits)
    weights = weights_of_classes(class_weights, scores)
    hot, counted = one_hot(target, scores.shape[1])
    masks, known = hot[:, 1:].cpu().numpy() > 0, counted[:, 0].cpu().numpy() > 0
    distance = np.stack(
        [[signed_distance(mask, seen) for mask in image] for image, seen in zip(masks, known, strict=True)]
    )
    wanted = torch.from_numpy(distance).to(scores)
    if normalised:
        wanted = wanted / float(np.hypot(*target.shape[-2:]))
    probabilities = scores.softmax(1)[:, 1:]
    of_leaves = (probabilities * wanted * counted).sum((0, 2, 3)) / counted.sum().clamp(min=1)
    return mean_of_classes(of_leaves, None if weights is None else weights[1:])


def signed_distance(mask: NDArray[np.bool_], known: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
    """Pixels to the contour of a mask (H, W): positive outside, 0 on the inner rim, negative inside; 0 without one.

    Args:
        mask: what is inside.
        known: (H, W), where the mask says something; elsewhere is neither inside nor outside. All of it by default.
    """
    outer = ~mask if known is None else ~mask & known
    if not outer.any() or not mask.any():
        return np.zeros(mask.shape, np.float32)
    outside = distance_transform_edt(~mask)
    inside = distance_transform_edt(~outer)
    return np.asarray(np.where(mask, 1 - inside, outside), np.float32)


def active_boundary(
    logits: torch.Tensor,
    target: torch.Tensor,
    *,
    reach: float = 20.0,
    share: float = 0.01,
    class_weights: Sequence[float] | None = None,
) -> torch.Tensor:
    """Draw the predicted contour towards the true one (Wang et al., arXiv:2102.02696).

    A predicted contour is where the class probabilities of neighbouring pixels differ most. Of a contour pixel's eight
    neighbours the one nearest to the true contour is the direction to go; the differences (Kullback-Leibler) to the
    eight neighbours, as a softmax, should point there. Far pixels count more, up to `reach`.

    Simplified in two points: neighbours are not detached in a second pass, and label smoothing is left out.

    Args:
        logits: (N, K, H, W), one map per leaf.
        target: (N, H, W) int64: 0 background, k + 1 leaf k, 255 not counted.
        reach: distance in pixels from which the weight no longer grows.
        share: of the pixels that are taken for the predicted contour.
        class_weights: of background and then each leaf; a pixel counts with its true class's weight.

    An image without a contour costs nothing. Where a class ends at an ignored area there is no contour.

    Raises:
        RecipeError: a number of class weights that is not one more than there are leaves.
    """
    require_in_range("reach", reach, 0.1)
    require_in_range("share", share, 0.0001, 1)
    scores = with_background(logits)
    given = weights_of_classes(class_weights, scores)
    logs = scores.log_softmax(1)
    difference = torch.stack([_divergence(logs, _shifted(logs.detach(), dy, dx)) for dy, dx in _NEIGHBOURS], 1)
    distance = torch.from_numpy(np.stack([_to_contour(t) for t in target.cpu().numpy()])).to(scores)
    around = torch.stack([_shifted(distance.unsqueeze(1), dy, dx).squeeze(1) for dy, dx in _NEIGHBOURS], 1)
    strength = difference.detach().amax(1)
    least = strength.flatten(1).quantile(1 - share, dim=1).view(-1, 1, 1)
    on_contour = (strength > least) & (target != IGNORE) & torch.isfinite(distance)
    # On the true contour there is nowhere to go.
    moving = on_contour & (distance > 0)
    weights = (distance.clamp(max=reach) / reach).where(moving, 0)
    losses = F.cross_entropy(difference, around.argmin(1), reduction="none")
    counts = moving.to(losses.dtype)
    if given is not None:
        counts = counts * given[target.where(target != IGNORE, 0)]
    total = counts.sum()
    return (losses * weights * counts).sum() / total.where(total > 0, 1)


def _divergence(logs: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    return (logs.exp() * (logs - others)).sum(1)


def _shifted(maps: torch.Tensor, dy: int, dx: int) -> torch.Tensor:
    """(N, C, H, W) seen from each pixel's neighbour at (dy, dx); the edge repeats."""
    height, width = maps.shape[-2:]
    padded = F.pad(maps, (1, 1, 1, 1), mode="replicate")
    return padded[..., 1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]


def _to_contour(target: NDArray[np.int64]) -> NDArray[np.float32]:
    """Pixels to the nearest change of class between counted pixels of (H, W), infinite where there is none."""
    edge, counted = np.zeros(target.shape, bool), target != IGNORE
    rows = (target[1:] != target[:-1]) & counted[1:] & counted[:-1]
    columns = (target[:, 1:] != target[:, :-1]) & counted[:, 1:] & counted[:, :-1]
    edge[1:] |= rows
    edge[:, 1:] |= columns
    if not edge.any():
        return np.full(target.shape, np.inf, np.float32)
    return np.asarray(distance_transform_edt(~edge), np.float32)
