"""The tree's cross-entropy and Dice against plain loops over pixels and nodes, and the losses without a tree."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from figureground.errors import RecipeError
from figureground.labels import Label, LabelTree
from figureground.losses import IGNORE, cross_entropy, soft_dice, tree_cross_entropy, tree_dice

GRAY = iter(range(1, 200))


def label(name, parent=None):
    shade = next(GRAY)
    return Label(name, (shade, shade, shade), parent)


PEOPLE = LabelTree(
    [
        label("body"),
        label("arm", "upper"),
        label("upper", "body"),
        label("head", "upper"),
        label("leg", "body"),
    ]
)


@pytest.fixture
def case():
    rng = torch.Generator().manual_seed(1)
    logits = 2 * torch.randn(2, 3, 5, 6, generator=rng, dtype=torch.float64)
    target = torch.randint(0, 6, (2, 5, 6), generator=rng)
    target[torch.rand(target.shape, generator=rng) < 0.2] = IGNORE
    return logits, target


def probabilities(logits, n, y, x):
    powers = [math.exp(value) for value in logits[n, :, y, x].tolist()]
    return [power / (1 + sum(powers)) for power in powers]


def named(target, n, y, x):
    value = int(target[n, y, x])
    return {v: name for name, v in PEOPLE.mask_values().items()}.get(value)


def node_probability(leaves, name):
    names = [leaf.name for leaf in PEOPLE.leaves]
    return sum(leaves[names.index(leaf.name)] for leaf in PEOPLE.leaves_under(name))


def loop_cross_entropy(logits, target, weights):
    total = 0.0
    for level, weight in enumerate(weights):
        losses = []
        names = [node.name for node in PEOPLE.level(level)]
        for n, y, x in np.ndindex(*target.shape):
            if target[n, y, x] == IGNORE:
                continue
            leaves = probabilities(logits, n, y, x)
            if target[n, y, x] == 0:
                losses.append(-math.log(1 - sum(leaves)))
                continue
            name = named(target, n, y, x)
            line = [name, *(above.name for above in PEOPLE.ancestors(name))]
            losses += [-math.log(node_probability(leaves, node)) for node in line if node in names]
        total += weight * sum(losses) / len(losses)
    return total / sum(weights)


def loop_dice(logits, target, smooth):
    scores = []
    for node in PEOPLE.names:
        overlap = total = 0.0
        below = {leaf.name for leaf in PEOPLE.leaves_under(node)}
        for n, y, x in np.ndindex(*target.shape):
            if target[n, y, x] == IGNORE:
                continue
            p = node_probability(probabilities(logits, n, y, x), node)
            name = named(target, n, y, x)
            may_be = set() if name is None else {leaf.name for leaf in PEOPLE.leaves_under(name)}
            if name is not None and may_be <= below:
                overlap, total = overlap + p, total + p + 1
            elif not may_be & below:
                total += p
        scores.append(1 - (2 * overlap + smooth) / (total + smooth))
    return sum(scores) / len(scores)


def test_the_numbers_of_the_nodes_are_leaves_first():
    assert PEOPLE.mask_values() == {"arm": 1, "head": 2, "leg": 3, "body": 4, "upper": 5}


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0), (2.0, 0.0, 0.5)])
def test_cross_entropy_is_the_loop_over_pixels_and_levels(case, weights):
    found = tree_cross_entropy(*case, labels=PEOPLE, level_weights=weights)
    assert float(found) == pytest.approx(loop_cross_entropy(*case, weights), rel=1e-6)


def test_dice_is_the_loop_over_pixels_and_nodes(case):
    assert float(tree_dice(*case, labels=PEOPLE)) == pytest.approx(loop_dice(*case, 1.0), rel=1e-5)


def test_dice_of_every_second_pixel_is_that_of_a_picture_of_them(case):
    logits, target = case
    fewer = tree_dice(logits[..., ::2, ::2], target[..., ::2, ::2], labels=PEOPLE)
    assert torch.equal(tree_dice(logits, target, labels=PEOPLE, every=2), fewer)


@pytest.mark.parametrize("loss", [tree_cross_entropy, tree_dice])
def test_gradients_are_those_of_finite_differences(case, loss):
    logits, target = case
    logits = logits[:1, :, :3, :3].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: loss(z, target[:1, :3, :3], labels=PEOPLE), (logits,), atol=1e-4)


def test_one_level_is_the_loss_without_a_tree(case):
    logits, target = case
    flat = LabelTree([label("a"), label("b"), label("c")])
    target = torch.where(target > 3, 0, target)
    ours = tree_cross_entropy(logits, target, labels=flat, boundary_weight=2.0, boundary_width=3)
    torch.testing.assert_close(ours, cross_entropy(logits, target, boundary_weight=2.0, boundary_width=3).to(ours))
    torch.testing.assert_close(
        tree_dice(logits, target, labels=flat), soft_dice(logits, target).to(torch.float64), rtol=1e-5, atol=1e-6
    )


def test_a_person_without_parts_leaves_the_parts_alone():
    # Whatever the leaves share among themselves, only their sum counts.
    target = torch.full((1, 1, 1), PEOPLE.mask_values()["body"])
    logits = torch.tensor([0.3, -1.0, 0.7], dtype=torch.float64)
    moved = (logits.softmax(0)[[2, 0, 1]] * logits.exp().sum()).log()
    losses = [
        tree_cross_entropy(z.view(1, 3, 1, 1), target, labels=PEOPLE, level_weights=(0.3, 0.3, 0.4))
        for z in (logits, moved)
    ]
    torch.testing.assert_close(losses[0], losses[1])


@pytest.mark.parametrize("loss", [tree_cross_entropy, tree_dice])
def test_nothing_that_counts_costs_nothing_and_has_a_gradient(loss):
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    value = loss(logits, torch.full((1, 4, 4), IGNORE), labels=PEOPLE)
    value.backward()
    assert float(value) == pytest.approx(0, abs=1e-6)
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("weights", [(1.0,), (0.0, 0.0, 0.0), (1.0, -1.0, 1.0)])
def test_weights_that_do_not_fit_the_levels_are_refused(case, weights):
    with pytest.raises(RecipeError, match="one number per level"):
        tree_cross_entropy(*case, labels=PEOPLE, level_weights=weights)
