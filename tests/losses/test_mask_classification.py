"""Mask classification against transformers' loss and matcher, published golden values, and loops."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor
from transformers.models.maskformer.modeling_maskformer import MaskFormerHungarianMatcher, MaskFormerLoss

from figureground.errors import RecipeError
from figureground.labels import Label, LabelTree
from figureground.losses import IGNORE, LOSSES, mask_classification
from figureground.losses.mask_classification import _costs, _segments, _Weights

THREE = LabelTree([Label(name, (10 + place, 0, 0)) for place, name in enumerate("abc")])
NESTED = LabelTree([Label("body", (1, 0, 0)), Label("arm", (2, 0, 0), "body"), Label("leg", (3, 0, 0), "body")])


def by_transformers(classes: Tensor, masks: Tensor, segments: list[dict[int, Tensor]]) -> dict[str, Tensor]:
    """Their loss of one layer; ``segments`` maps each image's classes to masks (H, W)."""
    count = classes.shape[-1] - 1
    matcher = MaskFormerHungarianMatcher(cost_class=1.0, cost_dice=1.0, cost_mask=20.0)
    loss = MaskFormerLoss(count, matcher, {}, eos_coef=0.1)
    loss.empty_weight = torch.tensor([1.0] * count + [0.1], dtype=classes.dtype)  # theirs is 0.1 in float32
    numbers = [torch.tensor(list(image)) for image in segments]
    return loss(masks, classes, [torch.stack(list(image.values())) for image in segments], numbers)


def weighted(losses: dict[str, Tensor]) -> Tensor:
    return losses["loss_cross_entropy"] + 20 * losses["loss_mask"] + losses["loss_dice"]


def segments_of(target: Tensor, values: list[int], dtype: torch.dtype) -> list[dict[int, Tensor]]:
    """The classes in order of ``values`` that each image shows."""
    return [
        {place: (image == value).to(dtype) for place, value in enumerate(values) if (image == value).any()}
        for image in target
    ]


def random_queries(layers: int, images: int, queries: int, classes: int, size: tuple[int, int]) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(3)
    options = {"generator": rng, "dtype": torch.float64}
    return {
        "query_classes": (2 * torch.randn(layers, images, queries, classes + 1, **options)).requires_grad_(),
        "query_masks": (3 * torch.randn(layers, images, queries, *size, **options)).requires_grad_(),
    }


def golden_case(hashed) -> tuple[dict[str, Tensor], Tensor]:
    target = torch.zeros(2, 8, 8, dtype=torch.int64)
    target[0, :4] = 1
    target[0, 4:, 4:] = 3
    target[1, :, 2:6] = 2
    masks, classes = hashed("mq", 2, 5, 4, 4, scale=8), hashed("cq", 2, 5, 4, scale=4)
    return {"query_classes": classes[None], "query_masks": masks[None]}, target


def test_golden(hashed):
    queries, target = golden_case(hashed)
    assert float(mask_classification(queries, target, labels=THREE)) == pytest.approx(4.46871395, abs=1e-7)


def test_golden_costs(hashed):
    queries, target = golden_case(hashed)
    segments = _segments(target, 3, THREE, [8, 8])
    costs = _costs(queries["query_classes"][0], queries["query_masks"][0], segments, _Weights(1.0, 20.0, 1.0))
    expected = [6.626506, 14.275065, 7.998917, 5.566071, 11.546405, 12.306718, 7.982994, 6.426028, 9.251242, 19.824054]
    assert costs[0][:, [0, 2]].flatten().tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("background_class", [False, True])
