"""Losses over regions rather than pixels: Dice, Tversky and Lovász."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch

from figureground.checks import require_in_range
from figureground.errors import RecipeError
from figureground.losses.background import IGNORE, mean_of_classes, one_hot, weights_of_classes, with_background


def soft_dice(
    logits: torch.Tensor,
    target: torch.Tensor,
    *,
    per_image: bool = False,
    smooth: float = 1.0,
    squared: bool = False,
    class_weights: Sequence[float] | None = None,
) -> torch.Tensor:
    """One minus the soft Dice coefficient, averaged over the leaves (Milletari et al., arXiv:1606.04797).

    Sums run over the whole batch, or over each image where `per_image` is set. `smooth` is in pixels: it makes an
    empty target with an empty prediction a loss of zero rather than a division by zero.

    Args:
        logits: (N, K, H, W), one map per leaf.
        target: (N, H, W) int64: 0 background, k + 1 leaf k, 255 not counted.
        per_image: Dice of each image, then the mean.
        smooth: added to numerator and denominator.
        squared: squares in the denominator, as in the paper; plain sums otherwise.
        class_weights: of background and then each leaf, as for `cross_entropy`; the mean over leaves becomes a weighted
            one. The background, which has no Dice of its own here, only keeps its place.

    Raises:
        RecipeError: a label that is no leaf, or a number of class weights that is not one more than there are leaves.
    """
    require_in_range("smooth", smooth, 0)
    probabilities, leaves = _maps(logits, target)
    weights = _of_leaves(class_weights, logits)
    dims = _summed(per_image)
    overlap = (probabilities * leaves).sum(dims)
    total = (probabilities**2 if squared else probabilities).sum(dims) + leaves.sum(dims)
    return mean_of_classes(1 - (2 * overlap + smooth) / (total + smooth), weights)


def tversky(
    logits: torch.Tensor,
    target: torch.Tensor,
    *,
    alpha: float = 0.3,
    beta: float = 0.7,
    gamma: float = 1.0,
    per_image: bool = False,
    smooth: float = 1.0,
    class_weights: Sequence[float] | None = None,
) -> torch.Tensor:
    """One minus the Tversky index, averaged over the leaves (Salehi et al., arXiv:1706.05721).

    `alpha` weighs what was found where nothing is, `beta` what was missed; one half each is soft Dice, one each soft
    IoU. With `gamma` above 1 leaves that are nearly right count less: focal Tversky (Abraham and Khan,
    arXiv:1810.07842, whose exponent is 1 / gamma with gamma 4/3).

    Args:
        logits: (N, K, H, W), one map per leaf.
        target: (N, H, W) int64: 0 background, k + 1 leaf k, 255 not counted.
        alpha: weight of false positives.
        beta: weight of false negatives.
        gamma: exponent of one minus the index is 1 / gamma.
        per_image: the index of each image, then the mean.
        smooth: pixels added to numerator and denominator.
        class_weights: of background and then each leaf, as in `soft_dice`.

    Raises:
        RecipeError: a label that is no leaf, or a number of class weights that is not one more than there are leaves.
    """
    for name, value in {"alpha": alpha, "beta": beta, "smooth": smooth}.items():
        require_in_range(name, value, 0)
    require_in_range("gamma", gamma, 0.01)
    probabilities, leaves = _maps(logits, target)
    weights = _of_leaves(class_weights, logits)
    dims = _summed(per_image)
    overlap = (probabilities * leaves).sum(dims)
    wrong = alpha * (probabilities.sum(dims) - overlap) + beta * (leaves.sum(dims) - overlap)
    rest = 1 - (overlap + smooth) / (overlap + wrong + smooth)
    # A power below one has no finite slope at zero.
    return mean_of_classes(rest.clamp(min=1e-7).pow(1 / gamma) if gamma != 1 else rest, weights)


def lovasz(
    logits: torch.Tensor,
    target: torch.Tensor,
    *,
    per_image: bool = False,
    background: bool = True,
    form: Literal["softmax", "hinge"] = "softmax",
    class_weights: Sequence[float] | None = None,
) -> torch.Tensor:
    """Lovász-softmax: the convex extension of one minus IoU (Berman et al., arXiv:1705.08790), over classes present.

    A set of pixels in which none counts costs nothing. The hinge is the form for one leaf against the background: its
    errors are of the logit, max(0, 1 - z) inside and max(0, 1 + z) outside, so a sure mistake costs more than one.

    Args:
        logits: (N, K, H, W), one map per leaf.
        target: (N, H, W) int64: 0 background, k + 1 leaf k, 255 not counted.
        per_image: each image for itself, then the mean; memory then grows with one image rather than the batch.
        background: whether the background is one of the classes; of the softmax.
        form: softmax, or hinge where there is one leaf.
        class_weights: of background and then each leaf; the mean over the classes present becomes a weighted one.

    Raises:
        RecipeError: a number of class weights that is not one more than there are leaves, or a hinge over several
            leaves or with class weights.
    """
    if form == "hinge":
        return _lovasz_hinge(logits, target, per_image=per_image, class_weights=class_weights)
    probabilities = with_background(logits).softmax(1)
    weights = weights_of_classes(class_weights, probabilities)
    sets = (
        zip(probabilities.chunk(len(target)), target.chunk(len(target)), strict=True)
        if per_image
        else [(probabilities, target)]
    )
    losses = [_lovasz_of_set(p, t, 0 if background else 1, weights) for p, t in sets]
    return torch.stack(losses).mean()


def _lovasz_hinge(
    logits: torch.Tensor, target: torch.Tensor, *, per_image: bool, class_weights: Sequence[float] | None
) -> torch.Tensor:
    if logits.shape[1] != 1 or class_weights is not None:
        raise RecipeError(
            "the Lovász hinge is for one leaf against the background, without class weights", remedy="use form: softmax"
        )
    scores = logits[:, 0].to(torch.promote_types(logits.dtype, torch.float32))
    losses = []
    for score, truth in zip(scores.unsqueeze(1), target.unsqueeze(1), strict=True) if per_image else [(scores, target)]:
        counted = truth != IGNORE
        inside = truth[counted] > 0
        margins = 1 - torch.where(inside, score[counted], -score[counted])
        losses.append(_lovasz_of_errors(margins, inside) if len(margins) else score.sum() * 0)
    return torch.stack(losses).mean()


def _lovasz_of_set(
    probabilities: torch.Tensor, target: torch.Tensor, first: int, weights: torch.Tensor | None
) -> torch.Tensor:
    counted = target != IGNORE
    rows, truth = probabilities.movedim(1, -1)[counted], target[counted]
    present = [int(label) for label in truth.bincount().nonzero().flatten() if label >= first]
    losses = [_lovasz_of_class(rows[:, label], truth == label) for label in present]
    if not losses:
        return rows.sum() * 0
    return mean_of_classes(torch.stack(losses), None if weights is None else weights[present])


def _lovasz_of_class(probability: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    return _lovasz_of_errors((inside.to(probability.dtype) - probability).abs(), inside)


def _lovasz_of_errors(errors: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """The Lovász extension at the errors (pixels,); what is right by a margin, a negative error, costs nothing."""
    errors, order = errors.sort(descending=True)
    sorted_inside = inside[order].to(errors.dtype)
    missed = sorted_inside.cumsum(0)
    found = (1 - sorted_inside).cumsum(0)
    everything = missed[-1]
    jaccard = 1 - (everything - missed) / (everything + found)
    return (errors.clamp(min=0) * torch.diff(jaccard, prepend=jaccard.new_zeros(1))).sum()


def _maps(logits: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Leaf probabilities and one-hot leaves, both (N, K, H, W), zero where pixels do not count."""
    scores = with_background(logits)
    if int(target.where(target != IGNORE, 0).max()) >= scores.shape[1]:
        raise RecipeError(
            "a target names a label that is no leaf", remedy="use tree_dice where only whole people are marked"
        )
    hot, counted = one_hot(target, scores.shape[1])
    return scores.softmax(1)[:, 1:] * counted, hot[:, 1:]


def _of_leaves(class_weights: Sequence[float] | None, logits: torch.Tensor) -> torch.Tensor | None:
    """(K,) the weights of the leaves among those of all classes."""
    weights = weights_of_classes(class_weights, with_background(logits[:1, :, :1, :1]))
    return None if weights is None else weights[1:]


def _summed(per_image: bool) -> tuple[int, ...]:
    return (2, 3) if per_image else (0, 2, 3)
