"""Estimated depth is computed once, kept under what it was made of, and comes back as it was computed."""

from __future__ import annotations

import multiprocessing

import numpy as np
import pytest
from PIL import Image

from figureground.depth.cache import DepthCache, decoded_depth, encoded_depth
from figureground.depth.graph import Look
from figureground.depth.opening import open_onnx
from figureground.errors import OutputError, SourceError


def _fit(height, width):
    return 48, 64


@pytest.fixture
def photo(tmp_path, picture):
    Image.fromarray(picture).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def cache(tmp_path, network_file):
    return DepthCache(tmp_path / "maps", open_onnx(network_file), _fit)


def files(cache):
    return sorted(path for path in cache.folder.rglob("*") if path.is_file())


def test_kept_depth_is_the_computed_depth(cache, photo, picture, monkeypatch):
    first = cache(photo)
    assert first.shape == (48, 64)
    from figureground import images

    exact = cache.estimator(images.resize(picture, (48, 64)))
    np.testing.assert_allclose(first, exact, atol=3 / 65534 + 1e-6)
    monkeypatch.setattr(type(cache.estimator), "__call__", lambda *_: pytest.fail("computed again"))
    assert np.array_equal(cache(photo), first)
    assert len(files(cache)) == 1


def test_every_kept_value_comes_back():
    values = np.linspace(-3, 3, 65535, dtype=np.float32).reshape(255, 257)
    np.testing.assert_allclose(decoded_depth(encoded_depth(values)), values, atol=3 / 65534 + 1e-6)
    ends = np.array([[-3, 0, 3]], np.float32)
    assert np.array_equal(decoded_depth(encoded_depth(ends)), ends)


def test_another_photo_or_estimator_or_size_is_another_map(cache, photo, picture, network_file):
    cache(photo)
    other = DepthCache(cache.folder, open_onnx(network_file, Look(size=(32, 32))), cache.fit)
    assert cache.missing([photo]) == []
    assert other.missing([photo]) == [photo]
    larger = DepthCache(cache.folder, cache.estimator, lambda height, width: (64, 64))
    assert larger(photo).shape == (64, 64)
    Image.fromarray(255 - picture).save(photo)
    assert cache.missing([photo]) == [photo]
    cache(photo)
    assert len(files(cache)) == 3


def test_an_interrupted_computation_goes_on(cache, photo, tmp_path, picture):
    photos = [photo]
    for number in (1, 2, 3):
        photos.append(tmp_path / f"p{number}.png")
        Image.fromarray(picture[:, number:]).save(photos[-1])

    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.fill(photos, stop)
    assert len(files(cache)) == 2
    assert cache.missing(photos) == photos[2:]
    cache.fill(photos)
    assert len(files(cache)) == 4


def test_a_damaged_map_is_computed_anew(cache, photo):
    first = cache(photo)
    [kept] = files(cache)
    kept.write_bytes(kept.read_bytes()[:50])
    assert np.array_equal(cache(photo), first)


def test_an_estimator_works_in_a_forked_process(cache, photo):
    first = cache(photo)
    [kept] = files(cache)
    kept.unlink()
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert np.array_equal(pool.apply_async(cache, [photo]).get(timeout=60), first)


def test_no_photo_and_no_room(cache, tmp_path, photo, network_file):
    with pytest.raises(SourceError, match="nowhere"):
        cache(tmp_path / "nowhere.png")
    (tmp_path / "file").write_text("")
    blocked = DepthCache(tmp_path / "file", cache.estimator, cache.fit)
    with pytest.raises(OutputError, match=r"depth\.cache"):
        blocked(photo)
