import numpy as np
import pytest

from figureground.errors import BundleError, UnknownNetworkError
from figureground.runtime import catalogue


@pytest.fixture
def shelf(bundle, tmp_path, monkeypatch):
    """A weights folder with two networks in it."""
    for name in ("person", "person-fast"):
        bundle.save(tmp_path / f"{name}.onnx")
    monkeypatch.setattr(catalogue, "WEIGHTS", tmp_path)
    catalogue._kept.cache_clear()
    yield tmp_path
    catalogue._kept.cache_clear()


def test_what_is_shipped(shelf):
    assert catalogue.shipped() == {"person": shelf / "person.onnx", "person-fast": shelf / "person-fast.onnx"}


def test_by_name_and_by_file(shelf, bundle_file):
    assert catalogue.find("person-fast") == shelf / "person-fast.onnx"
    for name in ("person", str(bundle_file), bundle_file):
        assert catalogue.load(name).name == "bright"


def test_an_unknown_name_suggests_the_nearest(shelf):
    with pytest.raises(UnknownNetworkError, match="did you mean 'person-fast'"):
        catalogue.load("person_fast")
    with pytest.raises(UnknownNetworkError):
        catalogue.segment(np.zeros((4, 4, 3), np.uint8), network="persn")


def test_a_missing_file_is_not_an_unknown_name(shelf):
    with pytest.raises(BundleError, match="no such file"):
        catalogue.load("models/mine.onnx")


def test_segment_keeps_its_network(shelf, half_bright, monkeypatch):
    photo = half_bright(20, 20)
    first = catalogue.segment(photo)
    (shelf / "person.onnx").write_bytes(b"gone")
    assert np.array_equal(catalogue.segment(photo).mask, first.mask)
    assert catalogue.segment(photo, threshold=0.9).threshold == 0.9
