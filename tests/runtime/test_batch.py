import itertools
import json
import threading

import numpy as np
import onnx
import pytest

from figureground.errors import BundleError, FiguregroundError, SourceError
from figureground.runtime.bundle import Bundle, attach_metadata
from figureground.runtime.onnx_segmenter import OnnxSegmenter
from figureground.runtime.segmentation import Segmentation


def shades(count):
    """Photos that tell their place in the row by their height."""
    return [np.full((index + 1, 20, 3), 255, np.uint8) for index in range(count)]


def decoders():
    return [t for t in threading.enumerate() if t.name.startswith("figureground-decode")]


@pytest.mark.parametrize(("workers", "ahead"), [(1, 1), (2, 4), (4, 2)])
@pytest.mark.parametrize("count", [0, 1, 9])
def test_in_order_and_the_same_as_one_by_one(segmenter, workers, ahead, count):
    photos = shades(count)
    results = list(segmenter.batch(photos, workers=workers, ahead=ahead))
    assert [r.size[0] for r in results] == list(range(1, count + 1))
    for result, photo in zip(results, photos, strict=True):
        np.testing.assert_array_equal(result.alpha, segmenter(photo).alpha)


def test_lazy_and_bounded_over_an_endless_source(segmenter):
    taken = itertools.count()
    seen = []

    def endless():
        while True:
            seen.append(next(taken))
            yield np.zeros((4, 4, 3), np.uint8)

    results = segmenter.batch(endless(), ahead=3)
    assert seen == []
    for done in range(1, 6):
        assert isinstance(next(results), Segmentation)
        assert len(seen) <= done + 3
    results.close()
    assert not decoders()


def test_dropping_the_iterator_stops_the_threads(segmenter):
    results = segmenter.batch(shades(50))
    next(results)
    del results
    assert not decoders()


def test_an_error_ends_the_iteration_by_default(segmenter, tmp_path):
    results = segmenter.batch([shades(1)[0], tmp_path / "missing.jpg", shades(1)[0]])
    assert isinstance(next(results), Segmentation)
    with pytest.raises(SourceError):
        next(results)
    assert list(results) == []
    assert not decoders()


def test_an_error_can_take_the_place_of_its_result(segmenter, tmp_path):
    (tmp_path / "text.jpg").write_text("not a picture")
    sources = [shades(1)[0], tmp_path / "missing.jpg", tmp_path / "text.jpg", shades(2)[1]]
    first, second, third, fourth = segmenter.batch(sources, on_error="yield")
    assert isinstance(first, Segmentation)
    assert isinstance(second, SourceError)
    assert isinstance(third, FiguregroundError)
    assert "text.jpg" in str(third)
    assert isinstance(fourth, Segmentation)


def test_a_failing_source_stops_the_threads(segmenter):
    def failing():
        yield shades(1)[0]
        raise RuntimeError("the camera is gone")

    with pytest.raises(RuntimeError, match="camera"):
        list(segmenter.batch(failing()))
    assert not decoders()


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"ahead": 0}, {"on_error": "skip"}, {"threshold": 2}])
def test_wrong_options_are_refused_at_once(segmenter, wrong):
    with pytest.raises(FiguregroundError, match=r"batch|threshold"):
        segmenter.batch([], **wrong)


def test_an_error_of_the_network_is_never_taken_for_one_of_an_image(bundle):
    damaged = Bundle.from_bytes(
        attach_metadata(bundle.model_bytes.replace(b"Conv", b"Corv"), json.loads(metadata_json(bundle)))
    )
    with pytest.raises(BundleError, match="cannot be loaded"):
        list(OnnxSegmenter(damaged).batch(shades(2), on_error="yield"))


def metadata_json(bundle):
    [entry] = onnx.ModelProto.FromString(bundle.model_bytes).metadata_props
    return entry.value
