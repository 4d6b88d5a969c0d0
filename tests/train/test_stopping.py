"""A training ends when its score no longer rises, resumed or not."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from figureground.errors import RecipeError
from figureground.train import Recipe, run
from figureground.train.failures import InterruptedRun
from figureground.train.specs import EarlyStop
from figureground.train.stopping import StopEarly
from figureground.train.task import SegmentationTask

STOPPING = ["schedule.epochs=6", "data.samples_per_epoch=4", "schedule.early_stopping={patience: 2, min_delta: 0.01}"]
SCORES = [0.5, 0.6, 0.605, 0.60, 0.9, 0.9]


@pytest.fixture
def scores(monkeypatch):
    """The score of each epoch, instead of the network's own."""

    def summary(self):
        return {"val/score": SCORES[self.current_epoch]}

    monkeypatch.setattr(SegmentationTask, "validation_summary", summary)


def epochs(folder):
    lines = (folder / "metrics.csv").read_text().splitlines()
    return sorted({int(float(line.split(",")[0])) for line in lines if ",val/score," in line})


def test_it_stops_and_stays_stopped(tiny_recipe, tmp_path, scores, capsys):
    """0.605 is no better than 0.6 by more than 0.01, nor is what follows; 0.9 would have been."""
    folder = run(tiny_recipe, STOPPING, output=tmp_path / "run")
    assert epochs(folder) == [0, 1, 2, 3]
    assert "stopped early: val/score did not rise above 0.6000 in 2 validations" in capsys.readouterr().err
    before = load_file(folder / "last.safetensors")
    (folder / "finished.json").unlink()
    run(tiny_recipe, STOPPING, output=folder, resume=True)
    assert epochs(folder) == [0, 1, 2, 3]
    after = load_file(folder / "last.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_resumed_run_stops_where_it_would_have(tiny_recipe, tmp_path, scores, monkeypatch):
    original = SegmentationTask.training_step
    with monkeypatch.context() as patch:

        def step(self, batch, number):
            if self.current_epoch == 3:
                raise KeyboardInterrupt
            return original(self, batch, number)

        patch.setattr(SegmentationTask, "training_step", step)
        with pytest.raises(InterruptedRun):
            run(tiny_recipe, STOPPING, output=tmp_path / "run")
    run(tiny_recipe, STOPPING, output=tmp_path / "run", resume=True)
    assert epochs(tmp_path / "run") == [0, 1, 2, 3]


def test_what_is_better_is_counted_anew():
    stop = StopEarly(EarlyStop(patience=2))
    found = []
    for score in [0.5, 0.4, 0.6, 0.6, 0.5]:
        found.append(stop._evaluate_stopping_criteria(torch.tensor(score))[0])
    assert found == [False, False, False, False, True]


# torch.compile


def test_only_the_plain_pass_is_compiled(tiny_recipe, tmp_path):
    overrides = ["schedule.compile=true", "head={name: nodes, embedding: {at: encoder, size: 4}}"]
    overrides.append("losses=[{name: tree_min}, {name: tree_triplet}]")
    with pytest.raises(RecipeError, match="compile has no part in what the losses look at: embedding"):
        run(tiny_recipe, overrides, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_network_is_compiled_where_the_recipe_says_so(tiny_recipe, tmp_path, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: compiled.append(type(self).__name__))
    short = ["schedule.epochs=1", "data.samples_per_epoch=4"]
    run(tiny_recipe, short, output=tmp_path / "plain")
    assert compiled == []
    run(tiny_recipe, [*short, "schedule.compile=true"], output=tmp_path / "compiled")
    assert compiled == ["Pyramid"]


@pytest.mark.slow
def test_a_compiled_network_learns_the_same(tiny_recipe, tmp_path):
    overrides = ["network={name: unet, options: {width: 2}}", "optimize={name: sgd, learning_rate: 0.01}"]
    overrides += ["schedule.epochs=1", "data.samples_per_epoch=8", "schedule.ema=0.5"]
    plain = run(tiny_recipe, overrides, output=tmp_path / "plain")
    torch.compiler.reset()
    with torch._inductor.config.patch(compile_threads=1):
        quick = run(tiny_recipe, [*overrides, "schedule.compile=true"], output=tmp_path / "compiled")
    torch.compiler.reset()
    ours, theirs = (load_file(folder / "last.safetensors") for folder in (quick, plain))
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=1e-3, atol=1e-4)
    assert Recipe.read(quick / "recipe.yaml").schedule.compile
