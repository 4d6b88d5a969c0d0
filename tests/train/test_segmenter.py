"""A run as a segmenter, against the task's own validation."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from figureground import images
from figureground.cli.app import main
from figureground.errors import NetworkError
from figureground.train.recipe import Recipe
from figureground.train.run import build_model
from figureground.train.segmenter import RunSegmenter
from figureground.train.weights import save_weights

RECIPE = """
name: small
data: {root: nowhere, sources: [{name: s, images: i, masks: m, hold_out: 0.5}]}
network: {name: unet, options: {width: 4}}
losses: [{name: cross_entropy}]
sizing: {area: 4096, multiple: 16}
"""


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "recipe.yaml").write_text(RECIPE)
    torch.manual_seed(0)
    recipe = Recipe.read(folder / "recipe.yaml")
    save_weights(build_model(recipe), folder / "best.safetensors", recipe=recipe.dump())
    return folder


def test_it_sees_what_the_network_sees(run):
    from figureground.train.run import load_run

    segmenter = RunSegmenter(run, threads=torch.get_num_threads())
    assert (segmenter.name, segmenter.labels.names) == ("small", ("person",))
    photo = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    result = segmenter(photo)
    _, model = load_run(run)
    small = images.resize(photo, segmenter.network_size(60, 90))
    with torch.no_grad():
        logits = model(torch.from_numpy(small.copy()).permute(2, 0, 1)[None])
        full = torch.nn.functional.interpolate(logits.sigmoid(), size=(60, 90), mode="bilinear")
    assert np.abs(result.probabilities[0] - full[0, 0].numpy()).max() < 1e-4
    assert segmenter.fitting_size(100, 3) == (96, 16)


def test_its_cost_is_torchs(run):
    segmenter = RunSegmenter(run)
    cost = segmenter.cost(segmenter, np.zeros((64, 64, 3), np.uint8))
    assert cost.parameters == sum(p.numel() for p in segmenter.model.parameters())
    first = 64 * 64 * 4 * 27
    assert cost.multiply_adds > 4 * first


def test_a_run_beside_a_bundle(run, tiny_bundle, tmp_path, capsys):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for seed in range(3):
        pixels = np.random.default_rng(seed).integers(0, 256, (40, 50, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"images/{seed}.png")
        Image.fromarray((pixels[..., 0] > 128).astype(np.uint8)).save(tmp_path / f"masks/{seed}.png")
    assert main(["compare", str(run), str(tiny_bundle), "--data", str(tmp_path), "--timed", "1", "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)["networks"]
    assert (first["name"], second["name"]) == ("small", "tiny")
    assert first["parameters"] > 0
    assert second["parameters"] is None


def test_a_run_without_weights(run):
    (run / "best.safetensors").unlink()
    with pytest.raises(NetworkError, match=r"best\.safetensors"):
        RunSegmenter(run)
    with pytest.raises(NetworkError, match="0 threads"):
        RunSegmenter(run, threads=0)
