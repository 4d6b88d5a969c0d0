"""Augmentation moves picture and target together: shown by pictures that encode their own target."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.nn import functional as F

from figureground.data import Augment, Sample, augmented
from figureground.data.transforms import mirror_table, shrunk
from figureground.labels import Label, LabelTree
from figureground.losses import IGNORE

GEOMETRY = {
    "crop": Augment(crop_scale=(0.2, 1.0), crop_ratio=(0.5, 2.0)),
    "flip": Augment(flip=0.5),
    "rotate": Augment(rotate=40, rotate_probability=1.0),
    "all": Augment(crop_scale=(0.3, 1.0), flip=0.5, rotate=20, rotate_probability=0.5),
}
ARMS = LabelTree(
    [
        Label("body", (0, 0, 1)),
        Label("left", (0, 1, 0), parent="body", flip="right"),
        Label("right", (1, 0, 0), parent="body", flip="left"),
        Label("head", (1, 1, 0), parent="body"),
    ]
)
PERSON = mirror_table(LabelTree.person())


def blobs(height=90, width=130, seed=0):
    """A picture that is 255 where its target is 1, else 0: smooth blobs of some size."""
    noise = np.random.default_rng(seed).random((height, width))
    target = (ndimage.gaussian_filter(noise, 6) > 0.5).astype(np.uint8)
    return Sample(np.repeat(255 * target[..., None], 3, axis=2), target)


def run(sample, augment, size=64, seed=0, mirror=PERSON):
    torch.manual_seed(seed)
    return augmented(sample, augment, size, mirror)


@pytest.mark.parametrize("augment", GEOMETRY.values(), ids=GEOMETRY.keys())
def test_picture_and_target_stay_together(augment):
    for seed in range(12):
        image, target = run(blobs(seed=seed), augment, seed=seed)
        assert image.shape == (3, 64, 64)
        assert image.dtype == torch.uint8
        assert target.shape == (64, 64)
        assert target.dtype == torch.int64
        # Grey pixels lie on the outline, where both sides are right; beside a rotated-in corner pixels fade to black.
        faded = F.max_pool2d((target == IGNORE).float()[None], 3, stride=1, padding=1)[0] > 0
        clear = ~faded & ((image[0] < 24) | (image[0] > 231))
        assert clear.float().mean() > 0.3
        assert torch.equal(image[0][clear] > 127, target[clear] == 1)


@pytest.mark.parametrize("height", [100, 128, 161, 224, 350])
def test_a_target_lies_exactly_on_its_picture(height):
    """torchvision's nearest puts it up to half a pixel aside, which a loss then teaches."""
    rows, columns = np.mgrid[:height, :height] - (height - 1) / 2
    target = (np.hypot(rows, columns) < height / 3).astype(np.uint8)
    small = shrunk(torch.from_numpy(target).unsqueeze(0), 64)[0].double()
    places = torch.arange(64.0) - 31.5
    assert small.mean().item() == pytest.approx(np.pi / 9, rel=0.02)
    assert abs((small.sum(1) @ places.double()).item() / small.sum().item()) < 0.03
    assert abs((small.sum(0) @ places.double()).item() / small.sum().item()) < 0.03


def test_shrunk_takes_the_value_that_weighs_most():
    target = torch.zeros(1, 8, 8, dtype=torch.uint8)
    target[0, :4, :4], target[0, 4:, 4:] = 7, IGNORE
    assert shrunk(target, 2).tolist() == [[[7, 0], [0, IGNORE]]]
    assert torch.equal(shrunk(target, 8), target)
    assert torch.equal(shrunk(torch.full_like(target, 3), 5), torch.full((1, 5, 5), 3, dtype=torch.uint8))


def test_shrunk_never_makes_a_new_value():
    target = torch.from_numpy(np.random.default_rng(0).choice([0, 2, 5, IGNORE], (1, 37, 53)).astype(np.uint8))
    for size in (4, 37, 60):
        assert set(shrunk(target, size).unique().tolist()) <= {0, 2, 5, IGNORE}


def test_rotated_in_corners_are_not_counted():
    _, target = run(Sample(np.full((50, 50, 3), 9, np.uint8), np.zeros((50, 50), np.uint8)), GEOMETRY["rotate"], seed=1)
    assert (target == IGNORE).any()
    assert (target[24:40, 24:40] == 0).all()


def test_mirroring_exchanges_left_and_right():
    target = np.zeros((16, 16), np.uint8)
    target[:, :4], target[:, 12:], target[:5, 6:10] = 1, 2, 3
    sample = Sample(np.repeat(80 * target[..., None], 3, axis=2), target)
    _, mirrored = run(sample, Augment(flip=1.0), size=16, mirror=mirror_table(ARMS))
    # The left arm is seen at the right of the mirrored photo, and is a right arm there: the picture looks the same.
    assert torch.equal(mirrored[:, :4], torch.ones(16, 4, dtype=torch.int64))
    assert torch.equal(mirrored[:, 12:], torch.full((16, 4), 2))
    assert (mirrored[:5, 6:10] == 3).all()


def test_a_mirror_table_is_its_own_inverse():
    table = mirror_table(ARMS).long()
    assert table[:4].tolist() == [0, 2, 1, 3]
    assert torch.equal(table[table], torch.arange(256))
    assert torch.equal(PERSON.long(), torch.arange(256))


def test_all_off_is_a_resize():
    sample = blobs(64, 64)
    image, target = run(sample, Augment())
    np.testing.assert_array_equal(image.permute(1, 2, 0), sample.image)
    np.testing.assert_array_equal(target, sample.target)


@pytest.mark.parametrize(
    "augment",
    [
        Augment(color=0.5, hue=0.1, color_probability=1.0),
        Augment(gray=1.0),
        Augment(blur=1.0),
        Augment(jpeg=1.0),
    ],
    ids=["color", "gray", "blur", "jpeg"],
)
def test_what_changes_colours_leaves_targets_alone(augment):
    sample = Sample(np.random.default_rng(0).integers(0, 256, (48, 48, 3), np.uint8), blobs(48, 48).target)
    plain, augmented_ = run(sample, Augment(), 48), run(sample, augment, 48)
    assert torch.equal(plain[1], augmented_[1])
    assert not torch.equal(plain[0], augmented_[0])


def test_the_seed_decides_everything():
    augment = Augment(crop_scale=(0.2, 1), flip=0.5, rotate=20, rotate_probability=0.5, color=0.4, blur=0.5, jpeg=0.5)
    sample = blobs()
    first, again, other = run(sample, augment), run(sample, augment), run(sample, augment, seed=1)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


def test_a_range_the_wrong_way_round_is_refused():
    with pytest.raises(ValueError, match="must not be larger"):
        Augment(crop_scale=(1.0, 0.5))
