"""The critic in a run: it learns, it is resumed exactly, and it is not shipped."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from figureground.train import run
from figureground.train.task import SegmentationTask

LIGHT = "critic={widths: [4, 8], weight: 0.5, mode: %s}"


@pytest.mark.parametrize("mode", ["multiscale_l1", "hinge"])
def test_a_run_with_a_critic_is_resumed_exactly(tiny_recipe, tmp_path, monkeypatch, mode):
    overrides = [LIGHT % mode]
    whole = run(tiny_recipe, overrides, output=tmp_path / "whole")
    original = SegmentationTask.training_step

    def stops(self, batch, number):
        if self.current_epoch == 1 and number == 1:
            raise KeyboardInterrupt
        return original(self, batch, number)

    monkeypatch.setattr(SegmentationTask, "training_step", stops)
    with pytest.raises(BaseException, match="resume"):
        run(tiny_recipe, overrides, output=tmp_path / "parted")
    monkeypatch.setattr(SegmentationTask, "training_step", original)
    run(tiny_recipe, overrides, output=tmp_path / "parted", resume=True)
    ours, theirs = (load_file(folder / "last.safetensors") for folder in (whole, tmp_path / "parted"))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert not [key for key in ours if "critic" in key or "adversary" in key]


def test_a_critic_changes_what_is_learned(tiny_recipe, tmp_path):
    plain = run(tiny_recipe, output=tmp_path / "plain")
    critical = run(tiny_recipe, [LIGHT % "multiscale_l1"], output=tmp_path / "critical")
    key = "network.head.weight"
    weights = [load_file(folder / "last.safetensors")[key] for folder in (plain, critical)]
    assert not torch.equal(*weights)
    assert "train/critic_own" in (critical / "metrics.csv").read_text()
