"""Whole runs on tiny photos: what the folder holds, and that stopping and resuming changes nothing."""

from __future__ import annotations

import csv
import errno
import json
import os
import signal

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from figureground.errors import DataError, ImageError, NetworkError, OutputError, RecipeError
from figureground.train import Recipe, build_model, load_run, run
from figureground.train.callbacks import KeepBest, SaveProgress
from figureground.train.failures import InterruptedRun
from figureground.train.task import SegmentationTask
from figureground.train.weights import save_weights

EMA = "schedule.ema=0.8"


@pytest.fixture(scope="session")
def finished(tmp_path_factory, tiny_recipe):
    """An uninterrupted run of two epochs, with averaged weights."""
    return run(tiny_recipe, [EMA], output=tmp_path_factory.mktemp("runs") / "finished")


def numbers(folder):
    with (folder / "metrics.csv").open() as file:
        return {(row["step"], row["name"]): row["value"] for row in csv.DictReader(file)}


def stop_in_second_epoch(monkeypatch, error):
    """Let the second epoch's second step end in an error."""
    original = SegmentationTask.training_step

    def step(self, batch, number):
        if self.current_epoch == 1 and number == 1:
            raise error
        return original(self, batch, number)

    monkeypatch.setattr(SegmentationTask, "training_step", step)


def same_weights(folder, other, name):
    ours, theirs = load_file(folder / name), load_file(other / name)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


# A whole run


def test_the_run_folder(finished):
    names = {str(path.relative_to(finished)) for path in finished.rglob("*") if path.is_file()}
    assert {
        "recipe.yaml", "environment.json", "metrics.csv", "best.safetensors", "last.safetensors",
        "checkpoints/last.ckpt", "pictures/epoch_000.jpg", "pictures/epoch_001.jpg",
    } <= names  # fmt: skip
    assert any(name.startswith("events.out.tfevents") for name in names)
    assert not [name for name in names if name.endswith((".partial", ".part"))]
    assert {"torch", "lightning", "python"} <= set(json.loads((finished / "environment.json").read_text()))
    logged = {name for _, name in numbers(finished)}
    assert {
        "train/loss_epoch",
        "train/cross_entropy",
        "train/soft_dice",
        "val/people",
        "val/empty",
        "val/score",
    } <= logged


def test_a_run_can_be_loaded(finished):
    recipe, model = load_run(finished)
    assert recipe == Recipe.read(finished / "recipe.yaml")
    assert not model.training
    with torch.inference_mode():
        assert model(torch.zeros(1, 3, 33, 50)).shape == (1, 1, 33, 50)
    state = model.state_dict()
    assert all(torch.equal(state[key], value) for key, value in load_file(finished / "best.safetensors").items())


def test_a_run_can_be_started_from(finished, tiny_recipe):
    recipe = Recipe.read(tiny_recipe, [f"network.weights={finished / 'last.safetensors'}"])
    state = build_model(recipe).state_dict()
    assert all(torch.equal(state[key], value) for key, value in load_file(finished / "last.safetensors").items())


def test_the_same_seed_gives_the_same_weights(finished, tiny_recipe, tmp_path):
    again = run(tiny_recipe, [EMA], output=tmp_path / "again")
    assert same_weights(finished, again, "last.safetensors")


def test_a_folder_with_a_run_is_refused(finished, tiny_recipe):
    before = (finished / "metrics.csv").read_bytes()
    with pytest.raises(RecipeError, match="already holds a run; add --resume"):
        run(tiny_recipe, [EMA], output=finished)
    with pytest.raises(RecipeError, match=r"made by another recipe: schedule\.epochs is 3, not 2"):
        run(tiny_recipe, [EMA, "schedule.epochs=3"], output=finished, resume=True)
    assert (finished / "metrics.csv").read_bytes() == before


def test_resuming_a_finished_run_changes_nothing(finished, tiny_recipe):
    def files():
        return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in finished.rglob("*") if path.is_file()}

    before = files()
    assert json.loads((finished / "finished.json").read_text()) == {"epochs": 2}
    run(tiny_recipe, [EMA], output=finished, resume=True)
    assert files() == before


def test_the_last_epoch_is_validated_whatever_the_rhythm(tiny_recipe, tmp_path):
    folder = run(tiny_recipe, ["schedule.epochs=1", "schedule.validate_every=5"], output=tmp_path / "run")
    assert (folder / "best.safetensors").exists()


# Stopped and resumed


@pytest.mark.parametrize("ema", [EMA, "schedule.ema=0"])
def test_interrupted_and_resumed_is_uninterrupted(finished, tiny_recipe, tmp_path, monkeypatch, ema):
    whole = finished if ema == EMA else run(tiny_recipe, [ema], output=tmp_path / "whole")
    folder = tmp_path / "stopped"
    with monkeypatch.context() as patch:
        stop_in_second_epoch(patch, KeyboardInterrupt())
        with pytest.raises(InterruptedRun, match="was interrupted; add --resume") as caught:
            run(tiny_recipe, [ema], output=folder)
    assert caught.value.exit_code == 130
    assert run(tiny_recipe, [ema, "data.workers=1"], output=folder, resume=True) == folder
    assert same_weights(whole, folder, "last.safetensors")
    assert same_weights(whole, folder, "best.safetensors")
    assert numbers(whole) == numbers(folder)


