"""Losses on node scores against golden values and against loops over pixels and nodes that follow the definitions."""

from __future__ import annotations

import math
from functools import cache

import pytest
import torch
from torch.nn import functional as F

from figureground.errors import RecipeError
from figureground.labels import LabelTree
from figureground.losses import (
    IGNORE,
    blocks,
    cross_entropy,
    focal_tree_min,
    hierarchical_softmax,
    level_cross_entropy,
    node_focal,
    tree_min,
)

PEOPLE = LabelTree.named("pascal-person-part")
# The specification's channels: background, leaves, upper, lower, body; and leaves, mid and root, each with background.
TEN = [1, 2, 3, 4, 5, 6, 9, 7, 8, 0]
TWELVE = [1, 2, 3, 4, 5, 6, 11, 8, 9, 10, 7, 0]
BACKGROUNDS = ["none", "node", "chain"]
ON_NODES = [node_focal, tree_min, focal_tree_min, hierarchical_softmax, level_cross_entropy]


def channels_of(labels, background):
    return len(labels) + {"none": 0, "node": 1, "chain": labels.depth}[background]


def scores_of(labels, background, *shape, seed=0, dtype=torch.float64):
    rng = torch.Generator().manual_seed(seed)
    count, (n, *rest) = channels_of(labels, background), shape
    return 4 * torch.randn(n, count, *rest, generator=rng, dtype=torch.float64).to(dtype)


class Loop:
    """The tree in plain dictionaries of channels, and what a target value says of each channel."""

    def __init__(self, labels, background):
        self.labels, self.background = labels, background
        value = labels.mask_values()
        self.names = sorted(value, key=value.get)
        self.parent = {value[label.name] - 1: value.get(label.parent, 0) - 1 for label in labels.labels}
        nodes = len(labels)
        extra = range(nodes, channels_of(labels, background))
        self.parent |= {channel: -1 if channel == nodes else channel - 1 for channel in extra}
        self.extra = list(extra)
        self.up, self.leaves, self.inside = cache(self.up), cache(self.leaves), cache(self.inside)

    def up(self, channel):
        way = []
        while channel >= 0:
            way.append(channel)
            channel = self.parent[channel]
        return way

    def down(self, channel):
        return [other for other in self.parent if channel in self.up(other)]

    def leaves(self, channel):
        return {leaf.name for leaf in self.labels.leaves_under(self.names[channel])}

    def inside(self, value, channel):
        """True, False, or None where the value does not tell."""
        if value == 0 or channel in self.extra:
            return (value == 0) == (channel in self.extra)
        possible, own = self.leaves(value - 1), self.leaves(channel)
        return True if possible <= own else False if not possible & own else None


def each_counted(target):
    for place in torch.nonzero(target != IGNORE).tolist():
        yield place, int(target[tuple(place)])


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def loop_focal(scores, target, labels, background, gamma, *, agree=True, alpha=None, level_mean=False):
    tree, total, pixels = Loop(labels, background), 0.0, 0
    depth = {channel: len(tree.up(channel)) for channel in tree.parent}
    for (n, y, x), value in each_counted(target):
        pixels += 1
        s = [sigmoid(score) for score in scores[n, :, y, x].tolist()]
        for channel in tree.parent:
            inside = tree.inside(value, channel)
            if inside is None:
                continue
            p = min(s[u] for u in tree.up(channel)) if inside else max(s[u] for u in tree.down(channel))
            p = p if agree else s[channel]
            p = p if inside else 1 - p
            weight = 1 if alpha is None else alpha if inside else 1 - alpha
            weight /= list(depth.values()).count(depth[channel]) if level_mean else 1
            total -= weight * (1 - p) ** gamma * math.log(p)
    return total / max(pixels, 1)


def loop_hierarchical(scores, target, labels, background):
    tree, total, pixels = Loop(labels, background), 0.0, 0
    for (n, y, x), value in each_counted(target):
        pixels += 1
        z = dict(enumerate(scores[n, :, y, x].tolist()))
        parent = dict(tree.parent)
        if background == "none":
            z[-2], parent[-2] = 0.0, -1
        way = [channel for channel in tree.parent if tree.inside(value, channel)] or [-2]
        for channel in way:
            siblings = [other for other, above in parent.items() if above == parent[channel]]
            total -= z[channel] - math.log(sum(math.exp(z[other]) for other in siblings))
    return total / max(pixels, 1)