def test_same_loss_and_gradient_as_transformers(background_class):
    rng = torch.Generator().manual_seed(1)
    target = torch.randint(0, 4, (3, 4, 6), generator=rng).repeat_interleave(4, 1).repeat_interleave(4, 2)
    target[1] = 2  # one class only
    values = [0, 1, 2, 3] if background_class else [1, 2, 3]
    queries = random_queries(3, 3, 7, len(values), (8, 12))
    ours = mask_classification(queries, target, labels=THREE)
    segments = segments_of(target, values, torch.float64)
    theirs = sum(
        weighted(by_transformers(classes, masks, segments)) for classes, masks in zip(*queries.values(), strict=True)
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    inputs = list(queries.values())
    for mine, other in zip(torch.autograd.grad(ours, inputs), torch.autograd.grad(theirs, inputs), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-8, atol=1e-12)
    last = mask_classification(queries, target, labels=THREE, every_layer=False)
    expected = weighted(by_transformers(queries["query_classes"][-1], queries["query_masks"][-1], segments))
    torch.testing.assert_close(last, expected, rtol=1e-10, atol=1e-12)


def test_the_match_costs_least():
    """Every other assignment of three queries to three segments is worse in the sum that the loss weighs alike."""
    target = torch.tensor([[[1, 2, 3]]]).repeat(1, 3, 1).repeat_interleave(2, 1).repeat_interleave(2, 2)
    queries = random_queries(1, 1, 3, 3, (6, 6))
    (classes,), (masks,) = queries["query_classes"][0], queries["query_masks"][0]
    wanted = torch.stack([target[0] == value for value in (1, 2, 3)]).double()
    costs = torch.zeros(3, 3, dtype=torch.float64)
    for query, label in itertools.product(range(3), range(3)):
        inside, mask = masks[query].sigmoid(), wanted[label]
        right = torch.where(mask > 0, inside, 1 - inside)
        alpha = torch.where(mask > 0, 0.25, 0.75)
        focal = -(alpha * (1 - right) ** 2 * right.log()).mean()
        dice = 1 - (2 * (inside * mask).sum() + 1) / (inside.sum() + mask.sum() + 1)
        costs[query, label] = 20 * focal + dice - classes[query].softmax(0)[label]
    best = min(itertools.permutations(range(3)), key=lambda order: float(costs[range(3), list(order)].sum().detach()))
    # With the right match no query is without an object, so the class part is the mean over the three.
    log = classes.log_softmax(-1)
    named = torch.stack([log[query, label] for query, label in enumerate(best)]).mean()
    matched = sum(costs[query, label] + classes[query].softmax(0)[label] for query, label in enumerate(best)) / 3
    torch.testing.assert_close(mask_classification(queries, target, labels=THREE), matched - named)


def test_pixels_that_do_not_count_change_nothing():
    target = torch.zeros(1, 16, 16, dtype=torch.int64)
    target[:, 4:10, 4:10] = 1
    target[:, :, 8:] = IGNORE
    queries = random_queries(1, 1, 4, 2, (16, 16))
    person = LabelTree.person()
    before = mask_classification(queries, target, labels=person)
    (slope,) = torch.autograd.grad(before, queries["query_masks"], retain_graph=True)
    assert not slope[..., 8:].any()
    assert slope[..., :8].any()
    changed = queries["query_masks"].detach().clone()
    changed[..., 8:] += 5
    after = mask_classification({**queries, "query_masks": changed}, target, labels=person)
    torch.testing.assert_close(after, before.detach())


def test_a_margin_below_and_right_does_not_count():
    target = torch.randint(0, 2, (1, 14, 13), generator=torch.Generator().manual_seed(0))
    padded = torch.full((1, 16, 16), IGNORE)
    padded[:, :14, :13] = target
    queries = random_queries(1, 1, 4, 2, (4, 4))
    person = LabelTree.person()
    ours = mask_classification(queries, target, labels=person)
    torch.testing.assert_close(ours, mask_classification(queries, padded, labels=person))


def test_an_image_that_only_says_body_punishes_no_query():
    """Value 3 is the inner node: what part is there is not known, so a query that names one may be right."""
    target = torch.zeros(1, 8, 8, dtype=torch.int64)
    target[:, :4] = NESTED.mask_values()["body"]
    queries = random_queries(1, 1, 4, 3, (8, 8))
    loss = mask_classification(queries, target, labels=NESTED)
    (slope,) = torch.autograd.grad(loss, queries["query_classes"])
    assert (slope[0, 0].abs().sum(-1) > 0).sum() == 1  # the query that was matched with the background


def test_nothing_counted_costs_only_what_is_named():
    target = torch.full((2, 8, 8), IGNORE)
    queries = random_queries(1, 2, 4, 2, (4, 4))
    loss = mask_classification(queries, target, labels=LabelTree.person())
    log = queries["query_classes"][0].log_softmax(-1)
    torch.testing.assert_close(loss, -log[..., -1].mean())


def test_half_precision_and_nonsense_do_not_stop_it():
    target = torch.zeros(1, 8, 8, dtype=torch.int64)
    target[:, :4] = 1
    queries = {name: x.detach().bfloat16() for name, x in random_queries(1, 1, 4, 2, (4, 4)).items()}
    loss = mask_classification(queries, target, labels=LabelTree.person())
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss)
    queries["query_masks"][0, 0, 0] = torch.nan
    mask_classification(queries, target, labels=LabelTree.person())


def test_a_recipe_can_name_it():
    assert LOSSES["mask_classification"] is mask_classification


def test_more_classes_in_a_photo_than_queries_are_told():
    target = torch.tensor([[[1, 1], [1, 1]], [[1, 2], [3, 3]]])
    with pytest.raises(RecipeError, match=r"shows 3 classes, but the network has 2 queries; .*queries to at least 3"):
        mask_classification(random_queries(1, 2, 2, 3, (2, 2)), target, labels=THREE)
    assert mask_classification(random_queries(1, 1, 2, 3, (2, 2)), target[:1], labels=THREE).isfinite()
