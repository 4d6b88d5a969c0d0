"""Several networks on photos whose numbers are known, and everything that is written about them."""

from __future__ import annotations

import csv
import io
import json
import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from figureground import View, load
from figureground.checks import ArgumentError
from figureground.cli.app import main
from figureground.draw import Point, scatter
from figureground.errors import DataError
from figureground.evaluate import (
    Contestant,
    as_csv,
    as_html,
    as_markdown,
    as_scatter,
    compare,
    evaluate,
    find_pairs,
    write_comparison,
)
from figureground.runtime.segmenter import Segmenter


class Eroded(Segmenter):
    """Another segmenter, with everything below the upper half left out."""

    def __init__(self, inner, name="half"):
        super().__init__(name, inner.labels, inner.threshold)
        self.inner = inner

    def network_size(self, height, width):
        return self.inner.network_size(height, width)

    def probabilities(self, image):
        found = self.inner.probabilities(image).copy()
        found[:, found.shape[1] // 2 :] = 0
        return found


@pytest.fixture
def contestants(segmenter):
    return [Contestant("whole", segmenter), Contestant("half", Eroded(segmenter))]


@pytest.fixture
def pairs(dataset):
    return find_pairs(dataset)


def test_the_numbers_are_those_of_evaluate(contestants, pairs):
    told = []
    found = compare(contestants, pairs, timed=0, progress=lambda done, total: told.append((done, total)))
    assert told == [(done, len(pairs)) for done in range(1, len(pairs) + 1)]
    for contestant, standing in zip(contestants, found.standings, strict=True):
        alone = evaluate(contestant.segmenter, pairs)
        for name, value in standing.metrics.items():
            assert value.value == pytest.approx(alone.summary[name])
            assert value.low <= value.value <= value.high
        assert standing.per_image == alone.per_image
        assert standing.milliseconds is None
    again = compare(contestants, pairs, timed=0)
    assert again == found
    assert compare(contestants, pairs, timed=0, seed=1).standings[0].metrics != found.standings[0].metrics


def test_differences_are_paired(contestants, pairs):
    [difference] = compare(contestants, pairs, timed=0).differences
    whole, half = (evaluate(one.segmenter, pairs).per_image for one in contestants)
    values = [a.iou - b.iou for a, b in zip(whole, half, strict=True)]
    assert (difference.first, difference.second) == ("whole", "half")
    assert difference.mean.value == pytest.approx(np.mean(values))
    assert (difference.better, difference.worse) == (sum(v > 0 for v in values), sum(v < 0 for v in values))
    assert difference.p == difference.p_adjusted


def test_the_p_value_is_scipys(contestants, pairs):
    stats = pytest.importorskip("scipy.stats")
    [difference] = compare(contestants, pairs, metric="dice", timed=0).differences
    whole, half = (evaluate(one.segmenter, pairs).per_image for one in contestants)
    values = np.array([a.dice - b.dice for a, b in zip(whole, half, strict=True)])
    theirs = stats.permutation_test((values,), np.sum, permutation_type="samples", n_resamples=np.inf).pvalue
    assert difference.p == pytest.approx(theirs)


def test_three_make_three_pairs_and_holm_raises_them(contestants, pairs, segmenter):
    three = [*contestants, Contestant("mirror", View(segmenter, mirrored=True))]
    found = compare(three, pairs, timed=0)
    assert [(one.first, one.second) for one in found.differences] == [
        ("whole", "half"), ("whole", "mirror"), ("half", "mirror"),
    ]  # fmt: skip
    assert all(one.p_adjusted >= one.p for one in found.differences)
    same = found.differences[1]
    assert (same.mean.value, same.p) == (0.0, 1.0)


def test_disagreement_is_of_pixels_that_any_calls_figure(contestants, pairs):
    found = compare(contestants, pairs, timed=0)
    assert found.disagreement["nobody"] == 0
    assert found.disagreement["good"] == pytest.approx(0.5, abs=0.05), "one has the upper half only"
    assert found.most_disputed(2) == sorted(found.disagreement, key=lambda name: -found.disagreement[name])[:2]
    assert compare(contestants[:1], pairs, timed=0).disagreement["good"] == 0


def test_times_are_taken_in_turns(dataset, segmenter):
    order = []

    class Watched(Eroded):
        def probabilities(self, image):
            order.append(self.name)
            return super().probabilities(image)

    pairs = find_pairs(dataset)[:3]
    two = [Contestant(name, Watched(segmenter, name)) for name in "ab"]
    found = compare(two, pairs, timed=2)
    assert all(standing.milliseconds > 0 for standing in found.standings)
    taken = order[2 * len(pairs) : -2]
    assert all(set(turn) == {"a", "b"} for turn in zip(taken[::2], taken[1::2], strict=True))
    assert {taken[place] for place in range(0, len(taken), 2)} == {"a", "b"}, "each is the first at times"


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (lambda ones, pairs: compare([], pairs), ArgumentError),
        (lambda ones, pairs: compare([ones[0], ones[0]], pairs), ArgumentError),
        (lambda ones, pairs: compare(ones, []), DataError),
        (lambda ones, pairs: compare(ones, pairs, metric="jaccard"), ArgumentError),
        (lambda ones, pairs: compare(ones, pairs, timed=-1), ArgumentError),
    ],
)
def test_wrong_arguments(contestants, pairs, wrong, error):
    with pytest.raises(error):
        wrong(contestants, pairs)


