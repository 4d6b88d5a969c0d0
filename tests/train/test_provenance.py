"""What a run notes about its surroundings and its photos, and that a resumed run gets the same photos."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from figureground.errors import DataError
from figureground.train import Recipe, run
from figureground.train.provenance import changed_data, data_fingerprint, environment, git_state, with_resumption


def git(folder, *arguments):
    author = ["-c", "user.name=Nobody", "-c", "user.email=nobody@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *author, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_state_of_a_repository(tmp_path, monkeypatch):
    assert git_state(tmp_path) is None
    git(tmp_path, "init", "-q")
    assert git_state(tmp_path) is None
    (tmp_path / "a").write_text("one")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-q", "-m", "First")
    commit = git(tmp_path, "log", "-1", "--format=%H").strip()
    assert git_state(tmp_path) == {"commit": commit, "dirty": False}
    (tmp_path / "untracked").write_text("a run, say")
    assert git_state(tmp_path) == {"commit": commit, "dirty": False}
    (tmp_path / "a").write_text("two")
    assert git_state(tmp_path) == {"commit": commit, "dirty": True}
    monkeypatch.chdir(tmp_path)
    assert environment()["git"]["commit"] == commit
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "git" not in environment()


@pytest.fixture
def photos(tmp_path, tiny_photos):
    return shutil.copytree(tiny_photos, tmp_path / "photos")


def fingerprint(tiny_recipe, root):
    return data_fingerprint(Recipe.read(tiny_recipe, [f"data.root={root}"]))


def test_the_fingerprint_counts_and_does_not_care_where(tiny_recipe, tiny_photos, photos):
    found = fingerprint(tiny_recipe, photos)
    assert found == fingerprint(tiny_recipe, tiny_photos)
    files = [*(photos / "people/images").iterdir(), *(photos / "people/masks").iterdir()]
    assert found["people"]["files"] == 16
    assert found["people"]["bytes"] == sum(path.stat().st_size for path in files)
    assert set(found) == {"people", "empty"}


def other_mask(photos):
    path = photos / "people/masks/p0.png"
    content = bytearray(path.read_bytes())
    content[-20] ^= 1  # of the same length
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (lambda root: (root / "empty/n3.png").unlink(), "source 'empty' had 8 files of .* bytes, and has 7 files"),
        (lambda root: (root / "empty/n3.png").rename(root / "empty/m3.png"), "source 'empty' has other files"),
        (other_mask, "source 'people' has other files"),
    ],
    ids=["one less", "renamed", "another content"],
)
def test_a_change_is_found(tiny_recipe, tiny_photos, photos, change, difference):
    before = fingerprint(tiny_recipe, tiny_photos)
    change(photos)
    with pytest.raises(AssertionError, match=difference):
        raise AssertionError(changed_data(before, fingerprint(tiny_recipe, photos)))


def test_depth_maps_belong_to_a_source(tiny_recipe, photos):
    (photos / "depth").mkdir()
    for number in range(8):
        (photos / f"depth/p{number}.npy").write_bytes(b"a map")
    with_depth = [f"data.root={photos}", "depth={}", "data.sources.0.depth=depth", "data.sources.1.depth=false"]
    recipe = Recipe.read(tiny_recipe, with_depth)
    before = data_fingerprint(recipe)
    assert (before["people"]["files"], before["empty"]["files"]) == (24, 8)
    (photos / "depth/p3.npy").write_bytes(b"another map")
    assert "source 'people' had 24 files" in changed_data(before, data_fingerprint(recipe))


def test_the_environment_that_a_run_began_in_is_kept():
    first, second = {"torch": "1", "git": {"commit": "a"}}, {"torch": "1", "git": {"commit": "b"}}
    assert with_resumption(first, first) == first
    once = with_resumption(first, second)
    assert once == {**first, "resumed": [second]}
    assert with_resumption(once, second) == once
    assert with_resumption(once, first) == {**first, "resumed": [second, first]}


def test_a_new_and_a_lost_source():
    assert changed_data({}, {"a": {}}) == "source 'a' is new"
    assert changed_data({"a": {}}, {}) == "source 'a' is gone"
    assert changed_data({"a": {}}, {"a": {}}) is None


def test_other_photos_are_refused_on_resuming(tiny_recipe, photos, tmp_path):
    overrides, folder = [f"data.root={photos}", "schedule.epochs=1"], tmp_path / "run"
    run(tiny_recipe, overrides, output=folder)
    (folder / "finished.json").unlink()
    before = json.loads((folder / "data.json").read_text())
    (photos / "empty/n3.png").unlink()
    with pytest.raises(DataError, match=r"the photos are not those .*'empty' had 8 files.* or delete .*data\.json"):
        run(tiny_recipe, overrides, output=folder, resume=True)
    assert json.loads((folder / "data.json").read_text()) == before
    for damaged in (b'{"empty": {', b"[]", b"\xff\xfe\x00"):
        (folder / "data.json").write_bytes(damaged)
        with pytest.raises(DataError, match=r"data\.json is damaged: .*; delete it to go on"):
            run(tiny_recipe, overrides, output=folder, resume=True)
    (folder / "data.json").write_text('{"empty": 8}')
    with pytest.raises(DataError, match="source 'empty' was noted as 8"):
        run(tiny_recipe, overrides, output=folder, resume=True)
    (folder / "data.json").unlink()
    run(tiny_recipe, overrides, output=folder, resume=True)
    assert json.loads((folder / "data.json").read_text())["empty"]["files"] == 7
