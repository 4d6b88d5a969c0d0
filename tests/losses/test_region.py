"""Soft Dice against segmentation_models_pytorch and the definition.

smp writes Dice as a Tversky index, half the terms, so that its `smooth` of one half is our one.
"""

from __future__ import annotations

import inspect

import pytest
import torch

from figureground.labels import Label, LabelTree
from figureground.losses import IGNORE, LOSSES, soft_dice, with_background

LEAVES = LabelTree([Label(name, (i, 0, 0)) for i, name in enumerate("abc")])
EMPTY = torch.zeros(2, 6, 7, dtype=torch.int64)


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def logits(rng):
    return 2 * torch.randn(2, 3, 6, 7, generator=rng)


@pytest.fixture
def target(rng):
    target = torch.randint(0, 4, (2, 6, 7), generator=rng)
    target[torch.rand(target.shape, generator=rng) < 0.2] = IGNORE
    return target


def test_all_leaves_are_those_of_smp(logits, target):
    """smp's mean runs over the background too, so its own class is asked for alone."""
    losses = pytest.importorskip("segmentation_models_pytorch.losses")
    theirs = losses.DiceLoss("multiclass", classes=[1, 2, 3], smooth=0.5, ignore_index=IGNORE, from_logits=True)
    torch.testing.assert_close(soft_dice(logits, target), theirs(with_background(logits), target))


def test_one_leaf_is_the_binary_dice_of_smp(logits, target):
    losses = pytest.importorskip("segmentation_models_pytorch.losses")
    theirs = losses.DiceLoss("binary", smooth=0.5, ignore_index=IGNORE)
    one = target.where((target <= 1) | (target == IGNORE), 0)
    torch.testing.assert_close(soft_dice(logits[:, :1], one), theirs(logits[:, :1], one))


def test_per_image_is_the_mean_of_single_images(logits, target):
    expected = torch.stack([soft_dice(logits[i : i + 1], target[i : i + 1]) for i in range(2)]).mean()
    torch.testing.assert_close(soft_dice(logits, target, per_image=True), expected)


def test_perfect_is_zero_and_opposite_is_nearly_one(target):
    leaf = target.clamp(max=1).where(target != IGNORE, 0)
    right = (leaf * 2 - 1).unsqueeze(1) * 50.0
    assert soft_dice(right, leaf).item() == pytest.approx(0, abs=1e-6)
    assert soft_dice(-right, leaf).item() > 0.95


def test_empty_target_and_empty_prediction_is_zero():
    assert soft_dice(torch.full((2, 1, 6, 7), -50.0), EMPTY).item() == pytest.approx(0, abs=1e-6)
    assert soft_dice(torch.full((2, 1, 6, 7), 50.0), EMPTY).item() > 0.95


def test_an_empty_target_still_pulls_the_prediction_down():
    logits = torch.zeros(2, 1, 6, 7, requires_grad=True)
    soft_dice(logits, EMPTY, per_image=True).backward()
    assert (logits.grad > 0).all()


def test_gradient_is_there_where_everything_is_wrong():
    logits = torch.full((1, 1, 4, 4), -4.0, requires_grad=True)
    soft_dice(logits, torch.ones(1, 4, 4, dtype=torch.int64)).backward()
    assert (logits.grad < 0).all()


@pytest.mark.parametrize("per_image", [False, True])
def test_gradient(logits, target, per_image):
    wide = logits.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: soft_dice(z, target, per_image=per_image), wide)


def test_ignored_pixels_change_nothing_and_get_no_gradient(logits, target):
    logits.requires_grad_()
    loss = soft_dice(logits, target)
    loss.backward()
    ignored = target == IGNORE
    assert not logits.grad.movedim(1, -1)[ignored].any()
    other = logits.detach().clone()
    other.movedim(1, -1)[ignored] += 9
    torch.testing.assert_close(soft_dice(other, target), loss.detach())


def test_bfloat16_is_summed_in_float32(target):
    half = torch.randn(2, 3, 6, 7, generator=torch.Generator().manual_seed(1)).bfloat16()
    loss = soft_dice(half, target)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, soft_dice(half.float(), target), rtol=0, atol=0)


def test_a_recipe_can_name_every_loss(logits, target):
    for loss in LOSSES.values():
        output, _, *options = inspect.signature(loss).parameters
        known = {"labels": LEAVES, "image": torch.rand(len(logits), 3, *logits.shape[-2:])}
        given = {name: value for name, value in known.items() if name in options}
        assert output in ("logits", "nodes", "embedding", "queries")
        if output != "queries":  # those of a MaskFormer, which its own tests give it
            assert torch.isfinite(loss(logits, target, **given))
