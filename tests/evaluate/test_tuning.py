"""The search on photos whose best answer is known: two channels of noise, whose mean is better than either."""

from __future__ import annotations

import dataclasses
import json
import time

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import figureground as fg
from figureground.checks import ArgumentError
from figureground.cli.app import main
from figureground.errors import DataError, PredictorError
from figureground.evaluate import evaluate, find_pairs
from figureground.evaluate.curves import METRICS, THRESHOLDS
from figureground.evaluate.goals import FigureGoal
from figureground.evaluate.refining import Refinement
from figureground.evaluate.tuning import fingerprint, tune
from figureground.evaluate.view_cache import Mixture, ViewCache, scoring_size
from figureground.labels import LabelTree
from figureground.runtime.bundle import Bundle
from figureground.runtime.onnx_segmenter import OnnxSegmenter
from figureground.runtime.sizing import Sizing


def channel_bundle(path, channel, name, peak=0.0):
    """logit = (channel - 128) / 32, pixel by pixel."""
    weights = np.zeros((1, 3, 1, 1), np.float32)
    weights[0, channel] = 1 / 32
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["channels_first"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["channels_first", "weights", "bias"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 1, "H", "W"])],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(np.float32([-4]), "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    sizing = Sizing(32 * 32, 16)
    made = Bundle.create(
        model.SerializeToString(),
        name=name,
        labels=LabelTree.person(),
        sizing=sizing,
        threshold=0.5,
        peak=peak,
        card={},
    )
    made.save(path)
    return path


@pytest.fixture
def noisy(tmp_path):
    """Photos (32, 32) in which red and green both show a square, each under its own noise; blue shows nothing."""
    root = tmp_path / "noisy"
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    rng = np.random.default_rng(7)
    for number in range(6):
        true = np.zeros((32, 32), bool)
        true[6 + number : 22 + number, 8:24] = True
        pixels = np.full((32, 32, 3), 128.0)
        for channel in (0, 1):
            pixels[..., channel] = 128 + 60 * (2 * true - 1) + rng.normal(0, 70, true.shape)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / "images" / f"{number}.png")
        Image.fromarray(true).save(root / "masks" / f"{number}.png")
    return root


@pytest.fixture
def red(tmp_path):
    return channel_bundle(tmp_path / "red.onnx", 0, "red")


@pytest.fixture
def green(tmp_path):
    return channel_bundle(tmp_path / "green.onnx", 1, "green")


@pytest.fixture
def networks(red, green):
    return [fg.load(red, threads=1), fg.load(green, threads=1)]


HOUR = 3.6e6


def test_a_mixture_of_kept_answers_scores_as_the_ensemble_does(networks, noisy, tmp_path):
    pairs = find_pairs(noisy)
    views = [networks[0], fg.View(networks[0], mirrored=True), networks[1]]
    cache = ViewCache(views, ["a", "b", "c"], pairs, tmp_path, FigureGoal("dice_dataset"))
    cache.fill()
    for mean in ("probability", "logit"):
        [tallies] = cache.tallies([Mixture((1, 0, 3), mean)])
        made = fg.Ensemble([views[0], views[2]], [1, 3], mean=mean)
        for at in (30, 49, 70):
            summary = evaluate(made, pairs, threshold=float(THRESHOLDS[at])).summary
            for name, score in METRICS.items():
                assert score(tallies)[at] == pytest.approx(summary[name], abs=2e-3), (mean, at, name)


def test_the_mean_of_leaves_is_kept_too(color_bundle, noisy, tmp_path):
    """Three leaves: the figure is their sum, and the mean of logits is not that of the sum's logit."""
    pairs, network = find_pairs(noisy), fg.load(color_bundle, threads=1)
    views = [network, fg.View(network, mirrored=True)]
    cache = ViewCache(views, ["a", "b"], pairs, tmp_path, FigureGoal("dice_dataset"))
    cache.fill()
    for mean in ("probability", "logit"):
        [tallies] = cache.tallies([Mixture((1, 1), mean)])
        summary = evaluate(fg.Ensemble(views, mean=mean), pairs, threshold=0.6).summary
        assert METRICS["iou_dataset"](tallies)[59] == pytest.approx(summary["iou_dataset"], abs=2e-3)


