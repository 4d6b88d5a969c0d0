"""What a run's recipe puts around its network stands in a predictor file beside the bundle."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import yaml

import figureground as fg
from figureground.cli.app import main
from figureground.export import export_inference
from figureground.train.segmenter import RunSegmenter

PREDICT = {"views": {"scales": [1, 1.5]}, "tiles": {"zoom": 1.5}, "refine": "holes:max_area=0.2,largest"}


@pytest.fixture
def run_of(run_folder, tmp_path, monkeypatch, exact):
    """`run_of(predict)`: the run folder with that section in its recipe; its export takes no time."""
    monkeypatch.setattr("figureground.export.run.to_onnx", lambda _: exact)
    folder = tmp_path / "run"

    def made(predict):
        shutil.copytree(run_folder, folder)
        recipe = yaml.safe_load((folder / "recipe.yaml").read_text())
        (folder / "recipe.yaml").write_text(yaml.safe_dump({**recipe, "predict": predict}))
        return folder

    return made


def test_a_predictor_file_stands_beside_the_bundle(run_of, tmp_path, capsys):
    run, output = run_of({**PREDICT, "threshold": 0.4}), tmp_path / "out" / "mine.onnx"
    assert main(["export", str(run), "-o", str(output), "--storage", "float32"]) == 0
    assert capsys.readouterr().out.splitlines() == [str(output), str(output.with_suffix(".json"))]
    # Both can be moved together.
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    bundle, whole = (fg.load(tmp_path / "elsewhere" / f"mine.{suffix}") for suffix in ("onnx", "json"))
    assert (whole.name, whole.threshold, bundle.threshold) == ("tiny", 0.4, 0.4)
    by_hand = fg.Refined(fg.Tiled(fg.augmented(bundle, scales=(1, 1.5)), zoom=1.5), PREDICT["refine"])
    photo = np.random.default_rng(0).integers(0, 256, (75, 101, 3), np.uint8)
    np.testing.assert_allclose(whole(photo).probabilities, by_hand(photo).probabilities, atol=1e-6)
    torch_run = RunSegmenter(run).as_recipe_says()
    np.testing.assert_allclose(whole(photo).probabilities, torch_run(photo).probabilities, atol=1e-3)
    written = json.loads((tmp_path / "elsewhere" / "mine.json").read_text())
    assert written["chosen"]["recipe"] == "tiny"


def test_the_predictor_file_names_the_other_networks(run_of, tmp_path):
    other, output = tmp_path / "other.onnx", tmp_path / "mine.onnx"
    run = run_of({"threshold": 0.3})
    assert main(["export", str(run), "-o", str(other), "--storage", "int8"]) == 0
    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    recipe["predict"] = {"ensemble": {"with": [str(other)], "weights": [1, 3]}}
    (run / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    assert main(["export", str(run), "-o", str(output), "--storage", "float32"]) == 0
    written = json.loads(output.with_suffix(".json").read_text())["predictor"]
    assert [one["network"] for one in written["members"]] == ["mine.onnx", "other.onnx"]
    assert written["weights"] == [0.25, 0.75]
    photo = np.random.default_rng(0).integers(0, 256, (75, 101, 3), np.uint8)
    by_hand = fg.Ensemble([fg.load(output), fg.load(other)], weights=[1, 3])
    whole = fg.load(output.with_suffix(".json"))
    np.testing.assert_allclose(whole(photo).probabilities, by_hand(photo).probabilities, atol=1e-6)


def test_nothing_is_written_where_another_network_is_gone(run_of, tmp_path, capsys):
    run, output = run_of({"ensemble": {"with": [str(tmp_path / "gone.onnx")]}}), tmp_path / "mine.onnx"
    assert main(["export", str(run), "-o", str(output)]) == 3
    assert "predict.ensemble: " in capsys.readouterr().err
    assert not output.exists()


def test_a_threshold_alone_needs_no_second_file(run_of, tmp_path, capsys):
    run, output = run_of({"threshold": 0.3}), tmp_path / "mine.onnx"
    assert main(["export", str(run), "-o", str(output)]) == 0
    assert capsys.readouterr().out == f"{output}\n"
    assert fg.load(output).threshold == 0.3
    assert export_inference(run, output) is None
    assert not output.with_suffix(".json").exists()


def test_a_threshold_that_is_typed_wins(run_of, tmp_path):
    run, output = run_of({**PREDICT, "threshold": 0.3}), tmp_path / "mine.onnx"
    assert main(["export", str(run), "-o", str(output), "--threshold", "0.6"]) == 0
    assert fg.load(output).threshold == fg.load(output.with_suffix(".json")).threshold == 0.6
