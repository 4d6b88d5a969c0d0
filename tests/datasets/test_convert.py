"""Each layout from a few small files laid out as the real one is, and what it becomes."""

from __future__ import annotations

import base64
import json
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from figureground.cli.app import main
from figureground.datasets import LAYOUTS, check, convert, find_splits, read_values
from figureground.errors import DataError, OutputError
from figureground.labels import LabelTree

SIZE = (12, 16)
PASCAL = {"head": 1, "torso": 2, "up_hand": 3, "low_hand": 4, "up_leg": 5, "low_leg": 6}
"""The numbers of PASCAL-Person-Part itself, by the labels of our tree."""


@pytest.fixture
def make(tmp_path):
    """Write a photo, a mask or a text below tmp_path/source: make("a/b.jpg", array)."""

    def write(name, content):
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.write_text(content)
        elif path.suffix == ".npy":
            np.save(path, content)
        else:
            Image.fromarray(content).save(path)
        return path

    return write


def photo(seed=0):
    coarse = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize(SIZE[::-1], Image.Resampling.BICUBIC))


def index_map(highest):
    """Every number from 0 to `highest`, and 255 in the corner."""
    values = np.arange(SIZE[0] * SIZE[1]).reshape(SIZE) % (highest + 1)
    values[-1, -1] = 255
    return values.astype(np.uint8)