@pytest.mark.parametrize("mean", ["probability", "logit"])
def test_unsure_areas_are_dropped_in_the_search_as_in_what_it_builds(noisy, tmp_path, mean):
    peaks = {"red": 0.95, "green": 0.92}
    files = [channel_bundle(tmp_path / f"{name}.onnx", at, name, peak) for at, (name, peak) in enumerate(peaks.items())]
    networks = [fg.load(file, threads=1) for file in files]
    for number in range(6):  # a faint square, 0.84 and 0.9, beside a sure one
        picture = np.zeros((32, 32, 3), np.uint8)
        picture[4:12, 4 + number : 12 + number], picture[20:28, 4:28] = (180, 200, 0), 255
        Image.fromarray(picture).save(noisy / "images" / f"{number}.png")
    pairs = find_pairs(noisy)
    cache = ViewCache(networks, ["a", "b"], pairs, tmp_path, FigureGoal("dice_dataset"))
    cache.fill()
    [tallies] = cache.tallies([Mixture((1, 3), mean)])
    made = fg.Ensemble(networks, [1, 3], mean=mean)
    report = evaluate(made, pairs, threshold=float(THRESHOLDS[29]))
    plain = fg.Ensemble([OnnxSegmenter(dataclasses.replace(one.bundle, peak=0)) for one in networks], [1, 3], mean=mean)
    kept = evaluate(plain, pairs, threshold=float(THRESHOLDS[29]))
    for counted, one, other in zip(tallies[:, 29], report.per_image, kept.per_image, strict=True):
        assert np.abs(counted - [one.counts.tp, one.counts.fp, one.counts.fn]).max() <= 1
        assert other.counts.fp + other.counts.tp == one.counts.fp + one.counts.tp + 64


@pytest.fixture
def color_bundle(tmp_path):
    model = onnx.load(channel_bundle(tmp_path / "one.onnx", 0, "one"))
    del model.graph.initializer[:]
    model.graph.initializer.extend(
        [
            numpy_helper.from_array((np.eye(3, dtype=np.float32) / 32).reshape(3, 3, 1, 1), "weights"),
            numpy_helper.from_array(np.full(3, -4, np.float32), "bias"),
        ]
    )
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 3
    tree = LabelTree([fg.Label(name, (i, i, i)) for i, name in enumerate(("red", "green", "blue"))])
    path = tmp_path / "color.onnx"
    Bundle.create(
        model.SerializeToString(), name="color", labels=tree, sizing=Sizing(1024, 16), threshold=0.5, card={}
    ).save(path)
    return path


def test_the_mean_of_two_beats_either(networks, noisy, tmp_path):
    pairs = find_pairs(noisy)
    told = []
    tuning = tune(networks, pairs, budget_ms=HOUR, flip=False, say=lambda *step: told.append(step))
    assert tuning.winner.score > tuning.facts["baseline"]["score"] + 0.02
    assert tuning.facts["lead"][0] > 0
    for name in ("red", "green"):
        assert name in tuning.winner.segmenter.name
    again = evaluate(tuning.winner.segmenter, pairs).summary
    assert again["dice_image_mean"] == pytest.approx(tuning.winner.score, abs=1e-9)
    assert tuning.facts["photos"] == 6
    assert tuning.facts["data"] == fingerprint(pairs)
    times = [choice.milliseconds for choice in tuning.front]
    scores = [choice.score for choice in tuning.front]
    assert times == sorted(times)
    assert scores == sorted(scores)
    assert json.loads(json.dumps(tuning.to_dict()))["front"]
    assert told[0] == ("running the networks", 1, 6)


def test_a_refinement_that_helps_is_taken_and_one_that_harms_is_not(networks, noisy):
    class Smoothed(fg.Segmenter):
        """The mean over 5 x 5 pixels, or over all of them."""

        def __init__(self, inner, reach):
            super().__init__(f"{inner.name} smoothed {reach}", inner.labels, inner.threshold)
            self.inner, self.reach = inner, reach

        def network_size(self, height, width):
            return self.inner.network_size(height, width)

        def probabilities(self, image):
            leaves = self.inner.probabilities(image)
            padded = np.pad(leaves, ((0, 0), (self.reach,) * 2, (self.reach,) * 2), mode="edge")
            side = 2 * self.reach + 1
            windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(1, 2))
            return np.ascontiguousarray(windows.mean(axis=(3, 4)), dtype=np.float32)

    menu = {
        "harm": Refinement("harm", lambda inner: Smoothed(inner, 15)),
        "help": Refinement("help", lambda inner: Smoothed(inner, 1)),
    }
    pairs = find_pairs(noisy)
    plain = tune(networks[:1], pairs, budget_ms=HOUR, flip=False)
    tuning = tune(networks[:1], pairs, budget_ms=HOUR, flip=False, refinements=menu)
    assert tuning.winner.score > plain.winner.score
    assert "smoothed 1" in tuning.winner.segmenter.name
    assert "smoothed 15" not in tuning.winner.segmenter.name
    by_hand = evaluate(Smoothed(networks[0], 1), pairs, threshold=tuning.winner.segmenter.threshold).summary
    if tuning.winner.segmenter.name == "red smoothed 1":
        assert by_hand["dice_image_mean"] == pytest.approx(tuning.winner.score, abs=1e-6)


