"""Depth in training data: it moves with its picture, nothing that changes colours reaches it, and it may be hidden."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from torch.nn import functional as F

from figureground.data import Augment, EmptySource, Sample, augmented, build_source
from figureground.data.depth import DepthSource, FileMaps, KeptMaps, source_with_depth
from figureground.data.depth_specs import DepthSpec
from figureground.data.specs import SourceSpec
from figureground.data.transforms import mirror_table
from figureground.errors import DataError
from figureground.images import normalised_depth
from figureground.labels import LabelTree

PERSON = mirror_table(LabelTree.person())
GEOMETRY = Augment(crop_scale=(0.3, 1.0), crop_ratio=(0.6, 1.6), flip=0.5, rotate=30, rotate_probability=0.7)


def blobs(height=90, width=130, seed=0, depth_size=None):
    """A picture that is white and a depth that is 2 where the target is 1; else black, and -1."""
    noise = np.random.default_rng(seed).random((height, width))
    target = (ndimage.gaussian_filter(noise, 6) > 0.5).astype(np.uint8)
    depth = np.where(target > 0, 2, -1).astype(np.float32)
    if depth_size is not None:
        depth = np.asarray(Image.fromarray(depth).resize(depth_size[::-1], Image.Resampling.BILINEAR))
    return Sample(np.repeat(255 * target[..., None], 3, axis=2), target, depth)


def run(sample, augment, seed=0, **options):
    torch.manual_seed(seed)
    return augmented(sample, augment, 64, PERSON, **options)


@pytest.mark.parametrize("depth_size", [None, (45, 65), (180, 260)])
def test_depth_moves_with_the_picture(depth_size):
    for seed in range(12):
        picture, target = run(blobs(seed=seed, depth_size=depth_size), GEOMETRY, seed)
        assert picture.shape == (4, 64, 64)
        assert picture.dtype == torch.float32
        colour, depth = picture[0], picture[3]
        # Away from the outline and from corners that a rotation uncovered.
        inside = F.avg_pool2d(colour[None], 7, stride=1, padding=3, count_include_pad=False)[0]
        covered = F.max_pool2d((target == 255).float()[None], 5, stride=1, padding=2)[0] == 0
        clear = covered & ((inside > 250) | (inside < 5))
        assert clear.float().mean() > 0.1
        assert torch.equal(depth[clear] > 0.5, target[clear] == 1)
        assert torch.equal(depth[clear] > 0.5, colour[clear] > 127)


def test_uncovered_corners_are_unknown():
    full = Sample(np.full((64, 64, 3), 200, np.uint8), np.ones((64, 64), np.uint8), np.full((64, 64), 2, np.float32))
    picture, target = run(full, Augment(rotate=45, rotate_probability=1.0), seed=3)
    assert (target == 255).any()
    assert not picture[3][target == 255].any()
    assert (picture[3][target == 1] == 2).all()


def test_colours_change_without_the_depth():
    sample = replace(blobs(64, 64), image=np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8))
    harsh = Augment(color=0.9, hue=0.4, color_probability=1.0, gray=0.5, blur=1.0, jpeg=1.0)
    picture, _ = run(sample, harsh)
    assert not np.array_equal(picture[:3].numpy(), sample.image.transpose(2, 0, 1))
    assert np.array_equal(picture[3].numpy(), sample.depth)


@pytest.mark.parametrize("seed", range(4))
def test_with_depth_the_rest_is_as_without(seed):
    sample = blobs(seed=seed)
    augment = GEOMETRY.model_copy(update={"color": 0.4, "jpeg": 0.5})
    plain, target = run(replace(sample, depth=None), augment, seed)
    picture, same = run(sample, augment, seed, drop=0.5)
    assert plain.dtype == torch.uint8
    assert torch.equal(picture[:3], plain.float())
    assert torch.equal(target, same)


def test_depth_is_hidden_as_often_as_asked():
    hidden = [not run(blobs(), Augment(), seed, drop=0.25)[0][3].any() for seed in range(200)]
    assert 0.15 < np.mean(hidden) < 0.35
    assert not any(not run(blobs(), Augment(), seed)[0][3].any() for seed in range(20))


# Sources


@pytest.fixture
def maps(folders):
    """depth/ beside the photos of `folders`: distances, nearer by column, as 16-bit PNG and, for one, as .npy."""
    (folders / "depth").mkdir()
    for number in range(5):
        distance = np.broadcast_to(np.arange(1, 31, dtype=np.uint16) * 100 + number, (20, 30))
        if number == 4:
            np.save(folders / "depth/p4.npy", distance)
        else:
            Image.fromarray(np.ascontiguousarray(distance)).save(folders / f"depth/p{number}.png")
    return folders


def spec(**values):
    return SourceSpec(name="p", images="images", masks="masks", **values)


def built(source, folder):
    return build_source(source, folder, held=False, labels=LabelTree.person())


def test_maps_are_found_by_their_stem(maps):
    one = spec(depth="depth")
    source = source_with_depth(built(one, maps), one, DepthSpec(), maps, None)
    assert isinstance(source, DepthSource)
    assert isinstance(source.maps, FileMaps)
    assert (source.name, len(source)) == ("p", 5)
    for number in range(5):
        sample = source.read(number, np.random.default_rng(0))
        wanted = np.broadcast_to(np.arange(1, 31, dtype=np.float32) * 100 + number, (20, 30))
        np.testing.assert_allclose(sample.depth, normalised_depth(wanted, "distance"), atol=1e-6)
        assert (np.diff(sample.depth[0]) <= 0).all()  # farther, so less near


def test_maps_that_are_missing_or_of_another_shape(maps):
    one = spec(depth="depth")
    Image.fromarray(np.ones((30, 20), np.uint16)).save(maps / "depth/p0.png")
    with pytest.raises(DataError, match=r"p0\.png is 20x30, its picture 30x20: another shape"):
        source_with_depth(built(one, maps), one, DepthSpec(), maps, None)
    (maps / "depth/p2.png").unlink()
    with pytest.raises(DataError, match=r"1 photos have no depth map in .*depth, first p2\.jpg"):
        source_with_depth(built(one, maps), one, DepthSpec(), maps, None)
    with pytest.raises(DataError, match="no folder"):
        source_with_depth(built(one, maps), spec(depth="nowhere"), DepthSpec(), maps, None)
    with pytest.raises(DataError, match="has no depth maps; name their folder"):
        source_with_depth(built(one, maps), spec(), DepthSpec(), maps, None)


def test_unknown_depth_is_zero(maps):
    unknown = spec(depth=False)
    source = source_with_depth(built(unknown, maps), unknown, DepthSpec(), maps, None)
    picture, _ = run(source.read(0, np.random.default_rng(0)), GEOMETRY)
    assert picture.shape == (4, 64, 64)
    assert not picture[3].any()


class ByRed:
    """An estimator and its cache in one: depth is the red of the picture."""

    def __init__(self):
        self.asked = []
        self.estimator = self.estimate

    def fit(self, height, width):
        return 16, 32

    def estimate(self, picture):
        return picture[..., 0].astype(np.float32)

    def __call__(self, photo):
        self.asked.append(photo.name)
        return np.ones((16, 32), np.float32)


def test_photos_are_estimated_once_and_composites_anew(folders):
    cache = ByRed()
    depth = DepthSpec(estimator={"onnx": "any.onnx"})
    empty = SourceSpec(name="e", kind="empty", images="empty")
    source = source_with_depth(built(empty, folders), empty, depth, folders, cache)
    assert isinstance(source.inner, EmptySource)
    assert isinstance(source.maps, KeptMaps)
    assert source.read(2, np.random.default_rng(0)).depth.shape == (16, 32)
    assert cache.asked == ["e2.png"]
    pasted = SourceSpec(name="c", kind="composite", people="people", backgrounds=("empty",))
    source = source_with_depth(built(pasted, folders), pasted, depth, folders, cache)
    sample = source.read(0, np.random.default_rng(0))
    # The cut-out people are the only red there is.
    small = np.asarray(Image.fromarray(sample.target * 255).resize((32, 16), Image.Resampling.BOX))
    assert sample.depth[small == 255].min(initial=255) > 150
    assert sample.depth[small == 0].max() < 60
    assert cache.asked == ["e2.png"]
