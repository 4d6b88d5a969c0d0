from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from figureground.labels import LabelTree
from figureground.losses import mean_field
from figureground.losses.mean_field import bilateral_sums, dense_crf_logits, smooth_crf_logits
from figureground.refine import DenseCrf, SmoothCrf, dense_crf, pair_sums
from figureground.refine.smooth_crf import smooth_logits

PHOTO = Path(__file__).parents[2] / "src" / "figureground" / "demo" / "astronaut.jpg"


@pytest.fixture
def picture():
    return np.ascontiguousarray(np.asarray(Image.open(PHOTO).convert("RGB").reduce(4))[:30, 20:56])


@pytest.fixture
def factored(monkeypatch):
    for name in ("_WRITTEN_OUT", "_SMALL", "_NARROW"):
        monkeypatch.setattr(pair_sums, name, 0)


@pytest.fixture(params=["factored", "near"])
def large(monkeypatch, request):
    """Sums as of a picture larger than these, factored or over the near pairs."""
    for name in ("_WRITTEN_OUT", *(("_SMALL", "_NARROW") if request.param == "factored" else ())):
        monkeypatch.setattr(pair_sums, name, 0)


def logits(leaves, size, dtype=torch.float64, batch=1):
    noise = torch.from_numpy(np.random.default_rng(0).normal(size=(batch, leaves, *size)))
    return (4 * torch.nn.functional.avg_pool2d(noise, 5, stride=1, padding=2)).to(dtype)


def as_batch(*pictures):
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float()


def probabilities(z):
    return mean_field.with_background(z).softmax(1)[:, 1:].numpy()


def test_has_the_golden_values_of_the_dense_crf(hashed):
    # Three classes of the specification are a background and two leaves here.
    z, image = hashed("dcrf", 3, 6, 6, scale=4), (hashed("img", 3, 6, 6, scale=1) + 0.5) * 255
    after = dense_crf_logits((z[1:] - z[:1])[None], image[None], DenseCrf())
    q = mean_field.with_background(after)[0].softmax(0)
    assert float(q[0, 0, 0]) == pytest.approx(0.00574705, abs=2e-6)
    assert float(-(q * q.log()).sum(0).mean()) == pytest.approx(0.12906450, abs=2e-6)


@pytest.mark.parametrize("labels", [None, LabelTree.named("pascal-person-part")], ids=["alone", "in a tree"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-5), (torch.float32, 2e-3)])
def test_both_backends_agree(picture, labels, dtype, tolerance, large):
    leaves = 1 if labels is None else len(labels.leaves)
    z, settings = logits(leaves, picture.shape[:2], dtype), DenseCrf(width=30, smooth_weight=1, weight=3)
    ours = probabilities(dense_crf_logits(z, as_batch(picture), settings, labels=labels))[0]
    theirs = dense_crf(probabilities(z)[0], picture, settings, labels=labels)
    assert ours == pytest.approx(theirs, abs=tolerance)
    assert np.abs(theirs - probabilities(z)[0]).max() > 0.1


def test_both_backends_agree_on_all_pairs_and_without_normalisation(picture):
    z, settings = logits(1, picture.shape[:2]), DenseCrf(width=9, weight=0.05, smooth_weight=0.1, normalisation="none")
    ours = probabilities(dense_crf_logits(z, as_batch(picture), settings))[0]
    assert ours == pytest.approx(dense_crf(probabilities(z)[0], picture, settings), abs=1e-5)


def test_each_picture_of_a_batch_is_on_its_own(picture):
    z, settings = logits(1, picture.shape[:2], batch=2), DenseCrf(width=9)
    batch = dense_crf_logits(z, as_batch(picture, 255 - picture), settings)
    assert torch.allclose(batch[1:], dense_crf_logits(z[1:], as_batch(255 - picture), settings))


def test_gradients_of_the_sums_are_right(picture, large):
    small, settings = picture[:5, :6], DenseCrf(iterations=2, width=4, color=40, weight=2)
    z = logits(2, small.shape[:2]).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: dense_crf_logits(x, as_batch(small), settings), (z,), atol=1e-4)


@pytest.mark.parametrize(("width", "color"), [(40, 5), (2, 13), (0.5, 40)])
def test_both_backends_agree_at_narrow_settings(picture, width, color, large):
    z, settings = logits(2, picture.shape[:2]), DenseCrf(width=width, color=color)
    ours = probabilities(dense_crf_logits(z, as_batch(picture), settings))[0]
    assert ours == pytest.approx(dense_crf(probabilities(z)[0], picture, settings), abs=1e-5)


def test_both_backends_agree_on_rare_colours(picture, factored):
    spotted = np.full_like(picture, 90)
    spotted[::5, ::6] = picture[::5, ::6]
    z, settings = logits(1, picture.shape[:2]), DenseCrf(width=20)
    ours = probabilities(dense_crf_logits(z, as_batch(spotted), settings))[0]
    assert ours == pytest.approx(dense_crf(probabilities(z)[0], spotted, settings), abs=1e-5)


def test_sums_over_pairs_are_symmetric(picture, large):
    a, b = torch.from_numpy(np.random.default_rng(1).random((2, 1, *picture.shape[:2])))
    sums = bilateral_sums(as_batch(picture)[0], 20, 13, a)
    assert float((a * sums(b)).sum()) == pytest.approx(float((b * sums(a)).sum()), rel=1e-6)


def test_the_smoothing_crf_is_that_of_numpy():
    z, settings = logits(3, (20, 31), batch=2), SmoothCrf(iterations=3, width=2, weight=0.5)
    ours = smooth_crf_logits(z, settings)
    for one, given in zip(ours, z, strict=True):
        assert one.numpy() == pytest.approx(smooth_logits(given.numpy(), settings), abs=1e-9)


def test_the_smoothing_crf_has_the_golden_values_of_crfseg(hashed):
    after = smooth_crf_logits(hashed("crf", 1, 1, 12, 12, scale=6), SmoothCrf())
    assert float(after.mean()) == pytest.approx(0.31183157, abs=1e-7)
    assert float(after[0, 0, 0, 0]) == pytest.approx(1.38515280, abs=1e-7)