def test_kept_answers_are_not_asked_for_again(networks, noisy, tmp_path):
    pairs = find_pairs(noisy)
    first = tune(networks, pairs, budget_ms=HOUR, cache=tmp_path / "kept")
    files = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "kept").iterdir()}
    assert len(files) == 6 * 2 * 2
    second = tune(networks, pairs, budget_ms=HOUR, cache=tmp_path / "kept")
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "kept").iterdir()} == files
    assert second.winner.score == first.winner.score


def test_a_damaged_answer_is_asked_for_again(networks, noisy, tmp_path):
    pairs, kept = find_pairs(noisy) * 3, tmp_path / "kept"  # beyond those that are run in any case, to be timed
    first = tune(networks, pairs, budget_ms=HOUR, flip=False, cache=kept)
    files = sorted(kept.iterdir())
    whole = [file.read_bytes() for file in files]
    for file, end in zip(files, (0, 50, 130, -1, None), strict=False):
        file.write_bytes(file.read_bytes()[:end] if end is not None else b"no")
    assert tune(networks, pairs, budget_ms=HOUR, flip=False, cache=kept).winner.score == first.winner.score
    assert [file.read_bytes() for file in files] == whole


def test_masks_are_looked_at_before_any_network_runs(networks, noisy):
    Image.fromarray(np.zeros((32, 31), np.uint8)).save(noisy / "masks" / "5.png")
    told = []
    with pytest.raises(DataError, match=r"sizes differ: .*5\.png is 32x32, its mask .* is 31x32"):
        tune(networks, find_pairs(noisy), budget_ms=HOUR, say=lambda *step: told.append(step))
    assert told == []


def test_the_first_run_on_a_single_photo_is_not_timed(networks, noisy, tmp_path):
    class Slow(fg.View):
        """Takes its time for its first answer."""

        runs = 0

        def logits(self, image):
            self.runs += 1
            time.sleep(0.3 * (self.runs == 1))
            return super().logits(image)

    view = Slow(networks[0])
    cache = ViewCache([view], ["a"], find_pairs(noisy)[:1], tmp_path, FigureGoal("dice_dataset"))
    cache.fill()
    assert view.runs == 2
    assert cache.milliseconds[0] < 300


def test_different_networks_of_one_name_are_told_apart(red, noisy, tmp_path):
    files = [red, *(channel_bundle(tmp_path / f"{name}.onnx", 1, "red") for name in ("other", "same"))]
    networks = [fg.load(file, threads=1) for file in files]
    tuning = tune(networks[:2], find_pairs(noisy), budget_ms=HOUR, flip=False)
    assert tuning.facts["networks"] == ["red", "red (2)"]
    assert "red (2)" in tuning.winner.segmenter.name
    with pytest.raises(ArgumentError, match="the network 'red' is given twice"):
        tune(networks, find_pairs(noisy), budget_ms=HOUR, flip=False)


def test_the_fingerprint_sees_every_change(noisy):
    before = fingerprint(find_pairs(noisy))
    assert fingerprint(find_pairs(noisy)[::-1]) == before
    Image.fromarray(np.zeros((32, 32), np.uint8)).save(noisy / "masks" / "3.png")
    after = fingerprint(find_pairs(noisy))
    assert after != before
    (noisy / "images" / "5.png").rename(noisy / "images" / "6.png")
    (noisy / "masks" / "5.png").rename(noisy / "masks" / "6.png")
    assert fingerprint(find_pairs(noisy)) not in (before, after)


def test_large_photos_are_compared_at_a_megapixel():
    assert scoring_size((320, 240)) == (320, 240)
    height, width = scoring_size((3000, 4000))
    assert height * width == pytest.approx(1e6, rel=1e-3)


