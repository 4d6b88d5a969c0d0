"""The numbers of levels: against the published golden values, a loop over pixels, torchmetrics, and the full report."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figureground.checks import ArgumentError
from figureground.errors import LabelError
from figureground.labels import Label, LabelTree
from figureground.metrics import TreeCounts, TreeReport

PARTS = LabelTree.named("pascal-person-part")
IGNORE = 255


def counted(labels, *pairs):
    counts = TreeCounts(labels)
    for pred, true in pairs:
        counts.add(np.asarray(pred), np.asarray(true))
    return counts


def test_the_golden_values_of_the_seven_class_task():
    """Worked out by hand for one made-up prediction, to the last digit: leaves, halves, body, and leaf means."""
    true = np.array([[[0, 5, 2, 255], [4, 1, 6, 3], [0, 5, 2, 255], [4, 1, 6, 3]]] * 2)
    numbers = np.arange(32).reshape(2, 4, 4)
    counts = counted(PARTS, *zip((numbers * 3 + numbers // 7) % 7, true, strict=True))
    iou = counts.node_iou()
    leaves = [iou[leaf.name] for leaf in PARTS.leaves]
    assert leaves == pytest.approx([0.142857, 0, 0, 0.125, 0, 0.142857], abs=1e-6)
    assert iou["upper_body"] == pytest.approx(0.39130435, abs=1e-8)
    assert iou["lower_body"] == pytest.approx(0.14285714, abs=1e-8)
    assert counts.level_iou() == pytest.approx([0.77777778, 0.26708075, 0.06845238], abs=1e-8)
    # Leaf means: the body's is the mean of six leaves, a half's that of its own leaves.
    assert counts.level_iou("leaf_mean") == pytest.approx([0.06845238, 0.10267857 / 2, 0.06845238], abs=1e-7)


@st.composite
def cases(draw):
    """A random forest (bushy, chains, flat) to depth 6, and three images of random maps over it."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    nodes, deepest = draw(st.integers(1, 40)), draw(st.integers(1, 6))
    chain = draw(st.sampled_from([0.0, 0.5, 1.0]))
    parents, depths = [-1], [0]
    for i in range(1, nodes):
        parent = -1 if rng.random() < 0.1 else i - 1 if rng.random() < chain else int(rng.integers(i))
        parent = parent if parent < 0 or depths[parent] + 1 < deepest else -1
        parents.append(parent)
        depths.append(0 if parent < 0 else depths[parent] + 1)
    listed = [Label(f"n{i}", (i, 0, 5), None if p < 0 else f"n{p}") for i, p in enumerate(parents)]
    labels = LabelTree([listed[i] for i in rng.permutation(nodes)])
    leaves = len(labels.leaves)
    highest = nodes if draw(st.booleans()) else leaves  # with numbers of inner nodes in the truth, or without
    pairs = []
    for _ in range(3):
        true = rng.integers(0, highest + 1, (5, 6))
        guess = rng.integers(0, leaves + 1, (5, 6))
        pred = np.where((rng.random((5, 6)) < 0.6) & (true <= leaves), true, guess)
        true[rng.random((5, 6)) < 0.2] = IGNORE
        pairs.append((pred, true))
    return labels, pairs


def ways(labels):
    """For each number in a mask the names from the node up to its root."""
    found = {
        value: [name, *(above.name for above in labels.ancestors(name))] for name, value in labels.mask_values().items()
    }
    return {0: [], **found}


def may_be(labels, name):
    """The leaves that a pixel of that label may be."""
    return {leaf.name for leaf in labels.leaves_under(name)}


@settings(max_examples=20, deadline=None)
@given(cases())
def test_every_number_is_that_of_a_loop_over_pixels(case):
    labels, pairs = case
    counts, way = counted(labels, *pairs), ways(labels)
    pixels = [
        (int(p), int(t)) for pred, true in pairs for p, t in zip(pred.flat, true.flat, strict=True) if t != IGNORE
    ]
    name_of = {value: name for name, value in labels.mask_values().items()}
    expected = {}
    for node in labels.names:
        overlap = union = 0
        for p, t in pixels:
            truth = may_be(labels, name_of[t]) if t else set()
            inside = t > 0 and truth <= may_be(labels, node)
            if t and not inside and truth & may_be(labels, node):
                continue  # nobody knows
            predicted = node in way[p]
            overlap += inside and predicted
            union += inside or predicted
        expected[node] = overlap / union if union else math.nan
    assert counts.node_iou() == pytest.approx(expected, nan_ok=True)

    for level in range(labels.depth):
        names = [label.name for label in labels.level(level)]
        values = [expected[name] for name in names if not math.isnan(expected[name])]
        assert counts.level_iou()[level] == pytest.approx(np.mean(values) if values else math.nan, nan_ok=True)
        table = np.zeros((len(names) + 1, len(names) + 1), int)
        for p, t in pixels:
            row = [k + 1 for k, name in enumerate(names) if name in way[t]] or [0]
            column = [k + 1 for k, name in enumerate(names) if name in way[p]] or [0]
            if t == 0 or row != [0]:
                table[row[0], column[0]] += 1
        np.testing.assert_array_equal(counts.confusion(level), table)
        right = np.trace(table) / table.sum() if table.sum() else math.nan
        assert counts.pixel_accuracy(level) == pytest.approx(right, nan_ok=True)


@settings(max_examples=25, deadline=None)
@given(cases())
def test_the_full_report_says_the_same(case):
    labels, pairs = case
    counts, report = counted(labels, *pairs), TreeReport(labels)
    for number, (pred, true) in enumerate(pairs):
        report.add(str(number), pred, true)
    for name, iou in counts.node_iou().items():
        assert report.nodes[name].summary()["iou_dataset"] == pytest.approx(1.0 if math.isnan(iou) else iou)


