"""Losses on what the plain logits do not show: queries, auxiliary heads; and other people's weights to start from."""

from __future__ import annotations

import csv

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from figureground.errors import NetworkError, RecipeError
from figureground.networks import create
from figureground.train import Recipe, build_model, load_run, run
from figureground.train.optimizers import parameter_groups
from figureground.train.outputs import output_names, outputs_of
from figureground.train.task import SegmentationTask
from figureground.train.weights import is_published, save_weights

UNET = {"name": "unet_timm", "options": {"encoder": "mobilenetv2_035", "widths": [8, 8, 8, 8, 8]}}
WITH_AUXILIARY = {**UNET, "options": {**UNET["options"], "auxiliary": True}}
MASKFORMER = {"name": "maskformer", "options": {"encoder": "resnet10t", "width": 64, "queries": 4, "layers": 2}}


def measured(folder) -> dict[str, float]:
    with (folder / "metrics.csv").open() as file:
        return {row["name"]: float(row["value"]) for row in csv.DictReader(file)}


def recipe_of(values, recipe_file, **changes) -> Recipe:
    return Recipe.read(recipe_file({**values, **changes}))


def test_a_network_with_queries_trains_by_their_loss(values, recipe_file, tmp_path):
    changes = {
        "network": MASKFORMER,
        "losses": [{"name": "mask_classification"}, {"name": "soft_dice", "weight": 0.5}],
        "schedule": {**values["schedule"], "epochs": 1},
    }
    folder = run(recipe_file({**values, **changes}), output=tmp_path / "run")
    found = measured(folder)
    expected = found["train/mask_classification"] + 0.5 * found["train/soft_dice"]
    assert found["train/mask_classification"] > 1
    assert expected == pytest.approx(found["train/loss_epoch"], rel=1e-4)
    _, model = load_run(folder)
    assert model(torch.zeros(1, 3, 40, 56)).shape == (1, 1, 40, 56)


def test_a_loss_of_queries_needs_a_network_that_has_them(values, recipe_file):
    recipe = recipe_of(values, recipe_file, losses=[{"name": "mask_classification"}])
    with pytest.raises(RecipeError, match="use the network maskformer"):
        SegmentationTask(recipe, build_model(recipe), None)


def test_auxiliary_outputs_are_weighed(values, recipe_file, tmp_path):
    changes = {"network": WITH_AUXILIARY, "aux_weight": 0.4, "schedule": {**values["schedule"], "epochs": 1}}
    found = measured(run(recipe_file({**values, **changes}), output=tmp_path / "run"))
    plain = found["train/cross_entropy"] + 0.5 * found["train/soft_dice"]
    assert found["train/auxiliary"] > 0.1
    assert found["train/loss_epoch"] == pytest.approx(plain + found["train/auxiliary"], rel=1e-4)


def test_each_auxiliary_output_may_have_its_own_weight(values, recipe_file, tmp_path):
    network = {"name": "hourglass", "options": {"stacks": 3, "width": 16}}
    schedule = {**values["schedule"], "epochs": 1, "stages": [{"sizes": [64]}]}
    found = {}
    for weights in ([1.0, 0.0], [0.0, 1.0], [0.5, 2.0]):
        changes = {"network": network, "aux_weight": weights, "schedule": schedule, "optimize": {"learning_rate": 1e-9}}
        changes["sizing"] = {"area": 64 * 64, "multiple": 64}
        folder = run(recipe_file({**values, **changes}), output=tmp_path / str(weights))
        found[tuple(weights)] = measured(folder)["train/auxiliary"]
    first, second = found[1.0, 0.0], found[0.0, 1.0]
    assert first != second
    assert found[0.5, 2.0] == pytest.approx(0.5 * first + 2 * second, rel=1e-3)


def test_the_weight_of_auxiliary_outputs_may_fall_to_nothing(values, recipe_file, tmp_path):
    still = {**values, "network": WITH_AUXILIARY, "optimize": {"learning_rate": 1e-12, "schedule": "constant"}}
    still["schedule"] = {**values["schedule"], "epochs": 2}
    logged = {}
    for decay in (False, True):
        changes = {**still, "aux_weight": 0.4, "aux_decay": decay}
        folder = run(recipe_file(changes), output=tmp_path / str(decay))
        with (folder / "metrics.csv").open() as file:
            rows = list(csv.DictReader(file))
        logged[decay] = [float(row["value"]) for row in rows if row["name"] == "train/auxiliary"]
    found = [fallen / whole for fallen, whole in zip(logged[True], logged[False], strict=True)]
    # Six steps see 6, 5 ... 1 sixths of the weight; each epoch logs the mean over its three.
    assert found == pytest.approx([5 / 6, 2 / 6], abs=0.03)


