from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from figureground.checks import ArgumentError
from figureground.metrics import Counts, counts, dice, iou, precision, recall

masks = st.tuples(st.integers(0, 2**31), st.floats(0, 1), st.floats(0, 1))


def random_pair(seed: int, p: float, q: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    shape = rng.integers(1, 20, 2)
    return rng.random(shape) < p, rng.random(shape) < q


@given(masks)
def test_counts_agree_with_counting_by_hand(drawn):
    pred, true = random_pair(*drawn)
    c = counts(pred, true)
    pairs = list(zip(pred.ravel().tolist(), true.ravel().tolist(), strict=True))
    expected = [pairs.count(pair) for pair in ((True, True), (True, False), (False, True), (False, False))]
    assert [c.tp, c.fp, c.fn, c.tn] == expected


@pytest.mark.parametrize("seed", range(5))
def test_ratios_agree_with_torchmetrics(seed):
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional.classification")
    rng = np.random.default_rng(seed)
    pred, true = rng.random((31, 17)) < 0.4, rng.random((31, 17)) < 0.5
    p, t = torch.from_numpy(pred), torch.from_numpy(true)
    c = counts(pred, true)
    assert dice(c) == pytest.approx(float(functional.binary_f1_score(p, t)), abs=1e-6)
    assert iou(c) == pytest.approx(float(functional.binary_jaccard_index(p, t)), abs=1e-6)
    assert precision(c) == pytest.approx(float(functional.binary_precision(p, t)), abs=1e-6)
    assert recall(c) == pytest.approx(float(functional.binary_recall(p, t)), abs=1e-6)


@pytest.mark.parametrize("ratio", [dice, iou, precision, recall])
def test_both_empty_is_perfect_and_one_empty_is_zero(ratio):
    assert ratio(Counts(tn=9)) == 1.0
    assert ratio(Counts(fp=2, tn=7)) == 0.0
    assert ratio(Counts(fn=2, tn=7)) == 0.0


@given(masks)
def test_dice_and_iou_tell_the_same(drawn):
    c = counts(*random_pair(*drawn))
    assert dice(c) == pytest.approx(2 * iou(c) / (1 + iou(c)))


def test_unknown_pixels_are_left_out():
    pred = np.array([[True, True, False, False]])
    true = np.array([[True, False, True, False]])
    valid = np.array([[True, False, False, True]])
    assert counts(pred, true, valid) == Counts(tp=1, tn=1)


def test_counts_add_up():
    assert Counts(1, 2, 3, 4) + Counts(10, 20, 30, 40) == Counts(11, 22, 33, 44)
    assert Counts(1, 2, 3, 4).total == 10


@pytest.mark.parametrize(
    ("pred", "named"),
    [
        (np.zeros((2, 2), np.uint8), "pred must be bool"),
        (np.zeros((2, 2, 1), bool), "pred must be bool"),
        (np.zeros((2, 3), bool), "pred is 2x3"),
    ],
)
def test_wrong_masks_are_refused_by_name(pred, named):
    with pytest.raises(ArgumentError, match=named):
        counts(pred, np.zeros((2, 2), bool))