def loop_levels(scores, target, labels, background):
    tree, total = Loop(labels, background), 0.0
    for level in range(labels.depth):
        channels = [tree.names.index(label.name) for label in labels.level(level)]
        costs = []
        for (n, y, x), value in each_counted(target):
            z = [float(scores[n, channel, y, x]) for channel in channels]
            own = {"none": None, "node": len(labels), "chain": len(labels) + level}[background]
            z.append(0.0 if own is None else float(scores[n, own, y, x]))
            found = [i for i, channel in enumerate(channels) if value and tree.inside(value, channel)]
            if value == 0 or found:
                truth = found[0] if found else -1
                costs.append(math.log(sum(map(math.exp, z))) - z[truth])
        total += sum(costs) / max(1, len(costs))
    return total


# Golden values


def test_the_golden_values_of_ten_nodes(hashed, golden_target):
    scores = hashed("tree", 2, 10, 4, 4, scale=6)[:, TEN]
    for loss, options, expected in (
        (node_focal, {"gamma": 0}, 10.23717206),
        (tree_min, {}, 12.91019729),
        (focal_tree_min, {}, 9.24587837),
    ):
        assert loss(scores, golden_target, labels=PEOPLE, **options).item() == pytest.approx(expected, abs=5e-9)


def test_the_golden_value_of_levels_with_a_background_each(hashed, golden_target):
    scores = hashed("tree12", 2, 12, 4, 4, scale=6)[:, TWELVE]
    loss = focal_tree_min(scores, golden_target, labels=PEOPLE, reduction="level_mean")
    # The golden value was made with 1e-8 added inside of each logarithm.
    assert loss.item() == pytest.approx(3.04210196, abs=2e-7)


# The definitions, pixel by pixel and node by node


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_tree_min_is_the_loop(labels, background, target_of):
    target = target_of(labels, 1, 2, 3)
    scores = scores_of(labels, background, 1, 2, 3)
    for gamma, level_mean in ((2.0, False), (0.5, True)):
        expected = loop_focal(scores, target, labels, background, gamma, level_mean=level_mean)
        reduction = "level_mean" if level_mean else "sum_nodes"
        loss = focal_tree_min(scores, target, labels=labels, gamma=gamma, reduction=reduction)
        assert loss.item() == pytest.approx(expected, rel=1e-9)
    assert tree_min(scores, target, labels=labels).item() == pytest.approx(
        loop_focal(scores, target, labels, background, 0), rel=1e-9
    )


@pytest.mark.parametrize("alpha", [None, 0.25])
def test_node_focal_is_the_loop(labels, alpha, target_of):
    target = target_of(labels, 1, 2, 3)
    scores = scores_of(labels, "node", 1, 2, 3)
    expected = loop_focal(scores, target, labels, "node", 2, agree=False, alpha=alpha)
    assert node_focal(scores, target, labels=labels, alpha=alpha).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize(
    ("loss", "loop"), [(hierarchical_softmax, loop_hierarchical), (level_cross_entropy, loop_levels)]
)
def test_softmaxes_are_the_loop(labels, background, loss, loop, target_of):
    target = target_of(labels, 1, 2, 3)
    scores = scores_of(labels, background, 1, 2, 3)
    assert loss(scores, target, labels=labels).item() == pytest.approx(
        loop(scores, target, labels, background), rel=1e-9
    )


# What follows from the definitions


def test_agreeing_scores_cost_their_binary_cross_entropy(target_of):
    scores = scores_of(PEOPLE, "node", 2, 5, 6)
    scores[:, 6] = scores[:, :9].amax(1)
    scores[:, 7] = torch.minimum(scores[:, 6], scores[:, [0, 1, 3, 5, 7]].amax(1))
    scores[:, 8] = torch.minimum(scores[:, 6], scores[:, [2, 4, 8]].amax(1))
    target = target_of(PEOPLE, 2, 5, 6)
    plain = node_focal(scores, target, labels=PEOPLE, gamma=0)
    torch.testing.assert_close(tree_min(scores, target, labels=PEOPLE), plain)


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_tree_min_costs_no_less_than_binary_cross_entropy(labels, background, target_of):
    target = target_of(labels, 2, 5, 6)
    scores = scores_of(labels, background, 2, 5, 6)
    assert tree_min(scores, target, labels=labels) >= node_focal(scores, target, labels=labels, gamma=0)


