"""Reading images of every kind, from every source, checked against known pixels."""

import io
import os
import struct
import sys
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from figureground import images
from figureground.errors import (
    ImageTooSmallError,
    MissingExtraError,
    SourceError,
    UnreadableImageError,
)

LOSSLESS = ["png", "tiff", "bmp"]
shapes = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40)
rgb_arrays = shapes.flatmap(lambda shape: hnp.arrays(np.uint8, (*shape, 3)))


def encoded(image, image_format, **options):
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def gradient(height=48, width=64):
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, 255 - x * 255 // width], axis=-1).astype(np.uint8)


@settings(max_examples=40, deadline=None)
@given(rgb_arrays, st.sampled_from([*LOSSLESS, "webp"]))
def test_lossless_files_come_back_exactly(array, image_format):
    options = {"lossless": True, "exact": True} if image_format == "webp" else {}
    data = encoded(Image.fromarray(array), image_format, **options)
    read = images.read(data)
    assert read.dtype == np.uint8
    assert read.flags.writeable
    assert (read == array).all()
    assert images.size(data) == array.shape[:2]


@pytest.mark.parametrize("image_format", ["jpeg", "webp", "avif"])
def test_lossy_files_come_back_nearly(image_format):
    read = images.read(encoded(Image.fromarray(gradient()), image_format, quality=95))
    assert np.abs(read.astype(int) - gradient()).mean() < 3


MODES = ["1", "L", "P", "RGB", "YCbCr", "HSV", "CMYK", "I", "F", "I;16", "LA", "RGBA", "PA"]


@settings(max_examples=60, deadline=None)
@given(rgb_arrays, st.sampled_from(MODES))
def test_every_mode_gives_rgb_of_the_same_size(array, mode):
    image = Image.fromarray(array)
    image = image.convert("L").convert(mode) if mode in ("I;16", "PA") else image.convert(mode)
    if mode == "F":
        image = image.point(lambda value: value * (1 / 255) + 0)
    read = images.read(image)
    assert read.shape == array.shape
    assert read.dtype == np.uint8


def test_grey_palette_and_cmyk_files():
    grey = gradient()[..., 0]
    assert (images.read(encoded(Image.fromarray(grey), "png")) == grey[..., None]).all()
    palette = Image.fromarray(gradient()).quantize(16)
    assert (images.read(encoded(palette, "png")) == np.asarray(palette.convert("RGB"))).all()
    assert (images.read(encoded(palette, "gif")) == np.asarray(palette.convert("RGB"))).all()
    cmyk = encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "jpeg", quality=95)
    assert np.abs(images.read(cmyk).astype(int) - (255, 0, 0)).max() < 8


@pytest.mark.parametrize("mode", ["I;16", "I;16B"])
@pytest.mark.parametrize("image_format", ["png", "tiff"])
def test_16_bit_grey_is_scaled_not_clipped(mode, image_format):
    values = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    raw = values.astype(">u2" if mode == "I;16B" else "<u2").tobytes()
    data = encoded(Image.frombytes(mode, (16, 16), raw), image_format)
    assert (images.read(data)[..., 0].ravel() == np.arange(256)).all()


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("transparent", [None, (257 * 100, 65535 - 257 * 100, 257), (300, 1, 1)])
def test_16_bit_colour_is_scaled_as_16_bit_grey_is(transparent):
    rows = b"".join(b"\0" + struct.pack(">3H", value, 65535 - value, 257) for value in (0, 257 * 100, 65535))
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 3, 16, 2, 0, 0, 0))
    extra = png_chunk(b"tRNS", struct.pack(">3H", *transparent)) if transparent else b""
    data = png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    read = images.read(b"\x89PNG\r\n\x1a\n" + header + extra + data)
    middle = [255, 255, 255] if transparent and transparent[2] == 257 else [100, 155, 1]
    assert read[:, 0].tolist() == [[0, 255, 1], middle, [255, 0, 1]]


def test_32_bit_and_float_pixels():
    deep = np.array([[0, 1 << 30, (1 << 31) - 1, -5]], dtype=np.int32)
    assert images.read(encoded(Image.fromarray(deep), "tiff"))[0, :, 0].tolist() == [0, 128, 255, 0]
    assert images.read(Image.fromarray(np.array([[0, 65535]], dtype=np.int32)))[0, :, 0].tolist() == [0, 255]
    floats = np.array([[0, 0.5, 1]], dtype=np.float32)
    assert images.read(encoded(Image.fromarray(floats), "tiff"))[0, :, 0].tolist() == [0, 128, 255]
    with pytest.raises(UnreadableImageError, match="0 to 7"):
        images.read(Image.fromarray(floats * 7))


