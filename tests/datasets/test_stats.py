"""Numbers of folders, worked out by hand and by loops."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from figureground.cli.app import main
from figureground.datasets import contact_sheet, find_splits, stats
from figureground.errors import DataError, ImageError
from figureground.labels import LabelTree

TREE = LabelTree.named("pascal-person-part")


@pytest.fixture
def parts(tmp_path):
    """Three masks 10 x 10 of numbers of the tree, 255 among them, and a photo without a mask."""
    for folder in ("images", "parts"):
        (tmp_path / folder).mkdir()
    maps = np.zeros((3, 10, 10), np.uint8)
    maps[0, :5] = 4
    maps[1, :2], maps[1, 2:3] = 2, 255
    maps[2, :1], maps[2, 1:2] = 4, 7
    for number, values in enumerate(maps):
        Image.fromarray(values).save(tmp_path / f"parts/{number}.png")
        Image.new("RGB", (10, 10)).save(tmp_path / f"images/{number}.png")
    Image.new("RGB", (30, 20)).save(tmp_path / "images/more.png")
    return tmp_path, maps


def test_pixels_of_every_node_are_those_of_a_loop(parts):
    folder, maps = parts
    [found] = stats(find_splits([folder]), labels=TREE)
    values = TREE.mask_values()
    for place, name in enumerate(TREE.names, start=1):
        below = {values[name], *(values[leaf.name] for leaf in TREE.leaves_under(name))}
        below |= {values[node.name] for node in TREE.labels if name in {one.name for one in TREE.ancestors(node.name)}}
        expected = [sum(int(value) in below for value in values_of.ravel()) for values_of in maps]
        assert found.pixels[:, place].tolist() == expected, name
    assert found.pixels[:, 0].tolist() == [50, 70, 80]
    assert found.shares.tolist() == pytest.approx([0.5, 20 / 90, 0.2])
    assert found.ignored == pytest.approx(10 / 300)
    assert found.sizes.tolist() == [[10, 10], [10, 10], [10, 10], [20, 30]]


def test_class_weights_are_those_of_the_paper(parts):
    folder, _ = parts
    [found] = stats(find_splits([folder]), labels=TREE)
    # The masks have 100, 90 and 90 pixels of leaves and background: 10 of "body" and 10 of 255 are in no leaf.
    weights = dict(zip(["background", *(leaf.name for leaf in TREE.leaves)], found.class_weights(), strict=True))
    assert weights["low_leg"] is None
    median = 60 / 190
    assert weights["background"] == pytest.approx(median / (200 / 280))
    assert weights["torso"] == pytest.approx(median / (20 / 90))
    assert weights["head"] == pytest.approx(median / (60 / 190))


def test_without_a_tree_any_value_is_a_person(parts):
    folder, maps = parts
    [found] = stats(find_splits([folder]))
    assert found.shares.tolist() == pytest.approx([float((values > 0).mean()) for values in maps])
    assert found.to_dict()["labels"]["person"] == {"share": pytest.approx((maps > 0).mean()), "masks": 3}


def test_a_number_without_a_label(parts):
    folder, _ = parts
    Image.fromarray(np.full((10, 10), 11, np.uint8)).save(folder / "parts/0.png")
    with pytest.raises(DataError, match="has the value 11"):
        stats(find_splits([folder]), labels=TREE)


def test_photos_alone(two_splits):
    bare = find_splits([two_splits / "train" / "images"])
    [found] = stats(bare)
    assert found.to_dict()["figure"] is None
    assert found.class_weights() == [None, None]


def test_the_verb(parts, capsys):
    folder, _ = parts
    assert main(["data", "stats", str(folder), "--labels", "pascal-person-part"]) == 0
    out = capsys.readouterr().out
    assert "4 photos of 2 sizes, 3 masks" in out
    assert "3.33% of the pixels not counted" in out
    assert main(["data", "stats", str(folder), "--labels", "pascal-person-part", "--json"]) == 0
    [split] = json.loads(capsys.readouterr().out)["splits"]
    assert split["height"]["max"] == 20
    assert len(split["class_weights"]) == 1 + len(TREE.leaves)


def test_the_contact_sheet(two_splits, tmp_path, capsys):
    splits = find_splits([two_splits])
    sheet = contact_sheet(splits, number=4, cell=64)
    assert sheet.ndim == 3
    assert np.array_equal(sheet, contact_sheet(splits, number=4, cell=64))
    assert not np.array_equal(sheet, contact_sheet(splits, number=4, cell=64, seed=1))
    out = tmp_path / "deep" / "sheet.jpg"
    assert main(["data", "show", str(two_splits), "-o", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert Image.open(out).size == (said["width"], said["height"])


@pytest.fixture
def damaged(two_splits):
    """A photo that is none, one cut short behind its header, and a mask in colour; two pairs are whole."""
    (two_splits / "train/images/p0.png").write_text("no photo")
    Image.fromarray(np.dstack([np.eye(48, 64, dtype=np.uint8) * v for v in (9, 8, 7)])).save(
        two_splits / "train/masks/p1.png"
    )
    cut = two_splits / "valid/images/p3.png"
    cut.write_bytes(cut.read_bytes()[:-40])
    return two_splits


def test_files_that_cannot_be_read_are_left_out_of_the_numbers(damaged, capsys):
    with pytest.raises(ImageError, match=r"p0\.png"):
        stats(find_splits([damaged]))
    errors, told = [], []
    train, valid = stats(find_splits([damaged]), unreadable=errors.append, progress=lambda: told.append(1))
    assert (len(train.sizes), len(train.shares), len(valid.sizes), len(told)) == (1, 1, 2, 5)
    assert len(errors) == 2
    assert main(["data", "stats", str(damaged)]) == 2
    said = capsys.readouterr()
    assert "train: 1 photos of 1 sizes, 1 masks" in said.out
    lines = said.err.splitlines()
    assert len(lines) == 2
    for line, name in zip(lines, ("p0.png", "p1.png"), strict=True):
        assert line.startswith("figureground: ")
        assert name in line
        assert line.endswith("; see: figureground data check")
    assert main(["data", "stats", str(damaged), "--json"]) == 2
    failed = json.loads(capsys.readouterr().out)["failed"]
    assert ["p0.png" in failed[0], "p1.png" in failed[1]] == [True, True]


def test_files_that_cannot_be_read_are_left_out_of_the_sheet(damaged, tmp_path, capsys):
    splits = find_splits([damaged])
    with pytest.raises(ImageError):
        contact_sheet(splits)
    errors = []
    sheet = contact_sheet(splits, cell=64, unreadable=errors.append)
    for name in ("train/images/p0.png", "train/images/p1.png", "valid/images/p3.png"):
        (damaged / name).rename(damaged / name.replace("images", ""))
    assert np.array_equal(sheet, contact_sheet(find_splits([damaged]), cell=64))
    assert len(errors) == 3
    (damaged / "train/p0.png").rename(damaged / "train/images/p2.png")
    out = tmp_path / "sheet.png"
    assert main(["data", "show", str(damaged), "-o", str(out), "--json"]) == 2
    said = capsys.readouterr()
    [line] = said.err.splitlines()
    assert "p2.png" in line
    assert line.endswith("; see: figureground data check")
    assert len(json.loads(said.out)["failed"]) == 1
    assert out.exists()
    assert main(["data", "show", str(damaged / "train"), "-o", str(tmp_path / "none.png")]) == 2
    assert "none of the chosen photos can be read; see: figureground data check" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["DIR", "--augmented", "r.yaml"], ["DIR", "--set", "seed=1"]])
def test_show_needs_one_thing_to_show(arguments, capsys):
    assert main(["data", "show", *arguments, "-o", "x.png"]) == 2
    assert "--augmented" in capsys.readouterr().err


def test_samples_of_a_recipe(two_splits, tmp_path, capsys):
    """The sheet's samples are the first of the training's own loader."""
    pytest.importorskip("lightning")
    from figureground.datasets import marked
    from figureground.draw import sheet
    from figureground.train.feed import Feed
    from figureground.train.preview import augmented_sheet
    from figureground.train.recipe import Recipe

    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"""
name: tiny
data:
  root: {two_splits}
  samples_per_epoch: 6
  sources: [{{name: train, images: train/images, masks: train/masks, hold_out: 0.2}}]
network: {{name: unet}}
losses: [{{name: cross_entropy}}]
augment: {{flip: 0.5, rotate: 20, rotate_probability: 1.0}}
schedule: {{batch_size: 3, stages: [{{start: 0, sizes: [32]}}]}}
"""
    )
    drawn = augmented_sheet(recipe, ["seed=3"], number=5, cell=32)
    batches = Feed(Recipe.read(recipe, ["seed=3", "data.workers=0"])).train_dataloader()
    seen = [(picture, target) for batch in batches for picture, target in zip(*batch[:2], strict=True)][:5]
    tiles = [marked(np.ascontiguousarray(p.permute(1, 2, 0).numpy()), t.numpy(), LabelTree.person()) for p, t in seen]
    assert np.array_equal(drawn, sheet(tiles, ["1", "2", "3", "4", "5"], cell=32))
    assert main(["data", "show", "--augmented", str(recipe), "--set", "seed=3", "-o", str(tmp_path / "s.png")]) == 0
    assert main(["data", "show", "--augmented", "none.yaml", "-o", str(tmp_path / "s.png")]) == 2