def test_the_order_of_siblings_is_of_no_matter(hashed, golden_target):
    scores = hashed("tree", 2, 10, 4, 4, scale=6)[:, TEN]
    swapped = scores[:, [2, 4, *range(2, 10)]]
    swapped[:, [2, 4]] = scores[:, [2, 4]]
    swapped[:, [0, 1, 3, 5]] = scores[:, [1, 3, 5, 0]]
    renamed = golden_target.clone()
    for old, new in ((1, 6), (2, 1), (4, 2), (6, 4)):
        renamed[golden_target == old] = new
    torch.testing.assert_close(
        focal_tree_min(swapped, renamed, labels=PEOPLE), focal_tree_min(scores, golden_target, labels=PEOPLE)
    )


def test_one_leaf_is_the_focal_loss_of_torchvision():
    ops = pytest.importorskip("torchvision.ops")
    person = LabelTree.person()
    scores = scores_of(person, "none", 2, 5, 6)
    target = torch.randint(0, 2, (2, 5, 6), generator=torch.Generator().manual_seed(1))
    theirs = ops.sigmoid_focal_loss(scores[:, 0], target.double(), alpha=0.25, gamma=2, reduction="mean")
    torch.testing.assert_close(node_focal(scores, target, labels=person, alpha=0.25), theirs)


def test_one_level_is_the_cross_entropy(target_of):
    flat = LabelTree(PEOPLE.level(2)[:0] + tuple(type(leaf)(leaf.name, leaf.color) for leaf in PEOPLE.leaves))
    scores, target = scores_of(flat, "none", 2, 5, 6), target_of(flat, 2, 5, 6)
    for loss in (hierarchical_softmax, level_cross_entropy):
        torch.testing.assert_close(loss(scores, target, labels=flat), cross_entropy(scores, target), check_dtype=False)


def test_a_chain_costs_what_its_root_costs(target_of):
    """Where every node has one child, nothing is left to choose below the root."""
    from figureground.labels import Label

    chain = LabelTree([Label("a", (1, 1, 1)), Label("b", (2, 2, 2), "a"), Label("c", (3, 3, 3), "b")])
    target = target_of(chain, 2, 5, 6)
    scores = scores_of(chain, "none", 2, 5, 6)
    root = F.binary_cross_entropy_with_logits(scores[:, 1][target != IGNORE], (target[target != IGNORE] > 0).double())
    torch.testing.assert_close(hierarchical_softmax(scores, target, labels=chain), root)


# Gradients, ignored pixels, precision


@pytest.mark.parametrize("loss", ON_NODES)
@pytest.mark.parametrize("background", BACKGROUNDS)
def test_gradient(loss, background, target_of):
    target = target_of(PEOPLE, 1, 2, 3)
    scores = scores_of(PEOPLE, background, 1, 2, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: loss(z, target, labels=PEOPLE), scores)


@pytest.mark.parametrize("loss", ON_NODES)
def test_ignored_pixels_change_nothing_and_get_no_gradient(labels, loss, target_of):
    target = target_of(labels, 2, 5, 6)
    scores = scores_of(labels, "node", 2, 5, 6).requires_grad_()
    value = loss(scores, target, labels=labels)
    value.backward()
    assert not scores.grad.movedim(1, -1)[target == IGNORE].any()
    other = scores.detach().clone()
    other.movedim(1, -1)[target == IGNORE] += 9
    torch.testing.assert_close(loss(other, target, labels=labels), value.detach())


@pytest.mark.parametrize("loss", ON_NODES)
def test_nothing_to_count_costs_nothing(loss):
    scores = scores_of(PEOPLE, "node", 2, 5, 6).requires_grad_()
    value = loss(scores, torch.full((2, 5, 6), IGNORE), labels=PEOPLE)
    value.backward()
    assert value.item() == 0
    assert not scores.grad.any()


