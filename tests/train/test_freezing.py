"""Frozen parts keep their weights and statistics, and several batches make up one step."""

from __future__ import annotations

import lightning as L
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from figureground.errors import RecipeError
from figureground.train import Recipe, build_model, run
from figureground.train.failures import InterruptedRun
from figureground.train.freezing import Frozen, frozen_names
from figureground.train.specs import Optimize
from figureground.train.task import SegmentationTask

SHORT = ["schedule.epochs=2", "data.samples_per_epoch=8"]


@pytest.fixture(scope="module")
def model(tiny_recipe):
    return build_model(Recipe.read(tiny_recipe))


def frozen(model, **options):
    return frozen_names(model, Optimize(**options))


def test_what_the_recipe_freezes(model):
    names = {name for name, _ in model.named_parameters()}
    encoder = {name for name in names if name.startswith("network.encoder.")}
    assert frozen(model) == set()
    assert frozen(model, freeze=["encoder"]) == encoder
    assert frozen(model, freeze=["encoder", "context"]) == encoder | {n for n in names if ".context." in n}
    stem = {name for name in names if name.startswith(("network.encoder.body.conv_stem.", "network.encoder.body.bn1."))}
    assert frozen(model, freeze_stages=1) == stem
    assert frozen(model, freeze_stages=8) == encoder
    assert frozen(model, freeze=["encoder.body.conv_stem", "network.encoder.body.bn1"]) == stem


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"freeze": ["encodr"]}, "no part 'encodr'; did you mean 'encoder'"),
        ({"freeze": ["encoder.body.block"]}, "no part 'encoder.body.block'"),
        ({"freeze_stages": 9}, "has 8 stages, its stem included; lower freeze_stages"),
        ({"freeze": ["encoder", "network"]}, "nothing to learn"),
    ],
)
def test_what_cannot_be_frozen(model, options, message):
    with pytest.raises(RecipeError, match=message):
        frozen(model, **options)


def test_a_frozen_part_is_in_evaluation_and_comes_back(model):
    parts = Frozen(model.train(), Optimize(freeze=["encoder"], freeze_until=0.5), epochs=4)
    for epoch, learns in enumerate([False, False, True, True]):
        parts.apply(model, epoch)
        assert {p.requires_grad for p in model.network.encoder.parameters()} == {learns}
        assert {m.training for m in model.network.encoder.modules()} == {learns}
        assert all(p.requires_grad for p in model.network.context.parameters())
        assert model.network.context.training
        assert model.training


@pytest.fixture(scope="module")
def half_frozen(tiny_recipe, tmp_path_factory):
    """A run whose encoder learns in its second epoch only."""
    overrides = [*SHORT, "optimize.freeze=[encoder]", "optimize.freeze_until=0.5"]
    return overrides, run(tiny_recipe, overrides, output=tmp_path_factory.mktemp("frozen") / "run")


def test_resuming_where_the_frozen_part_begins_to_learn(tiny_recipe, half_frozen, tmp_path, monkeypatch):
    """Stopped in the second epoch, after an epoch in which the encoder neither learned nor changed its statistics."""
    overrides, whole = half_frozen
    L.seed_everything(3, verbose=False)
    start = build_model(Recipe.read(tiny_recipe, overrides)).state_dict()
    original = SegmentationTask.training_step
    with monkeypatch.context() as patch:

        def step(self, batch, number):
            if self.current_epoch == 1 and number == 1:
                raise KeyboardInterrupt
            return original(self, batch, number)

        patch.setattr(SegmentationTask, "training_step", step)
        with pytest.raises(InterruptedRun):
            run(tiny_recipe, overrides, output=tmp_path / "run")
    first = load_file(tmp_path / "run" / "last.safetensors")
    encoder = [name for name in first if ".encoder." in name]
    assert any("running_mean" in name for name in encoder)
    assert all(torch.equal(first[name], start[name]) for name in encoder)
    assert not torch.equal(first["network.head.weight"], start["network.head.weight"])
    run(tiny_recipe, overrides, output=tmp_path / "run", resume=True)
    last, expected = (load_file(folder / "last.safetensors") for folder in (tmp_path / "run", whole))
    assert all(torch.equal(last[name], expected[name]) for name in expected)
    assert any(not torch.equal(last[name], first[name]) for name in encoder if "running_mean" in name)
    assert any(not torch.equal(last[name], first[name]) for name in encoder if name.endswith("weight"))


def test_the_steps_of_accumulated_batches_are_those_of_the_bigger_batch(tiny_recipe, tmp_path):
    """Where batch norms are frozen and all pixels count; with SGD, because AdamW turns rounding into steps."""
    unet = ["network={name: unet, options: {width: 2}}"]
    network = build_model(Recipe.read(tiny_recipe, unet)).network
    norms = [name for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)]
    optimize = f"optimize={{name: sgd, schedule: poly, clip_norm: 1.0, learning_rate: 0.1, freeze: {norms}}}"
    rest = [*unet, *SHORT, optimize, "losses=[{name: cross_entropy}]"]
    batches = {"one": ["schedule.batch_size=4"], "two": ["schedule.batch_size=2", "optimize.accumulate=2"]}
    folders = {name: run(tiny_recipe, [*rest, *how], output=tmp_path / name) for name, how in batches.items()}
    one, two = (load_file(folder / "last.safetensors") for folder in folders.values())
    for name, expected in one.items():
        torch.testing.assert_close(two[name], expected, rtol=1e-4, atol=1e-6)
    assert rates(folders["one"]) == rates(folders["two"])


def rates(folder):
    return [line for line in (folder / "metrics.csv").read_text().splitlines() if ",lr-" in line]


def test_an_epoch_is_whole_steps(tiny_recipe):
    recipe = Recipe.read(tiny_recipe, ["optimize.accumulate=3", "data.samples_per_epoch=15"])
    assert recipe.samples_per_step == 12
    with pytest.raises(RecipeError, match=r"times optimize\.accumulate"):
        Recipe.read(tiny_recipe, ["optimize.accumulate=4", "data.samples_per_epoch=15"])
