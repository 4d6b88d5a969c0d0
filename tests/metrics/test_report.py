from __future__ import annotations

import json

import numpy as np
import pytest

from figureground.checks import ArgumentError
from figureground.errors import DataError
from figureground.labels import Label, LabelTree
from figureground.metrics import BinaryReport, TreeReport, boundary_f, counts, dice, iou

TREE = LabelTree(
    [
        Label("person", (255, 0, 0)),
        Label("head", (0, 255, 0), parent="person"),
        Label("body", (0, 0, 255), parent="person"),
        Label("arms", (9, 9, 9), parent="body"),
        Label("legs", (8, 8, 8), parent="body"),
    ]
)


def square(size: int, shape: tuple[int, int] = (20, 20)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[:size, :size] = True
    return mask


def test_image_mean_and_dataset_are_two_numbers():
    report = BinaryReport()
    report.add("large", square(20), square(20))
    report.add("small", square(1), square(2))
    summary = report.summary()
    assert summary["images"] == 2
    assert summary["iou_image_mean"] == pytest.approx((1 + 1 / 4) / 2)
    assert summary["dice_image_mean"] == pytest.approx((1 + 2 / 5) / 2)
    assert summary["iou_dataset"] == pytest.approx(401 / 404)
    assert summary["dice_dataset"] == pytest.approx(802 / 805)
    assert summary["precision"] == 1.0
    assert summary["recall"] == pytest.approx(401 / 404)


def test_per_image_records_hold_what_the_summary_averages():
    report = BinaryReport()
    pairs = [(square(3), square(4)), (square(9), square(8)), (square(0), square(0))]
    for number, (pred, true) in enumerate(pairs):
        report.add(f"image {number}", pred, true)
    assert [record.name for record in report.per_image] == ["image 0", "image 1", "image 2"]
    assert [record.dice for record in report.per_image] == [dice(counts(*pair)) for pair in pairs]
    assert [record.iou for record in report.per_image] == [iou(counts(*pair)) for pair in pairs]
    assert [record.boundary_f for record in report.per_image] == [boundary_f(*pair) for pair in pairs]
    assert report.per_image[0].to_dict() == {
        "name": "image 0",
        "dice": pytest.approx(18 / 25),
        "iou": pytest.approx(9 / 16),
        "boundary_f": report.per_image[0].boundary_f,
        "tp": 9,
        "fp": 0,
        "fn": 7,
        "tn": 384,
    }


def test_empty_scenes_are_wrong_above_one_percent():
    report = BinaryReport()
    empty = np.zeros((20, 20), bool)
    report.add("left empty", empty, empty)
    report.add("exactly one percent", square(2), empty)
    report.add("a person imagined", square(3), empty)
    report.add("with a person", square(3), square(3))
    summary = report.summary()
    assert summary["empty_images"] == 3
    assert summary["empty_wrong"] == pytest.approx(1 / 3)
    assert summary["empty_wrong_images"] == ["a person imagined"]
    assert summary["dice_image_mean"] == pytest.approx((1 + 0 + 0 + 1) / 4)


def test_no_empty_scenes_is_none_wrong():
    report = BinaryReport()
    report.add("a", square(3), square(3))
    assert report.summary()["empty_wrong"] == 0.0


def test_summary_is_json():
    report = BinaryReport()
    report.add("a", square(3), square(4))
    assert json.loads(json.dumps(report.summary())) == report.summary()


def test_nothing_measured_is_an_error():
    with pytest.raises(DataError, match="no images were measured"):
        BinaryReport().summary()


def index_maps(seed: int, ignore: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    pred, true = rng.integers(0, 4, (2, 16, 15))
    if ignore:
        true[rng.random(true.shape) < 0.2] = 255
    return pred, true


def test_tree_report_is_the_binary_report_of_each_node():
    report = TreeReport(TREE)
    leaves = {"head": [1], "arms": [2], "legs": [3], "body": [2, 3], "person": [1, 2, 3]}
    binary = {name: BinaryReport() for name in leaves}
    for seed in range(3):
        pred, true = index_maps(seed)
        report.add(str(seed), pred, true)
        for name, indices in leaves.items():
            binary[name].add(str(seed), np.isin(pred, indices), np.isin(true, indices))
    assert report.summary() == {name: binary[name].summary() for name in TREE.names}


def test_dataset_iou_of_leaves_agrees_with_torchmetrics():
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional.classification")
    pred, true = index_maps(0, ignore=True)
    report = TreeReport(TREE)
    report.add("x", pred, true)
    expected = functional.multiclass_jaccard_index(
        torch.from_numpy(pred), torch.from_numpy(true), num_classes=4, average="none", ignore_index=255
    )
    got = [report.summary()[name]["iou_dataset"] for name in ("head", "arms", "legs")]
    assert got == pytest.approx(expected[1:].tolist(), abs=1e-6)


def test_what_is_predicted_where_nobody_knows_makes_no_difference():
    pred, true = index_maps(1, ignore=True)
    other = np.where(true == 255, (pred + 1) % 4, pred)
    reports = []
    for prediction in (pred, other):
        report = TreeReport(TREE)
        report.add("x", prediction, true)
        reports.append(report.summary())
    assert reports[0] == reports[1]


@pytest.mark.parametrize(
    ("pred", "message"),
    [
        (np.full((2, 2), 4), "pred holds indices from 4 to 4, but the tree has 0 .background. to 3"),
        (np.full((2, 2), -1), "pred holds indices from -1"),
        (np.zeros((2, 2)), "pred must be integer"),
        (np.zeros((2, 3), int), "pred is 2x3"),
    ],
)
def test_wrong_index_maps_are_refused(pred, message):
    with pytest.raises(ArgumentError, match=message):
        TreeReport(TREE).add("x", pred, np.zeros((2, 2), int))
