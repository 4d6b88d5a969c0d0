"""Focal loss against golden values, torchvision's and segmentation_models_pytorch's forms and the cross-entropy."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from figureground.errors import RecipeError
from figureground.labels import Label, LabelTree
from figureground.losses import IGNORE, cross_entropy, focal, node_focal, with_background

I = IGNORE  # noqa: E741
TARGET = torch.tensor(
    [
        [[0, 2, I, 1], [0, 0, 2, I], [1, 0, 0, 2], [I, 1, 0, 0]],
        [[2, I, 1, 0], [0, 2, I, 1], [0, 0, 2, I], [1, 0, 0, 2]],
    ]
)


@pytest.fixture
def scores(hashed):
    """(2, 3, 4, 4) of the specification, background first."""
    return hashed("z", 2, 3, 4, 4, scale=8)


@pytest.fixture
def logits(scores):
    """The same with the background's at zero, as networks give them."""
    return scores[:, 1:] - scores[:, :1]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 2.05765977),
        ({"mean": "all"}, 1.67184856),
        ({"gamma": 0, "mean": "all"}, 1.92928853),
        ({"gamma": 0}, 2.37450895),
    ],
)
def test_golden_values(logits, options, expected):
    assert focal(logits, TARGET, **options).item() == pytest.approx(expected, abs=5e-9)


def test_golden_values_of_one_against_all(scores):
    flat = LabelTree([Label("a", (1, 1, 1)), Label("b", (2, 2, 2))])
    smp = node_focal(scores[:, [1, 2, 0]], TARGET, labels=flat, reduction="level_mean")
    assert smp.item() == pytest.approx(1.03271103, abs=1e-7)  # theirs is float32
    binary = node_focal(scores[:, :1], (TARGET == 1).long(), labels=LabelTree.person(), alpha=0.25)
    assert binary.item() == pytest.approx(0.76207855, abs=5e-9)


def test_one_against_all_is_that_of_smp(scores):
    losses = pytest.importorskip("segmentation_models_pytorch.losses")
    theirs = losses.FocalLoss("multiclass", gamma=2, ignore_index=IGNORE)(scores.float(), TARGET)
    flat = LabelTree([Label("a", (1, 1, 1)), Label("b", (2, 2, 2))])
    ours = node_focal(scores[:, [1, 2, 0]].float(), TARGET, labels=flat, reduction="level_mean")
    torch.testing.assert_close(ours, theirs)


def test_class_weights_are_those_of_torch(logits):
    weights = [1.0, 2.0, 3.0]
    theirs = F.cross_entropy(
        with_background(logits),
        TARGET,
        torch.tensor(weights, dtype=torch.float64),
        ignore_index=IGNORE,
        reduction="sum",
    )
    ours = focal(logits, TARGET, gamma=0, alpha=weights) * (TARGET != IGNORE).sum()
    torch.testing.assert_close(ours, theirs)


def test_gamma_zero_is_the_cross_entropy(logits):
    torch.testing.assert_close(focal(logits, TARGET, gamma=0), cross_entropy(logits, TARGET), check_dtype=False)


def test_it_falls_with_gamma(logits):
    values = [focal(logits, TARGET, gamma=gamma).item() for gamma in (0, 0.5, 1, 2, 5)]
    assert values == sorted(values, reverse=True)


def test_the_slope_of_a_binary_pixel():
    """d/dz of -(1 - p)^g log p is (1 - p)^g (g p log p + p - 1)."""
    z = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    focal(z.view(1, 1, 1, 1), torch.ones(1, 1, 1, dtype=torch.int64)).backward()
    p = 1 / (1 + math.exp(-0.7))
    assert z.grad.item() == pytest.approx((1 - p) ** 2 * (2 * p * math.log(p) + p - 1))


@pytest.mark.parametrize("gamma", [0, 0.5, 2])
def test_gradient(logits, gamma):
    assert torch.autograd.gradcheck(lambda z: focal(z, TARGET, gamma=gamma), logits.requires_grad_())


@pytest.mark.parametrize("gamma", [0, 0.5, 2])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_huge_logits_stay_finite(gamma, dtype):
    for sign in (-1, 1):
        logits = torch.full((2, 2, 4, 4), sign * 50.0, dtype=dtype, requires_grad=True)
        loss = focal(logits, TARGET, gamma=gamma)
        loss.backward()
        assert loss.dtype == torch.float32
        assert torch.isfinite(loss)
        assert torch.isfinite(logits.grad).all()


def test_ignored_pixels_get_no_gradient(logits):
    logits.requires_grad_()
    focal(logits, TARGET).backward()
    assert not logits.grad.movedim(1, -1)[TARGET == IGNORE].any()
    nothing = focal(logits, torch.full_like(TARGET, IGNORE))
    assert nothing.item() == 0


def test_wrong_options_are_refused(logits):
    with pytest.raises(RecipeError, match="2 weights in alpha for background and 2 leaves"):
        focal(logits, TARGET, alpha=[1, 2])
    with pytest.raises(RecipeError, match=r"'al'; did you mean 'all'\?"):
        focal(logits, TARGET, mean="al")
