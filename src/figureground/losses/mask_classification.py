"""The loss of mask classification (Cheng, Schwing, Kirillov, arXiv:2107.06278): match queries to segments, compare.

A network with queries predicts a class and a mask for each. Every class that an image shows is one segment; each is
given the query that suits it best, such that the sum of the costs is least (Kuhn's Hungarian method). A matched query
is to name the segment's class and to cover it, any other to say "no object". Values are those of ``transformers``'
`MaskFormerLoss`; where we differ, pixels that are not counted are left out of masks and costs, which there are outside
of every mask.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from figureground.errors import RecipeError
from figureground.labels import LabelTree
from figureground.losses.background import IGNORE

_ALPHA, _GAMMA = 0.25, 2.0


class _Weights(NamedTuple):
    """Of the class, the focal and the Dice part, in the cost of a match and in the loss alike."""

    classes: float
    focal: float
    dice: float


class _Segments(NamedTuple):
    """What a batch shows.

    places: (N, H, W) int64: the number of each pixel's class, -1 where it is in none, 255 where it does not count.
    present: (N, K) bool: which classes an image shows.
    whole: (N,) bool: images without pixels that are known only to be in some part.
    """

    places: Tensor
    present: Tensor
    whole: Tensor


def mask_classification(
    queries: Mapping[str, Tensor],
    target: Tensor,
    *,
    labels: LabelTree,
    class_weight: float = 1.0,
    focal_weight: float = 20.0,
    dice_weight: float = 1.0,
    no_object_weight: float = 0.1,
    every_layer: bool = True,
) -> Tensor:
    """Cross-entropy of the queries' classes, focal and Dice loss of the matched masks, summed over the layers.

    Args:
        queries: "query_classes" (layers, N, Q, K + 1), logits of K classes and "no object"; "query_masks" (layers, N,
            Q, h, w), logits of a size that the target's is a multiple of, but for a margin below and to the right. K
            is the number of leaves, or one more where the first class is the background.
        target: (N, H, W) int64: 0 background, k + 1 leaf k, 255 not counted. Inner nodes of the tree are not counted
            either, and queries without a match in their images are not told to say "no object".
        labels: the label tree.
        class_weight: of the classes, in the loss and in the cost of a match.
        focal_weight: of the masks' focal loss, likewise.
        dice_weight: of the masks' Dice loss, likewise.
        no_object_weight: of the queries without a match in the mean of the cross-entropy.
        every_layer: supervise the predictions after every layer of the decoder; else after the last only.
    """
    classes, masks = queries["query_classes"], queries["query_masks"]
    if not every_layer:
        classes, masks = classes[-1:], masks[-1:]
    factor = -(-target.shape[-1] // masks.shape[-1])
    with torch.autocast(target.device.type, enabled=False):
        segments = _segments(target, classes.shape[-1] - 1, labels, [factor * side for side in masks.shape[-2:]])
        weights = _Weights(class_weight, focal_weight, dice_weight)
        losses = [
            _layer_loss(_wide(layer_classes), _wide(layer_masks), segments, weights, no_object_weight)
            for layer_classes, layer_masks in zip(classes, masks, strict=True)
        ]
    return torch.stack(losses).sum()


def _wide(x: Tensor) -> Tensor:
    """At least float32: the sums over an image are too long for less."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _segments(target: Tensor, classes: int, labels: LabelTree, size: list[int]) -> _Segments:
    """The segments of ``target`` with a margin that does not count, up to ``size``."""
    first = len(labels.leaves) + 1 - classes  # the value of class 0: the background's, or the first leaf's
    below, right = (wanted - given for wanted, given in zip(size, target.shape[-2:], strict=True))
    target = F.pad(target, (0, right, 0, below), value=IGNORE)
    counted = target <= len(labels.leaves)
    places = torch.where(counted, target - first, IGNORE)
    shown = places.new_zeros(len(places), IGNORE + 2).scatter_(1, (places + 1).flatten(1), 1)
    whole = (counted | (target == IGNORE)).flatten(1).all(1)
    return _Segments(places, shown[:, 1 : 1 + classes] > 0, whole)


