"""Training must not change how the program that asks for it computes."""

from __future__ import annotations

import contextlib

import pytest
import torch

from figureground.train import run
from figureground.train.denormals import denormals_flushed


def tiny() -> float:
    return float(torch.tensor(1e-20) * torch.tensor(1e-20))


@pytest.mark.parametrize("before", [False, True])
def test_what_was_set_before_is_set_again(before):
    torch.set_flush_denormal(before)
    try:
        with contextlib.suppress(KeyError), denormals_flushed():
            assert tiny() == 0
            raise KeyError
        assert (tiny() == 0) == before
    finally:
        torch.set_flush_denormal(False)


def test_training_flushes_and_leaves_it_as_it_was(tiny_recipe, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr("lightning.Trainer.fit", lambda *_, **__: seen.append(tiny()))
    monkeypatch.setattr("figureground.images.write_bytes", lambda *_: None)
    run(tiny_recipe, output=tmp_path / "run")
    assert seen == [0]
    assert tiny() > 0
