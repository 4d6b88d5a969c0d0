"""`figureground combine` and `--refine`: what is typed is what Python would build."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import figureground as fg
from figureground.cli.app import main


@pytest.fixture
def photo():
    """Two bright areas on dark ground, uint8 (120, 160, 3)."""
    picture = np.full((120, 160, 3), 40, np.uint8)
    picture[20:100, 30:80] = 220
    picture[60:80, 120:140] = 200
    return picture


def combined(tmp_path, *arguments):
    assert main(["combine", *map(str, arguments), "-o", str(tmp_path / "made.json")]) == 0
    return fg.load(tmp_path / "made.json")


def test_everything_at_once_is_what_python_builds(tiny_bundle, tiny_parts_bundle, photo, tmp_path, capsys):
    one = fg.load(tiny_bundle)
    made = combined(
        tmp_path, tiny_bundle, tiny_bundle, "--weights", "3,1", "--mirror", "--scales", "1,1.5", "--mean", "logit",
        "--people-first", "--refine", "holes:max_area=0.01,largest", "--threshold", "0.4", "--name", "mine",
    )  # fmt: skip
    assert capsys.readouterr().out == f"{tmp_path / 'made.json'}\n"
    views = [fg.augmented(one, scales=(1, 1.5), mean="logit") for _ in range(2)]
    inner = fg.PeopleFirst(fg.Ensemble(views, weights=[3, 1], mean="logit"))
    wanted = fg.Refined(inner, "holes:max_area=0.01,largest").renamed("mine", 0.4)
    assert (made.name, made.threshold) == ("mine", 0.4)
    np.testing.assert_allclose(made(photo).probabilities, wanted(photo).probabilities, atol=1e-6)


def test_one_network_and_one_thing(tiny_bundle, photo, tmp_path):
    tiled = combined(tmp_path, tiny_bundle, "--zoom", "2")
    assert json.loads((tmp_path / "made.json").read_text(encoding="utf-8"))["predictor"]["kind"] == "tiled"
    expected = fg.Tiled(fg.load(tiny_bundle), zoom=2)(photo).probabilities
    np.testing.assert_allclose(tiled(photo).probabilities, expected, atol=1e-6)


def test_the_files_folder_is_made(tiny_bundle, tmp_path):
    file = tmp_path / "new" / "made.json"
    assert main(["combine", str(tiny_bundle), "--mirror", "-o", str(file)]) == 0
    assert fg.load(file).name == "tiny flip"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--people-first", "--zoom", "2"], "both look closer"),
        (["--weights", "1,2"], "weights"),
        (["--weights", "a"], "no list of numbers"),
        (["--scales", "0"], "scale"),
        (["--refine", "holees"], "holes"),
    ],
)
def test_what_cannot_be_combined(tiny_bundle, tmp_path, capsys, arguments, says):
    assert main(["combine", str(tiny_bundle), *arguments, "-o", str(tmp_path / "made.json")]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "made.json").exists()


def test_steps_after_the_network_in_evaluate_and_parse(tiny_bundle, tiny_parts_bundle, photo, tmp_path, capsys):
    for folder, values in (("images", photo), ("masks", np.where(photo[..., 0] > 210, 255, 0).astype(np.uint8))):
        (tmp_path / folder).mkdir()
        Image.fromarray(values).save(tmp_path / folder / "a.png")
    given = ["evaluate", "--network", str(tiny_bundle), "--data", str(tmp_path), "--json", "-"]
    found = []
    for more in ([], ["--refine", "largest"]):
        assert main([*given, *more]) == 0
        found.append(json.loads(capsys.readouterr().out)["precision"])
    assert found[0] < found[1] == pytest.approx(1.0, abs=0.02)
    picture = str(tmp_path / "red.png")
    Image.fromarray(photo * np.array([1, 0, 0], np.uint8)).save(picture)
    areas = []
    for more in ([], ["--refine", "largest"]):
        assert main(["parse", picture, "--as", "json", "--network", str(tiny_parts_bundle), *more]) == 0
        areas.append(json.loads(capsys.readouterr().out)["person_share"])
    assert areas[1] < areas[0]
    assert main(["parse", picture, "--refine", "larges"]) == 2
    assert "largest" in capsys.readouterr().err
