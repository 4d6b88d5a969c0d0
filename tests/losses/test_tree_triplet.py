"""The tree-triplet loss against its golden value and a loop that draws triplets as the authors' code does."""

from __future__ import annotations

import pytest
import torch

from figureground.errors import RecipeError
from figureground.labels import LabelTree
from figureground.labels.nodes import node_layout
from figureground.losses import IGNORE, tree_triplet
from figureground.losses.tree_triplet import _triplets

PEOPLE = LabelTree.named("pascal-person-part")
SIBLINGS = ({1, 2, 4, 6}, {3, 5})


@pytest.fixture
def embedding():
    return torch.randn(2, 5, 6, 7, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def loop(embedding, target, margin, most, background):
    """The first pixels of each kind in raster order; siblings are positives, the other branch is negative."""
    vectors = torch.nn.functional.normalize(embedding, dim=1).permute(0, 2, 3, 1).reshape(-1, embedding.shape[1])
    values = target.flatten().tolist()
    means = []
    for leaf in range(1, 7):
        own = next(group for group in SIBLINGS if leaf in group)
        other = set(range(1, 7)) - own | ({0} if background else set())
        anchors = [i for i, value in enumerate(values) if value == leaf]
        positives = [i for i, value in enumerate(values) if value in own - {leaf}]
        negatives = [i for i, value in enumerate(values) if value in other]
        costs = []
        for a, p, n in list(zip(anchors, positives, negatives, strict=False))[:most]:
            near, far = 1 - vectors[a] @ vectors[p], 1 - vectors[a] @ vectors[n]
            costs.append(max(float(near - far) + margin, 0))
        if costs:
            means.append(sum(costs) / len(costs))
    return sum(means) / len(means)


@pytest.mark.parametrize("options", [{}, {"margin": 0.6}])
def test_golden_value(hashed, golden_target, options):
    """Siblings and cousins in a tree of height 2: the margin of the formula is the constant one of the code."""
    embedding = hashed("emb", 2, 8, 4, 4, scale=1)
    loss = tree_triplet(embedding, golden_target, labels=PEOPLE, order="raster", **options)
    assert loss.item() == pytest.approx(0.61185291, abs=5e-8)


@pytest.mark.parametrize("most", [1, 3, 200])
@pytest.mark.parametrize("margin", [0.0, 0.35])
def test_raster_order_is_the_loop(embedding, target_of, most, margin):
    target = target_of(PEOPLE, 2, 6, 7)
    loss = tree_triplet(embedding, target, labels=PEOPLE, order="raster", margin=margin, triplets=most)
    assert loss.item() == pytest.approx(loop(embedding, target, margin, most, background=False))


def test_the_paper_has_half_of_the_tree_in_its_margin(embedding, target_of):
    target = target_of(PEOPLE, 2, 6, 7)
    ours = tree_triplet(embedding, target, labels=PEOPLE, order="raster", margin_scale=0.5)
    assert ours.item() == pytest.approx(loop(embedding, target, 0.35, 200, background=False))


@pytest.mark.parametrize("same_leaf", [False, True])
@pytest.mark.parametrize("background", [False, True])
def test_triplets_are_what_the_tree_says(labels, same_leaf, background, target_of):
    """A positive shares more of its path with the anchor than the negative; nothing known as inner node is used."""
    value = target_of(labels, 3000)
    nodes = len(labels)
    path = torch.from_numpy(node_layout(labels).ancestors[:nodes, :nodes]).float()
    shared = torch.nn.functional.pad(path @ path.T, (1, 0, 1, 0))
    leaf, anchor, positive, negative = _triplets(value, labels, 50, same_leaf, background)
    leaves = len(labels.leaves)
    used = torch.cat((value[anchor], value[positive], value[negative]))
    assert (used <= leaves).all()
    assert (value[anchor] == 1 + leaf).all()
    assert (shared[value[anchor], value[positive]] > shared[value[anchor], value[negative]]).all()
    assert (anchor != positive).all()
    if not same_leaf:
        assert (value[anchor] != value[positive]).all()
    if not background:
        assert (used > 0).all()
    assert torch.bincount(leaf, minlength=leaves).max() <= 50 if len(leaf) else True


def test_random_triplets_come_from_everywhere(target_of):
    """The first images are not preferred, and torch's seed decides."""
    value = target_of(PEOPLE, 20_000)
    torch.manual_seed(0)
    embedding = torch.randn(1, 4, 100, 200)
    first = tree_triplet(embedding, value.view(1, 100, 200), labels=PEOPLE, triplets=20)
    other = tree_triplet(embedding, value.view(1, 100, 200), labels=PEOPLE, triplets=20)
    torch.manual_seed(0)
    torch.randn(1, 4, 100, 200)
    again = tree_triplet(embedding, value.view(1, 100, 200), labels=PEOPLE, triplets=20)
    assert first != other
    assert first == again


def test_far_enough_costs_nothing():
    """Each branch in a direction of its own."""
    target = torch.tensor([[[1, 2, 4, 6, 3, 5]]])
    embedding = torch.zeros(1, 2, 1, 6)
    embedding[0, 0, 0, :4] = 1
    embedding[0, 1, 0, 4:] = 1
    assert tree_triplet(embedding, target, labels=PEOPLE).item() == 0
    assert tree_triplet(embedding, target, labels=PEOPLE, margin=1.5).item() == pytest.approx(0.5)


@pytest.mark.parametrize("value", [0, 1, IGNORE, 7])
def test_no_triplet_costs_nothing_and_has_a_gradient_of_zero(value):
    embedding = torch.randn(1, 4, 3, 3, requires_grad=True)
    loss = tree_triplet(embedding, torch.full((1, 3, 3), value), labels=PEOPLE)
    loss.backward()
    assert loss.item() == 0
    assert not embedding.grad.any()


def test_turning_the_space_changes_nothing(embedding, target_of):
    target = target_of(PEOPLE, 2, 6, 7)
    turn, _ = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    turned = torch.einsum("ij,njhw->nihw", turn, embedding)
    torch.testing.assert_close(
        tree_triplet(turned, target, labels=PEOPLE, order="raster"),
        tree_triplet(embedding, target, labels=PEOPLE, order="raster"),
    )


def test_gradient(embedding, target_of):
    target = target_of(PEOPLE, 1, 5, 5)
    embedding = embedding[:1, :3, :5, :5].clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda e: tree_triplet(e, target, labels=PEOPLE, order="raster", triplets=2), embedding, atol=1e-4
    )
    tree_triplet(embedding, target, labels=PEOPLE, order="raster").backward()
    # Length is of no matter, so no vector is pulled along itself.
    along = (embedding.grad * embedding).sum(1)
    torch.testing.assert_close(along, torch.zeros_like(along), atol=1e-12, rtol=0)


def test_a_finer_target_is_taken_at_the_nearest_pixel(target_of):
    target = target_of(PEOPLE, 2, 6, 7)
    fine = target.repeat_interleave(4, 1).repeat_interleave(4, 2)
    embedding = torch.randn(2, 5, 6, 7)
    torch.testing.assert_close(
        tree_triplet(embedding, fine, labels=PEOPLE, order="raster"),
        tree_triplet(embedding, target, labels=PEOPLE, order="raster"),
    )


def test_bfloat16_embeddings_are_compared_in_float32(target_of):
    target = target_of(PEOPLE, 2, 6, 7)
    half = torch.randn(2, 5, 6, 7).bfloat16()
    loss = tree_triplet(half, target, labels=PEOPLE, order="raster")
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, tree_triplet(half.float(), target, labels=PEOPLE, order="raster"))


def test_an_unknown_order_is_refused():
    with pytest.raises(RecipeError, match=r"'rastr'; did you mean 'raster'\?"):
        tree_triplet(torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 2, dtype=torch.int64), labels=PEOPLE, order="rastr")
