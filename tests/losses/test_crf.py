from __future__ import annotations

import numpy as np
import pytest
import torch

from figureground.checks import ArgumentError
from figureground.labels import LabelTree
from figureground.losses import IGNORE, LOSSES, mean_field
from figureground.losses.crf import dense_crf, dense_potts, gated_potts, smooth_crf
from figureground.losses.mean_field import dense_crf_logits, smooth_crf_logits
from figureground.refine import DenseCrf, SmoothCrf

ALL = torch.zeros(1, 6, 6, dtype=torch.int64)


@pytest.fixture
def three_classes(hashed):
    """Logits of two leaves over the background, and a picture, as in the specification."""
    z = hashed("dcrf", 3, 6, 6, scale=4)
    return (z[1:] - z[:1])[None], ((hashed("img", 3, 6, 6, scale=1) + 0.5) * 255)[None]


def pair_weights(image, width, color, radius=99):
    """(pixels, pixels), own weights included, pair by pair."""
    _, height, columns = image.shape
    weights = np.zeros((height * columns, height * columns))
    for i in range(height * columns):
        for j in range(height * columns):
            dy, dx = i // columns - j // columns, i % columns - j % columns
            apart = float(((image[:, i // columns, i % columns] - image[:, j // columns, j % columns]) ** 2).sum())
            if max(abs(dy), abs(dx)) <= radius:
                weights[i, j] = np.exp(-(dy**2 + dx**2) / (2 * width**2) - apart / (2 * color**2))
    return weights


def test_dense_potts_has_the_golden_value(three_classes):
    z, image = three_classes
    weights = pair_weights(image[0], 100, 15)
    shares = mean_field.with_background(z)[0].softmax(0).flatten(1).numpy()
    cut = sum(s @ weights @ (1 - s) for s in shares)
    assert cut == pytest.approx(20.42355624, abs=1e-6)
    assert -sum(s @ weights @ s for s in shares) == pytest.approx(-18.84814791, abs=1e-6)
    assert float(dense_potts(z, ALL, image=image, scale=1)) == pytest.approx(cut / weights.sum(), rel=1e-6)


def test_gated_potts_agrees_with_pair_by_pair(three_classes):
    z, image = three_classes
    weights = pair_weights(image[0], 6, 60, radius=2)
    np.fill_diagonal(weights, 0)
    shares = mean_field.with_background(z)[0].softmax(0).flatten(1).numpy()
    expected = sum(s @ weights @ (1 - s) for s in shares) / weights.sum()
    assert float(gated_potts(z, ALL, image=image, radius=2, color=60)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("loss", [dense_potts, gated_potts])
def test_one_label_costs_nothing_and_a_cut_along_an_edge_little(loss):
    image = torch.zeros(1, 3, 12, 16)
    image[..., 8:] = 200.0
    target = torch.zeros(1, 12, 16, dtype=torch.int64)
    sure = torch.full((1, 1, 12, 16), -30.0)
    along, across = sure.clone(), sure.clone()
    along[..., 8:] = 30
    across[..., 6:, :] = 30
    flat, edge, misplaced = (float(loss(z, target, image=image)) for z in (sure, along, across))
    assert flat == pytest.approx(0, abs=1e-6)
    assert edge < 0.05 < misplaced


@pytest.mark.parametrize("loss", [dense_potts, gated_potts])
def test_gradients_are_right_and_stop_at_what_is_not_counted(loss, three_classes):
    z, image = three_classes
    target = ALL.clone()
    target[:, :3] = IGNORE
    z.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(x, target, image=image, scale=1, color=90), (z,))
    loss(z, target, image=image, scale=1, color=90).backward()
    assert (z.grad[:, :, :3] == 0).all()
    assert (z.grad[:, :, 3:] != 0).any()
    for scale in (0.5, 0.35):
        z.grad = None
        loss(z, target, image=image, scale=scale, color=90).backward()
        assert (z.grad[:, :, :3] == 0).all()
        assert (z.grad[:, :, 3:] != 0).any()


@pytest.mark.parametrize("loss", [dense_potts, gated_potts])
def test_an_image_of_another_size_is_refused(loss, three_classes):
    z, image = three_classes
    with pytest.raises(ArgumentError, match=r"image is .* but logits are"):
        loss(z, ALL, image=image[..., 1:])


def test_smooth_crf_is_the_distance_to_the_layer(hashed):
    z = hashed("crf", 1, 1, 12, 12, scale=6)
    after = smooth_crf_logits(z, SmoothCrf())
    assert float((after - z).mean()) == pytest.approx(0.17938334, abs=1e-7)  # the golden value of the seed's own loss
    q, p = after.sigmoid(), z.sigmoid()
    expected = (q * (q / p).log() + (1 - q) * ((1 - q) / (1 - p)).log()).mean()
    target = torch.zeros(1, 12, 12, dtype=torch.int64)
    assert float(smooth_crf(z, target)) == pytest.approx(float(expected), rel=1e-6)
    z.requires_grad_()
    smooth_crf(z, target).backward()
    # With q held still the slope of the divergence is p - q.
    assert torch.allclose(z.grad, (p - q).detach() / z.numel(), atol=1e-9)
    target[:] = IGNORE
    assert float(smooth_crf(z, target).detach()) == 0


def test_dense_crf_is_the_distance_to_the_layer_or_goes_through_it(three_classes):
    z, image = three_classes
    settings = {"width": 4.0, "color": 60.0, "weight": 2.0, "iterations": 2}
    after = mean_field.with_background(dense_crf_logits(z, image, DenseCrf(**settings))).log_softmax(1)
    before = mean_field.with_background(z).log_softmax(1)
    divergence = (after.exp() * (after - before)).sum(1)
    assert float(dense_crf(z, ALL, image=image, **settings)) == pytest.approx(float(divergence.mean()), rel=1e-9)
    half = ALL.clone()
    half[:, :3] = IGNORE
    z.requires_grad_()
    value = dense_crf(z, half, image=image, **settings)
    assert value.item() == pytest.approx(float(divergence[:, 3:].mean().detach()), rel=1e-9)
    value.backward()
    assert (z.grad[:, :, :3] == 0).all()
    # With the CRF's answer held still the slope is the difference of the probabilities.
    wanted = (before.exp() - after.exp())[:, 1:].detach() / (half != IGNORE).sum()
    assert torch.allclose(z.grad[:, :, 3:], wanted[:, :, 3:], atol=1e-9)
    through = dense_crf(z, half, image=image, form="through", **settings)
    assert through.item() == pytest.approx(float(-after[:, 0, 3:].mean().detach()), rel=1e-9)
    assert torch.autograd.gradcheck(lambda x: dense_crf(x, half, image=image, form="through", **settings), (z,))


def test_dense_crf_looks_at_the_tree_and_at_the_sizes(hashed):
    labels = LabelTree.named("pascal-person-part")
    z = hashed("tree", 1, len(labels.leaves), 6, 6, scale=4)
    image = (hashed("img", 1, 3, 6, 6, scale=1) + 0.5) * 255
    alone, among = (float(dense_crf(z, ALL, image=image, labels=tree)) for tree in (None, labels))
    assert alone != pytest.approx(among, rel=1e-3)
    with pytest.raises(ArgumentError, match=r"image is .* but logits are"):
        dense_crf(z, ALL, image=image[..., 1:])
    with pytest.raises(ArgumentError, match="labels has 6 leaves, but logits 2"):
        dense_crf(z[:, :2], ALL, image=image, labels=labels)
    with pytest.raises(ArgumentError, match="width must be from"):
        dense_crf(z, ALL, image=image, width=0)


def test_bad_options_are_refused_by_name(three_classes):
    z, image = three_classes
    for options, message in (
        ({"width": -1}, "width must be from 0.1 to 10000"),
        ({"color": 0}, "color must be from 0.1 to 1000"),
        ({"scale": 2}, "scale must be from 0.05 to 1"),
    ):
        for loss in (dense_potts, gated_potts):
            with pytest.raises(ArgumentError, match=message):
                loss(z, ALL, image=image, **options)
    with pytest.raises(ArgumentError, match="radius must be from 1 to 50"):
        gated_potts(z, ALL, image=image, radius=0)
    with pytest.raises(ArgumentError, match="iterations must be from 1 to 100"):
        smooth_crf(z, ALL, iterations=0)


def test_a_recipe_can_name_them():
    assert {"smooth_crf", "dense_crf", "dense_potts", "gated_potts"} <= set(LOSSES)
