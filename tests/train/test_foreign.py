"""Networks of other libraries in a recipe: they train, are measured, load again and become bundles like ours."""

from __future__ import annotations

import csv
import math

import pytest
import torch

from figureground.errors import NetworkError
from figureground.export import export_run
from figureground.train import Recipe, build_model, load_run, run
from figureground.train.optimizers import parameter_groups

STEPS = ["schedule.epochs=1", "data.samples_per_epoch=8"]
NETWORKS = {
    "segmentation_models_pytorch": [
        "network.name=import:segmentation_models_pytorch.Unet",
        "network.options={encoder_name: mobilenet_v2, encoder_weights: null, decoder_channels: [16, 8, 8, 8, 8]}",
    ],
    "torchvision": [
        "network.name=import:torchvision.models.segmentation.lraspp_mobilenet_v3_large",
        "network.options={weights_backbone: null}",
    ],
    "transformers": [
        "network.name=import:transformers.SegformerForSemanticSegmentation",
        "network.options={depths: [1, 1, 1, 1], hidden_sizes: [8, 16, 24, 32], decoder_hidden_size: 16}",
    ],
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_recipe):
    """Two steps of each, made when first asked for."""
    folders = {}

    def folder(library: str):
        if library not in folders:
            output = tmp_path_factory.mktemp("runs") / library
            folders[library] = run(tiny_recipe, [*NETWORKS[library], *STEPS], output=output)
        return folders[library]

    return folder


@pytest.mark.parametrize("library", NETWORKS)
def test_two_steps_and_a_validation(trained, library):
    folder = trained(library)
    with (folder / "metrics.csv").open() as file:
        values = {row["name"]: float(row["value"]) for row in csv.DictReader(file)}
    assert math.isfinite(values["train/loss_epoch"])
    assert 0 <= values["val/score"] <= 1
    recipe, model = load_run(folder)
    assert recipe.network.name.startswith(f"import:{library}.")
    with torch.inference_mode():
        assert model(torch.zeros(1, 3, 33, 50)).shape == (1, 1, 33, 50)


@pytest.mark.parametrize("library", NETWORKS)
def test_the_pretrained_part_has_a_learning_rate_of_its_own(tiny_recipe, library):
    recipe = Recipe.read(tiny_recipe, [*NETWORKS[library], "optimize.encoder_factor=0.1"])
    rates = {
        group["name"].partition(",")[0]: group["lr"] for group in parameter_groups(build_model(recipe), recipe.optimize)
    }
    assert rates == {"encoder": pytest.approx(1e-4), "decoder": pytest.approx(1e-3)}


@pytest.mark.slow
def test_export_with_parity(trained, tmp_path):
    bundle = export_run(trained("segmentation_models_pytorch"), tmp_path / "smp.onnx", storage="float32")
    assert bundle.card["architecture"]["network"] == "import:segmentation_models_pytorch.Unet"
    assert bundle.card["parity"]["onnx"]["logit_relative"] < 1e-4


def test_a_network_that_is_not_there_is_one_line(tiny_recipe, tmp_path):
    with pytest.raises(NetworkError, match="no 'Unnet' in segmentation_models_pytorch; did you mean"):
        run(tiny_recipe, ["network.name=import:segmentation_models_pytorch.Unnet"], output=tmp_path / "run")
