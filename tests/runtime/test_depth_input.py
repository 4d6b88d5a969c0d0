"""Bundles that want a depth map: what a caller gives, what is missing, and what the file says."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import figureground as fg
from figureground.checks import ArgumentError
from figureground.errors import BundleError, CorruptBundleError, ImageError, SourceError
from figureground.runtime.bundle import Bundle, attach_metadata
from figureground.runtime.cost import cost
from figureground.runtime.depth_input import DepthInput
from figureground.runtime.onnx_segmenter import OnnxSegmenter

PHOTO = np.full((96, 128, 3), 80, np.uint8)
MILLIMETRES = np.full((96, 128), 3000, np.uint16)
MILLIMETRES[20:60, 30:90] = 900
MILLIMETRES[:, :4] = 0  # what the camera did not see
NEAR = (MILLIMETRES < 2000) & (MILLIMETRES > 0)


@pytest.fixture
def near(near_bundle):
    return fg.load(near_bundle)


def test_a_depth_map_decides(near, tmp_path):
    Image.fromarray(MILLIMETRES).save(tmp_path / "d.png")
    np.save(tmp_path / "d.npy", MILLIMETRES / 1000)
    for depth in (MILLIMETRES, tmp_path / "d.png", str(tmp_path / "d.npy")):
        assert np.array_equal(near(PHOTO, depth=depth).mask, NEAR)


def test_photos_with_their_maps_in_a_batch(near):
    mirrored = MILLIMETRES[:, ::-1].copy()
    results = list(near.batch([fg.WithDepth(PHOTO, MILLIMETRES), fg.WithDepth(PHOTO, mirrored)]))
    assert np.array_equal(results[0].mask, NEAR)
    assert np.array_equal(results[1].mask, NEAR[:, ::-1])
    assert np.array_equal(near(fg.WithDepth(PHOTO, MILLIMETRES), depth=mirrored).mask, NEAR[:, ::-1])


def test_a_map_of_another_size_but_not_of_another_shape(near):
    small = np.asarray(Image.fromarray(MILLIMETRES.astype(np.int32)).resize((64, 48), Image.Resampling.NEAREST))
    assert (near(PHOTO, depth=small).mask == NEAR).mean() > 0.97
    with pytest.raises(ImageError, match=r"96x128, its photo 128x96: another shape"):
        near(PHOTO, depth=MILLIMETRES.T.copy())


def test_a_map_that_is_missing_and_one_that_nobody_wants(near, tiny_bundle, tmp_path):
    with pytest.raises(ImageError, match=r"'near' needs a depth map .*--depth"):
        near(PHOTO)
    [error] = near.batch([PHOTO], on_error="yield")
    assert isinstance(error, ImageError)
    with pytest.raises(SourceError, match="nowhere"):
        near(PHOTO, depth=tmp_path / "nowhere.png")
    bright = fg.load(tiny_bundle)
    with pytest.raises(ArgumentError, match="looks at no depth"):
        bright(PHOTO, depth=MILLIMETRES)
    with pytest.raises(ArgumentError, match="looks at no depth"):
        bright.probabilities_with_depth(PHOTO, MILLIMETRES.astype(np.float32))


def test_a_network_that_learned_to_do_without(near_bundle):
    bundle = Bundle.read(near_bundle)
    relaxed = OnnxSegmenter(
        Bundle.create(
            bundle.model_bytes,
            name="near",
            labels=bundle.labels,
            sizing=bundle.sizing,
            threshold=0.5,
            card={},
            depth=DepthInput("distance", needed=False),
        )
    )
    assert np.allclose(relaxed(PHOTO).probabilities[1:], 1 / (1 + np.e))
    assert np.array_equal(relaxed(PHOTO, depth=MILLIMETRES).mask, NEAR)
    assert fg.augmented(relaxed)(PHOTO).mask.shape == (96, 128)


def test_refinements_hand_depth_on_and_others_say_that_they_do_not(near):
    refined = fg.Refined(near, "largest")
    assert np.array_equal(refined(PHOTO, depth=MILLIMETRES).mask, NEAR)
    with pytest.raises(ImageError, match="needs a depth map"):
        refined(PHOTO)
    with pytest.raises(BundleError, match="do not hand on"):
        fg.augmented(near)(PHOTO)


def test_the_file_says_it(near_bundle, near):
    bundle = Bundle.read(near_bundle)
    assert bundle.depth == near.depth_input == DepthInput("distance", needed=True)
    assert bundle.format_version == 2
    assert cost(near, PHOTO).multiply_adds == 0
    plain = Bundle.create(
        bundle.model_bytes, name="b", labels=bundle.labels, sizing=bundle.sizing, threshold=0.5, card={}
    )
    assert (plain.format_version, plain.depth) == (1, None)


@pytest.mark.parametrize("wrong", [{"values": "metres", "needed": True}, {"values": "distance"}, 7])
def test_a_file_that_says_it_wrong(near_bundle, wrong):
    import onnxruntime as ort

    data = near_bundle.read_bytes()
    facts = ort.InferenceSession(data).get_modelmeta().custom_metadata_map["figureground"]
    metadata = {key: value for key, value in json.loads(facts).items() if key != "sha256"}
    with pytest.raises(BundleError, match="depth"):
        Bundle.from_bytes(attach_metadata(data, {**metadata, "depth": wrong}))
    del metadata["depth"]
    with pytest.raises(CorruptBundleError, match="'depth'"):
        Bundle.from_bytes(attach_metadata(data, metadata))
