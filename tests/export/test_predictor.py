"""An ensemble in one file computes what its members do one after the other."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import figureground as fg
from figureground.cli.app import main
from figureground.errors import NetworkError, PredictorError
from figureground.export import export_predictor
from figureground.export.predictor import joined
from figureground.runtime.onnx_segmenter import OnnxSegmenter
from figureground.runtime.probability import sure_leaves
from figureground.runtime.sizing import Sizing

TREE = fg.LabelTree(
    [
        fg.Label("body", (9, 9, 9)),
        fg.Label("left", (255, 0, 0), parent="body", flip="right"),
        fg.Label("right", (0, 255, 0), parent="body", flip="left"),
        fg.Label("head", (0, 0, 255), parent="body"),
    ]
)


def conv_bundle(seed, *, opset=18, area=64 * 64, peak=0.0, gain=0.02, bias=0.0):
    """A 5x5 convolution, not symmetric, to three leaves of which two mirror one another."""
    weights = np.random.default_rng(seed).normal(size=(3, 3, 5, 5)).astype(np.float32) * np.float32(gain)
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["channels_first"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["channels_first", "weights", "bias"], ["logits"], pads=[2, 2, 2, 2]),
    ]
    graph = helper.make_graph(
        nodes,
        "conv",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3, "H", "W"])],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(np.full(3, bias, np.float32), "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model)
    return fg.Bundle.create(
        model.SerializeToString(),
        name=f"conv{seed}",
        labels=TREE,
        sizing=Sizing(area, 16),
        threshold=0.5,
        peak=peak,
        card={},
    )


@pytest.fixture
def one():
    return OnnxSegmenter(conv_bundle(1))


@pytest.fixture
def two():
    return OnnxSegmenter(conv_bundle(2, opset=17))


def picture(height=48, width=80):
    return np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8)


def run(model, image):
    return ort.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, {"image": image})[0]


COMBINATIONS = {
    "mean": lambda one, two: fg.Ensemble([one, two], [3, 1]),
    "mean of logits": lambda one, two: fg.Ensemble([one, two], [3, 1], mean="logit"),
    "flip": lambda one, two: fg.augmented(one),
    "mirrored alone": lambda one, two: fg.View(one, mirrored=True),
    "flip of both": lambda one, two: fg.augmented(fg.Ensemble([one, two])),
    "mirrored twice": lambda one, two: fg.View(fg.View(one, mirrored=True), mirrored=True),
    "means in a mean": lambda one, two: fg.Ensemble(
        [fg.Ensemble([one, two], mean="logit"), fg.View(two, mirrored=True)]
    ),
    "one that counts": lambda one, two: fg.Ensemble([one, two], [1, 0]),
    "plain": lambda one, two: one,
}


@pytest.mark.parametrize("name", COMBINATIONS)
def test_the_joined_model_is_the_ensemble(one, two, name):
    segmenter = COMBINATIONS[name](one, two)
    model = joined(segmenter)
    joint = OnnxSegmenter(dataclasses.replace(one.bundle, model_bytes=model))
    for shape in ((48, 80), (64, 64)):
        image = picture(*shape)
        np.testing.assert_allclose(joint.probabilities(image), segmenter.probabilities(image), atol=1e-5)


def test_a_batch_is_its_images_one_by_one(one, two):
    model = joined(fg.augmented(fg.Ensemble([one, two])))
    images = np.stack([picture(32, 48), picture(32, 48)[::-1], picture(32, 48)[:, ::-1]])
    alone = np.concatenate([run(model, image[None]) for image in images])
    np.testing.assert_allclose(run(model, images), alone, atol=1e-4)


def test_sure_networks_stay_sure(one):
    """Probabilities of one network and a sure one: the joint logits are exact where a float32 mean would be 1."""
    sure = OnnxSegmenter(conv_bundle(3, gain=2.0))
    image = picture(32, 32)
    logits = run(joined(fg.Ensemble([sure, OnnxSegmenter(conv_bundle(4, gain=2.0))])), image[None])
    assert np.isfinite(logits).all()
    assert np.abs(logits).max() > 30


def test_the_weights_of_a_network_are_in_the_file_once(one):
    plain, both = joined(one), joined(fg.augmented(one))
    assert len(both) < len(plain) + 2000
    assert len(plain) > 900
    nodes = [node.op_type for node in onnx.load_model_from_string(both).graph.node]
    assert nodes.count("Conv") == 1


@pytest.fixture
def small():
    """A network of parts that sees photos at a quarter of the pixels."""
    return OnnxSegmenter(conv_bundle(5, area=32 * 32))


RESIZED = {
    "two sizes": lambda one, two, small: fg.Ensemble([one, small], [3, 1]),
    "two sizes, logits": lambda one, two, small: fg.Ensemble([small, one], mean="logit"),
    "scales": lambda one, two, small: fg.augmented(one, scales=(1, 1.5, 0.75)),
    "a scale alone": lambda one, two, small: fg.View(one, scale=0.5),
    "a scale of a scale": lambda one, two, small: fg.View(fg.View(one, scale=1.5, mirrored=True), scale=0.8),
    "mirror of two sizes": lambda one, two, small: fg.augmented(fg.Ensemble([one, small])),
    "nested": lambda one, two, small: fg.Ensemble(
        [fg.augmented(one, scales=(1, 1.25), mean="logit"), fg.augmented(two), fg.View(small, scale=2)], [1, 2, 1]
    ),
}


@pytest.mark.parametrize("name", RESIZED)
def test_the_joined_model_resizes_as_the_ensemble_does(one, two, small, name):
    segmenter = RESIZED[name](one, two, small)
    joint = OnnxSegmenter(dataclasses.replace(one.bundle, model_bytes=joined(segmenter), sizing=Sizing(128 * 128, 1)))
    for shape in ((120, 131), (110, 127), (128, 128)):
        image = picture(*shape)
        wanted = fg.Ensemble([segmenter]).probabilities(image)
        np.testing.assert_allclose(joint.probabilities(image), wanted, atol=2e-5)


def test_several_sizes_share_the_weights(one):
    graph = onnx.load_model_from_string(joined(fg.augmented(one, scales=(1, 1.5)))).graph
    assert [node.op_type for node in graph.node].count("Conv") == 2
    assert [list(tensor.dims) for tensor in graph.initializer].count([3, 3, 5, 5]) == 1


def test_a_resizing_predictor_becomes_a_bundle(predictor, tmp_path):
    made = fg.augmented(fg.load(predictor.parent / "conv1.onnx"), scales=(1, 2))
    bundle = export_predictor(made, tmp_path / "scales.onnx")
    # One and a half times the sides of the larger view, of any shape.
    assert bundle.sizing == Sizing(64 * 64 * 9, 1)
    assert bundle.card["parity"]["joined"]["probability_max"] <= 1e-4
    photo = np.asarray(Image.fromarray(picture(9, 12)).resize((400, 300)))
    found, wanted = (one(photo).probabilities for one in (fg.load(tmp_path / "scales.onnx"), made))
    assert np.abs(found - wanted).mean() < 0.01


def test_what_cannot_be_joined(one):
    for made in (fg.Tiled(one), fg.PeopleFirst(one), fg.Refined(one, "holes"), fg.Ensemble([one, fg.Tiled(one)])):
        with pytest.raises(NetworkError, match="cannot be in one ONNX file"):
            joined(made)


@pytest.fixture
def predictor(tmp_path):
    for seed, peak in ((1, 0.2), (2, 0.6)):
        conv_bundle(seed, peak=peak).save(tmp_path / f"conv{seed}.onnx")
    made = fg.Ensemble(
        [fg.load(tmp_path / f"conv{seed}.onnx") for seed in (1, 2)], [3, 1], name="both", threshold=0.375
    )
    fg.save_predictor(made, tmp_path / "both.json")
    return tmp_path / "both.json"


def test_a_predictor_file_becomes_a_bundle(predictor, tmp_path):
    made = export_predictor(predictor, tmp_path / "one.onnx", report=tmp_path / "parity.json", card={"more": 1})
    assert fg.Bundle.read(tmp_path / "one.onnx") == made
    assert (made.name, made.threshold, made.labels) == ("both", 0.375, TREE)
    assert made.peak == pytest.approx(0.3)
    assert made.card["more"] == 1
    assert [member["name"] for member in made.card["members"]] == ["conv1", "conv2"]
    parity = json.loads((tmp_path / "parity.json").read_text())["joined"]
    assert parity == made.card["parity"]["joined"]
    assert parity["probability_max"] <= 1e-4
    assert fg.load(tmp_path / "one.onnx")(picture()).size == (48, 80)


def test_unsure_areas_are_dropped_alike(tmp_path):
    """Means of logits and single networks drop from the same map as the bundle does, by the same peak."""
    for seed, peak in ((1, 0.99), (2, 0.9)):
        conv_bundle(seed, peak=peak, gain=0.005, bias=-4).save(tmp_path / f"conv{seed}.onnx")
    one, two = (fg.load(tmp_path / f"conv{seed}.onnx") for seed in (1, 2))
    image = np.zeros((48, 80, 3), np.uint8)  # squares of many brightnesses, apart from one another
    for place in range(24):
        top, left = 4 + 11 * (place // 7 % 4), 4 + 11 * (place % 7)
        image[top : top + 6, left : left + 6] = picture(1, 24)[0, place]
    for number, made in enumerate(
        [
            one,
            fg.View(one, mirrored=True),
            fg.augmented(one, mean="logit"),
            fg.Ensemble([fg.augmented(one, mean="logit"), two], [1, 3], mean="logit"),
        ]
    ):
        fg.save_predictor(made, tmp_path / "made.json")
        bundle = export_predictor(tmp_path / "made.json", tmp_path / f"{number}.onnx")
        assert bundle.peak == pytest.approx(made.peak)
        found = fg.load(tmp_path / f"{number}.onnx").probabilities(image)
        wanted = fg.load(tmp_path / "made.json").probabilities(image)
        np.testing.assert_allclose(found, wanted, atol=1e-4)
        dropped = (sure_leaves(made.logits(image), 0).sum(axis=0) > 0.5) & (wanted.sum(axis=0) == 0)
        assert 0.001 < dropped.mean() < 0.5


def test_a_model_that_differs_is_not_written(predictor, tmp_path, monkeypatch):
    wrong = joined(OnnxSegmenter(conv_bundle(9)))
    monkeypatch.setattr("figureground.export.predictor.joined", lambda _: wrong)
    with pytest.raises(NetworkError, match="differs from the ensemble"):
        export_predictor(predictor, tmp_path / "one.onnx")
    assert not (tmp_path / "one.onnx").exists()


def test_the_verb(predictor, tmp_path, capsys):
    output = tmp_path / "out" / "one.onnx"
    assert main(["export", str(predictor), "-o", str(output), "--threshold", "0.25"]) == 0
    assert capsys.readouterr().out.strip() == str(output)
    assert fg.Bundle.read(output).threshold == 0.25
    assert main(["export", str(predictor), "-o", str(output), "--storage", "int8"]) == 2
    assert "keep their own" in capsys.readouterr().err
    assert main(["export", str(tmp_path / "none.json"), "-o", str(output)]) == 3
    with pytest.raises(PredictorError):
        fg.load(tmp_path / "none.json")
