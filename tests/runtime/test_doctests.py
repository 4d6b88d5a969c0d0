"""The examples in the docstrings run, with the shipped network on the photo that comes with the package."""

import doctest
import importlib
from pathlib import Path

import pytest

import figureground
from figureground.runtime import catalogue

DEMO = Path(figureground.__file__).parent / "demo" / "astronaut.jpg"


@pytest.mark.skipif("person" not in catalogue.shipped(), reason="the network 'person' is not in this checkout")
@pytest.mark.parametrize("module", ["catalogue", "ensemble", "predictor", "segmentation", "segmenter", "views"])
def test_examples(module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = importlib.import_module(f"figureground.runtime.{module}")
    outcome = doctest.testmod(found, extraglobs={"demo_photo": DEMO})
    assert outcome.attempted > 0
    assert outcome.failed == 0
