"""A loss that is no number stops the run, and its batch can be looked at."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open

from figureground.data import Augment, MixtureSampler, PairSource, Stage
from figureground.data.mixture import Mixture
from figureground.labels import LabelTree
from figureground.train import run
from figureground.train.divergence import DivergedError, batch_files
from figureground.train.task import SegmentationTask
from figureground.train.terms import Term


def broken_batch(folder):
    with safe_open(folder / "broken_batch.safetensors", framework="pt") as opened:
        facts = {name: json.loads(text) for name, text in opened.metadata().items()}
        return {name: opened.get_tensor(name) for name in opened.keys()}, facts  # noqa: SIM118


def test_a_loss_that_is_no_number_stops_with_its_batch(tiny_recipe, tmp_path, monkeypatch):
    original, seen = Term.__call__, []

    def loss(self, outputs, target, image):
        value = original(self, outputs, target, image)
        seen.append((self.name, image.clone(), target.clone()))
        return value * float("nan") if self.name == "soft_dice" and len(seen) == 12 else value

    monkeypatch.setattr(Term, "__call__", loss)
    with pytest.raises(DivergedError, match=r"became nan in epoch 1, batch 1 \(soft_dice is nan\); .*, made from"):
        run(tiny_recipe, output=tmp_path / "run")
    assert len(seen) == 12  # two losses before the training, of three batches, and of two of the next epoch
    tensors, facts = broken_batch(tmp_path / "run")
    assert torch.equal(tensors["images"].float(), seen[-1][1])
    assert torch.equal(tensors["targets"], seen[-1][2])
    assert facts["losses"] == {"soft_dice": "nan"}
    assert (facts["epoch"], facts["batch"]) == (1, 1)
    assert len(facts["files"]) == 4
    assert all(name.endswith(".png") for name in facts["files"])
    assert (tmp_path / "run/checkpoints/last.ckpt").exists()


def test_weights_that_broke_before_are_named(tiny_recipe, tmp_path, monkeypatch):
    original = SegmentationTask.training_step

    def step(self, batch, number):
        with torch.no_grad():
            next(self.model.parameters()).fill_(float("inf"))
        return original(self, batch, number)

    monkeypatch.setattr(SegmentationTask, "training_step", step)
    with pytest.raises(DivergedError, match=r"the weights had broken before it, 'model\.network.*' among them"):
        run(tiny_recipe, output=tmp_path / "run")


def test_the_files_of_a_batch_are_those_that_were_read(tiny_photos):
    paths = [(tiny_photos / f"people/images/p{n}.png", tiny_photos / f"people/masks/p{n}.png") for n in range(8)]
    mixture = Mixture([PairSource("people", tuple(paths))], Augment(), LabelTree.named("person"))
    stages = [Stage(sizes=(40,))]
    sampler = MixtureSampler([8], [1], samples=8, batch_size=2, stages=stages, epochs=1, seed=1)
    loader = torch.utils.data.DataLoader(mixture, batch_sampler=sampler)
    for number, draws in enumerate(sampler):
        assert batch_files(loader, number) == [str(paths[draw.item][0]) for draw in draws]
    assert batch_files(loader, 99) == []
    assert batch_files([1, 2], 0) == []