def _layer_loss(
    classes: Tensor, masks: Tensor, segments: _Segments, weights: _Weights, no_object_weight: float
) -> Tensor:
    """Classes (N, Q, K + 1) and masks (N, Q, h, w) of one layer."""
    images, queries, matched = _match(classes, masks, segments, weights)
    wanted = torch.full(classes.shape[:2], classes.shape[-1] - 1, device=classes.device)
    wanted[images, queries] = matched
    importance = no_object_weight * segments.whole.to(classes.dtype)[:, None].repeat(1, classes.shape[1])
    importance[images, queries] = 1.0
    entropy = F.cross_entropy(classes.transpose(1, 2), wanted, reduction="none")
    class_loss = (importance * entropy).sum() / importance.sum().clamp(min=1e-6)
    logits = F.interpolate(
        masks[images, queries].unsqueeze(1), size=segments.places.shape[-2:], mode="bilinear", align_corners=False
    )
    places = segments.places[images].flatten(1)
    focal, dice = _mask_losses(logits.flatten(1), places == matched[:, None], places != IGNORE)
    number = _mean_over_processes(torch.tensor(float(len(images)), device=masks.device)).clamp(min=1)
    return weights.classes * class_loss + (weights.focal * focal.sum() + weights.dice * dice.sum()) / number


def _mask_losses(logits: Tensor, wanted: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
    """Focal loss, a mean over pixels (arXiv:1708.02002), and one minus Dice of masks (S, pixels): (S,) each."""
    wanted, counted = wanted.to(logits.dtype), counted.to(logits.dtype)
    probability = logits.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    miss = probability + wanted - 2 * probability * wanted
    focal = (_ALPHA * wanted + (1 - _ALPHA) * (1 - wanted)) * miss**_GAMMA * entropy
    seen = probability * counted
    overlap = 2 * (seen * wanted).sum(1)
    dice = 1 - (overlap + 1) / (seen.sum(1) + wanted.sum(1) + 1)
    return (focal * counted).sum(1) / counted.sum(1).clamp(min=1), dice


@torch.no_grad()
def _match(classes: Tensor, masks: Tensor, segments: _Segments, weights: _Weights) -> tuple[Tensor, Tensor, Tensor]:
    """Numbers of image, query and class, (S,) int64 each, of all segments of the batch.

    The costs are computed at the size of the masks; a cost that is no number is the highest there is. RecipeError for
    an image with more segments than queries.
    """
    present = segments.present.cpu()
    costs = _costs(classes, masks, segments, weights)
    highest = torch.finfo(costs.dtype).max
    costs = torch.nan_to_num(costs, nan=highest, posinf=highest, neginf=highest).cpu()
    found: list[tuple[int, int, int]] = []
    for image, (cost, here) in enumerate(zip(costs, present, strict=True)):
        known = here.nonzero().flatten()
        if len(known) > len(cost):
            raise RecipeError(
                f"a photo shows {len(known)} classes, but the network has {len(cost)} queries",
                remedy=f"set network.options.queries to at least {len(known)}",
            )
        chosen = linear_sum_assignment(cost[:, known].numpy())
        found += [(image, int(query), int(known[segment])) for query, segment in zip(*chosen, strict=True)]
    matches = torch.tensor(found, dtype=torch.int64, device=masks.device).reshape(-1, 3)
    return matches[:, 0], matches[:, 1], matches[:, 2]


def _costs(classes: Tensor, masks: Tensor, segments: _Segments, weights: _Weights) -> Tensor:
    """What it costs to give each query (N, Q) the segment of each class: (N, Q, K)."""
    small = F.interpolate(segments.places.unsqueeze(1).float(), size=masks.shape[-2:], mode="nearest").flatten(2)
    wanted = (small.transpose(1, 2) == torch.arange(classes.shape[-1] - 1, device=small.device)).to(masks.dtype)
    counted = (small != IGNORE).to(masks.dtype)
    logits = masks.flatten(2)
    probability = logits.sigmoid()
    inside = _ALPHA * (1 - probability) ** _GAMMA * F.softplus(-logits) * counted
    outside = (1 - _ALPHA) * probability**_GAMMA * F.softplus(logits) * counted
    # Inside's cost where the segment is, outside's where it is not, as one product.
    focal = ((inside - outside) @ wanted + outside.sum(2, keepdim=True)) / counted.sum(2, keepdim=True).clamp(min=1)
    seen = probability * counted
    total = seen.sum(2, keepdim=True) + wanted.sum(1, keepdim=True)
    dice = 1 - (2 * seen @ wanted + 1) / (total + 1)
    named = classes.softmax(-1)[..., :-1]
    return weights.focal * focal + weights.dice * dice - weights.classes * named


def _mean_over_processes(number: Tensor) -> Tensor:
    """So that each mask weighs the same on every device of a distributed training."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(number)
        number = number / torch.distributed.get_world_size()
    return number
