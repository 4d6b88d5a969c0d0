"""People first and tiles in a search, against trying all of them by hand."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import figureground as fg
from figureground.checks import ArgumentError
from figureground.cli.app import main
from figureground.evaluate import closer_looks, evaluate, find_pairs, tune
from figureground.evaluate import refining as module
from figureground.evaluate.goals import FigureGoal
from figureground.evaluate.refining import Refinement, refined_scores
from figureground.labels import LabelTree
from figureground.runtime.bundle import Bundle
from figureground.runtime.sizing import Sizing

HOUR = 3.6e6
LOOKS = closer_looks(people_first=True, zooms=(2, 3))


@pytest.fixture
def small_people(tmp_path):
    """Photos 128 x 160 with somebody of some 20 pixels, whom a network of 32 x 40 pixels sees blurred."""
    root = tmp_path / "small"
    rng = np.random.default_rng(3)
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for number in range(4):
        mask = np.zeros((128, 160), np.uint8)
        top, left = rng.integers(20, 90, 2)
        mask[top : top + 22, left : left + 9] = 255
        mask[top + 8 : top + 11, left : left + 21] = 255
        Image.fromarray(np.stack([mask] * 3, axis=-1)).save(root / "images" / f"{number}.png")
        Image.fromarray(mask).save(root / "masks" / f"{number}.png")
    return root


@pytest.fixture
def coarse(tiny_bundle, tmp_path):
    """The network of `tiny_bundle` at 32 x 40 pixels."""
    bundle = Bundle.read(tiny_bundle)
    made = Bundle.create(
        bundle.model_bytes, name="coarse", labels=bundle.labels, sizing=Sizing(32 * 40, 8), threshold=0.5, card={}
    )
    made.save(tmp_path / "coarse.onnx")
    return fg.load(tmp_path / "coarse.onnx", threads=1)


def test_the_best_look_is_found(coarse, small_people, tmp_path):
    pairs = find_pairs(small_people)
    tuning = tune([coarse], pairs, budget_ms=HOUR, flip=False, closer=LOOKS)
    by_hand = {
        (name, threshold): evaluate(made, pairs, threshold=threshold).summary["dice_image_mean"]
        for name, made in (
            ("alone", coarse),
            ("people first", fg.PeopleFirst(coarse)),
            ("tiles x2", fg.Tiled(coarse, zoom=2)),
            ("tiles x3", fg.Tiled(coarse, zoom=3)),
        )
        for threshold in np.linspace(0.1, 0.9, 9).round(1)
    }
    best, score = max(by_hand.items(), key=lambda item: item[1])
    assert best[0] != "alone"
    assert tuning.winner.score >= score
    assert tuning.winner.score > tuning.facts["baseline"]["score"] + 0.01
    again = evaluate(tuning.winner.segmenter, pairs).summary["dice_image_mean"]
    assert again == pytest.approx(tuning.winner.score, abs=1e-12)
    assert tuning.facts["closer"] == ["people first", "tiles x2", "tiles x3"]
    fg.save_predictor(tuning.winner.segmenter, tmp_path / "best.json")
    assert isinstance(fg.load(tmp_path / "best.json"), fg.PeopleFirst | fg.Tiled)


def test_steps_come_after_the_closer_look(coarse, small_people):
    """A step that changes nothing takes note of what it stands around."""
    around = []

    def noted(inner):
        around.append(type(inner))
        return fg.Refined(inner, "specks:min_area=0")

    menu = {"noted": Refinement("noted", noted)}
    tune([coarse], find_pairs(small_people), budget_ms=HOUR, flip=False, refinements=menu, closer=LOOKS)
    assert around
    assert set(around) <= {fg.PeopleFirst, fg.Tiled}  # the best candidates look closer, and they are refined


class Slow(fg.Segmenter):
    """Each run takes one second of a clock of its own."""

    def __init__(self):
        super().__init__("slow", LabelTree.person(), 0.5)
        self.now = 0.0

    def network_size(self, height, width):
        return 16, 16

    def fitting_size(self, height, width):
        return height, width

    def probabilities(self, image):
        self.now += 1.0
        return (image[None, ..., 0] / 255).astype(np.float32)


def test_what_is_remembered_costs_what_it_cost(small_people, monkeypatch):
    """Rows that look at the same crops are charged for them alike, whoever of them came first."""
    slow = Slow()
    monkeypatch.setattr(module.time, "perf_counter", lambda: slow.now)
    pairs = find_pairs(small_people)
    people, tiles = LOOKS["people first"], LOOKS["tiles x2"]
    step = Refinement("holes", lambda inner: fg.Refined(inner, "holes"))
    rows = [(), (people,), (people, step), (tiles,), (step,)]
    extra = [milliseconds / 1000 for _, milliseconds in refined_scores(slow, rows, pairs, FigureGoal("dice_dataset"))]
    assert extra == [0, 1, 1, 9, 0]  # one person in each; nine tiles of half the side, which overlap


def test_what_is_refused():
    with pytest.raises(ArgumentError, match=r"zoom must be from 1 to 100, not 0\.5"):
        closer_looks(zooms=(0.5,))
    assert closer_looks() == {}


def test_the_verb(coarse, small_people, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    given = ["tune", "coarse.onnx", "--data", "small", "--no-flip", "--no-refine", "--budget-ms", str(HOUR)]
    assert main([*given, "--people-first", "--zoom", "2", "-o", "best.json"]) == 0
    assert "coarse people first" in capsys.readouterr().out
    assert fg.load("best.json").name == "best"
    assert main([*given, "--zoom", "0.5"]) == 2
    assert "zoom must be from 1 to 100" in capsys.readouterr().err
