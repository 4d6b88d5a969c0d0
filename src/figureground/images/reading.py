"""Reading an image from wherever it comes, or only its size."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from io import BytesIO
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from figureground.errors import ImageTooLargeError, SourceError
from figureground.images.fetching import is_url
from figureground.images.formats import decoding, open_header, unbounded
from figureground.images.pixels import rgb_from_array, rgb_from_pil

__all__ = ["MAX_PIXELS", "Source", "read", "size"]

Source: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Image.Image | NDArray[Any]"
"""What counts as an image: a path, the bytes of an image file, a binary stream, a PIL image, an array."""

MAX_PIXELS = 200_000_000
"""The most pixels that `read` and `size` accept unless told otherwise; 200 megapixels take 600 MB as RGB."""

_ORIENTATION_TAG = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = frozenset((5, 6, 7, 8))


def read(source: Source, *, max_pixels: int = MAX_PIXELS, at_least: int | None = None) -> NDArray[np.uint8]:
    """Read an image as uint8 (H, W, 3), RGB, turned the way its EXIF orientation says.

    Transparent pixels are laid on white; 16-bit and float pixels are scaled; of an animation the first frame counts.
    Colour profiles are not applied. An array that is uint8 (H, W, 3) already is returned as it is.

    Args:
        source: a path, the bytes of an image file, a binary stream (read to its end), a PIL image, or an array: uint8,
            uint16, bool, or float from 0 to 1; (H, W), (H, W, 1), (H, W, 3) or (H, W, 4).
        max_pixels: refuse larger images, judged by the header, before anything is decoded.
        at_least: allow a smaller picture whose short side is still this many pixels or more. Saves most of the time for
            a large JPEG, does nothing for other formats.

    Raises:
        SourceError: no such file, a folder, no permission, or not something to read an image from.
        UnreadableImageError: not an image, a damaged or truncated one, or an array that cannot be one.
        ImageTooLargeError: more than `max_pixels`.
        ImageTooSmallError: an array without pixels.
        MissingExtraError: an HEIC image, and pillow-heif is not installed.
    """
    if isinstance(source, np.ndarray):
        return _checked_array(source, max_pixels)
    with _header(source, max_pixels) as (image, name):
        image_format = image.format or image.mode
        with decoding(name, image_format), _room_for(image):
            turn = None if image_format == "TIFF" else _TURNS.get(_orientation(image))
            if at_least is not None and image_format in ("JPEG", "MPO") and image is not source:
                image.draft(None, (at_least, at_least))
            return rgb_from_pil(image, name, turn)


def size(source: Source, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Return (height, width) after EXIF orientation, from the header alone. Raises as `read` does."""
    if isinstance(source, np.ndarray):
        height, width = _checked_array(source, max_pixels).shape[:2]
        return height, width
    with _header(source, max_pixels) as (image, _name):
        # Pillow turns TIFF images itself, and gives the turned size from the start.
        if image.format != "TIFF" and _orientation(image) in _SIDEWAYS:
            return image.width, image.height
        return image.height, image.width


def _checked_array(array: NDArray[Any], max_pixels: int) -> NDArray[np.uint8]:
    if array.ndim >= 2:
        _check_pixels(array.shape[1], array.shape[0], max_pixels, "the array")
    return rgb_from_array(array, "the array")


@contextmanager
def _header(source: Source, max_pixels: int) -> Iterator[tuple[Image.Image, str]]:
    """Give the image, opened but not decoded, and the name that stands for it in errors; close the file at the end."""
    name = _name(source)
    with ExitStack() as stack:
        if isinstance(source, Image.Image):
            image: Image.Image = source
        else:
            image = open_header(stack.enter_context(_stream(source, name)), name)
        _check_pixels(image.width, image.height, max_pixels, name)
        yield image, name


def _check_pixels(width: int, height: int, max_pixels: int, name: str) -> None:
    if width * height > max_pixels:
        has = f"{width} x {height} pixels, {width * height / 1e6:.1f} megapixels"
        limit = f"the limit is {max_pixels / 1e6:g} megapixels"
        raise ImageTooLargeError(f"{name} has {has}; {limit}", remedy="make it smaller, or raise max_pixels")


def _room_for(image: Image.Image) -> AbstractContextManager[None]:
    limit = Image.MAX_IMAGE_PIXELS
    return unbounded() if limit is not None and image.width * image.height > limit else nullcontext()


def _orientation(image: Image.Image) -> int:
    try:
        # The base class method: that of PNG decodes the whole image in search of a tag behind the pixels.
        return int(Image.Image.getexif(image).get(_ORIENTATION_TAG, 1))
    except Exception:  # noqa: BLE001 a damaged tag raises a dozen types, and the image is good without it
        return 1


def _name(source: Source) -> str:
    if isinstance(source, str | os.PathLike):
        return f"'{os.fspath(source)}'"
    inner = getattr(source, "filename", "") or getattr(source, "name", "")
    return f"'{inner}'" if isinstance(inner, str) and inner else "the image given"


def _stream(source: object, name: str) -> BinaryIO:
    if isinstance(source, str | os.PathLike):
        return _open(os.fspath(source), name)
    if isinstance(source, bytes | bytearray | memoryview):
        return BytesIO(source)
    if hasattr(source, "read"):
        try:
            data = source.read()
        except (OSError, ValueError) as error:
            raise SourceError(f"cannot read {name}: {error}") from error
        if isinstance(data, bytes | bytearray):
            return BytesIO(data)
        raise SourceError(f"{name} gives text, not bytes", remedy="open it with mode 'rb'")
    kind = f"{type(source).__module__}.{type(source).__qualname__}".removeprefix("builtins.")
    raise SourceError(
        f"cannot read an image from {kind}", remedy="give a path, bytes, a binary stream, a PIL image or a numpy array"
    )


def _open(path: str, name: str) -> BinaryIO:
    try:
        kind = os.stat(path).st_mode
        if stat.S_ISREG(kind):
            return open(path, "rb")
        if stat.S_ISFIFO(kind):
            with open(path, "rb") as pipe:
                return BytesIO(pipe.read())
    except FileNotFoundError:
        if is_url(path):
            raise SourceError(f"{name} is an address, not a file", remedy="use images.fetch(url)") from None
        raise SourceError(f"no such file: {name}") from None
    except (OSError, ValueError) as error:
        raise SourceError(f"cannot open {name}: {getattr(error, 'strerror', None) or error}") from error
    if stat.S_ISDIR(kind):
        raise SourceError(f"{name} is a folder, not an image")
    raise SourceError(f"{name} is not a regular file")