def test_alpha_is_laid_on_white():
    rgba = np.zeros((1, 3, 4), dtype=np.uint8)
    rgba[0, :, 3] = (0, 51, 255)
    image = Image.fromarray(rgba)
    sources = [rgba, image, encoded(image, "png"), encoded(image, "tiff")]
    sources += [image.convert("LA"), image.convert("RGBa"), image.convert("LA").convert("La")]
    for source in sources:
        assert images.read(source)[0, :, 0].tolist() == [255, 204, 0]
    palette = Image.new("P", (2, 1))
    palette.putpalette([0, 0, 0, 200, 0, 0])
    palette.putdata([0, 1])
    for image_format in ("png", "gif"):
        read = images.read(encoded(palette, image_format, transparency=0))
        assert read.tolist() == [[[255, 255, 255], [200, 0, 0]]]
    grey = Image.fromarray(np.array([[0, 9]], dtype=np.uint8))
    assert images.read(encoded(grey, "png", transparency=9))[0, :, 0].tolist() == [0, 255]


def test_the_first_frame_of_an_animation_counts():
    frames = [Image.new("RGB", (5, 4), color) for color in ("red", "blue")]
    for image_format in ("gif", "webp", "png", "tiff"):
        options = {"lossless": True} if image_format == "webp" else {}
        data = encoded(frames[0], image_format, save_all=True, append_images=frames[1:], **options)
        assert (images.read(data) == (255, 0, 0)).all()


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("image_format", ["jpeg", "png", "webp", "tiff", "avif"])
def test_exif_orientation(orientation, image_format):
    upright = np.zeros((16, 32, 3), dtype=np.uint8)
    upright[:8, :16] = 255
    undo = {
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }.get(orientation, lambda a: a)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(np.ascontiguousarray(undo(upright))), image_format, exif=exif)
    if image_format == "avif" and orientation not in range(1, 9):
        return  # this format has no room for a wrong orientation
    read = images.read(data)
    assert images.size(data) == read.shape[:2] == (16, 32)
    assert np.abs(read.astype(int) - upright).mean() < 4
    opened = Image.open(io.BytesIO(data))
    assert images.size(opened) == (16, 32)
    assert (images.read(opened) == read).all()


def test_a_broken_exif_block_does_not_cost_the_image():
    exif = Image.Exif()
    exif[0x0112] = 6
    broken = bytearray(encoded(Image.fromarray(gradient()), "jpeg", exif=exif.tobytes()))
    start = broken.index(b"Exif\0\0") + 6
    broken[start : start + 12] = b"\xff" * 12
    assert images.read(bytes(broken)).shape == (48, 64, 3)


def test_heic_reads_when_pillow_heif_is_there_and_says_what_to_install_when_not(tmp_path, monkeypatch):
    heif = pytest.importorskip("pillow_heif")
    path = tmp_path / "photo.heic"
    exif = Image.Exif()
    exif[0x0112] = 6
    images.write(gradient(), path)
    assert images.size(path) == (48, 64)
    assert np.abs(images.read(path).astype(int) - gradient()).mean() < 3
    heif.from_pillow(Image.fromarray(gradient())).save(path, exif=exif.tobytes())
    assert images.size(path) == images.read(path).shape[:2] == (64, 48)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(MissingExtraError, match=r"photo.heic' is in the HEIC format.*pip install pillow-heif"):
        images.read(path)
    with pytest.raises(MissingExtraError, match="pip install pillow-heif"):
        images.write(gradient(), tmp_path / "new.heic")


@pytest.mark.parametrize("at_least", [1, 30, 60, 61, 120, 240, 500])
def test_at_least_shrinks_jpeg_no_further_than_asked(at_least):
    data = encoded(Image.fromarray(gradient(241, 321)), "jpeg", quality=95)
    height, width = images.read(data, at_least=at_least).shape[:2]
    assert height >= min(at_least, 241)
    assert height <= max(241 / 8 + 1, min(241, at_least * 2 + 2))
    assert abs(width / height - 321 / 241) < 0.05
    assert images.size(data) == (241, 321)
    assert images.read(encoded(Image.fromarray(gradient()), "png"), at_least=4).shape == (48, 64, 3)


def test_at_least_leaves_a_given_pil_image_alone():
    opened = Image.open(io.BytesIO(encoded(Image.fromarray(gradient()), "jpeg")))
    assert images.read(opened, at_least=4).shape == (48, 64, 3)
    assert opened.size == (64, 48)


