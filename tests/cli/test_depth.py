"""`--depth`: a map for a photo, a folder of maps for photos, and what is said where one is missing."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image

from figureground import images
from figureground.cli.app import main


@pytest.fixture
def folders(tmp_path):
    """photos/a.png and photos/below/b.jpg, and a folder of maps with a near square each, one of them a .npy file."""
    for folder in ("photos/below", "maps/below"):
        (tmp_path / folder).mkdir(parents=True)
    distance = np.full((96, 128), 3000, np.uint16)
    distance[20:60, 30:90] = 900
    for name in ("photos/a.png", "photos/below/b.jpg"):
        Image.new("RGB", (128, 96), (90, 90, 90)).save(tmp_path / name)
    Image.fromarray(distance).save(tmp_path / "maps/a.png")
    np.save(tmp_path / "maps/below/b.npy", distance[:, ::-1])
    return tmp_path


def test_one_photo_with_its_map(folders, near_bundle, capsys):
    photo, output = folders / "photos/a.png", folders / "mask.png"
    call = ["segment", str(photo), "--network", str(near_bundle), "--as", "mask", "-o", str(output)]
    assert main([*call, "--depth", str(folders / "maps/a.png")]) == 0
    mask = np.asarray(Image.open(output)) > 0
    assert mask[20:60, 30:90].all()
    assert mask.sum() == 40 * 60
    assert main(call) == 2
    assert "needs a depth map beside the photo" in capsys.readouterr().err


def test_a_folder_with_a_folder_of_maps(folders, near_bundle):
    target = folders / "out.csv"
    call = ["predict", str(folders / "photos"), "--network", str(near_bundle), "--csv", str(target)]
    assert main([*call, "--depth", str(folders / "maps")]) == 0
    with target.open(newline="") as file:
        rows = {row["id"]: images.mask_from_rle(row["rle_mask"], (96, 128)) for row in csv.DictReader(file)}
    assert rows["a"][20:60, 30:90].all()
    assert np.array_equal(rows["below/b"], rows["a"][:, ::-1])


def test_maps_that_are_missing(folders, near_bundle, capsys):
    (folders / "maps/below/b.npy").unlink()
    call = ["segment", str(folders / "photos"), "--network", str(near_bundle), "-o", str(folders / "out"), "--depth"]
    assert main([*call, str(folders / "maps")]) == 2
    assert "no depth map for" in capsys.readouterr().err
    assert main([*call, str(folders / "maps/a.png")]) == 2
    assert "one depth map for 2 images" in capsys.readouterr().err


def test_a_network_that_looks_at_no_depth(folders, tiny_bundle, capsys):
    call = ["segment", str(folders / "photos/a.png"), "--network", str(tiny_bundle), "-o", str(folders / "o.png")]
    assert main([*call, "--depth", str(folders / "maps/a.png")]) == 2
    assert "looks at no depth map" in capsys.readouterr().err
