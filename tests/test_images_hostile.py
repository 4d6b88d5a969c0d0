"""Damaged, fake and oversized images: one clear error, whatever the bytes."""

import io
import struct
import threading
import time
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from figureground import images
from figureground.errors import FiguregroundError, ImageTooLargeError, UnreadableImageError
from figureground.images.formats import unbounded


def photo(size=(40, 30)):
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((64, 48), Image.Resampling.BICUBIC)


def encoded(image, image_format, **options):
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def exif():
    tags = Image.Exif()
    tags[0x0112] = 6
    tags[0x010E] = "a description that does not fit into the entry"
    return tags


SAMPLES = {
    "jpeg": lambda: encoded(photo(), "jpeg", exif=exif()),
    "jpeg-progressive": lambda: encoded(photo(), "jpeg", progressive=True),
    "jpeg-cmyk": lambda: encoded(photo().convert("CMYK"), "jpeg"),
    "mpo": lambda: encoded(photo(), "mpo", save_all=True, append_images=[photo()]),
    "png": lambda: encoded(photo().convert("RGBA"), "png", exif=exif()),
    "png-palette": lambda: encoded(photo().quantize(16), "png", transparency=3),
    "webp": lambda: encoded(photo(), "webp", exif=exif()),
    "webp-lossless": lambda: encoded(photo().convert("RGBA"), "webp", lossless=True),
    "tiff": lambda: encoded(photo(), "tiff", exif=exif()),
    "tiff-lzw": lambda: encoded(photo(), "tiff", compression="tiff_lzw"),
    "tiff-jpeg": lambda: encoded(photo(), "tiff", compression="jpeg"),
    "tiff-deep": lambda: encoded(photo().convert("I"), "tiff"),
    "bmp": lambda: encoded(photo(), "bmp"),
    "bmp-palette": lambda: encoded(photo().quantize(16), "bmp"),
    "gif": lambda: encoded(photo(), "gif", save_all=True, append_images=[photo().rotate(9)]),
    "avif": lambda: encoded(photo(), "avif"),
}


def mutated(data, rng):
    """Flip bits, overwrite, cut out, insert or truncate; headers are hit more often than their share."""
    broken = bytearray(data)
    for _ in range(rng.integers(1, 6)):
        reach = len(broken) if rng.random() < 0.5 else min(len(broken), 200)
        at = int(rng.integers(0, max(1, reach)))
        kind = rng.integers(0, 6)
        if kind == 0:
            broken[at : at + 1] = bytes([(broken[at] if at < len(broken) else 0) ^ (1 << int(rng.integers(0, 8)))])
        elif kind == 1:
            broken[at : at + 4] = rng.bytes(4)
        elif kind == 2:
            broken[at : at + 4] = rng.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\0\0\0\1"])
        elif kind == 3:
            del broken[at : at + int(rng.integers(1, 40))]
        elif kind == 4:
            broken[at:at] = rng.bytes(int(rng.integers(1, 40)))
        else:
            del broken[at:]
    return bytes(broken)


def with_fresh_checksums(png):
    """Correct the checksum of every chunk, so that damage reaches the decoder behind it."""
    fixed = bytearray(png)
    at = 8
    while at + 12 <= len(fixed):
        end = at + 8 + int.from_bytes(fixed[at : at + 4], "big")
        fixed[end : end + 4] = struct.pack(">I", zlib.crc32(fixed[at + 4 : end]))
        at = end + 4
    return bytes(fixed)


def read_or_refuse(data):
    """Return the error's text, or "" when it was read; anything but a FiguregroundError fails the test."""
    try:
        array = images.read(data, max_pixels=1_000_000)
    except FiguregroundError as error:
        return str(error)
    assert array.dtype == np.uint8
    assert array.ndim == 3
    assert array.shape[2] == 3
    return ""


def assert_clear(message):
    assert "\n" not in message
    assert "the image given" in message


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.filterwarnings("ignore")
def test_mutated_images_read_or_are_refused(sample):
    rng = np.random.default_rng(zlib.crc32(sample.encode()))
    data = SAMPLES[sample]()
    assert read_or_refuse(data) == ""
    refused = 0
    for _ in range(150):
        broken = mutated(data, rng)
        if sample.startswith("png") and rng.random() < 0.5:
            broken = with_fresh_checksums(broken)
        if message := read_or_refuse(broken):
            assert_clear(message)
            refused += 1
        try:
            height, width = images.size(broken)
        except FiguregroundError:
            continue
        assert height > 0
        assert width > 0
    assert refused


