"""docs/training.md explains the recipe that there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from figureground.data import Augment, Folds, SourceSpec, Stage
from figureground.losses import LOSSES
from figureground.train import Recipe
from figureground.train.predict import Predict
from figureground.train.specs import CriticSpec, Data, Distill, EarlyStop, Head, Loss, Network, Optimize, Schedule

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
SECTIONS = [
    Augment,
    CriticSpec,
    Data,
    Distill,
    EarlyStop,
    Folds,
    Head,
    Loss,
    Network,
    Optimize,
    Predict,
    Recipe,
    Schedule,
    SourceSpec,
    Stage,
]


def test_the_example_is_a_recipe(tmp_path, monkeypatch):
    monkeypatch.setenv("FIGUREGROUND_DATA", "photos")
    [example] = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "mine.yaml").write_text(example)
    recipe = Recipe.read(tmp_path / "mine.yaml")
    assert recipe.data.root == Path("photos")


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_key_is_explained(section):
    missing = [key for key in section.model_fields if not re.search(rf"[`.{{ ]{key}[`:]", TEXT)]
    assert not missing


def test_every_loss_is_explained():
    assert not [name for name in LOSSES if f"| `{name}` |" not in TEXT]
