"""An evaluation of parts against numbers worked out by hand, its pictures, and the verb `evaluate`."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from figureground import load
from figureground.cli.app import main
from figureground.errors import DataError, LabelError
from figureground.evaluate import Pair, evaluate_parts, find_pairs, read_parts, write_confusions, write_part_gallery
from figureground.evaluate.gallery import INVENTED, MISSED
from figureground.evaluate.part_gallery import MIXED_UP, RIGHT, UNKNOWN, part_errors
from figureground.evaluate.parts import leaf_translation
from figureground.labels import Label, LabelTree

TREE = LabelTree.named("pascal-person-part")
VALUES = TREE.mask_values()
# What tests/conftest.py's network of parts takes for what.
COLORS = {
    "background": (0, 0, 0), "head": (255, 0, 0), "torso": (0, 255, 0), "up_hand": (0, 0, 255),
    "low_hand": (255, 255, 0), "up_leg": (0, 255, 255), "low_leg": (255, 0, 255),
}  # fmt: skip


def columns(*names: str) -> np.ndarray:
    """(32, 16 per name) numbers: the first name in the first 16 columns, and so on."""
    numbers = [{"background": 0, "unknown": 255, **VALUES}[name] for name in names]
    return np.tile(np.repeat(numbers, 16), (32, 1)).astype(np.uint8)


def as_photo(index_map: np.ndarray) -> np.ndarray:
    photo = np.zeros((*index_map.shape, 3), np.uint8)
    for name, color in COLORS.items():
        photo[index_map == (0 if name == "background" else VALUES[name])] = color
    return photo


# What the network sees, and what is true. Sixteen columns for each name, so that every number is a simple ratio.
CASES = {
    "good": (("head", "torso", "up_leg", "background"), ("head", "torso", "up_leg", "background")),
    "mixed": (("head", "head", "low_leg", "background"), ("head", "torso", "torso", "background")),
    "missed": (("background", "torso", "background", "background"), ("head", "torso", "unknown", "upper_body")),
    "nobody": (("background", "background", "background", "background"),) * 2,
}


@pytest.fixture
def data(tmp_path):
    root = tmp_path / "data"
    (root / "images").mkdir(parents=True)
    (root / "parts").mkdir()
    for stem, (seen, true) in CASES.items():
        Image.fromarray(as_photo(columns(*seen))).save(root / "images" / f"{stem}.png")
        Image.fromarray(columns(*true)).save(root / "parts" / f"{stem}.png")
    return root


@pytest.fixture
def segmenter(tiny_parts_bundle):
    return load(tiny_parts_bundle)


@pytest.fixture
def report(data, segmenter):
    return evaluate_parts(segmenter, find_pairs(data, masks="parts"))


def test_the_numbers_of_labels(report):
    iou = {name: entry["iou_dataset"] for name, entry in report.summary["labels"].items()}
    # Blocks of 16 columns: found and true, of those that are one or the other and known.
    assert iou == pytest.approx(
        {
            "body": 7 / 9,  # of nine true blocks, the head and the upper body of "missed" are not found
            "upper_body": 5 / 8,
            "lower_body": 1 / 2,
            "head": 2 / 4,
            "torso": 2 / 4,
            "up_leg": 1.0,
            "low_leg": 0.0,
            "low_hand": None,
            "up_hand": None,
        },
        abs=0.02,
    )
    torso = report.summary["labels"]["torso"]
    assert (torso["parent"], torso["level"], torso["images"]) == ("upper_body", 2, 3)
    assert torso["recall"] == pytest.approx(2 / 4, abs=0.02)
    assert torso["precision"] == pytest.approx(1, abs=0.02)


def test_the_numbers_of_levels(report):
    levels = report.summary["levels"]
    assert [entry["level"] for entry in levels] == [0, 1, 2]
    assert [entry["labels"] for entry in levels] == [[n.name for n in TREE.level(i)] for i in range(3)]
    means = [entry["iou_mean"] for entry in levels]
    assert means == pytest.approx([7 / 9, (5 / 8 + 1 / 2) / 2, (1 / 2 + 1 / 2 + 1 + 0) / 4], abs=0.02)
    assert levels[1]["iou_leaf_mean"] == pytest.approx(((1 / 2 + 1 / 2) / 2 + (1 + 0) / 2) / 2, abs=0.02)
    # Background: 6 blocks right, 2 that are somebody's.
    assert report.summary["iou_background"] == pytest.approx(6 / 8, abs=0.02)
    with_background = [entry["iou_mean_with_background"] for entry in levels]
    assert with_background[2] == pytest.approx((6 / 8 + 2) / 5, abs=0.02)
    # 15 blocks are known at the root, and one less where only the upper body is.
    assert [entry["pixel_accuracy"] for entry in levels] == pytest.approx([13 / 15, 12 / 15, 11 / 14], abs=0.02)
    assert np.array(levels[2]["confusion"]).shape == (7, 7)
    assert np.array(levels[1]["confusion"]).sum() == 15 * 512


def test_errors_in_the_tree_and_contradictions(report):
    # Head for torso is 1, leg for torso 2, background for head 3.
    assert report.summary["error_distance"] == pytest.approx((1 + 2 + 3) / 3, abs=0.05)
    assert report.summary["score_violations"] == 0
    assert report.summary["level_conflicts"] < 0.1


def test_the_report_is_json_and_knows_the_worst(report):
    document = json.loads(json.dumps(report.to_dict()))
    assert set(document) == {
        "network", "threshold", "images", "levels", "labels", "iou_background", "error_distance", "score_violations",
        "level_conflicts", "images_per_second", "per_image",
    }  # fmt: skip
    assert [record["name"] for record in document["per_image"]] == ["good", "missed", "mixed", "nobody"]
    assert document["per_image"][3]["level_iou"] == [None, None, None]
    assert [record.name for record in report.worst(2)] == ["mixed", "missed"]
    assert report.worst(4)[3].name == "nobody"


def test_a_finer_network_is_measured_on_a_coarser_tree(data, segmenter):
    coarse = LabelTree(
        [Label("person", (1, 0, 0)), Label("lower_body", (2, 0, 0), "person"), Label("upper_body", (3, 0, 0), "person")]
    )
    assert leaf_translation(TREE, coarse).tolist() == [0, 2, 2, 1, 2, 1, 2]
    assert leaf_translation(TREE, TREE).tolist() == list(range(7))
    with pytest.raises(LabelError, match="the network finds 'low_hand', which is in none of person"):
        leaf_translation(TREE, LabelTree.person())
    for path in (data / "parts").iterdir():
        fine = read_parts(path)
        merged = np.array([0, 2, 2, 1, 2, 1, 2, 3, 2, 1])[np.where(fine == 255, 0, fine)]
        Image.fromarray(np.where(fine == 255, 255, merged).astype(np.uint8)).save(path)
    report = evaluate_parts(segmenter, find_pairs(data, masks="parts"), labels=coarse)
    assert report.summary["labels"]["lower_body"]["iou_dataset"] == pytest.approx(1 / 2, abs=0.02)
    assert [entry["level"] for entry in report.summary["levels"]] == [0, 1]


def test_palettes_are_numbers(tmp_path):
    picture = Image.fromarray(columns("head", "torso"))
    picture.putpalette([value for label in TREE.leaves for value in label.color])
    picture.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_parts(tmp_path / "a.png"), columns("head", "torso"))


def colored(path):
    Image.new("RGB", (64, 32)).save(path)
    return "picture in colours, not an index map"


def unknown_number(path):
    Image.fromarray(np.full((32, 64), 17, np.uint8)).save(path)
    return r"has the number 17, but the tree has 9 labels; give the --tree"


def another_size(path):
    Image.fromarray(np.zeros((64, 32), np.uint8)).save(path)
    return "good.png is 64x32, its parts .*good.png are 32x64"


@pytest.mark.parametrize("spoil", [colored, unknown_number, another_size], ids=lambda spoil: spoil.__name__)
def test_wrong_truths_are_named(data, segmenter, spoil):
    said = spoil(data / "parts" / "good.png")
    with pytest.raises(DataError, match=said):
        evaluate_parts(segmenter, find_pairs(data, masks="parts"))


def test_no_photos(segmenter):
    with pytest.raises(DataError, match="nothing to measure"):
        evaluate_parts(segmenter, [])


def test_errors_have_colours():
    v = VALUES
    predicted = np.array([[0, v["head"], v["head"], v["head"], 0, v["head"], v["head"], v["head"]]])
    true = np.array([[0, v["head"], v["torso"], v["up_leg"], v["head"], 0, 255, v["upper_body"]]])
    mild, grave = (tuple(color.tolist()) for color in MIXED_UP)
    between = tuple(np.rint(np.array(mild) + (np.array(grave) - mild) / 3).tolist())
    expected = [RIGHT, RIGHT, mild, between, MISSED, INVENTED, UNKNOWN, UNKNOWN]
    assert [tuple(color) for color in part_errors(TREE, predicted, true)[0].tolist()] == [tuple(c) for c in expected]


def test_the_gallery_and_the_confusions(data, segmenter, report, tmp_path):
    pairs = find_pairs(data, masks="parts")
    page = write_part_gallery(segmenter, pairs, report, tmp_path / "deep" / "gallery", 3)
    text = page.read_text(encoding="utf-8")
    assert "The 3 worst of 4 photos" in text
    assert "mixed   mean IoU from the whole to the parts: " in text
    assert min(path.name for path in page.parent.glob("*.jpg")) == "001-mixed.jpg"
    paths = write_confusions(report, tmp_path / "deep" / "confusion")
    assert [path.name for path in paths] == [f"confusion-level-{level}.png" for level in range(3)]
    widths = [Image.open(path).width for path in paths]
    assert widths == sorted(widths)


def test_photos_without_truth_count_as_empty(data, segmenter):
    report = evaluate_parts(segmenter, [Pair("good", data / "images" / "good.png", None)])
    assert report.summary["labels"]["body"]["iou_dataset"] == 0


class TestVerb:
    @pytest.fixture
    def call(self, data, tiny_parts_bundle, capsys):
        def run(*arguments, network=tiny_parts_bundle):
            code = main(["evaluate", "--network", str(network), "--data", str(data), *map(str, arguments)])
            return code, *capsys.readouterr()

        return run

    def test_tables_files_and_pictures(self, call, tmp_path):
        file, gallery, confusion = tmp_path / "report.json", tmp_path / "gallery", tmp_path / "confusion"
        code, out, err = call("--json", file, "--gallery", gallery, "--worst", 2, "--confusion", confusion)
        assert (code, err) == (0, "")
        assert "level  labels  mean IoU  of leaves  with background  pixel accuracy  mean accuracy" in out
        assert "    torso" in out
        assert len(list(gallery.glob("*.jpg"))) == 2
        assert len(list(confusion.glob("*.png"))) == 3
        assert json.loads(file.read_text())["levels"][0]["iou_mean"] == pytest.approx(7 / 9, abs=0.02)

    def test_json_on_stdout(self, call):
        code, out, _ = call("--json", "-")
        assert code == 0
        assert json.loads(out)["images"] == 4

    def test_the_tree_of_the_truth(self, call):
        assert json.loads(call("--json", "-", "--tree", "pascal-person-part")[1])["images"] == 4
        code, _, err = call("--tree", "lip")
        assert code == 2
        assert "the network finds 'low_hand', which is in none of hat" in err

    def test_masks_are_taken_where_there_are_no_parts(self, call, data):
        (data / "parts").rename(data / "masks")
        code, out, _ = call("--json", "-")
        assert code == 0
        assert json.loads(out)["iou_dataset"] > 0.5
        assert call("--parts", "masks", "--json", "-")[1].count('"levels"') == 1

    def test_a_network_without_parts(self, call, tiny_bundle):
        assert json.loads(call("--json", "-", network=tiny_bundle)[1])["images"] == 4
        code, _, err = call("--tree", "pascal-person-part", network=tiny_bundle)
        assert (code, "has no parts" in err) == (3, True)
        code, _, err = call("--confusion", "x", network=tiny_bundle)
        assert (code, "--confusion without parts" in err) == (2, True)


@pytest.mark.data
def test_real_index_maps_are_in_the_numbers_of_the_tree(photos):
    pairs = find_pairs(photos / "parts" / "val", masks="parts")
    assert len(pairs) == 707
    seen = set()
    for pair in pairs[::50]:
        seen |= set(np.unique(read_parts(pair.mask)).tolist())
    assert seen == set(range(1 + len(TREE.leaves)))
