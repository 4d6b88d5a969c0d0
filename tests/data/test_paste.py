"""People of one photo on another: the picture tells its own target, as red people on blue ground."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from figureground.data import Augment, Draw, Mixture, Sample, SourceSpec, build_source
from figureground.data.paste import pasted
from figureground.data.transforms import mirror_table
from figureground.errors import RecipeError
from figureground.labels import Label, LabelTree
from figureground.losses import IGNORE

ARMS = LabelTree(
    [
        Label("body", (0, 0, 1)),
        Label("left", (0, 1, 0), parent="body", flip="right"),
        Label("right", (1, 0, 0), parent="body", flip="left"),
    ]
)
PERSON = mirror_table(LabelTree.person()).numpy()


def ground(height=60, width=80):
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 2] = 200
    return Sample(image, np.zeros((height, width), np.uint8))


def donor(height=50, width=40, value=1):
    """A red person with a hole in it, on white ground that nobody wants to see."""
    image = np.full((height, width, 3), 255, np.uint8)
    target = np.zeros((height, width), np.uint8)
    target[10:45, 8:30], target[20:30, 15:20] = value, 0
    image[target > 0] = (255, 0, 0)
    return Sample(image, target)


def paste(sample, other, seed=0, mirror=PERSON):
    return pasted(sample, other, np.random.default_rng(seed), mirror)


def test_the_target_is_where_the_people_are():
    shares = []
    for seed in range(40):
        found = paste(ground(), donor(), seed)
        assert found.image.shape == (60, 80, 3)
        assert found.target.dtype == np.uint8
        assert set(np.unique(found.target)) <= {0, 1}
        red, blue = found.image[..., 0] > 230, found.image[..., 2] > 180
        assert (found.target[red] == 1).mean() > 0.97
        assert (found.target[blue] == 0).mean() > 0.97
        # White would be ground of the other photo: no pixel has green.
        assert found.image[..., 1].max() <= 30
        shares.append(found.target.mean())
    assert min(shares) > 0.005
    assert len(set(shares)) > 30


def test_the_seed_decides():
    first, again, other = (paste(ground(), donor(), seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.target, again.target)
    assert not np.array_equal(first.image, other.image)


def test_who_stood_there_is_behind_and_what_is_unknown_is_not_pasted():
    behind = Sample(ground().image, np.full((60, 80), 2, np.uint8))
    unknown = donor()
    unknown.target[unknown.target == 1] = IGNORE
    assert paste(behind, unknown) is behind
    assert paste(behind, ground()) is behind
    found = paste(behind, donor())
    assert set(np.unique(found.target)) == {1, 2}


@pytest.mark.parametrize("size", [(60, 80), (30, 40), (1, 1)])
def test_depth_is_unknown_where_people_were_pasted(size):
    depth = np.full(size, 0.7, np.float32)
    found = paste(replace(ground(), depth=depth), donor(), seed=3)
    assert found.depth.shape == size
    assert found.depth.dtype == np.float32
    assert (depth == np.float32(0.7)).all()
    rows, columns = (np.arange(length) * cells // length for length, cells in zip((60, 80), size, strict=True))
    under = found.depth[np.ix_(rows, columns)]
    assert (under[found.target == 1] == 0).all()
    far = ndimage.distance_transform_cdt(found.target == 0) > 3
    assert far.any()
    assert (under[far] == np.float32(0.7)).all() or size == (1, 1)
    assert paste(ground(), donor()).depth is None


def test_left_and_right_change_places_where_people_are_mirrored():
    """The donor's left half is one arm, red; its right half the other, green."""
    image, target = np.zeros((20, 20, 3), np.uint8), np.full((20, 20), 1, np.uint8)
    target[:, 10:] = 2
    image[:, :10], image[:, 10:] = (255, 0, 0), (0, 255, 0)
    seen = set()
    for seed in range(20):
        found = paste(ground(), Sample(image, target), seed, mirror_table(ARMS).numpy())
        red, green = found.image[..., 0] > 200, found.image[..., 1] > 200
        # The viewer's left of a figure is always its arm 1, mirrored or not.
        columns = [np.nonzero(found.target == value)[1] for value in (1, 2)]
        if len(columns[0]) and len(columns[1]):
            assert columns[0].mean() < columns[1].mean()
            seen.add((found.target[red] == 1).mean() > 0.9)
            assert ((found.target[green] == 2).mean() > 0.9) == ((found.target[red] == 1).mean() > 0.9)
    assert seen == {True, False}


# In a mixture


@pytest.fixture
def sources(folders):
    """Photos whose people are red on black, and photos of blue ground."""
    for number in range(5):
        mask = np.asarray(Image.open(folders / f"masks/p{number}.png")) > 0
        image = np.zeros((20, 30, 3), np.uint8)
        image[mask, 0] = 255
        Image.fromarray(image).save(folders / f"images/p{number}.png")
        (folders / f"images/p{number}.jpg").unlink()
        Image.new("RGB", (64, 48), (0, 0, 200)).save(folders / f"empty/e{number}.png")
    specs = [
        SourceSpec(name="p", images="images", masks="masks"),
        SourceSpec(name="e", kind="empty", images="empty"),
    ]
    return [build_source(spec, folders, held=False, labels=LabelTree.person()) for spec in specs]


def test_empty_photos_get_people_as_often_as_the_recipe_says(sources):
    mixture = Mixture(sources, Augment(paste=0.4), LabelTree.person())
    assert {source for source, _ in mixture.donors} == {0}
    found = [mixture[Draw(1, seed % 5, 48, seed)] for seed in range(100)]
    with_people = [pair for pair in found if (pair[1] == 1).any()]
    assert 25 <= len(with_people) <= 55
    for image, target in with_people:
        assert (target[image[0] > 200] == 1).float().mean() > 0.9
    assert torch.equal(found[7][0], mixture[Draw(1, 2, 48, 7)][0])


def test_nothing_changes_where_it_is_off(sources):
    plain, off = (Mixture(sources, augment, LabelTree.person()) for augment in (Augment(), Augment(paste=0.0)))
    for seed in range(4):
        for one, other in zip(plain[Draw(0, seed, 24, seed)], off[Draw(0, seed, 24, seed)], strict=True):
            assert torch.equal(one, other)
    assert plain.donors == []


def test_a_recipe_without_masks_has_nobody_to_paste(folders):
    from figureground.train import Recipe

    (folders / "r.yaml").write_text(
        "{name: r, data: {root: ., sources: [{name: e, kind: empty, images: empty, hold_out: 0.5}]}, "
        "network: {name: unet}, losses: [{name: cross_entropy}], augment: {paste: 0.5}}"
    )
    with pytest.raises(RecipeError, match="paste takes people from sources of kind 'pairs', and there is none"):
        Recipe.read(folders / "r.yaml")
