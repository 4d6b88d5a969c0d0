"""Parts in a comparison, against `evaluate_parts`."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from figureground import load
from figureground.checks import ArgumentError
from figureground.cli.app import main
from figureground.errors import LabelError
from figureground.evaluate import Contestant, as_markdown, compare, evaluate_parts, find_pairs
from figureground.labels import LabelTree
from figureground.runtime.segmenter import Segmenter

TREE = LabelTree.named("pascal-person-part")
# What tests/conftest.py's network of parts takes for what.
COLORS = {
    "head": (255, 0, 0), "torso": (0, 255, 0), "up_hand": (0, 0, 255),
    "low_hand": (255, 255, 0), "up_leg": (0, 255, 255), "low_leg": (255, 0, 255),
}  # fmt: skip


class Swapped(Segmenter):
    """Another segmenter that takes torsos for heads and heads for torsos."""

    def __init__(self, inner):
        super().__init__("swapped", inner.labels, inner.threshold)
        self.inner = inner

    def network_size(self, height, width):
        return self.inner.network_size(height, width)

    def probabilities(self, image):
        names = [leaf.name for leaf in self.labels.leaves]
        order = list(range(len(names)))
        one, other = names.index("head"), names.index("torso")
        order[one], order[other] = other, one
        return self.inner.probabilities(image)[order]


@pytest.fixture
def pairs(tmp_path):
    """Six photos of coloured blocks, with truths that have other blocks here and there; one has nobody."""
    values = TREE.mask_values()
    rng = np.random.default_rng(0)
    for folder in ("images", "parts"):
        (tmp_path / folder).mkdir()
    for number in range(6):
        true = np.zeros((4, 4), np.uint8) if number == 5 else rng.choice([0, *values.values(), 255], (4, 4))
        photo = np.zeros((4, 4, 3), np.uint8)
        for name, color in COLORS.items():
            photo[true == values[name]] = color
        large = [np.kron(blocks, np.ones((16, 16), np.uint8)) for blocks in (true, *np.moveaxis(photo, 2, 0))]
        Image.fromarray(large[0].astype(np.uint8)).save(tmp_path / f"parts/{number}.png")
        Image.fromarray(np.dstack(large[1:]).astype(np.uint8)).save(tmp_path / f"images/{number}.png")
    return find_pairs(tmp_path)


@pytest.fixture
def contestants(tiny_parts_bundle):
    network = load(tiny_parts_bundle)
    return [Contestant("right", network), Contestant("swapped", Swapped(network))]


def test_the_numbers_are_those_of_evaluate_parts(contestants, pairs):
    found = compare(contestants, pairs, labels=TREE, timed=0)
    assert found.metric == "parts"
    for contestant, standing in zip(contestants, found.standings, strict=True):
        alone = evaluate_parts(contestant.segmenter, pairs, labels=TREE)
        for level, entry in enumerate(alone.summary["levels"]):
            value = standing.metrics[f"iou_level{level}"]
            assert value.value == pytest.approx(entry["iou_mean"])
            assert value.low <= value.value <= value.high
        theirs = [1.0 if record.level_iou[-1] is None else record.level_iou[-1] for record in alone.per_image]
        assert list(standing.parts) == pytest.approx(theirs)
    [difference] = found.differences
    assert difference.better >= 3
    assert difference.mean.value == pytest.approx(np.mean(np.subtract(*[one.parts for one in found.standings])))


def test_swapped_parts_make_no_difference_to_the_person(contestants, pairs):
    by_parts = compare(contestants, pairs, labels=TREE, timed=0)
    by_person = compare(contestants, pairs, labels=TREE, metric="iou", timed=0)
    assert by_parts.differences[0].mean.value > 0.05
    assert by_person.differences[0].mean.value == 0
    assert by_person.standings == by_parts.standings
    assert "mean IoU, level 2" in as_markdown(by_parts).splitlines()[0]


def test_parts_need_a_tree(contestants, pairs):
    with pytest.raises(ArgumentError, match="'parts' here"):
        compare(contestants, pairs, metric="parts")
    with pytest.raises(LabelError):
        compare(contestants, pairs, labels=LabelTree.named("cityscapes"))


def test_the_verb(tiny_parts_bundle, pairs, capsys):
    folder = pairs[0].image.parent.parent
    arguments = ["compare", str(tiny_parts_bundle), "--data", str(folder), "--timed", "0"]
    assert main([*arguments, "--tree", "pascal-person-part", "--json"]) == 0
    [one] = json.loads(capsys.readouterr().out)["networks"]
    assert {"iou_level0", "iou_level1", "iou_level2"} <= set(one["metrics"])
    assert one["per_image"][5]["parts"] == 1.0
    assert main([*arguments, "--metric", "parts"]) == 2
    assert "'parts'" in capsys.readouterr().err
    assert main([*arguments, "--tree", "pascal-person-parts"]) == 2