def with_palette(values):
    picture = Image.fromarray(values)
    picture.putpalette([255 - channel // 3 for channel in range(768)])
    return np.asarray(picture.convert("P")), picture


def converted(tmp_path, layout, source="source", **options):
    """{split/name: mask} of what `convert` writes; every photo has its mask, and nothing is wrong."""
    dest = tmp_path / "dest"
    written = convert(layout, tmp_path / source, dest, **options)
    folders = [dest / split for split in written.splits]
    tree = LabelTree.named(written.tree) if written.tree else None
    found = {}
    for folder, split in zip(folders, find_splits(folders), strict=True):
        for image, mask in split.pairs():
            assert Image.open(image).size == SIZE[::-1]
            found[f"{folder.relative_to(dest)}/{mask.stem}".removeprefix("./")] = read_values(mask)
    assert len(found) == sum(written.splits.values())
    assert not [problem for problem in check(find_splits(folders), labels=tree, distance=0).problems if problem.serious]
    return found


@pytest.mark.parametrize(
    ("layout", "photos", "masks", "highest"),
    [
        ("easyportrait", "images/{split}/u-1.jpg", "annotations/{split}/u-1.png", 8),
        ("lip", "TrainVal_images/{split}_images/7.jpg", "TrainVal_parsing_annotations/{split}_segmentations/7.png", 19),
        ("atr", "humanparsing/JPEGImages/0_1.jpg", "humanparsing/SegmentationClassAug/0_1.png", 17),
    ],
)  # fmt: skip
def test_index_maps_keep_their_numbers(make, tmp_path, layout, photos, masks, highest):
    splits = ("train", "val") if "{split}" in photos else ("",)
    for seed, split in enumerate(splits):
        make(photos.format(split=split), photo(seed))
        make(masks.format(split=split), index_map(highest))
    found = converted(tmp_path, layout)
    assert len(found) == len(splits)
    assert all(np.array_equal(mask, index_map(highest)) for mask in found.values())
    assert len(LabelTree.named(LAYOUTS[layout].tree).leaves) == highest
    assert Image.open(next((tmp_path / "dest").rglob("parts/*.png"))).mode == "P"


def test_easyportrait_keeps_faces_apart(make, tmp_path):
    """The published ids: 1 person, 2 skin, 3 and 4 brows, 5 and 6 eyes, 7 lips, 8 teeth."""
    values = LabelTree.named("easyportrait").mask_values()
    assert [values[name] for name in ("figure", "skin", "left_brow", "right_eye", "lips", "teeth")] == [
        1,
        2,
        3,
        6,
        7,
        8,
    ]
    make("images/val/u.jpg", photo())
    make("annotations/val/u.png", index_map(9))
    with pytest.raises(DataError, match="has the value 9"):
        converted(tmp_path, "easyportrait")


def test_cihp(make, tmp_path):
    root = "instance-level_human_parsing/"
    for seed, (name, split) in enumerate((("Training", "train"), ("Validation", "val"))):
        make(f"{root}{name}/Images/000{seed}.jpg", photo(seed))
        make(f"{root}{name}/Images/999{seed}.jpg", photo(seed + 5))
        make(f"{root}{name}/Category_ids/000{seed}.png", index_map(19))
        make(f"{root}{name}/Instance_ids/000{seed}.png", index_map(3))
        make(f"{root}{name}/{split}_id.txt", f"000{seed}\n")
    make(f"{root}Testing/Images/5.jpg", photo(9))
    assert set(converted(tmp_path, "cihp")) == {"train/0000", "val/0001"}


def test_pascal_person_part_is_numbered_as_the_tree(make, tmp_path):
    for seed, name in enumerate(("2008_1", "2008_2", "2008_3")):
        make(f"JPEGImages/{name}.jpg", photo(seed))
        _, palette = with_palette(index_map(6))
        path = make(f"SegmentationPart/{name}.png", index_map(6))
        palette.save(path)
    make("splits/train_id.txt", "2008_1\n2008_3\n")
    make("splits/val_id.txt", "2008_2\n")
    found = converted(tmp_path, "pascal-person-part")
    assert set(found) == {"train/2008_1", "train/2008_3", "val/2008_2"}
    ours = LabelTree.named("pascal-person-part").mask_values()
    for name, number in PASCAL.items():
        assert np.array_equal(found["val/2008_2"] == ours[name], index_map(6) == number)
    assert found["val/2008_2"][-1, -1] == 255


def test_pascal_arrays(make, tmp_path):
    make("JPEGImages/a.jpg", photo())
    make("gt_masks/a.npy", index_map(6).astype(np.int64))
    make("train_id.txt", "a\n")
    assert np.array_equal(converted(tmp_path, "pascal-person-part-npy")["train/a"], index_map(6))


def test_p3m(make, tmp_path):
    alpha = np.linspace(0, 255, SIZE[0] * SIZE[1]).reshape(SIZE).astype(np.uint8)
    places = (
        ("train", "blurred_image"),
        ("validation/P3M-500-P", "blurred_image"),
        ("validation/P3M-500-NP", "original_image"),
    )
    for seed, (place, photos) in enumerate(places):
        make(f"{place}/{photos}/p{seed}.jpg", photo(seed))
        make(f"{place}/mask/p{seed}.png", alpha)
    found = converted(tmp_path, "p3m")
    assert set(found) == {"train/p0", "blurred/p1", "original/p2"}
    assert np.array_equal(found["blurred/p1"], np.where(alpha > 127, 255, 0))


def test_aisegment(make, tmp_path):
    matte = np.dstack([photo(), index_map(254)])
    for seed, group in enumerate(("1803151818", "1803151819")):
        for clip in ("00000000", "00000001"):
            name = f"{group}-{clip}{seed}"
            make(f"clip_img/{group}/clip_{clip}/{name}.jpg", photo(seed + 10 * int(clip)))
            make(f"matting/{group}/matting_{clip}/{name}.png", matte)
    make("clip_img/1803151818/clip_00000000/._1803151818-000000000.jpg", photo(3))
    found = converted(tmp_path, "aisegment")
    assert len(found) == 4
    assert all(np.array_equal(mask > 0, matte[..., 3] > 127) for mask in found.values())


@pytest.mark.parametrize("place", ["train.txt", "train/train.txt"])
def test_pp_humanseg(make, tmp_path, place):
    make("train/images/v1_0.jpg", photo())
    make("train/annotations/v1_0.png", index_map(1))
    make(place, "train/images/v1_0.jpg train/annotations/v1_0.png\n\n")
    assert np.array_equal(converted(tmp_path, "pp-humanseg")["train/v1_0"] > 0, index_map(1) > 0)


def test_pp_humanseg_names_the_line(make, tmp_path):
    make("val.txt", "a.jpg b.png\n")
    with pytest.raises(DataError, match=r"val\.txt:1: there is no .*a\.jpg"):
        converted(tmp_path, "pp-humanseg")
    make("val.txt", "\na.jpg\n")
    with pytest.raises(DataError, match=r"val\.txt:2"):
        converted(tmp_path, "pp-humanseg")


def test_mil(make, tmp_path):
    for seed, split in enumerate(("train", "valid")):
        make(f"data/{split}/{seed}.jpg", photo(seed))
        make(f"data/{split}_mask/{seed}.png", index_map(1) * np.uint8(255))
    assert set(converted(tmp_path, "mil")) == {"train/0", "valid/1"}


def test_rle_csv(make, tmp_path):
    make("images/a.jpg", photo(0))
    make("images/b.png", photo(1))
    make("images/c.png", photo(2))
    make("pred.csv", "id,rle_mask\na,1 3 18 2\nb.png,\nc,7 1 5 2 5 0\n")
    found = converted(tmp_path, "rle-csv", "source/pred.csv")
    assert np.flatnonzero(found["a"]).tolist() == [0, 1, 2, 17, 18]
    assert not found["b"].any()
    assert np.flatnonzero(found["c"]).tolist() == [4, 5, 6]
    assert found["a"].max() == 255


def test_rle_csv_columns_go_by_their_names(make, tmp_path):
    make("images/a.jpg", photo(0))
    make("pred.csv", "score,rle_mask , id\n0.5,1 3,a\n")
    assert np.flatnonzero(converted(tmp_path, "rle-csv", "source/pred.csv")["a"]).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"pred\.csv:1: the heading is ''; one column has to be called id, and one rle_mask"),
        ("ImageId,EncodedPixels\na,1 3\n", r"pred\.csv:1: the heading is 'ImageId,EncodedPixels'; one column has"),
        ("a,1 3\n", r"pred\.csv:1: the heading is 'a,1 3'"),
        ("id,rle_mask,id\na,1 3,b\n", "the heading is 'id,rle_mask,id'"),
        ("id,rle_mask\nb,\na\n", r"pred\.csv:3: the line of 'a' has 1 columns, the heading 2"),
        ("id,rle_mask\nc,1 3\n", r"pred\.csv:2: 'c' has no photo in .*--photos"),
        ("id,rle_mask\na,1 3\na,7 1\n", r"pred\.csv:3: 'a' names a photo a second time; write all runs"),
        ("id,rle_mask\na,1 3\na.jpg,7 1\n", r"pred\.csv:3: 'a\.jpg' names a photo a second time"),
        ("id,rle_mask\na,1 3 3 2\n", r"pred\.csv:2: 'a': the runs '1 3' and '3 2' overlap; write each pixel once"),
        ("id,rle_mask\na,30 2 9 9 1 20\n", r"pred\.csv:2: 'a': the runs '1 20' and '9 9' overlap"),
        ("id,rle_mask\nb,\na,1 x\n", r"pred\.csv:3: 'a': run lengths hold what is no whole number.*; write pairs"),
        ("id,rle_mask\na,1 3 4\n", r"pred\.csv:2: 'a': run lengths are pairs.*; write pairs"),
        ("id,rle_mask\na,190 9\n", r"pred\.csv:2: 'a': the run '190 9' leaves"),
    ],
)
def test_rle_csv_names_the_line_and_the_id(make, tmp_path, text, said):
    make("images/a.jpg", photo(0))
    make("images/b.jpg", photo(1))
    make("pred.csv", text)
    with pytest.raises(DataError, match=said):
        converted(tmp_path, "rle-csv", "source/pred.csv")


