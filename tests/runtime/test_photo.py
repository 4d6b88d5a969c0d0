import io
import os
import threading

import numpy as np
import pytest
from PIL import Image

from figureground.errors import ImageError, SourceError
from figureground.runtime.photo import Photo


@pytest.fixture
def big_jpeg(tmp_path):
    """800 x 1200, stored lying on its side with an EXIF orientation that turns it upright."""
    path = tmp_path / "big.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.linear_gradient("L").resize((1200, 800)).convert("RGB").save(path, exif=exif)
    return path


def test_the_size_is_known_before_decoding_and_is_the_upright_one(big_jpeg):
    photo = Photo(big_jpeg)
    assert photo.size == (1200, 800)
    assert photo._pixels is None
    assert photo.path == big_jpeg


def test_a_preview_is_smaller_and_leaves_the_full_size_undecoded(big_jpeg):
    photo = Photo(str(big_jpeg))
    preview = photo.preview(150)
    assert 150 <= min(preview.shape[:2]) < 800
    assert preview.shape[0] > preview.shape[1]
    assert photo._pixels is None
    assert photo.pixels.shape == (1200, 800, 3)
    assert photo.preview(150) is photo.pixels


def test_a_preview_at_full_size_is_not_decoded_twice(tmp_path):
    Image.new("RGB", (40, 30), "red").save(tmp_path / "a.png")
    photo = Photo(tmp_path / "a.png")
    assert photo.preview(500) is photo.pixels


def test_every_kind_of_source_gives_the_same_pixels(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    for source in (
        tmp_path / "a.png",
        str(tmp_path / "a.png"),
        data,
        io.BytesIO(data),
        Image.fromarray(pixels),
        pixels,
    ):
        photo = Photo(source)
        assert photo.size == (30, 40)
        np.testing.assert_array_equal(photo.pixels, pixels)


def test_a_stream_may_be_closed_afterwards(big_jpeg):
    with big_jpeg.open("rb") as stream:
        photo = Photo(stream)
    assert photo.preview(100).shape[2] == 3
    assert photo.pixels.shape == (1200, 800, 3)


def test_a_file_that_changes_in_between_is_noticed(big_jpeg):
    photo = Photo(big_jpeg)
    Image.new("RGB", (10, 10)).save(big_jpeg)
    with pytest.raises(ImageError, match="changed"):
        _ = photo.pixels


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_read_once(big_jpeg, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(big_jpeg.read_bytes()))
    writer.start()
    photo = Photo(pipe)
    writer.join()
    assert photo.preview(100).shape[2] == 3
    assert photo.pixels.shape == (1200, 800, 3)


class Broken:
    def read(self):
        raise OSError("unplugged")


@pytest.mark.parametrize("source", [io.StringIO("text"), Broken(), 5, None, "missing.jpg", b"not an image", ["a.jpg"]])
def test_what_is_no_image_is_one_of_our_errors(source):
    with pytest.raises((SourceError, ImageError)):
        Photo(source)
