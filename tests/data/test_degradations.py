"""Motion blur, noise, perspective and erased rectangles: what they change and what they leave alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from torchvision import tv_tensors

from figureground.data import Augment, Sample, augmented
from figureground.data.degradations import Erase, MotionBlur, Noise, degradations, line_kernel
from figureground.data.transforms import mirror_table
from figureground.labels import LabelTree
from figureground.losses import IGNORE

PERSON = mirror_table(LabelTree.person())
ON = {
    "motion_blur": {"motion_blur": 1.0},
    "noise": {"noise": 1.0},
    "erase": {"erase": 1.0},
    "perspective": {"perspective": 0.5, "perspective_probability": 1.0},
}


def picture(side=64, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (3, side, side), np.uint8))


def moving(side=64):
    return tv_tensors.Image(picture(side)), tv_tensors.Mask(torch.ones(1, side, side, dtype=torch.uint8))


def run(augment, sample, seed=0, size=64):
    torch.manual_seed(seed)
    return augmented(sample, augment, size, PERSON)


# Motion blur


@pytest.mark.parametrize("length", [3, 7, 15])
def test_a_level_line_is_a_mean_along_it(length):
    level, upright = line_kernel(length, 0.0), line_kernel(length, math.pi / 2)
    expected = torch.zeros(length, length)
    expected[length // 2] = 1 / length
    torch.testing.assert_close(level, expected)
    torch.testing.assert_close(upright, expected.T)


@pytest.mark.parametrize("angle", np.linspace(0, math.pi, 13)[:-1])
def test_a_line_goes_through_the_middle_at_its_angle(angle):
    kernel = line_kernel(15, float(angle)).double()
    assert kernel.sum().item() == pytest.approx(1)
    assert kernel.min() >= 0
    torch.testing.assert_close(kernel, kernel.flip(0, 1), rtol=0, atol=1e-6)
    rows, columns = np.nonzero(kernel.numpy() > 0)
    offset = (rows - 7) * math.cos(angle) - (columns - 7) * math.sin(angle)
    assert np.abs(offset).max() < 1.5
    spread = (kernel.numpy()[rows, columns] * ((rows - 7) ** 2 + (columns - 7) ** 2)).sum()
    assert spread == pytest.approx((15**2 - 1) / 12, abs=0.4)


def test_motion_blur_is_that_of_scipy():
    torch.manual_seed(3)
    image, target = MotionBlur(1.0)(*moving(128))
    torch.manual_seed(3)
    torch.rand(())
    length, angle = 2 * int(torch.randint(1, 4, ())) + 1, math.pi * float(torch.rand(()))
    kernel = line_kernel(length, angle).numpy()
    # scipy's "mirror" is torch's "reflect"; correlate, because a convolution turns the kernel round.
    expected = np.stack(
        [ndimage.correlate(band.astype(np.float32), kernel, mode="mirror") for band in picture(128).numpy()]
    )
    np.testing.assert_allclose(image.numpy(), expected, atol=0.51)
    assert torch.equal(target, moving(128)[1])


@pytest.mark.parametrize("side", [16, 32, 600])
def test_the_blur_is_no_longer_than_a_share_of_the_crop(side):
    """And it works on crops smaller than any kernel for large ones."""
    image, _ = MotionBlur(1.0)(*moving(side))
    assert image.shape == (3, side, side)
    assert not torch.equal(image, moving(side)[0])


# Noise


def test_noise_has_its_deviation_and_no_drift():
    gray = tv_tensors.Image(torch.full((3, 200, 200), 128, dtype=torch.uint8))
    for seed in range(5):
        torch.manual_seed(seed)
        image, _ = Noise(1.0, (10.0, 10.0))(gray, moving(200)[1])
        change = image.double() - 128
        assert change.std().item() == pytest.approx(10, rel=0.02)
        assert abs(change.mean().item()) < 0.15
        assert image.dtype == torch.uint8


# Erasing


def test_what_is_erased_is_one_rectangle_that_is_not_counted():
    for seed in range(30):
        torch.manual_seed(seed)
        image, target, depth = Erase(1.0)(*moving(), torch.ones(1, 64, 64))
        gone = target[0] == IGNORE
        rows, columns = gone.any(1).nonzero().flatten(), gone.any(0).nonzero().flatten()
        assert gone.sum() == len(rows) * len(columns)
        assert gone[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        assert 0.015 < gone.double().mean() < 0.22
        assert torch.equal(image[:, ~gone], picture()[:, ~gone])
        assert not torch.equal(image[:, gone], picture()[:, gone])
        assert torch.equal(depth[0] == 0, gone)


# In the pipeline


@pytest.mark.parametrize("name", ON)
def test_each_is_off_unless_asked_for_and_decided_by_the_seed(name):
    sample = Sample(picture().permute(1, 2, 0).numpy(), np.ones((64, 64), np.uint8))
    plain, one, again, other = (
        run(Augment(**options), sample, seed)
        for options, seed in (({}, 0), (ON[name], 0), (ON[name], 0), (ON[name], 1))
    )
    assert degradations(Augment()) == []
    assert torch.equal(plain[0], torch.from_numpy(sample.image).permute(2, 0, 1))
    assert not torch.equal(one[0], plain[0])
    assert torch.equal(one[0], again[0])
    assert torch.equal(one[1], again[1])
    assert not torch.equal(one[0], other[0])
    assert one[0].dtype == torch.uint8
    assert one[1].dtype == torch.int64


@pytest.mark.parametrize("name", ["motion_blur", "noise"])
def test_what_changes_the_picture_alone_leaves_the_target(name):
    sample = Sample(picture().permute(1, 2, 0).numpy(), np.ones((64, 64), np.uint8))
    assert (run(Augment(**ON[name]), sample)[1] == 1).all()


@pytest.mark.parametrize("name", ON)
def test_a_probability_is_how_often(name):
    key = "perspective_probability" if name == "perspective" else name
    sample = Sample(picture(32).permute(1, 2, 0).numpy(), np.ones((32, 32), np.uint8))
    augment = Augment(**{**ON[name], key: 0.3})
    changed = sum(not torch.equal(run(augment, sample, seed, 32)[0], picture(32)) for seed in range(200))
    assert 40 <= changed <= 80


def test_perspective_moves_picture_and_target_together():
    noise = np.random.default_rng(0).random((90, 130))
    target = (ndimage.gaussian_filter(noise, 6) > 0.5).astype(np.uint8)
    sample = Sample(np.repeat(255 * target[..., None], 3, axis=2), target)
    for seed in range(8):
        image, found = run(Augment(**ON["perspective"]), sample, seed)
        known = found != IGNORE
        edge = torch.nn.functional.max_pool2d((~known).float()[None], 3, stride=1, padding=1)[0] > 0
        clear = ~edge & ((image[0] < 24) | (image[0] > 231))
        assert clear.float().mean() > 0.2
        assert torch.equal(image[0][clear] > 127, found[clear] == 1)
        assert (~known).any()
