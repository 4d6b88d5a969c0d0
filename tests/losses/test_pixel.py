"""Cross-entropy, its boundary weighting and distillation, against torch's binary form, torchmetrics and plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from figureground.errors import RecipeError
from figureground.losses import IGNORE, cross_entropy, distillation, near_boundary, with_background


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(0)


def logits_of(rng, leaves=3, dtype=torch.float32):
    return 3 * torch.randn(2, leaves, 6, 7, generator=rng).to(dtype)


def target_of(rng, leaves=3, ignored=0.2):
    target = torch.randint(0, leaves + 1, (2, 6, 7), generator=rng)
    target[torch.rand(target.shape, generator=rng) < ignored] = IGNORE
    return target


def loop_cross_entropy(logits, target):
    """Straight from the definition, pixel by pixel in Python's floats."""
    losses = []
    for n, y, x in np.ndindex(*target.shape):
        if target[n, y, x] != IGNORE:
            scores = [0.0, *logits[n, :, y, x].tolist()]
            losses.append(math.log(sum(map(math.exp, scores))) - scores[int(target[n, y, x])])
    return sum(losses) / len(losses)


def loop_near_boundary(target, width):
    reach = width // 2
    found = torch.zeros(target.shape)
    for n, y, x in np.ndindex(*target.shape):
        around = target[n, max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
        found[n, y, x] = len(set(around[around != IGNORE].tolist())) > 1
    return found


def test_one_leaf_is_the_sigmoid(rng):
    logits = logits_of(rng, leaves=1)
    torch.testing.assert_close(with_background(logits).softmax(1)[:, 1:], logits.sigmoid())


@pytest.mark.parametrize("given", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_background_is_zero_and_never_less_than_float32(rng, given):
    scores = with_background(logits_of(rng, dtype=given))
    assert scores.dtype == (torch.float64 if given == torch.float64 else torch.float32)
    assert scores.shape == (2, 4, 6, 7)
    assert not scores[:, 0].any()


@pytest.mark.parametrize("leaves", [1, 3])
def test_cross_entropy_is_the_definition(rng, leaves):
    logits, target = logits_of(rng, leaves), target_of(rng, leaves)
    assert cross_entropy(logits, target).item() == pytest.approx(loop_cross_entropy(logits, target), rel=1e-5)


def test_cross_entropy_of_one_leaf_is_binary_cross_entropy(rng):
    logits, target = logits_of(rng, leaves=1), target_of(rng, leaves=1, ignored=0)
    expected = F.binary_cross_entropy_with_logits(logits[:, 0], target.float())
    torch.testing.assert_close(cross_entropy(logits, target), expected)


def test_a_constant_background_logit_changes_nothing(rng):
    """Softmax does not see a shift of all its inputs, so any network of 1 + K outputs has a twin of K."""
    scores, target = torch.randn(2, 4, 6, 7, generator=rng), target_of(rng)
    torch.testing.assert_close(
        cross_entropy(scores[:, 1:] - scores[:, :1], target), F.cross_entropy(scores, target, ignore_index=IGNORE)
    )


@pytest.mark.parametrize("width", [1, 3, 5, 7])
def test_near_boundary_is_the_brute_force(rng, width):
    target = target_of(rng, leaves=1, ignored=0.1)
    target[0, :4] = 0  # somewhere without a boundary
    assert torch.equal(near_boundary(target, width), loop_near_boundary(target, width))


def test_ignored_pixels_make_no_boundary():
    target = torch.zeros(1, 8, 8, dtype=torch.int64)
    target[0, :, 4:] = IGNORE
    assert not near_boundary(target, 5).any()
    assert not near_boundary(torch.full_like(target, IGNORE), 5).any()


@pytest.mark.parametrize("width", [0, 2, 4])
def test_an_even_width_is_refused(width):
    with pytest.raises(RecipeError, match="odd"):
        near_boundary(torch.zeros(1, 4, 4, dtype=torch.int64), width)


def test_boundary_weighting_is_a_weighted_mean(rng):
    logits, target = logits_of(rng), target_of(rng)
    losses = F.cross_entropy(F.pad(logits, (0, 0, 0, 0, 1, 0)), target, ignore_index=IGNORE, reduction="none")
    weights = (1 + 2 * loop_near_boundary(target, 3)) * (target != IGNORE)
    expected = (losses * weights).sum() / weights.sum()
    torch.testing.assert_close(cross_entropy(logits, target, boundary_weight=2, boundary_width=3), expected)


def test_cross_entropy_gradient(rng):
    logits = logits_of(rng, dtype=torch.float64).requires_grad_()
    target = target_of(rng)
    assert torch.autograd.gradcheck(lambda z: cross_entropy(z, target, boundary_weight=1), logits)
    # The gradient of the plain mean is (probability - truth) / pixels that count.
    cross_entropy(logits, target).backward()
    counted = (target != IGNORE).unsqueeze(1)
    truth = F.one_hot(target.where(target != IGNORE, 0), 4).movedim(-1, 1)[:, 1:]
    expected = (with_background(logits).softmax(1)[:, 1:] - truth) * counted / counted.sum()
    torch.testing.assert_close(logits.grad, expected)


def test_ignored_pixels_get_no_gradient(rng):
    logits, target = logits_of(rng).requires_grad_(), target_of(rng)
    cross_entropy(logits, target, boundary_weight=1).backward()
    assert not logits.grad.movedim(1, -1)[target == IGNORE].any()


def test_nothing_to_count_costs_nothing(rng):
    logits = logits_of(rng).requires_grad_()
    loss = cross_entropy(logits, torch.full((2, 6, 7), IGNORE), boundary_weight=1)
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()


def test_bfloat16_logits_lose_no_more_than_their_rounding(rng):
    logits, target = logits_of(rng), target_of(rng)
    rounded = logits.bfloat16()
    torch.testing.assert_close(cross_entropy(rounded, target), cross_entropy(rounded.float(), target), rtol=0, atol=0)


def test_huge_logits_stay_finite(rng):
    target = target_of(rng, leaves=1)
    for sign in (-1, 1):
        logits = torch.full((2, 1, 6, 7), sign * 1e4, requires_grad=True)
        loss = cross_entropy(logits, target)
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_distillation_is_zero_at_the_teacher(rng, temperature):
    teacher = logits_of(rng, dtype=torch.float64)
    student = teacher.clone().requires_grad_()
    loss = distillation(student, teacher, temperature=temperature)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert student.grad.abs().max() < 1e-12


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_distillation_is_the_divergence_of_torchmetrics(rng, temperature):
    metric = pytest.importorskip("torchmetrics.functional")
    student, teacher = logits_of(rng, dtype=torch.float64), logits_of(rng, dtype=torch.float64)

    def per_pixel(logits):
        return (with_background(logits) / temperature).softmax(1).movedim(1, -1).reshape(-1, 4)

    expected = metric.kl_divergence(per_pixel(teacher), per_pixel(student)) * temperature**2
    torch.testing.assert_close(distillation(student, teacher, temperature=temperature), expected)


def test_distillation_gradient(rng):
    student, teacher = logits_of(rng, dtype=torch.float64).requires_grad_(), logits_of(rng, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda z: distillation(z, teacher, temperature=2), student)