def test_what_is_refused(networks, noisy):
    pairs = find_pairs(noisy)
    with pytest.raises(DataError, match=r"no network answers within 0\.001 ms: the quickest takes about"):
        tune(networks, pairs, budget_ms=0.001)
    with pytest.raises(ArgumentError, match="budget_ms must be"):
        tune(networks, pairs, budget_ms=-1)
    with pytest.raises(ArgumentError, match="did you mean 'dice_dataset'"):
        tune(networks, pairs, metric="dice_dataste")
    with pytest.raises(DataError, match="no photos"):
        tune(networks, [])
    with pytest.raises(ArgumentError, match="no networks"):
        tune([], pairs)
    with pytest.raises(ArgumentError, match=r"budget_ms must be from 0\.001 to 1e\+09, not inf"):
        tune(networks, pairs, budget_ms=float("inf"))
    with pytest.raises(ArgumentError, match="seed must be at least 0, not -1"):
        tune(networks, pairs, seed=-1)
    with pytest.raises(ArgumentError, match="the network 'other' is given twice; give each only once"):
        tune([networks[0], networks[0].renamed("other", 0.4)], pairs)
    with pytest.raises(ArgumentError, match="scales"):
        tune(networks, pairs, scales=())

    class Own(fg.Segmenter):
        def network_size(self, height, width):
            return 8, 8

        def probabilities(self, image):
            return np.zeros((1, 8, 8), np.float32)

    with pytest.raises(PredictorError, match="cannot describe"):
        tune([Own("own", LabelTree.person(), 0.5)], pairs)


@pytest.fixture
def call(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return run


def test_the_verb_writes_a_file_that_the_others_take(call, red, green, noisy, tmp_path):
    code, out, err = call(
        "tune", "red.onnx", "green.onnx", "--data", "noisy", "--budget-ms", HOUR, "-o", "out/best.json", "--json"
    )
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert told["output"] == "out/best.json"
    written = json.loads((tmp_path / "out" / "best.json").read_text())
    assert written["chosen"]["score"] == told["score"]
    assert written["chosen"]["data"] == fingerprint(find_pairs(noisy))
    code, out, err = call("evaluate", "--network", "out/best.json", "--data", "noisy", "--json", "-")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert report["dice_image_mean"] == pytest.approx(told["score"], abs=1e-9)
    assert (report["network"], report["threshold"]) == ("best", told["winner"]["threshold"])


def test_a_limit_takes_photos_from_everywhere(call, red, noisy):
    quick = ["--no-refine", "--no-flip", "--budget-ms", HOUR, "--json"]
    pairs = find_pairs(noisy)
    for limit, taken in ((4, (0, 1, 3, 4)), (1, (0,)), (9, range(6))):
        code, out, err = call("tune", "red.onnx", "--data", "noisy", "--limit", limit, *quick)
        assert (code, err) == (0, "")
        assert json.loads(out)["data"] == fingerprint([pairs[place] for place in taken])


def test_the_verb_prints_the_front(call, red, green, noisy):
    code, out, err = call("tune", "red.onnx", "green.onnx", "--data", "noisy", "--budget-ms", HOUR, "--no-refine")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split()[:3] == ["chosen", "ms", "dice_image_mean"]
    assert sum(line.startswith("*") for line in lines) == 1
    assert lines[-1] == "best.json"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["red.onnx", "--data", "none"], 2, "no such folder"),
        (["rod", "--data", "noisy"], 3, "no network 'rod'"),
        (["red.onnx"], 2, "--data"),
        (["--data", "noisy"], 2, "NETWORK"),
        (["red.onnx", "--data", "noisy", "--budget-ms", "0.001"], 2, "no network answers within"),
        (["red.onnx", "--data", "noisy", "--budget-ms", "-1"], 2, "-1"),
        (["red.onnx", "--data", "noisy", "--scales", "1,x"], 2, "1,x"),
        (["red.onnx", "--data", "noisy", "--scales", "50"], 2, "scale must be"),
        (["red.onnx", "--data", "noisy", "--metric", "dice"], 2, "dice"),
        (["red.onnx", "--data", "noisy", "--budget-ms", "inf"], 2, "budget_ms must be"),
        (["red.onnx", "--data", "noisy", "--seed", "-1"], 2, "-1"),
        (["red.onnx", "red.onnx", "--data", "noisy"], 2, "given twice"),
        (["red.onnx", "--data", "noisy", "-o", "best.yaml"], 3, "best.json"),
        (["red.onnx", "--data", "none", "-o", "/proc/best.json"], 4, "cannot write '/proc/best.json'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_the_verb_refuses(call, red, noisy, tmp_path, arguments, code, said):
    got, out, err = call("tune", *arguments)
    assert (got, out) == (code, "")
    assert said in err
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.glob("*.json"))


def test_an_output_that_is_a_folder_is_told_before_the_search(call, tmp_path):
    (tmp_path / "best.json").mkdir()
    code, out, err = call("tune", "red.onnx", "--data", "none")
    assert (code, out) == (4, "")
    assert "cannot write 'best.json': it is a folder; give another file" in err