def test_rle_csv_with_photos_elsewhere(make, tmp_path):
    make("elsewhere/a.jpg", photo(0))
    make("pred.csv", "id,rle_mask\na,1 3\n")
    with pytest.raises(DataError, match=r"'a' has no photo in .*--photos"):
        converted(tmp_path, "rle-csv", "source/pred.csv")
    assert converted(tmp_path, "rle-csv", "source/pred.csv", photos=tmp_path / "source/elsewhere")
    make("pred.csv", "id,rle_mask\na,190 9\n")
    with pytest.raises(DataError, match="190 9"):
        convert("rle-csv", tmp_path / "source/pred.csv", tmp_path / "more", photos=tmp_path / "source/elsewhere")


def coco(make, objects, size=SIZE):
    for number in (1, 2):
        make(f"val2017/00000000000{number}.jpg", photo(number))
    content = {
        "images": [
            {"id": number, "file_name": f"00000000000{number}.jpg", "height": size[0], "width": size[1]}
            for number in (1, 2)
        ],
        "categories": [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}],
        "annotations": objects,
    }
    make("annotations/instances_val2017.json", json.dumps(content))
    make("annotations/instances_train2017.json", "not read: there are no photos of it")
    make("annotations/captions_val2017.json", "not read")


def test_coco_merges_people_as_pycocotools_does(make, tmp_path):
    api = pytest.importorskip("pycocotools.mask")
    square, far = [1, 1, 6, 1, 6, 5, 1, 5], [10, 6, 14, 6, 14, 11, 10, 11]
    crowd = {"counts": [5, 20, SIZE[0] * SIZE[1] - 25], "size": list(SIZE)}
    packed = api.frPyObjects(crowd, *SIZE)
    coco(make, [
        {"image_id": 1, "category_id": 1, "iscrowd": 0, "segmentation": [square, far]},
        {"image_id": 1, "category_id": 1, "iscrowd": 1, "segmentation": crowd},
        {"image_id": 2, "category_id": 18, "iscrowd": 0, "segmentation": [square]},
    ])  # fmt: skip
    found = converted(tmp_path, "coco")
    assert set(found) == {"val/000000000001"}, "photos without people are left out"
    polygons = api.decode(api.merge(api.frPyObjects([square, far], *SIZE)))
    assert np.array_equal(found["val/000000000001"] > 0, (polygons | api.decode(packed)) > 0)
    convert("coco", tmp_path / "source", tmp_path / "ignore", crowd="ignore")
    mask = read_values(tmp_path / "ignore/val/masks/000000000001.png")
    assert np.array_equal(mask == 1, polygons > 0)
    assert np.array_equal(mask == 255, (api.decode(packed) > polygons))


