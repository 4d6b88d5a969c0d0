"""The verb `parse`: parts as pictures and as numbers, at any level."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from figureground.labels import LabelTree

ROOT = Path(__file__).resolve().parents[2]
TREE = LabelTree.named("pascal-person-part")


@pytest.fixture
def parse(call, tiny_parts_bundle):
    """`call("parse", ...)` with the tiny network of parts."""
    return lambda *arguments: call("parse", "--network", tiny_parts_bundle, *arguments)


@pytest.fixture
def person() -> np.ndarray:
    """Head above torso above legs, in the colours of the tiny network, uint8 (96, 128, 3)."""
    picture = np.zeros((96, 128, 3), np.uint8)
    picture[0:32, 32:64] = (255, 0, 0)
    picture[32:64, 32:96] = (0, 255, 0)
    picture[64:96, 32:64] = (0, 255, 255)
    return picture


@pytest.fixture
def photo(tmp_path, person) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(person).save(path)
    return path


def test_a_photo_gives_an_overlay_beside_it(parse, photo):
    answer = parse("photo.png")
    assert (answer.code, answer.lines, answer.err) == (0, ["photo-parts-overlay.png"], "")
    with Image.open(photo.with_name("photo-parts-overlay.png")) as picture:
        assert (picture.mode, picture.height) == ("RGB", 96)
        assert picture.width > 128, "the legend"


@pytest.mark.parametrize(
    ("kind", "name"),
    [("overlay", "parts-overlay"), ("map", "parts-map"), ("parts", "parts"), ("side-by-side", "parts-side-by-side")],
)
def test_every_kind(parse, photo, kind, name):
    assert parse("photo.png", "--as", kind).lines == [f"photo-{name}.png"]
    assert parse("photo.png", "--as", kind, "--level", "0", "-o", "out").lines == ["out/photo.png"]


@pytest.mark.parametrize(("level", "values"), [("0", (1, 1, 1)), ("1", (1, 1, 2)), ("2", (4, 2, 5)), (None, (4, 2, 5))])
@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_a_map_has_the_numbers_of_the_level(parse, photo, level, values, suffix):
    options = [] if level is None else ["--level", level]
    assert parse("photo.png", "--as", "map", *options, "-o", f"map.{suffix}").code == 0
    with Image.open(photo.with_name(f"map.{suffix}")) as picture:
        assert picture.mode == "P"
        numbers = np.asarray(picture)
    assert (numbers[16, 48], numbers[48, 48], numbers[80, 48]) == values
    assert numbers[16, 120] == 0


def test_a_map_is_a_mask_to_train_and_measure_with(parse, photo, tmp_path):
    from figureground.data.sources import read_index_map

    assert parse("photo.png", "--as", "map").code == 0
    numbers = read_index_map(tmp_path / "photo-parts-map.png")
    assert {TREE.leaves[value - 1].name for value in np.unique(numbers) if value} == {"head", "torso", "up_leg"}


def parts_of(line: str) -> dict[str, dict]:
    return {part["name"]: part for part in json.loads(line)["parts"]}


def test_numbers_go_to_stdout_a_line_for_each_photo(parse, photo, person, tmp_path):
    Image.fromarray(np.zeros_like(person)).save(tmp_path / "nobody.png")
    answer = parse("photo.png", "nobody.png", "--as", "json")
    assert answer.code == 0
    first, second = (json.loads(line) for line in answer.lines)
    assert (first["source"], first["output"], first["level"], first["is_empty"]) == ("photo.png", None, None, False)
    assert second["parts"] == []
    parts = parts_of(answer.lines[0])
    assert list(parts) == ["body", "upper_body", "lower_body", "torso", "head", "up_leg"]
    head = parts["head"]
    assert head["area"] == pytest.approx(32 * 32, rel=0.1)
    assert head["share"] == head["area"] / (96 * 128)
    assert np.abs(np.array(head["box"]) - [32, 0, 64, 32]).max() <= 2
    assert 0.9 < head["confidence"] <= 1
    assert (head["parent"], head["level"]) == ("upper_body", 2)
    assert parts["upper_body"]["area"] == head["area"] + parts["torso"]["area"]
    assert not list(tmp_path.glob("photo-*"))


def test_numbers_at_one_level(parse, photo):
    assert set(parts_of(parse("photo.png", "--as", "json", "--level", "1").out)) == {"upper_body", "lower_body"}
    assert set(parts_of(parse("photo.png", "--as", "json", "--level", "0", "-o", "-").out)) == {"body"}


def test_numbers_into_files(parse, folder, person, tmp_path):
    for path in folder.rglob("*.*g"):
        Image.fromarray(person).save(path)
    assert parse("photos", "--as", "json").lines[0].count("{")
    assert parse("photos", "--as", "json", "-o", "out").code == 0
    written = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.json"))
    assert written == ["a.json", "b.json", "sub/a.json", "sub/c.json"]
    assert "head" in parts_of((tmp_path / "out" / "b.json").read_text())
    again = [json.loads(line) for line in parse("photos", "--as", "json", "-o", "out", "--resume", "--json").lines]
    assert all(fact["skipped"] for fact in again)
    assert parse("photos/b.png", "--as", "json", "-o", "one.json").lines == ["one.json"]


def test_pictures_with_json_lines(parse, photo):
    [line] = parse("photo.png", "--json").lines
    assert json.loads(line)["output"] == "photo-parts-overlay.png"
    assert "head" in parts_of(line)


def test_folders_resume_and_bad_photos(parse, folder):
    (folder / "broken.jpg").write_bytes(b"text")
    answer = parse("photos", "-o", "out")
    assert answer.code == 2
    assert "photos/broken.jpg" in answer.one_error
    assert answer.lines[0].startswith("4 pictures written to out, 1 failed")
    assert parse("photos", "-o", "out", "--resume").lines[0].startswith("0 pictures written to out, 4 were there")


def test_stdin_to_stdout(photo, tiny_parts_bundle):
    command = [sys.executable, "-m", "figureground", "parse", "-", "--network", tiny_parts_bundle, "--as"]
    picture = subprocess.run(
        [*command, "map"], input=photo.read_bytes(), capture_output=True, cwd=ROOT / "src", timeout=120
    )
    assert (picture.returncode, picture.stderr) == (0, b"")
    assert Image.open(io.BytesIO(picture.stdout)).size == (128, 96)
    facts = subprocess.run(
        [*command, "json"], input=photo.read_bytes(), capture_output=True, cwd=ROOT / "src", timeout=120
    )
    assert set(parts_of(facts.stdout.decode())) >= {"head", "torso"}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["photo.png", "--level", "3"], 2, "no level 3; levels run from 0 to 2"),
        (["photo.png", "--level", "-1"], 2, "level"),
        (["photo.png", "--as", "map", "-o", "map.jpg"], 4, "a jpg file does not keep the numbers of a map"),
        (["photo.png", "--as", "map", "--format", "webp"], 4, "write .png, .tif, .bmp"),
        (["photo.png", "--as", "json", "--format", "png"], 4, "--as json is no png picture"),
        (["photo.png", "--as", "json", "-o", "a.png"], 4, "cannot write a .png file"),
        (["photo.png", "--as", "overlay", "-o", "a.json"], 4, "cannot write a .json file"),
        (["missing.png"], 2, "no such file"),
        (["photo.png", "--as", "cutout"], 2, "cutout"),
    ],
)
def test_bad_calls(parse, photo, tmp_path, arguments, code, said):
    before = set(tmp_path.rglob("*"))
    answer = parse(*arguments)
    assert answer.code == code
    assert said in answer.one_error
    assert set(tmp_path.rglob("*")) == before


def test_a_network_without_parts(call, photo, tiny_bundle):
    answer = call("parse", "photo.png", "--network", tiny_bundle)
    assert answer.code == 3
    assert "the network 'tiny' has no parts, it only finds 'person'" in answer.one_error


def test_an_installation_without_a_network_of_parts(call, photo, monkeypatch):
    from figureground.runtime import catalogue

    monkeypatch.setattr(catalogue, "shipped", dict)
    answer = call("parse", "photo.png")
    assert answer.code == 3
    assert "no network 'parts'" in answer.one_error
