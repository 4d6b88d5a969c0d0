"""A search for parts: what is counted at all thresholds at once, against one evaluation for each of them."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import figureground as fg
from figureground.checks import ArgumentError
from figureground.cli.app import main
from figureground.errors import LabelError, NetworkError
from figureground.evaluate import evaluate_parts, find_pairs, tune
from figureground.evaluate.curves import THRESHOLDS
from figureground.evaluate.goals import FigureGoal, goal_of, is_of_parts
from figureground.evaluate.view_cache import Mixture, ViewCache
from figureground.labels import Label, LabelTree
from figureground.metrics import TreeCounts
from figureground.runtime.bundle import Bundle
from figureground.runtime.photo import Photo
from figureground.runtime.segmentation import Segmentation
from figureground.runtime.sizing import Sizing

HOUR = 3.6e6
TREE = LabelTree(
    [
        Label("body", (1, 1, 1)),
        Label("head", (2, 2, 2), parent="body"),
        Label("legs", (3, 3, 3), parent="body"),
        Label("left", (4, 4, 4), parent="legs"),
        Label("right", (5, 5, 5), parent="legs"),
    ]
)
VALUES = TREE.mask_values()


class Answers(fg.Segmenter):
    """Has a tree, and finds nobody."""

    def __init__(self, labels):
        super().__init__("answers", labels, 0.5)

    def network_size(self, height, width):
        return height, width

    def probabilities(self, image):
        return np.zeros((len(self.labels.leaves), *image.shape[:2]), np.float32)


@pytest.mark.parametrize("metric", ["iou_leaves", "iou_level0", "iou_level1", "iou_level2"])
def test_all_thresholds_at_once_are_each_by_itself(metric):
    """Truth with parts that are not known, and pixels of which nothing is, through `Segmentation` and `TreeCounts`."""
    rng = np.random.default_rng(0)
    goal = goal_of(metric, Answers(TREE))
    level = TREE.depth - 1 if metric == "iou_leaves" else int(metric[-1])
    photos = [rng.integers(0, 256, size, np.uint8) for size in ((9, 14, 3), (12, 7, 3))]
    leaves = [rng.dirichlet(np.ones(4), p.shape[:2]).transpose(2, 0, 1)[:3].astype(np.float32) for p in photos]
    true = [rng.choice([0, *VALUES.values(), 255], p.shape[:2]) for p in photos]
    scores = goal.score(np.array([goal.tally(one, truth) for one, truth in zip(leaves, true, strict=True)]))
    for at in (0, 9, 30, 49, 71, 98):
        counts = TreeCounts(TREE)
        for photo, one, truth in zip(photos, leaves, true, strict=True):
            result = Segmentation(Photo(photo), one, TREE, threshold=float(THRESHOLDS[at]))
            counts.add(result.level(-1), truth)
        assert scores[at] == pytest.approx(counts.level_iou()[level], abs=1e-12), at


def test_nobody_anywhere_is_right():
    goal = goal_of("iou_leaves", Answers(TREE))
    nobody = goal.tally(np.zeros((3, 4, 4), np.float32), np.zeros((4, 4), int))
    assert (goal.score(nobody[None]) == 1).all()


def test_truth_is_made_smaller_without_new_numbers():
    goal = goal_of("iou_leaves", Answers(TREE))
    true = np.repeat(np.repeat([[0, 3], [255, 5]], 6, axis=0), 4, axis=1)
    np.testing.assert_array_equal(goal.shrunk(true, (4, 4)), np.repeat(np.repeat([[0, 3], [255, 5]], 2, 0), 2, 1))


def bundle(path, name, channels):
    """Two parts, the logit of each (its channel - 128) / 32, pixel by pixel."""
    weights = np.zeros((2, 3, 1, 1), np.float32)
    weights[[0, 1], channels] = 1 / 32
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("Transpose", ["float"], ["channels_first"], perm=[0, 3, 1, 2]),
            helper.make_node("Conv", ["channels_first", "weights", "bias"], ["logits"]),
        ],
        name,
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 2, "H", "W"])],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(np.float32([-4, -4]), "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    labels = LabelTree([TREE.labels[0], TREE.labels[1], Label("legs", (3, 3, 3), parent="body")])
    sizing = Sizing(32 * 32, 16)
    made = Bundle.create(model.SerializeToString(), name=name, labels=labels, sizing=sizing, threshold=0.5, card={})
    made.save(path)
    return fg.load(path, threads=1)


@pytest.fixture
def noisy(tmp_path):
    """Photos (32, 32): red shows heads, green and blue show legs, each under its own noise."""
    root, rng = tmp_path / "noisy", np.random.default_rng(5)
    for folder in ("images", "parts", "masks"):
        (root / folder).mkdir(parents=True)
    for number in range(5):
        true = np.zeros((32, 32), np.uint8)
        true[4 + number : 12 + number, 8:24] = 1
        true[12 + number : 26, 8:24] = 2
        pixels = np.stack([128 + 60 * (2.0 * (true == part) - 1) for part in (1, 2, 2)], axis=-1)
        pixels += rng.normal(0, 60, pixels.shape)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / "images" / f"{number}.png")
        Image.fromarray(true).save(root / "parts" / f"{number}.png")
        Image.fromarray(true > 0).save(root / "masks" / f"{number}.png")
    return root


@pytest.fixture
def networks(tmp_path):
    return [bundle(tmp_path / "one.onnx", "one", [0, 1]), bundle(tmp_path / "two.onnx", "two", [0, 2])]


def iou(report, level):
    return report.summary["levels"][level]["iou_mean"]


@pytest.mark.parametrize("level", [0, 1])
def test_a_mixture_of_kept_answers_scores_as_the_ensemble_does(networks, noisy, tmp_path, level):
    pairs = find_pairs(noisy, masks="parts")
    goal = goal_of(f"iou_level{level}", networks[0])
    cache = ViewCache(networks, ["a", "b"], pairs, tmp_path, goal)
    cache.fill()
    for mean in ("probability", "logit"):
        [tallies] = cache.tallies([Mixture((1, 3), mean)])
        made = fg.Ensemble(networks, [1, 3], mean=mean)
        for at in (30, 49, 70):
            report = evaluate_parts(made, pairs, threshold=float(THRESHOLDS[at]))
            assert goal.score(tallies)[at] == pytest.approx(iou(report, level), abs=2e-3), (mean, at)


def test_the_mean_of_two_beats_either_and_every_threshold(networks, noisy):
    pairs = find_pairs(noisy, masks="parts")
    tuning = tune(networks, pairs, budget_ms=HOUR, flip=False, metric="iou_leaves")
    made = [*networks, fg.Ensemble(networks)]
    by_hand = max(iou(evaluate_parts(one, pairs, threshold=t), 1) for one in made for t in THRESHOLDS[9::10].tolist())
    assert tuning.winner.score >= by_hand - 1e-3
    assert tuning.winner.score > tuning.facts["baseline"]["score"] + 0.02
    assert tuning.facts["lead"][0] > 0
    again = evaluate_parts(tuning.winner.segmenter, pairs)
    assert iou(again, 1) == pytest.approx(tuning.winner.score, abs=1e-12)
    low, high = tuning.winner.interval
    assert low < tuning.winner.score < high


def test_what_is_refused(networks, noisy, tiny_bundle):
    pairs = find_pairs(noisy, masks="parts")
    with pytest.raises(NetworkError, match="has no parts"):
        tune([fg.load(tiny_bundle)], pairs, metric="iou_leaves")
    with pytest.raises(ArgumentError, match=r"no metric 'iou_level2' here; the tree's levels are 0 to 1"):
        tune(networks, pairs, metric="iou_level2")
    with pytest.raises(ArgumentError, match="did you mean 'iou_leaves'"):
        tune(networks, pairs, metric="iou_leafs")
    with pytest.raises(ArgumentError, match="tells person from background alone; tune for iou_leaves"):
        tune(networks, pairs, labels=TREE)
    with pytest.raises(LabelError, match="the network finds 'head', which is in none of person"):
        tune(networks, pairs, metric="iou_leaves", labels=LabelTree.person())
    assert isinstance(goal_of("dice_dataset", networks[0]), FigureGoal)
    assert list(map(is_of_parts, ("iou_leaves", "iou_level12", "iou_level", "iou_dataset"))) == [1, 1, 0, 0]


def test_the_verb(networks, noisy, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    given = ["tune", "one.onnx", "two.onnx", "--data", "noisy", "--budget-ms", str(HOUR), "--no-refine"]
    assert main([*given, "--metric", "iou_leaves", "--json", "-o", "best.json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert main(["evaluate", "--network", "best.json", "--data", "noisy", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["levels"][1]["iou_mean"] == pytest.approx(told["score"], abs=1e-12)
    assert main([*given, "--metric", "iou_leaves", "--parts", "part"]) == 2
    assert "there is no folder 'part'" in capsys.readouterr().err
    assert main([*given, "--tree", "person"]) == 2
    assert "tells person from background alone" in capsys.readouterr().err
