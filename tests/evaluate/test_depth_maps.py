"""Depth maps beside the photos that are measured: shown to the networks that look at one, and to no other."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from figureground import load
from figureground.cli.app import main
from figureground.errors import DataError
from figureground.evaluate import evaluate, find_pairs, find_photos_without_people, with_depth_maps

MASKS = {"a": (slice(20, 60), slice(30, 90)), "sub/b.c": (slice(40, 80), slice(8, 60))}


@pytest.fixture
def folder(tmp_path):
    """Two photos in which depth alone shows where somebody is; images/, masks/ and depth/."""
    for stem, place in MASKS.items():
        mask = np.zeros((96, 128), np.uint8)
        mask[place] = 255
        pictures = {
            f"images/{stem}.jpg": np.full((96, 128, 3), 80, np.uint8),
            f"masks/{stem}.png": mask,
            f"depth/{stem}.png": np.where(mask > 0, 900, 3000).astype(np.uint16),
        }
        for name, values in pictures.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(tmp_path / name)
    return tmp_path


def test_depth_maps_decide_what_is_measured(near_bundle, folder):
    pairs = with_depth_maps(find_pairs(folder), folder / "depth")
    assert [pair.depth.name for pair in pairs] == ["a.png", "b.c.png"]
    assert evaluate(load(near_bundle), pairs).summary["iou_dataset"] == 1.0


def test_evaluate_and_compare_show_them(near_bundle, tiny_bundle, folder, capsys, tmp_path):
    data = ["--data", str(folder), "--depth", str(folder / "depth")]
    assert (
        main(["evaluate", "--network", str(near_bundle), *data, "--json", "-", "--gallery", str(tmp_path / "g")]) == 0
    )
    assert json.loads(capsys.readouterr().out)["iou_image_mean"] == 1.0
    assert (tmp_path / "g" / "index.html").is_file()
    both = [str(near_bundle), str(tiny_bundle)]
    assert main(["compare", *both, *data, "--timed", "1", "-o", str(tmp_path / "c")]) == 0
    compared = json.loads((tmp_path / "c" / "compare.json").read_text(encoding="utf-8"))
    near, blind = (network["metrics"]["iou_dataset"]["value"] for network in compared["networks"])
    assert near == 1.0
    assert blind < 0.5


def test_maps_that_nobody_looks_at_or_that_are_not_there(near_bundle, tiny_bundle, folder, capsys):
    data = ["--data", str(folder), "--depth", str(folder / "depth")]
    for verb in (["evaluate", "--network", str(tiny_bundle)], ["compare", str(tiny_bundle)]):
        assert main([*verb, *data]) == 2
        assert "no network looks at a depth map" in capsys.readouterr().err
    assert main(["evaluate", "--network", str(near_bundle), "--data", str(folder)]) == 2
    assert "needs a depth map" in capsys.readouterr().err
    (folder / "depth/a.png").unlink()
    with pytest.raises(DataError, match=r"no depth map for .*a\.jpg"):
        with_depth_maps(find_pairs(folder), folder / "depth")
    with pytest.raises(DataError, match="no such folder"):
        with_depth_maps(find_photos_without_people(folder), folder / "maps")