@pytest.fixture
def heard():
    """Ctrl-C is heard, also where the tests were started in the background, by a shell that has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_works_again_after_an_interrupted_run(tiny_recipe, tmp_path, monkeypatch, heard):
    original = SegmentationTask.on_train_epoch_start

    def press(self):
        original(self)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(SegmentationTask, "on_train_epoch_start", press)
    with pytest.raises(InterruptedRun):
        run(tiny_recipe, output=tmp_path / "run")
    assert signal.getsignal(signal.SIGINT) is heard


def test_a_run_stopped_in_its_first_epoch_starts_again(tiny_recipe, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(SegmentationTask, "training_step", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(InterruptedRun):
            run(tiny_recipe, ["schedule.epochs=1"], output=tmp_path / "run")
    run(tiny_recipe, ["schedule.epochs=1"], output=tmp_path / "run", resume=True)
    assert (tmp_path / "run/best.safetensors").exists()


def test_a_checkpoint_is_whole_or_the_old_one(tmp_path):
    class Trainer:
        is_global_zero, current_epoch, callback_metrics = True, 0, {}

        def save_checkpoint(self, path):
            path.write_bytes(b"half of a check")
            raise KeyboardInterrupt

    (tmp_path / "last.ckpt").write_bytes(b"the old one")
    with pytest.raises(KeyboardInterrupt):
        SaveProgress(tmp_path / "last.ckpt").on_train_epoch_end(Trainer(), None)
    assert (tmp_path / "last.ckpt").read_bytes() == b"the old one"
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]


# What goes wrong on the way


def test_a_full_disk_is_one_line(tiny_recipe, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(SaveProgress, "on_train_epoch_end", full)
    with pytest.raises(OutputError, match=r"the disk of .*run is full; make room, then add --resume"):
        run(tiny_recipe, ["schedule.epochs=1"], output=tmp_path / "run")


def test_a_folder_that_cannot_be_made(tiny_recipe, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"cannot write to .*file"):
        run(tiny_recipe, output=tmp_path / "file" / "run")


def test_other_failures_pass_through(tiny_recipe, tmp_path, monkeypatch):
    stop_in_second_epoch(monkeypatch, ZeroDivisionError("a mistake of ours"))
    with pytest.raises(ZeroDivisionError):
        run(tiny_recipe, output=tmp_path / "run")


def test_a_picture_that_a_worker_cannot_read_is_one_line(values, recipe_file, tiny_photos, tmp_path):
    good = (tiny_photos / "empty/n0.png").read_bytes()
    (tmp_path / "photos").mkdir()
    for number in range(8):
        (tmp_path / f"photos/n{number}.png").write_bytes(good[:-500] if number else good)
    values["data"]["sources"][1] |= {"images": str(tmp_path / "photos"), "hold_out": 0}
    with pytest.raises(ImageError, match=r"n\d\.png") as caught:
        run(recipe_file(), ["data.workers=1"], output=tmp_path / "run")
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize(
    ("override", "error", "message"),
    [
        ("losses.0.name=cross_entrop", RecipeError, r"no loss is called 'cross_entrop'; did you mean 'cross_entropy'"),
        ("losses.0.options={boundary: 1}", RecipeError, r"'cross_entropy' has no option 'boundary'"),
        ("losses.0.options={class_weights: [1, 2, 3]}", RecipeError, "loss 'cross_entropy': "),
        ("losses.0.options={boundary_weight: 1, boundary_width: 4}", RecipeError, "loss 'cross_entropy'"),
        ("losses.0.options={label_smoothing: much}", RecipeError, "label_smoothing is 'much'; it takes a finite"),
        ("losses=[{name: tree_cross_entropy, options: {level_weights: [1, 2]}}]", RecipeError, "tree_cross_entropy"),
        ("network.name=pyramyd", NetworkError, "did you mean 'pyramid'"),
        ("network.options.width=[8]", NetworkError, "no option 'width'; did you mean 'widths'"),
        ("network.options.encoder=mobilenetv2_101", NetworkError, "timm has no encoder 'mobilenetv2_101'"),
        ("network.options.encoder_weights=nowhere.safetensors", NetworkError, "no encoder weights at nowhere"),
        ("network.weights=nowhere.safetensors", NetworkError, "no weights at nowhere"),
        ("distill.run=nowhere", RecipeError, r"nowhere holds no run"),
        ("data.root=nowhere", DataError, "no folder nowhere"),
    ],
)
def test_what_cannot_be_trained_makes_no_folder(tiny_recipe, tmp_path, override, error, message):
    with pytest.raises(error, match=message):
        run(tiny_recipe, [override], output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_recipe_that_holds_nothing_out(values, recipe_file, tmp_path):
    for source in values["data"]["sources"]:
        source["hold_out"] = 0
    with pytest.raises(DataError, match="holds nothing out; set hold_out"):
        run(recipe_file(), output=tmp_path / "run")


# Learning from a run


def test_distillation_from_a_run(finished, tiny_recipe, tmp_path):
    overrides = [
        f"distill.run={finished}",
        "distill.weight=2",
        "schedule.epochs=1",
        "network.options.widths=[8,8,8,8,4]",
    ]
    folder = run(tiny_recipe, overrides, output=tmp_path / "student")
    logged = {name: float(value) for (_, name), value in numbers(folder).items()}
    assert logged["train/distillation"] > 0
    parts = logged["train/cross_entropy"] + 0.5 * logged["train/soft_dice"] + 2 * logged["train/distillation"]
    assert logged["train/loss_epoch"] == pytest.approx(parts, rel=1e-4)
    saved = load_file(folder / "last.safetensors")
    assert not [name for name in saved if "teacher" in name]
    load_run(folder)


def test_the_teacher_must_know_the_same_labels(finished, values, recipe_file, tmp_path):
    values["labels"] = {"labels": [{"name": "dog", "color": [1, 2, 3]}]}
    with pytest.raises(RecipeError, match=r"the teacher in .* has other labels"):
        run(recipe_file(), [f"distill.run={finished}"], output=tmp_path / "run")


def test_the_best_is_remembered_over_a_resume(tmp_path):
    keeper = KeepBest(tmp_path)
    keeper.best = 0.7
    other = KeepBest(tmp_path)
    other.load_state_dict(keeper.state_dict())
    assert other.best == 0.7


# A tree of parts

PARTS = {
    "labels": [
        {"name": "person", "color": [255, 0, 0]},
        {"name": "top", "color": [0, 255, 0], "parent": "person"},
        {"name": "bottom", "color": [0, 0, 255], "parent": "person"},
    ]
}


def test_people_and_parts_train_one_network_from_a_person_network(finished, values, recipe_file, tiny_photos, tmp_path):
    """Whole people and their parts in one mixture, started from weights that know no parts."""
    parts = tiny_photos / "people/parts"
    parts.mkdir(exist_ok=True)
    for path in (tiny_photos / "people/masks").iterdir():
        mask = np.asarray(Image.open(path)) > 0
        halves = np.where(np.cumsum(mask, 0) > 10, 2, 1) * mask
        Image.fromarray(halves.astype(np.uint8)).save(parts / path.name)
    whole, empty = values["data"]["sources"]
    divided = {**whole, "name": "parts", "masks": "people/parts", "any_value_is_leaf": False}
    values["data"]["sources"] = [{**whole, "any_value_is": "person"}, divided, empty]
    values["labels"] = PARTS
    values["losses"] = [{"name": "tree_cross_entropy", "options": {"level_weights": [1, 2]}}, {"name": "tree_dice"}]
    values["network"] |= {"weights": str(finished / "best.safetensors"), "partial": True}
    folder = run(recipe_file(values), output=tmp_path / "run")
    names = {name for _, name in numbers(folder)}
    assert {"val/parts_level0", "val/parts_level1", "train/tree_cross_entropy", "train/tree_dice"} <= names
    assert "val/people_level1" not in names
    recipe, model = load_run(folder)
    assert [leaf.name for leaf in recipe.tree.leaves] == ["top", "bottom"]
    assert model.network.head.weight.shape[0] == 2


def test_weights_that_only_partly_fit_are_refused_unless_asked_for(finished, values, recipe_file, tmp_path, capsys):
    values["labels"] = PARTS
    for source in values["data"]["sources"][:1]:
        source["any_value_is"] = "person"
    values["losses"] = [{"name": "tree_cross_entropy"}]
    values["network"]["weights"] = str(finished / "best.safetensors")
    with pytest.raises(NetworkError, match=r"head\.weight"):
        build_model(Recipe.read(recipe_file(values)))
    values["network"]["partial"] = True
    model = build_model(Recipe.read(recipe_file(values)))
    assert "2 new (network.head.weight, network.head.bias)" in capsys.readouterr().err
    trained = load_file(finished / "best.safetensors")
    kept = "network.context.project.0.weight"
    assert torch.equal(model.state_dict()[kept], trained[kept])


def test_a_network_finds_its_weights_under_another_head(finished, values, recipe_file, tmp_path, capsys):
    """From a network without a head of its own to one with, and back."""
    values["labels"] = PARTS
    values["data"]["sources"][0]["any_value_is"] = "person"
    values["losses"] = [{"name": "tree_cross_entropy"}]
    values["network"] |= {"weights": str(finished / "best.safetensors"), "partial": True}
    values["head"] = {"name": "nodes"}
    headed = build_model(Recipe.read(recipe_file(values)))
    ours, theirs = "network.body.context.project.0.weight", "network.context.project.0.weight"
    trained = load_file(finished / "best.safetensors")
    assert torch.equal(headed.state_dict()[ours], trained[theirs])
    save_weights(headed, tmp_path / "headed.safetensors", recipe="")
    values["network"]["weights"] = str(tmp_path / "headed.safetensors")
    del values["head"]
    plain = build_model(Recipe.read(recipe_file(values)))
    assert torch.equal(plain.state_dict()[theirs], trained[theirs])