@pytest.mark.parametrize("loss", ON_NODES)
def test_a_value_below_an_inner_node_gets_no_gradient(loss):
    """A pixel known as body says nothing about upper and lower, nor about the leaves."""
    scores = scores_of(PEOPLE, "none", 1, 2, 2).requires_grad_()
    loss(scores, torch.full((1, 2, 2), PEOPLE.mask_values()["body"]), labels=PEOPLE).backward()
    inner = PEOPLE.mask_values()["body"] - 1
    below = [channel for channel in range(9) if channel != inner]
    assert scores.grad[:, inner].all()
    assert not scores.grad[:, below].any()


@pytest.mark.parametrize("loss", ON_NODES)
def test_huge_scores_stay_finite_in_low_precision(loss, target_of):
    target = target_of(PEOPLE, 2, 5, 6)
    for dtype in (torch.bfloat16, torch.float32):
        scores = (1e4 * scores_of(PEOPLE, "node", 2, 5, 6).sign()).to(dtype).requires_grad_()
        value = loss(scores, target, labels=PEOPLE)
        value.backward()
        assert value.dtype == torch.float32
        assert torch.isfinite(value)
        assert torch.isfinite(scores.grad).all()


@pytest.mark.parametrize("loss", ON_NODES)
def test_bfloat16_scores_lose_no_more_than_their_rounding(loss, target_of):
    target = target_of(PEOPLE, 2, 5, 6)
    rounded = scores_of(PEOPLE, "node", 2, 5, 6, dtype=torch.bfloat16)
    ours, exact = loss(rounded, target, labels=PEOPLE), loss(rounded.double(), target, labels=PEOPLE)
    torch.testing.assert_close(ours.double(), exact, rtol=1e-6, atol=0)


def test_a_group_far_below_the_others_is_not_lost(target_of):
    """Subtracting the largest of all logits, as the authors do, would leave nothing of the leaves here."""
    scores = scores_of(PEOPLE, "node", 2, 5, 6)
    shifted = scores.clone()
    shifted[:, :6] -= 900
    target = target_of(PEOPLE, 2, 5, 6)
    torch.testing.assert_close(
        hierarchical_softmax(shifted, target, labels=PEOPLE), hierarchical_softmax(scores, target, labels=PEOPLE)
    )


# Wrong use


def test_a_number_of_channels_that_does_not_fit_is_refused():
    with pytest.raises(RecipeError, match="6 node logits for a label tree of 9 nodes; give 9 or 10 or 12"):
        tree_min(torch.zeros(1, 6, 2, 2), torch.zeros(1, 2, 2, dtype=torch.int64), labels=PEOPLE)


def test_an_unknown_reduction_is_refused():
    with pytest.raises(RecipeError, match=r"'level_men'; did you mean 'level_mean'\?"):
        tree_min(torch.zeros(1, 9, 2, 2), torch.zeros(1, 2, 2, dtype=torch.int64), labels=PEOPLE, reduction="level_men")


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("loss", [node_focal, focal_tree_min, hierarchical_softmax])
def test_pixels_in_several_blocks_are_those_of_one(loss, background, monkeypatch):
    target = torch.randint(0, 10, (2, 40, 70), generator=torch.Generator().manual_seed(3))
    found = []
    for values in (10**6, 1):  # all pixels of an image at once, and 1024 of them
        monkeypatch.setattr(blocks, "_VALUES", values)
        scores = scores_of(PEOPLE, background, 2, 40, 70).requires_grad_()
        value = loss(scores, target, labels=PEOPLE)
        value.backward()
        found.append((value.detach(), scores.grad))
    torch.testing.assert_close(found[1], found[0])


@pytest.mark.parametrize("loss", [tree_min, hierarchical_softmax])
def test_a_target_of_another_size(loss):
    with pytest.raises(RecipeError, match="for a target of"):
        loss(torch.zeros(2, 9, 8, 8), torch.zeros(2, 8, 9, dtype=torch.int64), labels=PEOPLE)