@settings(max_examples=25, deadline=None)
@given(cases(), st.randoms())
def test_order_and_what_nobody_knows_make_no_difference(case, random):
    labels, pairs = case
    shuffled = random.sample(pairs, len(pairs))
    changed = [(np.where(true == IGNORE, 0, pred), true) for pred, true in shuffled]
    assert counted(labels, *changed).node_iou() == pytest.approx(counted(labels, *pairs).node_iou(), nan_ok=True)


@settings(max_examples=25, deadline=None)
@given(cases())
def test_a_perfect_prediction_is_perfect(case):
    labels, pairs = case
    leaves = len(labels.leaves)
    truths = [np.where(true > leaves, IGNORE, true) for _, true in pairs]
    perfect = counted(labels, *((np.where(true == IGNORE, 0, true), true) for true in truths))
    assert {value for value in perfect.node_iou().values() if not math.isnan(value)} <= {1.0}
    assert math.isnan(perfect.error_distance())
    assert perfect.level_iou(background=True)[0] in (1.0, pytest.approx(math.nan, nan_ok=True))


def test_levels_agree_with_torchmetrics_on_merged_maps():
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional.classification")
    rng = np.random.default_rng(1)
    true = rng.integers(0, 7, (40, 50))
    pred = np.where(rng.random((40, 50)) < 0.5, true, rng.integers(0, 7, (40, 50)))
    true[:3] = IGNORE
    counts = counted(PARTS, (pred, true))
    for level in range(3):
        lookup = PARTS.level_lookup(level)
        merged = torch.from_numpy(lookup[pred]), torch.from_numpy(np.where(true == IGNORE, IGNORE, lookup[true % 10]))
        classes = 1 + len(PARTS.level(level))
        options = {"num_classes": classes, "ignore_index": IGNORE, "average": "none"}
        iou = functional.multiclass_jaccard_index(*merged, **options)
        assert counts.level_iou()[level] == pytest.approx(float(iou[1:].mean()), abs=1e-6)
        assert counts.level_iou(background=True)[level] == pytest.approx(float(iou.mean()), abs=1e-6)
        accuracy = functional.multiclass_accuracy(*merged, **options)
        assert counts.accuracy_mean(level) == pytest.approx(float(accuracy[1:].mean()), abs=1e-6)
        micro = functional.multiclass_accuracy(*merged, **{**options, "average": "micro"})
        assert counts.pixel_accuracy(level) == pytest.approx(float(micro), abs=1e-6)


def test_what_is_neither_there_nor_predicted_is_left_out_of_means():
    counts = counted(PARTS, ([[4, 4, 0]], [[4, 0, 0]]))
    assert counts.node_iou()["head"] == 0.5
    assert math.isnan(counts.node_iou()["torso"])
    assert counts.level_iou() == [0.5, 0.5, 0.5]
    assert counts.level_iou("leaf_mean") == [0.5, 0.5, 0.5]
    assert all(math.isnan(iou) for iou in counted(PARTS, ([[0]], [[0]])).level_iou())
    assert counted(PARTS, ([[0]], [[0]])).level_iou(background=True) == [1.0, 1.0, 1.0]


def test_a_truth_that_does_not_know_the_part_counts_where_it_knows():
    values = PARTS.mask_values()
    counts = counted(PARTS, ([[4, 2, 3, 0]], [[values["upper_body"]] * 4]))
    iou = counts.node_iou()
    assert (iou["body"], iou["upper_body"], iou["lower_body"], iou["low_leg"]) == (0.75, 0.5, 0.0, 0.0)
    assert math.isnan(iou["head"]), "it may be the head"
    assert counts.confusion(1).tolist() == [[0, 0, 0], [1, 2, 1], [0, 0, 0]]
    assert counts.confusion(2).sum() == 0


def test_how_far_errors_are():
    def distance(pred, true):
        values = {"background": 0, **PARTS.mask_values()}
        return counted(PARTS, ([[values[pred]]], [[values[true]]])).error_distance()

    assert distance("head", "torso") == 1
    assert distance("head", "up_leg") == 2
    assert distance("background", "head") == distance("head", "background") == 3
    mixed = counted(PARTS, ([[4, 4, 4, 4]], [[4, 2, 5, 0]]))
    assert mixed.error_distance() == pytest.approx((1 + 2 + 3) / 3)


def test_a_data_set_is_not_a_mean_of_images():
    pairs = [([[4] * 9 + [0]], [[4] * 10]), ([[0]], [[4]])]
    assert counted(PARTS, *pairs).node_iou()["head"] == pytest.approx(9 / 11)


def test_wrong_calls():
    counts = TreeCounts(PARTS)
    zero = np.zeros((2, 2), int)
    with pytest.raises(ArgumentError, match=r"pred holds indices from 7 to 7, but the tree has 0 .background. to 6"):
        counts.add(zero + 7, zero)
    with pytest.raises(ArgumentError, match=r"true holds indices from 10 to 10, but the tree has 0 .background. to 9"):
        counts.add(zero, zero + 10)
    with pytest.raises(ArgumentError, match=r"pred is 2x2 .* but true is 2x3"):
        counts.add(zero, np.zeros((2, 3), int))
    with pytest.raises(ArgumentError, match="did you mean 'leaf_mean'"):
        counts.level_iou("leaf-mean")
    with pytest.raises(LabelError, match="levels run from 0 to 2"):
        counts.confusion(3)
