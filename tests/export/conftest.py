"""A run folder without a training: the smallest network, with batch norms that have seen something."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from figureground.export import export_run, to_onnx
from figureground.train import Recipe, build_model, load_run
from figureground.train.weights import save_weights

LABELS = {
    "labels": [
        {"name": "person", "color": [255, 0, 0]},
        {"name": "head", "color": [0, 255, 0], "parent": "person"},
        {"name": "body", "color": [0, 0, 255], "parent": "person"},
    ]
}
RECIPE = {
    "name": "tiny",
    "description": "for tests",
    "labels": LABELS,
    "data": {"root": "/secret/folder/photos", "sources": [{"name": "p", "images": "i", "masks": "m"}]},
    "network": {"name": "pyramid", "options": {"encoder": "mobilenetv2_035", "widths": [8, 8, 8, 8, 8]}},
    "losses": [{"name": "soft_dice"}],
    "distill": {"run": "/secret/folder/teacher"},
    "sizing": {"area": 96 * 128, "multiple": 32},
}


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    folder.mkdir()
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    recipe = Recipe.read(folder / "recipe.yaml")
    torch.manual_seed(0)
    model = build_model(recipe)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(std=0.1)
                module.running_var.uniform_(0.5, 1.5)
        model.network.head.weight.mul_(20)
    save_weights(model, folder / "best.safetensors", recipe=recipe.dump())
    return folder


@pytest.fixture(scope="session")
def model(run_folder):
    return load_run(run_folder)[1]


@pytest.fixture(scope="session")
def exact(model):
    """The uncompressed ONNX model; the exporter takes seconds, so it runs once."""
    return to_onnx(model, size=64)


@pytest.fixture
def export(monkeypatch, exact, run_folder, tmp_path):
    """`export_run` without running the exporter anew; the bundle goes to bundle.onnx, the report to report.json."""
    monkeypatch.setattr("figureground.export.run.to_onnx", lambda _: exact)

    def call(**options):
        return export_run(run_folder, tmp_path / "bundle.onnx", report=tmp_path / "report.json", **options)

    return call


@pytest.fixture
def pictures():
    """Pictures of several sizes, all multiples of the stride, as the runtime gives them."""
    rng = np.random.default_rng(0)
    smooth = np.asarray(Image.fromarray(rng.integers(0, 256, (6, 9, 3), np.uint8)).resize((160, 96)))
    return [smooth, rng.integers(0, 256, (64, 32, 3), np.uint8), np.zeros((32, 32, 3), np.uint8)]