def test_the_tables(contestants, pairs):
    found = compare([Contestant("a|<b>", contestants[0].segmenter), contestants[1]], pairs, timed=2)
    markdown = as_markdown(found)
    assert "| a\\|<b> | -" in markdown
    widths = {line.replace("\\|", "").count("|") for line in markdown.split("\n\n")[0].splitlines()}
    assert len(widths) == 1
    first, second = csv.DictReader(io.StringIO(as_csv(found)))
    assert (first["network"], second["network"]) == ("a|<b>", "half")
    assert float(first["iou_dataset_low"]) == found.standings[0].metrics["iou_dataset"].low
    page = as_html(found)
    assert "<b>" not in page.replace("<b></b>", "")
    assert "<svg" in page
    root = ET.fromstring(as_scatter(found))
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"a|<b>", "half", "IoU, image mean"} <= set(texts)
    assert as_scatter(compare(contestants, pairs, timed=0)) is None


def test_the_plot_puts_points_in_their_place():
    points = [Point("a", 2, 0.8, 0.7, 0.9), Point("b", 20, 0.9, 0.88, 0.91), Point("c", 200, 0.9, 0.88, 0.91)]
    root = ET.fromstring(scatter(points, x_title="ms", y_title="IoU"))
    space = "{http://www.w3.org/2000/svg}"
    x, y = zip(*[(float(c.get("cx")), float(c.get("cy"))) for c in root.iter(f"{space}circle")], strict=True)
    assert x[1] - x[0] == pytest.approx(x[2] - x[1], abs=0.2), "ten times is one step, wherever it starts"
    assert y[0] > y[1] == y[2]
    [first] = [e for e in root.iter(f"{space}line") if e.get("stroke-width") == "2" and float(e.get("x1")) == x[0]]
    assert float(first.get("y1")) > y[0] > float(first.get("y2"))
    alone = scatter([Point("<a>", 5, 1.0, 1.0, 1.0)], x_title="ms", y_title="IoU")
    assert "&lt;a&gt;" in alone
    for wrong in ([], [Point("a", 0, 1, 1, 1)], [Point("a", 1, float("nan"), 1, 1)]):
        with pytest.raises(ArgumentError):
            scatter(wrong, x_title="", y_title="")


def test_what_is_written(contestants, pairs, tmp_path):
    found = compare(contestants, pairs, timed=1)
    page = write_comparison(found, contestants, pairs, tmp_path / "deep" / "out", pictures=2)
    names = {path.name for path in page.parent.iterdir()}
    assert names == {
        "compare.md", "compare.csv", "compare.json", "scatter.svg", "index.html",
        "disputed-001.jpg", "disputed-002.jpg",
    }  # fmt: skip
    assert json.loads((page.parent / "compare.json").read_text()) == found.to_dict()
    shown = re.findall(r'src="([^"]+)"', page.read_text())
    assert shown == ["disputed-001.jpg", "disputed-002.jpg"]
    strip = Image.open(page.parent / shown[0])
    assert strip.size == (3 * 520 + 2 * 4, 260 + 22)


@pytest.fixture
def both(tmp_path, tiny_bundle):
    file = tmp_path / "flipped.json"
    from figureground import augmented, save_predictor

    save_predictor(augmented(load(tiny_bundle)), file)
    return tiny_bundle, file


def test_the_verb(both, dataset, tmp_path, capsys):
    arguments = ["compare", *map(str, both), "--data", str(dataset), "--timed", "1"]
    assert main([*arguments, "-o", str(tmp_path / "out"), "--pictures", "1"]) == 0
    said = capsys.readouterr()
    assert re.search(r"IoU, all pixels +0\.62\d\d \[", said.out)
    assert "tiny - tiny flip" in said.out
    assert said.out.splitlines()[-1] == f"page: {tmp_path / 'out' / 'index.html'}"
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in found["networks"]] == ["tiny", "tiny flip"]
    assert found["networks"][0]["multiply_adds"] == 0


def test_the_verb_tells_networks_of_one_name_apart(both, dataset, tmp_path, capsys):
    bundle, _ = both
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(bundle.read_bytes())
    assert main(["compare", str(bundle), str(copy), "--data", str(dataset), "--timed", "0", "--json"]) == 0
    assert [one["name"] for one in json.loads(capsys.readouterr().out)["networks"]] == [str(bundle), str(copy)]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["{net}", "--data", "none"], 2, "no such folder: none"),
        (["{net}", "{net}", "--data", "{data}"], 3, "twice"),
        (["perzon", "--data", "{data}"], 3, "did you mean 'person'"),
        (["{data}", "--data", "{data}"], 3, "holds no run"),
        (["--data", "{data}"], 2, "RUN|NAME|FILE"),
        (["{net}", "--data", "{data}", "-o", "{data}/images/good.png"], 4, "good.png"),
    ],
)
def test_the_verb_says_what_is_wrong(tiny_bundle, dataset, capsys, arguments, code, said):
    filled = [argument.format(net=tiny_bundle, data=dataset) for argument in arguments]
    assert main(["compare", *filled]) == code
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("figureground: ")
    assert said in line
