"""Where pictures go: whatever the photos are called, no output is an input and no two outputs are one file."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from figureground.cli.outputs import FORMATS, names_folder, output_format, plan
from figureground.cli.sources import Source
from figureground.cli.tables import table

NAMES = st.builds(
    lambda folder, stem, suffix: Path(*folder, f"{stem}{suffix}"),
    st.lists(st.sampled_from(["a", "b", "out"]), max_size=2),
    st.sampled_from(["x", "x-png", "x-cutout", "x-2", ".x", "x.y"]),
    st.sampled_from([".png", ".jpg", ".JPG", ".webp", ""]),
)


@given(
    st.lists(NAMES, min_size=1, max_size=12, unique=True),
    st.sampled_from([None, "out", "in", "in/a", "in/"]),
    st.booleans(),
    st.sampled_from(FORMATS),
)
def test_outputs_stay_apart(names, output, as_folder, picture_format):
    root = Path("in")
    sources = [
        Source(str(root / name), root / name, name if as_folder else Path(name.name), root if as_folder else None)
        for name in names
    ]
    targets = plan(sources, output, "cutout", picture_format)
    places = [os.path.realpath(target) for target in targets]
    assert len(set(places)) == len(places)
    assert not set(places) & {os.path.realpath(source.path) for source in sources}
    assert all(target.suffix == f".{picture_format}" for target in targets)


def test_what_names_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("dir.png").mkdir()
    Path("file").touch()
    assert [names_folder(name) for name in ("out", "out.d/", "dir.png")] == [True, True, True]
    assert [names_folder(name) for name in ("a.png", "A.JPEG", "-", "file")] == [False] * 4
    assert [output_format(name, None) for name in ("a.JPEG", "out", None, "file")] == ["jpg", "png", "png", "png"]


def test_a_folder_without_a_name_of_its_own(tmp_path, monkeypatch):
    inside = tmp_path / "album" / "deep"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    for root, expected in ((".", tmp_path / "album" / "deep-mask"), ("..", tmp_path / "album-mask")):
        source = Source("x", Path(root, "x.jpg"), Path("x.jpg"), Path(root))
        assert plan([source], None, "mask", "png") == [expected / "x.png"]


def test_tables_are_aligned():
    assert table([["name", "MB"], ["person", "9.1"]]) == "name    MB\nperson  9.1"
