"""From a run folder to a bundle that the runtime reads, with a report; or an error and no file."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

import figureground as fg
from figureground import images
from figureground.errors import DataError, NetworkError, OutputError, RecipeError
from figureground.export import export_run
from figureground.export.whole import whole_tree
from figureground.losses import with_background
from figureground.runtime.bundle import Bundle
from figureground.runtime.sizing import Sizing


def test_the_bundle_is_read_by_the_runtime(export, model, tmp_path):
    bundle = export(storage="float32")
    assert Bundle.read(tmp_path / "bundle.onnx") == bundle
    segmenter = fg.load(tmp_path / "bundle.onnx")
    assert segmenter.name == "tiny"
    assert segmenter.labels.names == ("person", "head", "body")
    assert segmenter.threshold == 0.5
    assert bundle.sizing == Sizing(area=96 * 128, multiple=32)
    rng = np.random.default_rng(0)
    for height, width in ((75, 101), (211, 90), (96, 128), (31, 33)):
        photo = np.asarray(Image.fromarray(rng.integers(0, 256, (5, 7, 3), np.uint8)).resize((width, height)))
        fitted = images.resize(photo, bundle.sizing.network_size(height, width))
        with torch.inference_mode():
            logits = model(torch.from_numpy(fitted.copy()).permute(2, 0, 1)[None].float())
        leaves = with_background(logits).softmax(1)[0, 1:].numpy()
        np.testing.assert_allclose(segmenter.probabilities(fitted), leaves, atol=1e-4)
        wanted = images.resize_map(leaves, (height, width))
        np.testing.assert_allclose(segmenter(photo).probabilities[1:], wanted, atol=1e-3)


def test_the_report_and_the_card_say_the_same(export, tmp_path):
    card = export(storage="int8", name="other", threshold=0.4, card={"licences": {"code": "Apache-2.0"}}).card
    report = json.loads((tmp_path / "report.json").read_text())
    assert report == card["parity"]
    assert set(report) == {"onnx", "onnx int8"}
    assert set(report["onnx"]) == {"pictures", "logit_max", "logit_relative", "probability_max", "pixels_changed"}
    assert report["onnx"]["logit_relative"] <= 1e-4
    assert card["licences"] == {"code": "Apache-2.0"}
    assert card["storage"] == "int8"
    assert card["architecture"]["encoder"] == "mobilenetv2_035"
    bundle = Bundle.read(tmp_path / "bundle.onnx")
    assert (bundle.name, bundle.threshold) == ("other", 0.4)


def test_what_the_caller_says_wins_in_the_card(export):
    assert export(card={"description": "mine"}).card["description"] == "mine"


def test_the_parameters_are_counted(export, model):
    assert export().card["parameters"] == sum(parameter.numel() for parameter in model.parameters())


def test_smaller_storage_makes_a_smaller_file(export):
    sizes = [len(export(storage=storage).model_bytes) for storage in ("float32", "float16", "int8")]
    assert sizes[0] > sizes[1] > sizes[2]


def test_a_bundle_tells_nothing_of_the_machine(export, tmp_path):
    bundle = export()
    data = (tmp_path / "bundle.onnx").read_bytes()
    assert b"/secret" not in data
    assert str(tmp_path.anchor + "tmp").encode() not in data
    assert "${FIGUREGROUND_DATA}" in bundle.card["recipe"]
    assert "run: teacher" in bundle.card["recipe"]


def test_parity_is_measured_on_the_photos_given(export, tmp_path, pictures):
    (tmp_path / "photos").mkdir()
    for number, picture in enumerate(pictures[:2]):
        Image.fromarray(picture).save(tmp_path / f"photos/{number}.png")
    export(photos=tmp_path / "photos")
    assert json.loads((tmp_path / "report.json").read_text())["onnx"]["pictures"] == 2


@pytest.mark.parametrize("value", [1.0, np.nan])
def test_a_model_that_computes_something_else_is_not_written(export, exact, monkeypatch, tmp_path, value):
    proto = onnx.load_from_string(exact)
    [bias] = [t for t in proto.graph.initializer if list(t.dims) == [2] and t.data_type == onnx.TensorProto.FLOAT]
    wrong = onnx.numpy_helper.to_array(bias) + np.float32(value)
    bias.CopyFrom(onnx.numpy_helper.from_array(wrong, bias.name))
    monkeypatch.setattr("figureground.export.run.to_onnx", lambda _: proto.SerializeToString())
    with pytest.raises(NetworkError, match=r"differs from the network by .*nothing was written"):
        export()
    assert not list(tmp_path.iterdir())


def test_no_run_and_no_weights(tmp_path, run_folder):
    with pytest.raises(RecipeError, match="holds no run; give a folder that"):
        export_run(tmp_path, tmp_path / "bundle.onnx")
    (tmp_path / "recipe.yaml").write_bytes((run_folder / "recipe.yaml").read_bytes())
    with pytest.raises(NetworkError, match="no weights at"):
        export_run(tmp_path, tmp_path / "bundle.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.yaml"]


def test_no_photos_and_no_place(export, run_folder, tmp_path):
    with pytest.raises(DataError, match="no folder"):
        export(photos=tmp_path / "nowhere")
    with pytest.raises(OutputError):
        export_run(run_folder, tmp_path / "nowhere" / "bundle.onnx")


def test_a_network_of_parts_is_exported_as_one_of_whole_figures(run_folder, model, tmp_path, pictures):
    bundle = export_run(run_folder, tmp_path / "whole.onnx", storage="float32", whole="somebody", area=64 * 96)
    assert bundle.labels.names == ("somebody",)
    assert bundle.labels.labels[0].color == (255, 0, 0)
    assert bundle.sizing == Sizing(area=64 * 96, multiple=32)
    segmenter = fg.load(tmp_path / "whole.onnx")
    for picture in pictures:
        with torch.inference_mode():
            logits = model(torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float())
        leaves = with_background(logits).softmax(1)[0, 1:].sum(0, keepdim=True).numpy()
        np.testing.assert_allclose(segmenter.probabilities(picture), leaves, atol=1e-4)


def test_several_figures_are_not_one():
    forest = fg.LabelTree([fg.Label("cat", (1, 2, 3)), fg.Label("dog", (3, 2, 1))])
    with pytest.raises(NetworkError, match=r"2 roots \(cat, dog\)"):
        whole_tree(forest, "pet")