STARTS = [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0+", b"BM", b"GIF89a", b"RIFF----WEBP"]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(STARTS), st.binary(max_size=200))
@pytest.mark.filterwarnings("ignore")
def test_arbitrary_bytes_are_refused(start, rest):
    assert_clear(read_or_refuse(start + rest))


@pytest.mark.parametrize("image_format", ["jpeg", "png", "webp", "tiff", "bmp", "gif"])
def test_truncated_files_are_named(tmp_path, image_format):
    data = encoded(photo(), image_format)
    path = tmp_path / f"cut.{image_format}"
    for keep in (0, 1, 3, 10, 20, len(data) // 2, len(data) * 9 // 10):
        path.write_bytes(data[:keep])
        with pytest.raises(UnreadableImageError, match=f"'{path}'") as caught:
            images.read(path)
        assert "\n" not in str(caught.value)


def test_fake_and_empty_files(tmp_path):
    path = tmp_path / "notes.jpg"
    path.write_text("these are my notes\n")
    with pytest.raises(UnreadableImageError, match=r"notes.jpg' is not an image; the formats are JPEG, PNG"):
        images.read(path)
    path.write_bytes(b"")
    with pytest.raises(UnreadableImageError, match=r"notes\.jpg' is empty"):
        images.size(path)
    # Formats that Pillow would hand to another program, or that are not photos, are not tried.
    for data in (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"P6 1 1 255 abc", b"\x00\x00\x01\x00"):
        with pytest.raises(UnreadableImageError, match="is not an image"):
            images.read(data)


def test_a_wrong_suffix_does_not_matter(tmp_path):
    path = tmp_path / "really-a-png.jpg"
    path.write_bytes(encoded(photo(), "png"))
    assert (images.read(path) == np.asarray(photo())).all()


def png_claiming(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def gif_claiming(screen, frame):
    head = b"GIF89a" + struct.pack("<HHBBB", *screen, 0x80, 0, 0) + bytes(6)
    return head + b"," + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\x02\x02\x4c\x01\x00;"


BOMBS = {
    "png": lambda: png_claiming(20_000, 20_000),
    "png-largest": lambda: png_claiming(2**31 - 1, 2**31 - 1),
    "bmp": lambda: b"BM" + struct.pack("<IIIIiiHHIIiiII", 54, 0, 54, 40, 30_000, 30_000, 1, 24, 0, 0, 0, 0, 0, 0),
    "gif-screen": lambda: gif_claiming((40_000, 40_000), (1, 1)),
    "gif-frame": lambda: gif_claiming((1, 1), (40_000, 40_000)),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_are_refused_from_the_header(bomb):
    data = BOMBS[bomb]()
    before = Image.MAX_IMAGE_PIXELS
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for entry in (images.read, images.size):
            with pytest.raises(ImageTooLargeError, match="megapixels; the limit is 200 megapixels"):
                entry(data)
    assert time.perf_counter() - start < 1
    assert before == Image.MAX_IMAGE_PIXELS


def test_the_limit_can_be_raised_and_lowered():
    # 400 megapixels are claimed and 100 bytes delivered: above the limit nothing is decoded, below it damage shows.
    data = png_claiming(20_000, 20_000)
    assert images.size(data, max_pixels=400_000_000) == (20_000, 20_000)
    with pytest.raises(ImageTooLargeError, match=r"400\.0 megapixels"):
        images.read(data, max_pixels=399_999_999)
    with pytest.raises(ImageTooLargeError):
        images.read(encoded(photo(), "jpeg"), max_pixels=64 * 48 - 1)
    assert images.read(encoded(photo(), "jpeg"), max_pixels=64 * 48).shape == (48, 64, 3)
    with pytest.raises(ImageTooLargeError):
        images.read(np.zeros((10, 10, 3), dtype=np.uint8), max_pixels=99)
    with pytest.raises(ImageTooLargeError):
        images.read(photo(), max_pixels=99)


@pytest.mark.parametrize("image_format", ["png", "jpeg", "tiff", "webp", "gif", "bmp"])
def test_pillows_own_limit_neither_warns_nor_stops(monkeypatch, image_format):
    data = encoded(photo(), image_format)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert images.read(data).shape == (48, 64, 3)
    assert Image.MAX_IMAGE_PIXELS == 100


def test_pillows_limit_comes_back_when_the_last_thread_leaves(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 123)
    inside, leave = threading.Event(), threading.Event()

    def hold():
        with unbounded():
            inside.set()
            leave.wait(5)

    other = threading.Thread(target=hold)
    other.start()
    assert inside.wait(5)
    with unbounded():
        assert Image.MAX_IMAGE_PIXELS is None
    assert Image.MAX_IMAGE_PIXELS is None
    leave.set()
    other.join()
    assert Image.MAX_IMAGE_PIXELS == 123


def test_running_out_of_memory_is_said(monkeypatch):
    def refuse(*_args, **_options):
        raise MemoryError

    data = encoded(photo(), "png")
    monkeypatch.setattr("figureground.images.reading.rgb_from_pil", refuse)
    with pytest.raises(UnreadableImageError, match="does not fit into memory"):
        images.read(data)


@pytest.mark.slow
def test_a_huge_png_reads_when_the_limit_is_raised():
    data = images.encode(np.zeros((20_000, 20_000), dtype=np.uint8), "png")
    with pytest.raises(ImageTooLargeError):
        images.read(data)
    assert images.read(data, max_pixels=400_000_000).shape == (20_000, 20_000, 3)
