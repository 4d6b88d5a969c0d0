import math
import os
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import softmax

from figureground.errors import BundleError, ImageError, NetworkError
from figureground.labels import LabelTree
from figureground.runtime.bundle import Bundle
from figureground.runtime.onnx_segmenter import OnnxSegmenter
from figureground.runtime.probability import drop_unsure_leaves, leaf_logits, leaf_probabilities
from figureground.runtime.sizing import Sizing

logit_maps = hnp.arrays(
    np.float32, hnp.array_shapes(min_dims=3, max_dims=3, max_side=4), elements=st.floats(-1e4, 1e4, width=32)
)


@given(logit_maps)
def test_leaf_probabilities_are_a_softmax_with_a_zero_background(logits):
    p = leaf_probabilities(logits)
    assert p.dtype == np.float32
    with_background = np.concatenate([np.zeros_like(logits[:1]), logits]).astype(np.float64)
    np.testing.assert_allclose(p, softmax(with_background, axis=0)[1:], atol=1e-6)


def test_one_leaf_is_the_sigmoid():
    z = np.linspace(-90, 90, 7, dtype=np.float32).reshape(1, 1, 7)
    expected = [1 / (1 + math.exp(-v)) for v in z.ravel().tolist()]
    np.testing.assert_allclose(leaf_probabilities(z).ravel(), expected, rtol=1e-5)


@given(
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=3, max_dims=3, max_side=4), elements=st.floats(-7, 7, width=32))
)
def test_leaf_logits_undo_leaf_probabilities(logits):
    np.testing.assert_allclose(leaf_logits(leaf_probabilities(logits)), logits, atol=5e-3)


def test_sure_probabilities_have_finite_logits():
    assert leaf_logits(np.float32([0, 1]).reshape(1, 1, 2)).ravel() == pytest.approx([-16.1, 16.1], abs=0.1)


def test_the_network_sees_the_pixels_as_they_are(segmenter):
    image = np.random.default_rng(1).integers(0, 256, (32, 48, 3), np.uint8)
    p = segmenter.probabilities(image)
    expected = 1 / (1 + np.exp(-0.5 * (image.mean(axis=2) - 127.5)))
    assert p.shape == (1, 32, 48)
    np.testing.assert_allclose(p[0], expected, atol=1e-4)


def test_a_size_that_does_not_fit_says_so(segmenter):
    with pytest.raises(ImageError, match="multiples of 16"):
        segmenter.probabilities(np.zeros((20, 32, 3), np.uint8))


def test_threads_share_a_session(segmenter, half_bright):
    photo = half_bright(60, 80)
    expected = segmenter(photo).alpha
    wrong = []

    def work():
        for _ in range(10):
            if not np.array_equal(segmenter(photo).alpha, expected):
                wrong.append(1)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_the_session_starts_with_the_first_image(bundle):
    made = OnnxSegmenter(bundle)
    assert "_started" not in vars(made)
    made(np.zeros((8, 8, 3), np.uint8))
    assert "_started" in vars(made)


def test_an_unknown_provider_is_named(bundle):
    with pytest.raises(NetworkError, match="CUDAProvider"):
        OnnxSegmenter(bundle, providers=["CUDAProvider", "CPUExecutionProvider"])
    with pytest.raises(NetworkError, match="threads"):
        OnnxSegmenter(bundle, threads=0)


def test_a_tree_that_does_not_fit_the_channels(color_model):
    made = Bundle.create(
        color_model, name="x", labels=LabelTree.person(), sizing=Sizing(4096, 16), threshold=0.5, card={}
    )
    with pytest.raises(BundleError, match="1 leaves"):
        OnnxSegmenter(made)(np.zeros((8, 8, 3), np.uint8))


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads the resident size from /proc")
@pytest.mark.slow
def test_memory_stays_flat_over_many_sizes(segmenter):
    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    rng = np.random.default_rng(0)
    sizes = rng.integers(10, 600, (3000, 2))
    for height, width in sizes[:300]:
        _ = segmenter(np.zeros((height, width, 3), np.uint8)).mask
    before = resident()
    for height, width in sizes[300:]:
        _ = segmenter(np.zeros((height, width, 3), np.uint8)).mask
    assert resident() - before < 20e6


def test_areas_that_are_nowhere_sure_are_dropped():
    faint = np.zeros((2, 6, 9), np.float32)
    faint[:, 1:3, 1:3] = 0.3  # together 0.6: somebody, perhaps
    faint[0, 3:5, 6:8], faint[1, 4, 7] = 0.45, 0.5  # together 0.95 at one pixel
    kept = drop_unsure_leaves(faint, 0.9)
    np.testing.assert_array_equal(kept[:, :, :5], 0)
    np.testing.assert_array_equal(kept[:, :, 5:], faint[:, :, 5:])
    assert drop_unsure_leaves(faint, 0.0) is faint
    np.testing.assert_array_equal(drop_unsure_leaves(faint, 0.97), 0)