def test_there_is_nothing_to_fall_without_auxiliary_outputs(values, recipe_file):
    with pytest.raises(RecipeError, match="aux_decay lets aux_weight fall, which is 0: give aux_weight"):
        recipe_of(values, recipe_file, aux_decay=True)


def test_weights_of_auxiliary_outputs_are_as_many_as_these(values, recipe_file):
    recipe = recipe_of(values, recipe_file, network=WITH_AUXILIARY, aux_weight=[1.0, 0.4])
    with pytest.raises(RecipeError, match=r"aux_weight has 2 numbers, and the network 1 aux.*; give one number"):
        SegmentationTask(recipe, build_model(recipe), None)
    recipe = recipe_of(values, recipe_file, network=UNET, aux_weight=0.4)
    with pytest.raises(RecipeError, match="no auxiliary outputs"):
        SegmentationTask(recipe, build_model(recipe), None)


def test_auxiliary_outputs_that_are_not_there(values, recipe_file):
    network = create("unet", width=4)
    assert output_names(network) == ("logits", "auxiliary")
    with pytest.raises(RecipeError, match="no auxiliary outputs; switch them on"):
        outputs_of(network, torch.zeros(1, 3, 32, 32), {"logits", "auxiliary"})
    recipe = recipe_of(values, recipe_file, aux_weight=0.4, head={"name": "nodes"})
    with pytest.raises(RecipeError, match="aux_weight goes with the head leaves"):
        SegmentationTask(recipe, build_model(recipe), None)


def test_only_what_is_wanted_is_computed():
    class Network(nn.Module):
        def forward(self, x):
            return x

    x = torch.zeros(1, 1, 4, 4)
    assert outputs_of(Network(), x, {"logits"}) == {"logits": x}


def test_tables_and_queries_do_not_decay(values, recipe_file):
    recipe = recipe_of(values, recipe_file, network=MASKFORMER)
    model = build_model(recipe)
    kept = {
        id(p)
        for group in parameter_groups(model, recipe.optimize)
        if not group["weight_decay"]
        for p in group["params"]
    }
    assert id(model.network.decoder.queries) in kept
    assert id(model.network.classify.weight) not in kept


def test_weights_of_another_library_are_known_by_their_names(tmp_path):
    own, other = tmp_path / "own.safetensors", tmp_path / "other.safetensors"
    save_weights(nn.ModuleDict({"network": nn.Linear(2, 2)}), own, recipe="")
    save_file({"encoder.weight": torch.zeros(1)}, other)
    assert not is_published(own)
    assert is_published(other)
    assert is_published(tmp_path)
    assert is_published(tmp_path / "model.pth")
    assert not is_published(tmp_path / "missing.safetensors")


def test_a_recipe_starts_from_what_another_library_published(values, recipe_file, tmp_path, monkeypatch, capsys):
    torch.manual_seed(0)
    given = create("unet_timm", **UNET["options"])
    save_file(given.state_dict(), tmp_path / "model.safetensors")
    asked = []

    def download(repository, name, *, revision):
        asked.append((repository, revision))
        return str(tmp_path / name)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    for source in (tmp_path, tmp_path / "model.safetensors", "hub:owner/name@v1"):
        recipe = recipe_of(values, recipe_file, network={**WITH_AUXILIARY, "weights": str(source)})
        model = build_model(recipe)
        assert torch.equal(model.network.classify.weight, given.classify.weight)
        report = capsys.readouterr().err
        assert report.startswith(f"{source}: ")
        assert "new (auxiliary." in report
    assert asked == [("owner/name", "v1")]
    recipe = recipe_of(values, recipe_file, network={**UNET, "weights": str(tmp_path / "weights.pth")})
    with pytest.raises(NetworkError, match="never read"):
        build_model(recipe)
