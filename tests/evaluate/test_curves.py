"""Scores at all thresholds at once against one mask after the other, measured by the report."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figureground.evaluate.curves import METRICS, THRESHOLDS, best_threshold, bootstrap, tally
from figureground.metrics import BinaryReport


def drawn(seed, photos=3):
    """Probabilities on the hundredths themselves too, where rounding could go either way, and an empty truth."""
    rng = np.random.default_rng(seed)
    for number in range(photos):
        probability = rng.random((9, 13), np.float32)
        probability[::2] = rng.integers(0, 101, probability[::2].shape) / np.float32(100)
        yield probability, np.zeros((9, 13), bool) if number == 2 else rng.random((9, 13)) < 0.4


@given(st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_every_threshold_scores_as_its_mask_does(seed):
    cases = list(drawn(seed))
    tallies = np.array([tally(probability, true) for probability, true in cases])
    for at in (0, 1, 28, 49, 57, 98):
        report = BinaryReport()
        for probability, true in cases:
            report.add("x", probability >= np.float32(THRESHOLDS[at]), true)
        summary = report.summary()
        for name, score in METRICS.items():
            assert score(tallies)[at] == pytest.approx(summary[name], abs=1e-12), name


def test_nothing_where_nothing_is():
    tallies = np.array([tally(np.zeros((4, 4), np.float32), np.zeros((4, 4), bool))])
    assert all((score(tallies) == 1).all() for score in METRICS.values())


def test_of_equal_thresholds_the_middle_one():
    scores = np.zeros(99)
    assert THRESHOLDS[best_threshold(scores)] == 0.5
    scores[[10, 70]] = 1
    assert best_threshold(scores) == 70


def test_the_bootstrap_interval():
    rng = np.random.default_rng(0)
    hits = rng.integers(50, 100, 200)
    tallies = np.stack([hits, np.zeros(200, int), 100 - hits], axis=1)
    low, high = bootstrap(tallies, None, METRICS["iou_image_mean"], seed=1)
    mean, error = (hits / 100).mean(), (hits / 100).std() / np.sqrt(200)
    assert low == pytest.approx(mean - 1.96 * error, abs=0.3 * error)
    assert high == pytest.approx(mean + 1.96 * error, abs=0.3 * error)
    assert bootstrap(tallies, tallies, METRICS["dice_dataset"]) == (0, 0)
    assert bootstrap(tallies, None, METRICS["iou_image_mean"], seed=1) == (low, high)
