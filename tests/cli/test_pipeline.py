"""Many images at once: order, bounded memory, and what ends a run."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from figureground.cli.pipeline import Job, Task, pictures, process
from figureground.cli.sources import Source
from figureground.errors import ImageError, OutputError, SourceError
from figureground.labels import LabelTree
from figureground.runtime.segmenter import Segmenter

AS_MASK = pictures(lambda result: result.picture("mask"), "png")


class Bright(Segmenter):
    """Calls bright pixels a person, without any network."""

    def __init__(self):
        super().__init__("bright", LabelTree.person(), 0.5)
        self.ran = 0

    def network_size(self, height, width):
        return 32, 32

    def probabilities(self, image):
        self.ran += 1
        return (image.mean(axis=-1) / 255).astype(np.float32)[None]


def jobs_for(folder: Path, number: int) -> list[Job]:
    jobs = []
    for index in range(number):
        path = folder / f"{index:03d}.png"
        Image.new("RGB", (40, 30), (index,) * 3).save(path)
        jobs.append(Job(Source(str(path), path, Path(path.name)), folder / "out" / path.name))
    return jobs


def test_outcomes_come_in_order(tmp_path):
    jobs = jobs_for(tmp_path, 25)
    task = Task(AS_MASK, lambda result: {"level": int(result.photo[0, 0, 0])})
    outcomes = list(process(Bright(), jobs, task, None))
    assert [outcome.job for outcome in outcomes] == jobs
    assert [outcome.facts["level"] for outcome in outcomes] == list(range(25))
    assert len(list((tmp_path / "out").iterdir())) == 25


def test_failures_keep_their_place(tmp_path):
    jobs = jobs_for(tmp_path, 12)
    (tmp_path / "003.png").write_text("no image")
    gone = Job(Source("http://127.0.0.1:9/x.png", None, Path("x.png")), tmp_path / "out" / "x.png")
    jobs = [gone, *jobs[:6], gone, *jobs[6:], gone]
    outcomes = list(process(Bright(), jobs, Task(AS_MASK), None))
    assert [outcome.job for outcome in outcomes] == jobs
    failed = {index: outcome.error for index, outcome in enumerate(outcomes) if outcome.error is not None}
    assert set(failed) == {0, 4, 7, 14}
    assert isinstance(failed[4], ImageError)
    assert all(isinstance(failed[index], SourceError) for index in (0, 7, 14))


def test_few_images_are_in_memory(tmp_path):
    """However slow the writing is, the network does not run far ahead of it."""
    jobs = jobs_for(tmp_path, 40)
    segmenter, written, ahead, lock = Bright(), [0], [], threading.Lock()

    def draw(result):
        with lock:
            written[0] += 1
            ahead.append(segmenter.ran - written[0])
        return result.picture("mask")

    for _ in process(segmenter, jobs, Task(pictures(draw, "png")), None):
        assert segmenter.ran <= 40
    assert max(ahead) <= 6


def test_an_output_that_cannot_be_written_ends_the_run(tmp_path):
    jobs = jobs_for(tmp_path, 40)
    (tmp_path / "out").write_text("a file where the folder should be")
    segmenter = Bright()
    with pytest.raises(OutputError):
        list(process(segmenter, jobs, Task(AS_MASK), None))
    assert segmenter.ran < 12
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("figureground")]
