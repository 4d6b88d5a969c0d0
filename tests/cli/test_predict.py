"""The verb `predict`: the CSV against the masks themselves, and a page that needs no other file."""

from __future__ import annotations

import base64
import csv
import json
import re
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from figureground import load
from figureground.errors import DataError
from figureground.evaluate.predictions import Prediction, PredictionFiles, write_predictions
from figureground.images import mask_from_rle


@pytest.fixture
def predict(call, tiny_bundle):
    return lambda *arguments: call("predict", "--network", tiny_bundle, *arguments)


def rows(path):
    with open(path, newline="") as file:
        return list(csv.reader(file))


def test_the_csv_holds_the_masks(predict, folder, tiny_bundle, tmp_path):
    Image.new("RGB", (50, 40)).save(folder / "nobody.png")
    answer = predict(folder, "--csv", "out/p.csv", "--html", "out/p.html")
    assert (answer.code, answer.err) == (0, "")
    assert answer.lines == ["out/p.csv", "out/p.html"]
    heading, *written = rows(tmp_path / "out/p.csv")
    assert heading == ["id", "rle_mask"]
    assert [name for name, _ in written] == ["a", "b", "nobody", "sub/a", "sub/c"]
    segmenter = load(tiny_bundle)
    for (_, runs), file in zip(written, ["a.jpg", "b.png", "nobody.png", "sub/a.jpg", "sub/c.webp"], strict=True):
        mask = segmenter(folder / file).mask
        assert np.array_equal(mask_from_rle(runs, mask.shape), mask)
    assert dict(written)["nobody"] == ""


def test_the_page_shows_every_photo_and_needs_no_file(predict, folder, tmp_path):
    predict(folder, "--html", "p.html")
    text = (tmp_path / "p.html").read_text()
    assert text.count("<figure>") == 4
    sources = re.findall(r'src="([^"]*)"', text)
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    shown = [np.asarray(Image.open(BytesIO(base64.b64decode(source.partition(",")[2])))) for source in sources]
    assert shown[0].shape == shown[1].shape == (96, 128, 3)
    assert np.abs(shown[0][48, 64].astype(int) - shown[1][48, 64]).max() > 30, "the person is tinted"
    assert np.abs(shown[0][5, 5].astype(int) - shown[1][5, 5]).max() < 12, "the ground is not"
    assert not (tmp_path / "p.csv").exists()


def test_a_bad_photo_is_left_out(predict, folder, tmp_path):
    (folder / "b.png").write_text("no photo")
    answer = predict(folder, "--csv", "p.csv", "--json")
    assert answer.code == 2
    assert "b.png" in answer.one_error
    said = json.loads(answer.out)
    assert (said["images"], len(said["failed"]), said["files"]) == (3, 1, ["p.csv"])
    assert [name for name, _ in rows(tmp_path / "p.csv")[1:]] == ["a", "sub/a", "sub/c"]


def test_names_that_would_clash_keep_their_suffix(predict, folder, scene, tmp_path):
    Image.fromarray(scene).save(folder / "a.png")
    assert predict(folder, "--csv", "p.csv").code == 0
    assert [name for name, _ in rows(tmp_path / "p.csv")[1:3]] == ["a.jpg", "a.png"]


def test_photos_of_one_name_in_two_folders(predict, folder, tmp_path):
    assert predict("photos/a.jpg", "photos/sub/a.jpg", "photos/b.png", "--csv", "p.csv").code == 0
    assert [name for name, _ in rows(tmp_path / "p.csv")[1:]] == ["photos/a.jpg", "photos/sub/a.jpg", "b"]


def test_an_odd_name_is_no_markup(predict, tmp_path, scene):
    Image.fromarray(scene).save(tmp_path / "<b>&.png")
    assert predict("<b>&.png", "--html", "p.html", "--csv", "p.csv").code == 0
    assert "&lt;b&gt;&amp;" in (tmp_path / "p.html").read_text()
    assert rows(tmp_path / "p.csv")[1][0] == "<b>&"


def test_nothing_is_written_to_standard_output_in_the_place_of_a_file(predict, folder, tmp_path):
    answer = predict(folder, "--csv", "-")
    assert answer.code == 2
    assert "give --csv and --html a name each" in answer.one_error
    assert not (tmp_path / "-").exists()


@pytest.mark.parametrize("page", ["out/p", "./out/p", "out/../out/p", "link/p", "{here}/out/p"])
def test_two_files_in_one_place_are_refused(predict, folder, tmp_path, page):
    (tmp_path / "link").symlink_to("out")
    (tmp_path / "out").mkdir()
    answer = predict(folder, "--csv", "out/p", "--html", page.format(here=tmp_path))
    assert answer.code == 2
    assert "--csv and --html are one file, out/p: give a name each" in answer.one_error
    assert not list((tmp_path / "out").iterdir())


def test_nothing_is_left_of_a_run_that_fails(tmp_path, tiny_bundle, photo):
    (tmp_path / "old.csv").write_text("old")
    with pytest.raises(DataError, match="two photos are called 'photo'"):
        write_predictions(load(tiny_bundle), [photo, photo], csv=tmp_path / "old.csv", html=tmp_path / "p.html")
    assert (tmp_path / "old.csv").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old.csv", "photo.jpg"]


def test_from_python(tmp_path, tiny_bundle, photo):
    write_predictions(load(tiny_bundle), [photo], csv=tmp_path / "p.csv")
    prediction = Prediction.of(load(tiny_bundle)(photo))
    assert rows(tmp_path / "p.csv")[1:] == [["photo", prediction.runs]]
    with PredictionFiles(csv=tmp_path / "none.csv"):
        pass
    assert rows(tmp_path / "none.csv") == [["id", "rle_mask"]]


def test_the_mask_can_be_refined(predict, tmp_path):
    rows_, columns_ = np.ogrid[:96, :128]
    both = ((rows_ - 48) ** 2 + (columns_ - 40) ** 2 < 30**2) | ((rows_ - 20) ** 2 + (columns_ - 110) ** 2 < 9**2)
    Image.fromarray(np.repeat((both * np.uint8(255))[..., None], 3, axis=2)).save(tmp_path / "two.png")
    share = []
    for refining in ([], ["--refine", "largest"]):
        assert predict("two.png", "--csv", "p.csv", *refining).code == 0
        share.append(mask_from_rle(rows(tmp_path / "p.csv")[1][1], (96, 128))[:30, 100:].any())
    assert share == [True, False]
    assert predict("two.png", "--csv", "p.csv", "--refine", "largst").code == 2


def test_what_is_wrong(predict, photo, tmp_path):
    assert "--csv" in predict(photo).one_error
    (tmp_path / "file").write_text("")
    answer = predict(photo, "--csv", "file/p.csv")
    assert (answer.code, "file" in answer.one_error) == (4, True)
    assert predict("none.jpg", "--csv", "p.csv").code == 2
