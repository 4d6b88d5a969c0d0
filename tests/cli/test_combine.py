"""`figureground combine` and `--refine`: what is typed is what Python would build."""

from __future__ import annotations

import json
import os
from pathlib import Path

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


@pytest.mark.parametrize(
    ("text", "build"),
    [
        (
            "tiles:zoom=2.5:overlap=0.125:tile=64:trust=tiles",
            lambda one: fg.Tiled(one, zoom=2.5, overlap=0.125, tile=64, trust="tiles"),
        ),
        (
            "people-first:margin=0.4:crops=4:zoom=1.5,8",
            lambda one: fg.PeopleFirst(one, margin=0.4, crops=4, zoom=(1.5, 8)),
        ),
        ("people-first", fg.PeopleFirst),
    ],
)
def test_a_closer_look_with_settings(tiny_bundle, tmp_path, text, build):
    combined(tmp_path, tiny_bundle, "--closer", text)
    fg.save_predictor(build(fg.load(tiny_bundle)), tmp_path / "wanted.json")
    found, wanted = (json.loads((tmp_path / name).read_text())["predictor"] for name in ("made.json", "wanted.json"))
    assert found == wanted


def test_a_name_that_is_empty_is_not_written(tiny_bundle, tmp_path, capsys):
    assert main(["combine", str(tiny_bundle), "--name", "", "-o", str(tmp_path / "made.json")]) == 3
    assert "name is empty" in capsys.readouterr().err
    assert not (tmp_path / "made.json").exists()


def test_a_predictor_file_is_shown(tiny_bundle, tmp_path, capsys):
    made = fg.Refined(
        fg.Ensemble([fg.load(tiny_bundle), fg.View(fg.load(tiny_bundle), mirrored=True)], [3, 1]), "holes,largest"
    )
    fg.save_predictor(made.renamed("best", 0.25), tmp_path / "best.json", chosen={"by": "hand", "lead": [0.5, 1]})
    assert main(["networks", "show", str(tmp_path / "best.json")]) == 0
    lines = capsys.readouterr().out.splitlines()
    name = Path(os.path.relpath(tiny_bundle, tmp_path)).as_posix()
    shown = [line.split("  (sha256")[0] for line in lines]
    assert shown[:5] == [
        "name: best",
        "labels: person",
        "threshold: 0.25",
        "predictor:",
        "  refined: threshold=0.25, holes max_area=0.001, largest",
    ]
    assert shown[5] == "    ensemble: mean=probability"
    assert shown[6] == f"      0.75  {name}"
    assert shown[7] == "      0.25  view: scale=1, mirrored=True"
    assert shown[8] == f"        {name}"
    assert shown[9:] == ["chosen:", "  by: hand", "  lead:", "    - 0.5", "    - 1"]
    assert main(["networks", "show", str(tmp_path / "best.json"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["chosen"] == {"by": "hand", "lead": [0.5, 1]}
    assert told["predictor"]["of"]["weights"] == [0.75, 0.25]
    assert main(["networks", "show", str(tmp_path / "best.json"), "--recipe"]) == 2
    assert "--recipe is for bundles" in capsys.readouterr().err
    assert main(["networks", "show", str(tmp_path / "none.json")]) == 3
    assert "cannot be read" in capsys.readouterr().err


def test_the_files_folder_is_made(tiny_bundle, tmp_path):
    file = tmp_path / "new" / "made.json"
    assert main(["combine", str(tiny_bundle), "--mirror", "-o", str(file)]) == 0
    assert fg.load(file).name == "tiny flip"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--people-first", "--zoom", "2"], "both look closer"),
        (["--people-first", "--closer", "tiles"], "--people-first and --closer both look closer"),
        (["--closer", "people"], "no closer look 'people'; did you mean 'people-first'?"),
        (["--closer", "people-first:margn=1"], "unknown key 'margn'; did you mean 'margin'?"),
        (["--closer", "people-first:crops=2.5"], "crops is 2.5; it must be a whole number"),
        (["--closer", "tiles:zoom"], "closer look 'tiles:zoom': 'zoom' has no value; write zoom=..."),
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
