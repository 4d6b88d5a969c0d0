"""The specification's pseudo-random inputs, and probabilities as a network gives them."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from scipy import ndimage


def _hashed(name, *shape):
    """The specification's pseudo-random numbers in [-0.5, 0.5), the same on every machine."""
    i, low = np.arange(np.prod(shape), dtype=np.uint64), np.uint64(0xFFFFFFFF)
    x = (i * np.uint64(2654435761) + np.uint64(zlib.crc32(name.encode()))) & low
    x ^= x >> np.uint64(16)
    x = (x * np.uint64(2246822519)) & low
    x ^= x >> np.uint64(13)
    return (x.astype(np.float64) / 2**32 - 0.5).reshape(shape)


def _softmax(scores):
    scores = np.exp(scores - scores.max(0))
    return scores / scores.sum(0)


def _person(size, leaves=1, seed=0):
    """Leaf probabilities as a network gives them: sure inside, unsure along outlines, with a few errors."""
    rng = np.random.default_rng(seed)
    scores = ndimage.gaussian_filter(rng.normal(size=(leaves + 1, *size)), (0, 5, 5)) * 60
    return _softmax(scores)[1:]


@pytest.fixture
def hashed():
    return _hashed


@pytest.fixture
def softmax():
    return _softmax


@pytest.fixture
def person():
    return _person
