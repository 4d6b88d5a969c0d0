"""The report against numbers worked out by hand, the gallery, and the verb `evaluate`."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from PIL import Image

from figureground.cli.app import main
from figureground.errors import DataError, ImageError
from figureground.evaluate import Pair, evaluate, find_pairs, find_photos_without_people, write_gallery
from figureground.evaluate.gallery import FOUND, INVENTED, MISSED, error_map

MEANT_FOR_ALL = {
    "images", "dice_image_mean", "iou_image_mean", "iou_dataset", "boundary_f", "precision", "recall", "empty_wrong",
    "images_per_second",
}  # fmt: skip


def test_the_numbers(dataset, segmenter):
    done = []
    report = evaluate(segmenter, find_pairs(dataset), progress=lambda *counts: done.append(counts))
    summary = report.summary
    assert summary["images"] == 5
    # Columns called person: 64 right, 64 right, 32 of 64, none of none, 64 of none.
    assert summary["dice_image_mean"] == pytest.approx((1 + 1 + 2 / 3 + 1 + 0) / 5, abs=0.01)
    assert summary["iou_image_mean"] == pytest.approx((1 + 1 + 1 / 2 + 1 + 0) / 5, abs=0.01)
    assert summary["iou_dataset"] == pytest.approx(160 / 256, abs=0.01)
    assert summary["precision"] == pytest.approx(160 / 224, abs=0.01)
    assert summary["recall"] == pytest.approx(160 / 192, abs=0.01)
    assert (summary["empty_images"], summary["empty_wrong"]) == (2, 0.5)
    assert summary["empty_wrong_images"] == ["invented"]
    assert summary["images_per_second"] > 0
    assert (summary["network"], summary["threshold"]) == ("tiny", 0.5)
    assert done == [(number, 5) for number in range(1, 6)]
    assert [record.name for record in report.worst(2)] == ["invented", "half"]


def test_nothing_to_be_wrong_about(dataset, segmenter):
    pairs = [pair for pair in find_pairs(dataset) if "good" in pair.stem]
    assert evaluate(segmenter, pairs).summary["empty_wrong"] is None


def test_photos_without_people(dataset, segmenter):
    summary = evaluate(segmenter, find_photos_without_people(dataset)).summary
    assert (summary["empty_images"], summary["empty_wrong"]) == (5, 0.8)


def test_the_threshold_counts(dataset, segmenter):
    Image.new("RGB", (128, 64), (98, 98, 98)).save(dataset / "images" / "nobody.png")  # probability 0.53
    pair = [pair for pair in find_pairs(dataset) if pair.stem == "nobody"]
    assert evaluate(segmenter, pair).summary["empty_wrong"] == 1
    assert evaluate(segmenter, pair, threshold=0.6).summary["empty_wrong"] == 0


def test_sizes_must_agree(dataset, segmenter):
    Image.new("L", (64, 128)).save(dataset / "masks" / "half.png")
    with pytest.raises(DataError, match=r"half\.png is 128x64, .*half\.png is 64x128"):
        evaluate(segmenter, find_pairs(dataset))


def test_a_photo_that_cannot_be_read_is_not_passed_over(dataset, segmenter):
    (dataset / "images" / "half.png").write_text("no")
    with pytest.raises(ImageError, match=r"half\.png"):
        evaluate(segmenter, find_pairs(dataset))


def test_no_photos(segmenter):
    with pytest.raises(DataError, match="nothing to measure"):
        evaluate(segmenter, [])


def test_the_error_map():
    predicted = np.array([[True, True, False, False]])
    true = np.array([[True, False, True, False]])
    assert error_map(predicted, true)[0, :3].tolist() == [list(FOUND), list(INVENTED), list(MISSED)]


def test_the_gallery(dataset, segmenter, tmp_path):
    (dataset / "images" / "half.png").rename(dataset / "images" / "50% & <b>.png")
    (dataset / "masks" / "half.png").rename(dataset / "masks" / "50% & <b>.png")
    pairs = find_pairs(dataset)
    page = write_gallery(segmenter, pairs, evaluate(segmenter, pairs), tmp_path / "deep" / "gallery", 2)
    text = page.read_text(encoding="utf-8")
    assert "The 2 worst of 5 photos" in text
    assert "nobody there, 50.0% called person" in text
    assert "<b>" not in text
    names = sorted(path.name for path in page.parent.glob("*.jpg"))
    assert names == ["001-invented.jpg", "002-50% & <b>.jpg"]
    assert re.findall(r'src="([^"]+)"', text) == ["001-invented.jpg", "002-50%25%20%26%20%3Cb%3E.jpg"]
    strip = Image.open(page.parent / names[0])
    assert strip.width == 4 * 640 + 3 * 4


def test_the_gallery_takes_names_that_are_not_utf_8(segmenter, tmp_path):
    photo = tmp_path / "odd.png"
    Image.new("RGB", (40, 30), "white").save(photo)
    pairs = [Pair("ph\udcffoto", photo, None)]
    page = write_gallery(segmenter, pairs, evaluate(segmenter, pairs), tmp_path / "gallery", 1)
    assert 'src="001-ph%FFoto.jpg"' in page.read_text(encoding="utf-8")


def test_the_gallery_takes_any_shape(dataset, segmenter, tmp_path):
    for size in ((1, 3000), (3000, 1), (1, 1)):
        photo = tmp_path / "odd.png"
        Image.new("RGB", size, "white").save(photo)
        pairs = [Pair("odd", photo, None)]
        assert write_gallery(segmenter, pairs, evaluate(segmenter, pairs), tmp_path / "gallery", 1).is_file()


def test_the_verb(dataset, tiny_bundle, tmp_path, capsys):
    gallery, file = tmp_path / "gallery", tmp_path / "deep" / "report.json"
    code = main([
        "evaluate", "--network", str(tiny_bundle), "--data", str(dataset), "--json", str(file),
        "--worst", "3", "--gallery", str(gallery),
    ])  # fmt: skip
    said = capsys.readouterr()
    assert (code, said.err) == (0, "")
    assert re.search(r"IoU, all pixels together +0\.62", said.out)
    assert re.search(r"more than 1 % called person +50\.0%", said.out)
    report = json.loads(file.read_text(encoding="utf-8"))
    assert set(report) >= MEANT_FOR_ALL
    assert [record["name"] for record in report["per_image"]][:2] == ["good", "half"]
    assert len(list(gallery.glob("*.jpg"))) == 3


def test_the_verb_prints_json(dataset, tiny_bundle, capsys):
    arguments = ["evaluate", "--network", str(tiny_bundle), "--data", str(dataset), "--nobody", "--json", "-"]
    assert main(arguments) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["empty_wrong"] == 0.8


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--data", "none"], 2, "no such folder: none"),
        (["--data", "{data}", "--worst", "3"], 2, "--gallery"),
        (["--data", "{data}", "--masks", "truth"], 2, "truth"),
        (["--data", "{data}", "--json", "{data}/images/good.png/report.json"], 4, "good.png"),
        (["--data", "{data}", "--gallery", "{data}/images/good.png"], 4, "good.png"),
        (["--data", "{data}", "--network", "perzon"], 3, "perzon"),
        ([], 2, "--data"),
    ],
)
def test_the_verb_says_what_is_wrong(dataset, tiny_bundle, capsys, arguments, code, said):
    filled = [argument.format(data=dataset) for argument in arguments]
    assert main(["evaluate", "--network", str(tiny_bundle), *filled]) == code
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("figureground: ")
    assert said in line


@pytest.mark.data
def test_part_maps_of_real_photos(photos):
    pairs = find_pairs(photos / "parts" / "val")
    assert len(pairs) == 707
