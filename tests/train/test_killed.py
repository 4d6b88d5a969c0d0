"""SIGKILL at any moment, and a resumed run ends as if nothing had been."""

from __future__ import annotations

import csv
import multiprocessing
import os
import random
import signal
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from figureground.train import run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")


@pytest.fixture(scope="module")
def start():
    """Start a training in a process of its own, which need not import torch anew."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["figureground.train"])

    def begin(recipe, overrides, folder):
        # No daemon: those may not start the processes that read photos.
        process = context.Process(target=run, args=(recipe, overrides), kwargs={"output": folder, "resume": True})
        process.start()
        return process

    return begin


def kill(process):
    """Whether the process was still there to be killed."""
    if process.exitcode is None:
        os.kill(process.pid, signal.SIGKILL)
    process.join(60)
    return process.exitcode == -signal.SIGKILL


def wait_for(path, process, seconds=900):
    """Look for a file, or for the end of the process, very often."""
    end = time.monotonic() + seconds
    while not path.exists() and process.exitcode is None and time.monotonic() < end:
        time.sleep(0.0005)


def assert_same(whole, other):
    for name in ("last.safetensors", "best.safetensors"):
        ours, theirs = load_file(whole / name), load_file(other / name)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert numbers(whole) == numbers(other)
    assert not [path for path in other.rglob("*") if path.suffix in (".part", ".partial")]


def numbers(folder):
    with (folder / "metrics.csv").open() as file:
        return {(row["step"], row["name"]): row["value"] for row in csv.DictReader(file)}


def test_killed_after_its_first_epoch(start, tiny_recipe, tmp_path):
    """With the worst that a kill, or a power cut, can leave: parts of a checkpoint, of weights and of a line."""
    overrides = ["schedule.epochs=4", "data.samples_per_epoch=4"]
    folder = tmp_path / "killed"
    process = start(tiny_recipe, overrides, folder)
    wait_for(folder / "checkpoints/last.ckpt", process)
    assert kill(process)
    torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
    (folder / "checkpoints/last.partial").write_bytes(b"half of a check")
    (folder / ".figureground-0.part").write_bytes(b"half of some weights")
    with (folder / "metrics.csv").open("ab") as file:
        file.write(b"2,2,val/sco")
    run(tiny_recipe, overrides, output=folder, resume=True)
    assert_same(run(tiny_recipe, overrides, output=tmp_path / "whole"), folder)


@pytest.mark.slow
def test_killed_at_ten_random_moments(start, tiny_recipe, tmp_path):
    """Some kills come while the process starts, some in an epoch, some while files are written."""
    overrides = ["schedule.epochs=12", "schedule.ema=0.8", "data.workers=1"]
    began = time.monotonic()
    whole = run(tiny_recipe, overrides, output=tmp_path / "whole")
    lasted = time.monotonic() - began
    draw, folder, kills = random.Random(4), tmp_path / "killed", 0
    while kills < 10:
        process = start(tiny_recipe, overrides, folder)
        time.sleep(draw.uniform(0, lasted / 4))
        if not kill(process):
            break  # the run ended between two kills
        kills += 1
        if (folder / "checkpoints/last.ckpt").exists():
            torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
    run(tiny_recipe, overrides, output=folder, resume=True)
    assert kills == 10
    assert_same(whole, folder)
