"""Every kind of problem, one at a time, in a data set in which nothing else is wrong."""

from __future__ import annotations

import json
import shutil
from contextlib import nullcontext

import numpy as np
import pytest
from PIL import Image

from figureground.cli.app import main
from figureground.datasets import check, find_splits
from figureground.datasets.masks import read_values
from figureground.errors import DataError
from figureground.labels import LabelTree


def picture(seed):
    """Soft blobs, uint8 (48, 64, 3), the same as in the data set for a small seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((64, 48), Image.Resampling.BICUBIC))


def rectangle(size=(48, 64), value=255):
    mask = np.zeros(size, np.uint8)
    mask[10:30, 20:40] = value
    return mask


def kinds(root, **options):
    return {problem.kind: problem for problem in check(find_splits([root]), **options).problems}


def test_nothing_is_wrong(two_splits):
    told = []
    findings = check(find_splits([two_splits]), progress=lambda: told.append(1))
    assert (findings.problems, findings.ok) == ((), True)
    assert findings.splits == {"train": {"photos": 3, "masks": 3}, "valid": {"photos": 2, "masks": 2}}
    assert len(told) == 5


def cut_short(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def save(array, path):
    Image.fromarray(array).save(path)


SAVED = {
    "unreadable": (True, lambda root: cut_short(root / "valid/images/p3.png")),
    "no mask": (True, lambda root: (root / "train/masks/p1.png").unlink()),
    "no photo": (False, lambda root: save(rectangle(), root / "train/masks/p9.png")),
    "size": (True, lambda root: save(rectangle((64, 48)), root / "train/masks/p1.png")),
    "lossy": (True, lambda root: (root / "train/masks/p1.png").rename(root / "train/masks/p1.jpg")),
    "same name": (True, lambda root: save(picture(9), root / "train/images/p1.bmp")),
    "grey": (
        False,
        lambda root: save(rectangle() // 2 + rectangle()[::-1] // 2, root / "train/masks/p1.png"),
    ),
    "empty": (False, lambda root: save(rectangle(value=0), root / "train/masks/p1.png")),
    "full": (False, lambda root: save(rectangle(value=0) + np.uint8(255), root / "train/masks/p1.png")),
    "values": (
        True,
        lambda root: save(np.dstack([rectangle(value=v) for v in (9, 8, 7)]), root / "train/masks/p1.png"),
    ),
}


@pytest.mark.parametrize("kind", SAVED)
def test_a_problem_is_found_and_is_the_only_one(two_splits, kind):
    serious, spoil = SAVED[kind]
    spoil(two_splits)
    found = kinds(two_splits)
    assert list(found) == [kind]
    assert found[kind].serious is serious
    assert "p" in found[kind].files[0]


def test_many_values_are_right_in_a_folder_of_parts(two_splits):
    _, spoil = SAVED["grey"]
    spoil(two_splits)
    (two_splits / "train/masks").rename(two_splits / "train/parts")
    assert not kinds(two_splits)


def test_ten_of_a_kind_are_printed(two_splits, capsys):
    for number in range(13):
        save(rectangle(), two_splits / f"train/masks/q{number}.png")
    main(["data", "check", str(two_splits)])
    lines = capsys.readouterr().out.splitlines()
    assert sum("no photo: the mask" in line for line in lines) == 10
    assert "  no photo: and 3 more (--json prints all)" in lines


def test_a_damaged_mask_is_unreadable(two_splits):
    cut_short(two_splits / "valid/masks/p3.png")
    assert list(kinds(two_splits)) == ["unreadable"]


def test_values_are_checked_against_a_tree(two_splits):
    assert set(kinds(two_splits, labels=LabelTree.person())) == {"empty"}, "255 is not counted, so nothing is left"
    for path in two_splits.glob("*/masks/*.png"):
        save(rectangle(value=6), path)
    tree = LabelTree.named("pascal-person-part")
    assert not kinds(two_splits, labels=tree)
    save(rectangle(value=10), two_splits / "train/masks/p0.png")
    found = kinds(two_splits, labels=tree)["values"]
    assert found.serious
    assert "has 10" in found.message
    save(rectangle(value=9), two_splits / "train/masks/p0.png")
    found = kinds(two_splits, labels=tree)
    assert list(found) == ["inner"], "9 is the number of an inner node"
    assert not found["inner"].serious
    assert "has 9 (lower_body), of inner nodes; training with any_value_is_leaf: false" in found["inner"].message
    both = rectangle(value=7)
    both[0, :3] = 6, 10, 255
    save(both, two_splits / "train/masks/p0.png")
    found = kinds(two_splits, labels=tree)
    assert list(found) == ["values", "inner"]
    assert "has 7 (body), of" in found["inner"].message


def test_what_is_noted_of_inner_nodes_is_what_training_refuses(two_splits):
    pytest.importorskip("torch")
    from figureground.data.sources import PairSource

    tree = LabelTree.named("pascal-person-part")
    for value, noted in ((6, False), (7, True)):
        mask = two_splits / "train/masks/p0.png"
        save(rectangle(value=value), mask)
        source = PairSource("train", ((two_splits / "train/images/p0.png", mask),), None, len(tree.leaves))
        with pytest.raises(DataError, match=r"has the value 7\b") if noted else nullcontext():
            source.read(0, np.random.default_rng(0))
        findings = check(find_splits([two_splits / "train"]), labels=tree)
        assert ("inner" in findings.counts()) is noted
        assert findings.ok


@pytest.mark.parametrize("grey", [0, 255])
def test_a_shape_in_the_alpha_channel_is_noted(two_splits, grey):
    mask = two_splits / "train/masks/p0.png"
    flat = np.full((48, 64), grey, np.uint8)
    save(np.dstack([flat, rectangle()]), mask)
    found = kinds(two_splits)
    assert list(found) == ["full" if grey else "empty", "alpha"]
    assert not found["alpha"].serious
    assert "its alpha channel is passed over" in found["alpha"].message
    save(np.dstack([flat, flat, flat, rectangle()]), mask)
    assert "alpha" in kinds(two_splits)
    for alpha in (0, 255):
        save(np.dstack([flat, np.full_like(flat, alpha)]), mask)
        assert "alpha" not in kinds(two_splits), "it has no shape"
    save(np.dstack([rectangle(), rectangle()]), mask)
    assert not kinds(two_splits), "the grey has the shape"


@pytest.mark.parametrize(("place", "serious"), [("train/images/again.png", False), ("valid/images/again.png", True)])
def test_a_copy_counts_between_splits(two_splits, place, serious):
    shutil.copy(two_splits / "train/images/p0.png", two_splits / place)
    save(rectangle(), two_splits / place.replace("images", "masks"))
    [problem] = check(find_splits([two_splits])).problems
    assert (problem.kind, problem.serious, len(problem.files)) == ("duplicate", serious, 2)


def test_a_smaller_jpeg_of_a_photo_is_a_near_duplicate(two_splits):
    small = Image.fromarray(picture(0)).resize((40, 30))
    small.save(two_splits / "valid/images/other.jpg", quality=60)
    save(rectangle((30, 40)), two_splits / "valid/masks/other.png")
    [problem] = check(find_splits([two_splits])).problems
    assert (problem.kind, problem.serious) == ("near-duplicate", True)
    assert "train, valid" in problem.message


def test_a_turned_photo_is_named_as_such(two_splits):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture(1)).save(two_splits / "train/images/p1.png", exif=exif)
    assert "EXIF" in kinds(two_splits)["size"].message


def test_photos_without_masks_and_several_folders(two_splits, tmp_path):
    bare = tmp_path / "bare"
    bare.mkdir()
    save(picture(7), bare / "a.png")
    splits = find_splits([two_splits / "train", two_splits / "valid", bare])
    assert [split.name for split in splits] == ["train", "valid", "bare"]
    assert check(splits).ok
    assert [len(split.pairs()) for split in splits] == [3, 2, 0]
    same = find_splits([two_splits, two_splits / "train"])
    assert [split.name for split in same] == [str(split.photos.parent) for split in same]


def test_folders_that_are_none(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        find_splits([tmp_path / "none"])
    (tmp_path / "image").mkdir()
    with pytest.raises(DataError, match="did you mean 'image'"):
        find_splits([tmp_path])
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match="no folder 'truth'"):
        find_splits([tmp_path], masks="truth")


@pytest.mark.parametrize("named", [{"images": "nope"}, {"images": "mask"}, {"masks": "masks"}])
def test_folders_that_were_named_have_to_be_there(two_splits, named):
    (two_splits / "train/images").rename(two_splits / "train/pictures")
    remedy = "did you mean 'masks'" if named.get("images") == "mask" else "known: masks, pictures"
    with pytest.raises(DataError, match=f"no folder '{named.get('images', 'images')}' in .*train; {remedy}"):
        find_splits([two_splits / "train"], **named)
    assert find_splits([two_splits / "train"], images="pictures")[0].pairs()
    assert [split.name for split in find_splits([two_splits], images="pictures")] == ["train"]


def test_mask_values_are_those_of_the_file(tmp_path):
    values = np.array([[0, 7], [255, 1]], np.uint8)
    palette = Image.fromarray(values)
    palette.putpalette(list(range(256)) * 3)
    palette.save(tmp_path / "p.png")
    Image.fromarray(values).save(tmp_path / "l.png")
    Image.fromarray(np.dstack([values] * 3)).save(tmp_path / "rgb.png")
    Image.fromarray(values.astype(np.uint16) * 200).save(tmp_path / "deep.png")
    Image.fromarray(values > 0).save(tmp_path / "bit.png")
    for name in ("p", "l", "rgb"):
        assert read_values(tmp_path / f"{name}.png").tolist() == values.tolist()
    assert read_values(tmp_path / "deep.png").max() == 255 * 200
    assert read_values(tmp_path / "bit.png").tolist() == [[0, 255], [255, 255]]


def test_the_verb(two_splits, capsys):
    assert main(["data", "check", str(two_splits)]) == 0
    assert "nothing wrong" in capsys.readouterr().out
    (two_splits / "train/masks/p1.png").unlink()
    assert main(["data", "check", str(two_splits)]) == 2
    said = capsys.readouterr()
    assert "! no mask: " in said.out
    assert said.err == ""
    assert main(["data", "check", str(two_splits), "--json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], found["counts"]) == (False, {"no mask": 1})
    assert main(["data", "check", "none"]) == 2
    assert "no such folder: none" in capsys.readouterr().err
    assert main(["data", "check", str(two_splits / "train"), "--images", "nope"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "there is no folder 'nope'" in said.err


@pytest.mark.data
def test_real_photos_have_no_twins(photos):
    """Near-duplicates were removed by those who gathered them: these would be false alarms."""
    findings = check(find_splits([photos / "mil" / "valid"]))
    assert findings.ok