def test_coco_says_what_is_wrong(make, tmp_path):
    coco(make, [{"image_id": 1, "category_id": 1, "segmentation": {"counts": [1], "size": [3, 3]}}])
    with pytest.raises(DataError, match=r"image 1: a mask of 3x3"):
        converted(tmp_path, "coco")
    coco(make, [{"image_id": 7, "category_id": 1, "segmentation": []}])
    with pytest.raises(DataError, match="image 7, which it does not list"):
        convert("coco", tmp_path / "source", tmp_path / "more")
    outlines = [[[0, 0, 1]], [["a", "b"]], [[float("nan"), 1, 2, 3, 4, 5]], {"counts": "~~", "size": list(SIZE)}, 7]
    for number, outline in enumerate(outlines):
        coco(make, [{"image_id": 1, "category_id": 1, "segmentation": outline}])
        with pytest.raises(DataError, match="image 1"):
            convert("coco", tmp_path / "source", tmp_path / f"more{number}")
    make("annotations/instances_val2017.json", "[" * 100_000)
    with pytest.raises(DataError, match="no file of COCO instances"):
        convert("coco", tmp_path / "source", tmp_path / "more")
    make("annotations/instances_val2017.json", "[1]")
    with pytest.raises(DataError, match="no file of COCO instances"):
        convert("coco", tmp_path / "source", tmp_path / "more")


def bitmap(mask, origin):
    buffer = BytesIO()
    Image.fromarray(mask).convert("1").save(buffer, "PNG", transparency=0)
    return {"data": base64.b64encode(zlib.compress(buffer.getvalue())).decode(), "origin": origin}


def annotation(*objects):
    return json.dumps({"size": {"height": SIZE[0], "width": SIZE[1]}, "objects": list(objects), "tags": []})