@pytest.mark.parametrize("kind", [str, Path, bytes, bytearray, memoryview, "file", "buffer", "pipe", "pil", "array"])
def test_every_source(tmp_path, kind):
    path = tmp_path / "photo.png"
    images.write(gradient(), path)
    data = path.read_bytes()
    if kind in (str, Path):
        assert (images.read(kind(path)) == gradient()).all()
    elif kind == "file":
        with open(path, "rb") as file:
            assert (images.read(file) == gradient()).all()
    elif kind == "pipe":
        fifo = tmp_path / "fifo"
        os.mkfifo(fifo)
        writer = threading.Thread(target=fifo.write_bytes, args=(data,))
        writer.start()
        assert (images.read(fifo) == gradient()).all()
        writer.join()
    else:
        make = {"buffer": io.BytesIO, "pil": lambda _: Image.open(path), "array": lambda _: gradient()}.get(kind, kind)
        assert (images.read(make(data)) == gradient()).all()
        assert images.size(make(data)) == (48, 64)


def test_arrays():
    assert images.read(gradient()).dtype == np.uint8
    assert (images.read(np.eye(3, dtype=bool))[..., 1] == np.eye(3) * 255).all()
    assert images.read(np.array([[0.0, 0.5, 1.0005]]))[0, :, 2].tolist() == [0, 128, 255]
    assert images.read(np.array([[0, 257, 65535]], dtype=np.uint16))[0, :, 2].tolist() == [0, 1, 255]
    assert images.read(np.zeros((4, 5, 1), dtype=np.uint8)).shape == (4, 5, 3)
    assert (images.read(gradient()[::-1, ::2]) == gradient()[::-1, ::2]).all()


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((3, 20, 20), dtype=np.uint8), r"shape \(3, 20, 20\).*transpose\(1, 2, 0\)"),
        (np.zeros(5, dtype=np.uint8), r"shape \(5,\)"),
        (np.zeros((2, 2, 2), dtype=np.uint8), "height, width, 3"),
        (np.zeros((2, 2), dtype=np.int64), "int64; convert it to uint8"),
        (np.full((2, 2), 200.0), "from 200 to 200; scale them"),
        (np.full((2, 2), np.nan), "nan"),
        (np.array([["a"]], dtype=object), "object"),
    ],
)
def test_wrong_arrays_are_refused(array, words):
    with pytest.raises(UnreadableImageError, match=words):
        images.read(array)


@settings(max_examples=80, deadline=None)
@given(hnp.arrays(hnp.scalar_dtypes(), hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=6)))
def test_any_array_reads_or_is_refused(array):
    try:
        read = images.read(array)
    except (UnreadableImageError, ImageTooSmallError):
        return
    assert read.dtype == np.uint8
    assert read.shape == (*array.shape[:2], 3)


@pytest.mark.parametrize("shape", [(1, 1), (1, 10000), (10000, 1)])
@pytest.mark.parametrize("image_format", ["png", "jpeg", "webp", "bmp"])
def test_extreme_shapes(shape, image_format):
    data = encoded(Image.fromarray(np.full((*shape, 3), 90, dtype=np.uint8)), image_format)
    assert images.size(data) == shape
    for at_least in (None, 64):
        read = images.read(data, at_least=at_least)
        assert read.shape == (*shape, 3)
        assert np.abs(read.astype(int) - 90).max() < 3


def test_wrong_sources(tmp_path):
    with pytest.raises(SourceError, match=r"no such file: '.*nothing.jpg'"):
        images.read(tmp_path / "nothing.jpg")
    with pytest.raises(SourceError, match="is a folder"):
        images.read(tmp_path)
    with pytest.raises(SourceError, match="not a regular file"):
        images.read("/dev/zero")
    with pytest.raises(SourceError, match="is an address"):
        images.read("https://example.org/photo.jpg")
    for name in ("a\0b", "x" * 5000, ""):
        with pytest.raises(SourceError):
            images.size(name)
    with pytest.raises(SourceError, match="from int"):
        images.read(3)
    with pytest.raises(SourceError, match="mode 'rb'"):
        images.read(io.StringIO("text"))
    closed = io.BytesIO()
    closed.close()
    with pytest.raises(SourceError, match="closed"):
        images.read(closed)


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    def refuse(*_args, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "stat", refuse)
    with pytest.raises(SourceError, match=r"cannot open 'photo.jpg': Permission denied"):
        images.read("photo.jpg")


def test_open_files_are_closed(tmp_path):
    path = tmp_path / "photo.png"
    images.write(gradient(), path)
    (tmp_path / "fake.jpg").write_text("text")
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        images.read(path)
        images.size(path)
        with pytest.raises(UnreadableImageError):
            images.read(tmp_path / "fake.jpg")
