"""The page of a run, and the numbers that it is made from."""

from __future__ import annotations

import html.parser
import re
import xml.etree.ElementTree as ET

import pytest

from figureground.checks import ArgumentError
from figureground.draw import curves
from figureground.train.history import best, read_history
from figureground.train.logs import LongCsv
from figureground.train.report import report_page, write_report

SVG = "{http://www.w3.org/2000/svg}"


def log(folder, numbers):
    logger = LongCsv(folder / "metrics.csv")
    for epoch, step, metrics in numbers:
        logger.log_metrics({**metrics, **({} if epoch is None else {"epoch": epoch})}, step)


def test_the_later_of_two_values_counts(tmp_path):
    log(tmp_path, [(0, 3, {"val/score": 0.5}), (1, 7, {"val/score": 0.9})])
    log(tmp_path, [(1, 7, {"val/score": 0.6}), (2, 11, {"val/score": float("nan")}), (None, 3, {"lr-a": 0.1})])
    history = read_history(tmp_path / "metrics.csv")
    assert history["val/score"] == [(0, 3, 0.5), (1, 7, 0.6)]
    assert history["lr-a"] == [(None, 3, 0.1)]
    assert best(history["val/score"]) == (1, 7, 0.6)
    assert best([]) is None
    assert read_history(tmp_path / "none.csv") == {}


def test_a_broken_last_line_is_cut_off(tmp_path):
    log(tmp_path, [(0, 3, {"val/score": 0.5, "train/loss": 1.0})])
    path = tmp_path / "metrics.csv"
    path.write_bytes(path.read_bytes()[:-4])
    log(tmp_path, [(0, 3, {"train/loss": 2.0})])
    assert {name: moments[0].value for name, moments in read_history(path).items()} == {
        "val/score": 0.5,
        "train/loss": 2.0,
    }


def test_curves_are_drawn_to_scale():
    root = ET.fromstring(curves({"a<b": [(0, 0), (5, 1), (10, 0.5)], "dot": [(5, 0.5)]}, x_title="x", y_title="y"))
    points = [tuple(map(float, point.split(","))) for point in root.find(f"{SVG}polyline").get("points").split()]
    (x0, y0), (x1, y1), (x2, y2) = points
    assert x1 - x0 == pytest.approx(x2 - x1)
    assert y2 == pytest.approx((y0 + y1) / 2)
    assert y1 < y0
    dot = root.find(f"{SVG}circle")
    assert (float(dot.get("cx")), float(dot.get("cy"))) == pytest.approx((x1, y2))
    assert "a<b" in {element.text for element in root.iter(f"{SVG}text")}


@pytest.mark.parametrize("wrong", [{}, {"a": []}, {"a": [(0, float("inf"))]}])
def test_what_is_no_curve(wrong):
    with pytest.raises(ArgumentError, match="at least one point"):
        curves(wrong, x_title="", y_title="")


def test_equal_values_have_a_scale():
    root = ET.fromstring(curves({"flat": [(0, 3e-9), (1, 3e-9)], "far": [(1, 2.5e4)]}, x_title="", y_title=""))
    assert len(root.findall(f"{SVG}polyline")) == 1
    ET.fromstring(curves({"flat": [(4, 0.0), (4, 0.0)]}, x_title="", y_title=""))


class References(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.tags = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.found += [value for name, value in attributes if name in ("src", "href")]


def test_the_page_tells_all_and_needs_nothing_beside_it(tmp_path):
    (tmp_path / "recipe.yaml").write_text("name: a<b\ndescription: People & more\nschedule: {epochs: 3}\n")
    (tmp_path / "environment.json").write_text('{"torch": "2.5", "git": {"commit": "abc", "dirty": true}}')
    (tmp_path / "data.json").write_text('{"people": {"files": 16, "bytes": 99, "sha256": "f00"}}')
    (tmp_path / "pictures").mkdir()
    for name in ("epoch_000.jpg", "epoch_001.jpg"):
        (tmp_path / "pictures" / name).write_bytes(name.encode())
    scores = [(epoch, 4 * epoch, {"val/score": score}) for epoch, score in enumerate((0.5, 0.8, 0.7))]
    log(tmp_path, [*scores, (0, 3, {"train/loss_epoch": 1.0, "train/loss_step": 2.0}), (None, 0, {"lr-a": 0.1})])
    path = write_report(tmp_path)
    page = path.read_text()
    assert path.name == "report.html"
    for told in ("a&lt;b", "People &amp; more", "2.5", "commit abc, dirty True", "f00", "epoch_001.jpg"):
        assert told in page
    assert "Best score 0.8000 in epoch 1; the last validated is epoch 2, counted from 0, of 3." in page
    assert re.search(r"<td>val/score</td><td>0.8000</td><td>1</td><td>0.7000</td>", page)
    assert "loss_epoch" in page
    assert "loss_step" not in page
    reader = References()
    reader.feed(page)
    assert reader.tags.count("svg") == 3
    assert reader.found == ["data:image/jpeg;base64,ZXBvY2hfMDAxLmpwZw=="]  # epoch_001.jpg


def test_the_page_of_an_empty_folder(tmp_path):
    assert "Not validated yet." in report_page(tmp_path)


def test_the_newest_picture_is_that_of_the_highest_epoch(tmp_path):
    (tmp_path / "pictures").mkdir()
    for name in ("epoch_999.jpg", "epoch_1000.jpg"):
        (tmp_path / "pictures" / name).write_bytes(name.encode())
    assert "<figcaption>predictions: epoch_1000.jpg</figcaption>" in report_page(tmp_path)
