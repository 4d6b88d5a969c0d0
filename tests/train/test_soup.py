"""A soup against the mean taken by numpy."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from figureground.checks import ArgumentError
from figureground.cli.app import main
from figureground.errors import NetworkError, RecipeError
from figureground.labels import LabelTree
from figureground.train import Recipe, callbacks, run, soup
from figureground.train.weights import save_weights

CHECKPOINTS = Path(__file__).resolve().parents[2] / "checkpoints"


def network(seed, channels=3):
    torch.manual_seed(seed)
    made = torch.nn.Sequential(torch.nn.Conv2d(3, channels, 3), torch.nn.BatchNorm2d(channels))
    made[1].running_mean.normal_()
    made[1].num_batches_tracked.fill_(10 * seed)
    return made


@pytest.fixture
def runs(tmp_path):
    folders = []
    for seed in (1, 2, 3):
        folder = tmp_path / f"run{seed}"
        folder.mkdir()
        save_weights(network(seed), folder / "best.safetensors", recipe=f"name: run{seed}\n")
        folders.append(folder)
    return folders


def by_hand(runs, shares):
    states = [load_file(folder / "best.safetensors") for folder in runs]
    return {
        name: sum(share * state[name].double().numpy() for share, state in zip(shares, states, strict=True))
        for name, tensor in states[0].items()
        if tensor.is_floating_point()
    }


@pytest.mark.parametrize(
    ("options", "shares"),
    [
        ({}, [1 / 3, 1 / 3, 1 / 3]),
        ({"weights": [1, 0, 3]}, [0.25, 0, 0.75]),
        ({"decay": 0.5}, [0.25, 0.25, 0.5]),
        ({"decay": 0.9}, [0.81, 0.09, 0.1]),
    ],
    ids=str,
)
def test_the_mean(runs, tmp_path, options, shares):
    folder = soup(runs, tmp_path / "soup", **options)
    made = load_file(folder / "best.safetensors")
    for name, wanted in by_hand(runs, shares).items():
        np.testing.assert_allclose(made[name].numpy(), wanted, atol=1e-6)
        assert made[name].dtype == torch.float32
    assert made["1.num_batches_tracked"] == 30
    assert (folder / "recipe.yaml").read_text() == "name: run1\n"


def test_the_decay_is_that_of_a_moving_average(runs, tmp_path):
    mean = None
    for folder in runs:
        state = load_file(folder / "best.safetensors")["0.weight"]
        mean = state if mean is None else 0.7 * mean + 0.3 * state
    made = load_file(soup(runs, tmp_path / "soup", decay=0.7) / "best.safetensors")
    np.testing.assert_allclose(made["0.weight"], mean, atol=1e-6)


def test_files_are_taken_as_well(runs, tmp_path):
    files = [folder / "best.safetensors" for folder in runs]
    one = soup(files, tmp_path / "one") / "best.safetensors"
    assert one.read_bytes() == (soup(runs, tmp_path / "other") / "best.safetensors").read_bytes()


def test_what_is_refused(runs, tmp_path):
    out = tmp_path / "soup"
    with pytest.raises(ArgumentError, match="at least two"):
        soup(runs[:1], out)
    for weights in ([1, 2], [0, 0, 0], [1, 1, -1], [1, 1, float("nan")], [1e308, 1e308, 0]):
        with pytest.raises(ArgumentError, match="one number per source"):
            soup(runs, out, weights=weights)
    with pytest.raises(ArgumentError, match="decay is 1"):
        soup(runs, out, decay=1)
    with pytest.raises(ArgumentError, match="one of them"):
        soup(runs, out, decay=0.5, weights=[1, 1, 1])
    with pytest.raises(NetworkError, match="no weights at"):
        soup([*runs, tmp_path / "none"], out)
    (tmp_path / "text.safetensors").write_text("no")
    with pytest.raises(NetworkError, match="no safetensors file"):
        soup([*runs, tmp_path / "text.safetensors"], out)
    save_weights(network(4, channels=5), tmp_path / "wide.safetensors", recipe="")
    with pytest.raises(NetworkError, match=r"'0\.\w+' is \(3.*\) in .* and \(5"):
        soup([*runs, tmp_path / "wide.safetensors"], out)
    save_weights(network(4)[0], tmp_path / "part.safetensors", recipe="")
    with pytest.raises(NetworkError, match=r"has a tensor '0\.bias'"):
        soup([*runs, tmp_path / "part.safetensors"], out)
    with pytest.raises(RecipeError, match="carries no recipe"):
        soup([tmp_path / "wide.safetensors", *runs], out)
    assert not out.exists()
    soup(runs, out)
    with pytest.raises(RecipeError, match="already holds a run"):
        soup(runs, out)


@pytest.mark.parametrize(
    ("recipe", "key"),
    [
        ({"labels": "pascal-person-part"}, "labels"),
        ({"labels": {"labels": [{"name": "dog", "color": [1, 2, 3]}]}}, "labels"),
        ({"network": {"name": "unet"}}, r"network\.name"),
        ({"network": {"name": "pyramid", "options": {"dilation": 4, "drop_path": 0.5}}}, r"network\.options"),
        ({"network": {"name": "pyramid", "options": {"dilation": 2}, "std": [1, 1, 1]}}, r"network\.std"),
        ({"head": {"name": "tree"}}, r"head\.name"),
    ],
    ids=str,
)
def test_equal_shapes_that_mean_other_things(tmp_path, recipe, key):
    first = {"labels": "person", "network": {"name": "pyramid", "options": {"dilation": 2, "drop_path": 0.1}}}
    for name, values in (("one", first), ("two", {**first, **recipe})):
        save_weights(network(1), tmp_path / f"{name}.safetensors", recipe=yaml.safe_dump(values))
    with pytest.raises(NetworkError, match=f"one.* and .*two.* differ in their recipes' {key}; average"):
        soup([tmp_path / "one.safetensors", tmp_path / "two.safetensors"], tmp_path / "soup")
    assert not (tmp_path / "soup").exists()


def test_trainings_of_one_network_may_differ(tmp_path):
    tree = LabelTree.find("person").to_dict()
    options = {"drop_path": 0.1, "encoder_weights": "encoder.safetensors"}
    for number, values in enumerate(
        (
            {
                "labels": "person",
                "network": {"name": "pyramid", "options": options},
                "seed": 1,
            },
            {"labels": tree, "network": {"name": "pyramid", "weights": "a.safetensors"}, "head": {"name": "leaves"}},
        )
    ):
        save_weights(network(1), tmp_path / f"{number}.safetensors", recipe=yaml.safe_dump(values))
    soup([tmp_path / "0.safetensors", tmp_path / "1.safetensors"], tmp_path / "soup")


@pytest.mark.parametrize("names", [("person-1", "person-2", "person"), ("person-fast-1", "person-fast")])
def test_the_stages_of_the_shipped_networks_can_be_averaged(tmp_path, names):
    """As the commands on their cards do; a first stage began with an encoder's weights, a later one with a stage's."""
    assert (
        soup([CHECKPOINTS / f"{name}.safetensors" for name in names], tmp_path / "soup") / "best.safetensors"
    ).is_file()


def test_the_folder_tells_what_is_in_it(runs, tmp_path):
    noted = json.loads((soup(runs, tmp_path / "soup", weights=[1, 0, 3]) / "soup.json").read_text())
    assert [one["share"] for one in noted["sources"]] == [0.25, 0, 0.75]
    for one, folder in zip(noted["sources"], runs, strict=True):
        file = folder / "best.safetensors"
        assert one["file"] == str(file)
        assert one["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()


def test_the_verb(runs, tmp_path, capsys):
    out = tmp_path / "soup"
    assert main(["soup", *map(str, runs), "-o", str(out), "--decay", "0.5"]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    made = load_file(out / "best.safetensors")["0.weight"].numpy()
    np.testing.assert_allclose(made, by_hand(runs, [0.25, 0.25, 0.5])["0.weight"], atol=1e-6)
    weighted = tmp_path / "weighted"
    assert main(["soup", *map(str, runs), "-o", str(weighted), "--weights", "1,0,3"]) == 0
    made = load_file(weighted / "best.safetensors")["0.weight"].numpy()
    np.testing.assert_allclose(made, by_hand(runs, [0.25, 0, 0.75])["0.weight"], atol=1e-6)
    assert main(["soup", *map(str, runs), "-o", str(tmp_path / "x"), "--weights", "1,1"]) == 2
    assert main(["soup", str(runs[0]), "-o", str(tmp_path / "x")]) == 2
    assert "at least two" in capsys.readouterr().err


def test_the_snapshots_kept_are_those_of_the_highest_epochs(tiny_recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(callbacks, "save_weights", lambda model, path, recipe: path.write_text(recipe))
    task = SimpleNamespace(recipe=Recipe.read(tiny_recipe, ["schedule.snapshots=2"]), model=None)
    for epoch in (998, 999, 1000):
        callbacks.KeepBest(tmp_path)._keep_snapshot(epoch, task, "")
    kept = {path.stem for path in (tmp_path / "snapshots").iterdir()}
    assert kept == {"epoch_999", "epoch_1000"}


def test_snapshots_of_one_training(tiny_recipe, tmp_path):
    folder = run(tiny_recipe, ["schedule.snapshots=2", "schedule.epochs=3"], output=tmp_path / "run")
    kept = sorted((folder / "snapshots").iterdir())
    assert [path.name for path in kept] == ["epoch_001.safetensors", "epoch_002.safetensors"]
    states = [load_file(path) for path in kept]
    last = load_file(folder / "last.safetensors")
    assert all(torch.equal(states[-1][name], last[name]) for name in last)
    mixed = load_file(soup(kept, tmp_path / "soup") / "best.safetensors")
    wanted = (states[0]["network.head.weight"] + states[1]["network.head.weight"]) / 2
    torch.testing.assert_close(mixed["network.head.weight"], wanted)
    assert (tmp_path / "soup/recipe.yaml").exists()
