"""The hash against scipy's cosine transform, and groups against brute force."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from figureground.checks import ArgumentError
from figureground.datasets import look_at, perceptual_hash, similar
from figureground.datasets.similar import groups

DEMO = Path(__file__).resolve().parents[2] / "src/figureground/demo/astronaut.jpg"


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return Image.open(DEMO).convert("RGB")


def blobs(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((80, 60), Image.Resampling.BICUBIC))


def test_the_hash_is_the_usual_one(photo):
    """As the package ImageHash computes its `phash`, with scipy's transform."""
    fft = pytest.importorskip("scipy.fft")
    grey = np.asarray(photo.convert("L").resize((32, 32), Image.Resampling.LANCZOS), dtype=float)
    low = fft.dct(fft.dct(grey, axis=0), axis=1)[:8, :8]
    assert np.array_equal(perceptual_hash(np.asarray(photo)), (low > np.median(low)).ravel())


def test_the_mirrored_hash_is_the_hash_of_the_mirror_image(photo):
    pixels = np.asarray(photo)
    assert np.array_equal(look_at(pixels).mirrored, perceptual_hash(np.ascontiguousarray(pixels[:, ::-1])))


def saved_again(photo: Image.Image, quality: int) -> Image.Image:
    buffer = BytesIO()
    photo.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


@pytest.mark.parametrize(
    "change",
    [
        lambda photo: saved_again(photo, 30),
        lambda photo: photo.resize((200, 200)),
        lambda photo: ImageEnhance.Brightness(photo).enhance(1.25),
        lambda photo: ImageEnhance.Contrast(photo).enhance(0.7),
        lambda photo: photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        lambda photo: photo.convert("L").convert("RGB"),
    ],
    ids=["jpeg", "smaller", "brighter", "flatter", "mirrored", "grey"],
)
def test_a_changed_photo_is_found_among_others(photo, change):
    others = [look_at(blobs(seed)) for seed in range(20)]
    assert similar([look_at(np.asarray(photo)), *others, look_at(np.asarray(change(photo)))]) == [[0, 21]]


def test_groups_are_those_of_all_pairs():
    looks = [look_at(blobs(seed)) for seed in range(150)]
    for distance in (12, 20):
        pairs = []
        for i, one in enumerate(looks):
            for j in range(i):
                other = looks[j]
                near = (one.hash != other.hash).sum() <= distance and float(one.small @ other.small) >= 0.9
                flipped = other.small.reshape(32, 32)[:, ::-1].ravel()
                turned = (one.hash != other.mirrored).sum() <= distance and float(one.small @ flipped) >= 0.9
                if near or turned:
                    pairs.append((i, j))
        assert similar(looks, distance=distance) == groups(150, pairs)


def test_pictures_of_one_colour_are_not_alike():
    looks = [look_at(np.full((20, 20, 3), grey, np.uint8)) for grey in (0, 0, 128, 255)]
    assert similar(looks, distance=32) == []


def test_groups_follow_chains():
    assert groups(6, [(4, 5), (1, 4), (0, 3)]) == [[0, 3], [1, 4, 5]]
    assert groups(3, []) == []


def test_the_distance_is_checked():
    with pytest.raises(ArgumentError, match="0 to 32"):
        similar([look_at(blobs(0))] * 2, distance=33)
