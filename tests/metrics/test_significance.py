"""Intervals and tests against scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figureground.checks import ArgumentError
from figureground.metrics import bootstrap, holm, sign_flip_test

stats = pytest.importorskip("scipy.stats")


def test_the_interval_of_a_mean_is_scipys():
    values = np.random.default_rng(1).beta(8, 2, 120)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(5)
    ).confidence_interval
    ours = bootstrap(values, draws=4000)
    width = theirs.high - theirs.low
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.08 * width)
    assert ours == bootstrap(values, draws=4000)
    assert ours != bootstrap(values, draws=4000, seed=1)


def test_the_interval_of_a_ratio_is_scipys():
    rng = np.random.default_rng(2)
    union = rng.integers(100, 5000, 80)
    overlap = (union * rng.beta(9, 1, 80)).astype(int)
    theirs = stats.bootstrap(
        (overlap, union), lambda top, bottom, axis=-1: top.sum(axis) / bottom.sum(axis),
        n_resamples=4000, method="percentile", paired=True, rng=np.random.default_rng(5),
    ).confidence_interval  # fmt: skip
    low, high = bootstrap(overlap, over=union, draws=4000)
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=0.08 * (theirs.high - theirs.low))
    narrow = bootstrap(overlap, over=union, draws=4000, level=0.5)
    assert low < narrow[0] < narrow[1] < high


def test_the_interval_of_a_mean_iou_is_scipys():
    """Of three labels, one of which is in few photos."""
    rng = np.random.default_rng(7)
    union = rng.integers(100, 5000, (60, 3))
    union[10:, 2] = 0
    overlap = (union * rng.beta(5, 2, (60, 3))).astype(int)

    def mean_iou(chosen):
        with np.errstate(invalid="ignore"):
            return np.nanmean(overlap[chosen].sum(0) / union[chosen].sum(0))

    theirs = stats.bootstrap(
        (np.arange(60),),
        mean_iou,
        vectorized=False,
        n_resamples=2000,
        method="percentile",
        rng=np.random.default_rng(5),
    ).confidence_interval
    low, high = bootstrap(overlap, over=union, draws=4000)
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=0.1 * (theirs.high - theirs.low))
    assert bootstrap(overlap[:, :1], over=union[:, :1]) == bootstrap(overlap[:, 0], over=union[:, 0])


def test_one_photo_and_empty_denominators():
    assert bootstrap([0.5]) == (0.5, 0.5)
    assert bootstrap([0, 0], over=[0, 0]) == (1.0, 1.0)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(-8, 8), min_size=2, max_size=9))
def test_all_signs_are_tried_as_scipy_does(differences):
    theirs = stats.permutation_test(
        (np.array(differences, float),), np.sum, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
    )
    assert sign_flip_test(differences) == pytest.approx(theirs.pvalue)


def test_drawn_signs_come_near_to_scipys():
    rng = np.random.default_rng(3)
    for shift in (0.0, 0.2, 0.5):
        differences = rng.normal(shift, 1, 60)
        theirs = stats.permutation_test(
            (differences,), np.mean, permutation_type="samples", n_resamples=9999, rng=np.random.default_rng(0)
        ).pvalue
        assert sign_flip_test(differences) == pytest.approx(theirs, abs=0.02)


def test_it_agrees_with_wilcoxon_where_both_are_sure():
    clear = np.random.default_rng(4).normal(0.5, 0.5, 100)
    assert stats.wilcoxon(clear).pvalue < 0.001
    assert sign_flip_test(clear) < 0.001
    assert sign_flip_test(clear) == sign_flip_test(-clear)


def test_false_alarms_are_as_rare_as_promised():
    rng = np.random.default_rng(6)
    alarms = [sign_flip_test(rng.normal(0, 1, 12)) < 0.1 for _ in range(150)]
    assert 0.03 < np.mean(alarms) < 0.18


def test_nothing_differs():
    assert sign_flip_test([0, 0, 0]) == 1.0
    assert sign_flip_test([]) == 1.0


def test_holm_by_hand():
    """Four tests: 0.005 * 4, 0.01 * 3, 0.03 * 2, and 0.04, which may not fall below the one before."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: bootstrap([]),
        lambda: bootstrap([1.0, 2.0], over=[1.0]),
        lambda: bootstrap([1.0], level=1.0),
        lambda: bootstrap([np.nan]),
        lambda: sign_flip_test([[1.0]]),
        lambda: sign_flip_test([1.0], draws=0),
        lambda: holm([1.1]),
    ],
)
def test_wrong_arguments(wrong):
    with pytest.raises(ArgumentError):
        wrong()
