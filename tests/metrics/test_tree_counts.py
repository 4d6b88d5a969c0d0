"""The cheap counts of a tree say what the full report says."""

from __future__ import annotations

import numpy as np
import pytest

from figureground.labels import LabelTree
from figureground.metrics import TreeCounts, TreeReport


def test_the_iou_of_every_node_is_the_reports():
    labels = LabelTree.named("pascal-person-part")
    rng = np.random.default_rng(0)
    counts, report = TreeCounts(labels), TreeReport(labels)
    for number in range(3):
        true = rng.integers(0, 7, (9, 11)).astype(np.uint8)
        pred = np.where(rng.random((9, 11)) < 0.5, true, rng.integers(0, 6, (9, 11)))
        true[:2] = 255
        counts.add(pred, true)
        report.add(str(number), pred, true)
    for name, iou in counts.node_iou().items():
        assert iou == pytest.approx(report.nodes[name].summary()["iou_dataset"])
    assert counts.level_iou() == pytest.approx([entry["iou_dataset_mean"] for entry in report.levels()])


def test_what_is_neither_there_nor_predicted_is_right():
    labels = LabelTree.person()
    counts = TreeCounts(labels)
    counts.add(np.zeros((4, 4), int), np.zeros((4, 4), int))
    assert counts.node_iou() == {"person": 1.0}