def test_supervisely(make, tmp_path):
    make(
        "meta.json", json.dumps({"classes": [{"title": "person_poly"}, {"title": "person_bmp"}, {"title": "neutral"}]})
    )
    for seed, place in enumerate(("ds1/img/a.png", "ds2/img/a.jpg", "ds2/img/b.jpeg")):
        make(place, photo(seed))
    outline = {"exterior": [[1, 1], [8, 1], [8, 8], [1, 8]], "interior": [[[3, 3], [5, 3], [5, 5], [3, 5]]]}
    packed = np.array([[255, 0, 255], [0, 255, 255]], np.uint8)
    make("ds1/ann/a.png.json", annotation({"classTitle": "person_poly", "points": outline, "bitmap": None}))
    make("ds2/ann/a.jpg.json", annotation({"classTitle": "person_bmp", "bitmap": bitmap(packed, [10, 4])}))
    make("ds2/ann/b.json", annotation({"classTitle": "neutral", "points": outline}))
    found = converted(tmp_path, "supervisely")
    assert set(found) == {"ds1-a", "ds2-a", "ds2-b"}
    polygon = np.zeros(SIZE, bool)
    polygon[1:9, 1:9], polygon[3:6, 3:6] = True, False
    assert np.array_equal(found["ds1-a"] > 0, polygon)
    assert np.array_equal(found["ds2-a"][4:6, 10:13] > 0, packed > 0)
    assert (found["ds2-a"] > 0).sum() == (packed > 0).sum()
    assert not found["ds2-b"].any()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no JSON"),
        ('{"objects": []}', "no annotation"),
        (json.dumps({"size": {"height": 1, "width": 1}, "objects": []}), "photo of 1x1"),
        (annotation({"classTitle": "person_bmp", "bitmap": {"data": "????", "origin": [0, 0]}}), "a.png.json"),
    ],
)
def test_supervisely_names_the_file(make, tmp_path, text, said):
    make("ds/img/a.png", photo())
    make("ds/ann/a.png.json", text)
    with pytest.raises(DataError, match=said):
        converted(tmp_path, "supervisely")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_folder_of_another_layout(tmp_path, make, layout):
    make("nothing/like/it.txt", "?")
    with pytest.raises(DataError):
        convert(layout, tmp_path / "source", tmp_path / "dest")
    assert not (tmp_path / "dest").exists()


def test_a_mask_that_is_missing_or_of_another_size(make, tmp_path):
    make("train/a.jpg", photo())
    make("train_mask/b.png", index_map(1))
    with pytest.raises(DataError, match=r"a\.jpg has no mask"):
        convert("mil", tmp_path / "source", tmp_path / "dest")
    make("train_mask/a.png", index_map(1)[:5])
    with pytest.raises(DataError, match="16x5"):
        convert("mil", tmp_path / "source", tmp_path / "dest")


def test_dest_must_be_empty_and_the_layout_known(make, tmp_path):
    make("train/a.jpg", photo())
    make("train_mask/a.png", index_map(1))
    with pytest.raises(OutputError, match="not empty"):
        convert("mil", tmp_path / "source", tmp_path)
    with pytest.raises(DataError, match="did you mean 'coco'"):
        convert("coko", tmp_path / "source", tmp_path / "dest")
    with pytest.raises(DataError, match="there is no"):
        convert("coco", tmp_path / "none", tmp_path / "dest")


def test_the_verb(make, tmp_path, capsys):
    make("train/a.jpg", photo())
    make("train_mask/a.png", index_map(1))
    dest = tmp_path / "new"
    assert main(["data", "convert", "mil", str(tmp_path / "source"), str(dest), "--link", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["splits"], said["tree"]) == ({"train": 1}, None)
    assert (dest / "train/images/a.jpg").is_symlink()
    assert main(["data", "convert", "mil", str(tmp_path / "source"), str(tmp_path / "copy")]) == 0
    assert "train: 1 photos" in capsys.readouterr().out
    assert main(["data", "convert", "--list"]) == 0
    assert all(name in capsys.readouterr().out for name in ["coco"])
    assert main(["data", "convert", "mil"]) == 2
