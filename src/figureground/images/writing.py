"""Encoding images, and writing files that are either whole or not there."""

from __future__ import annotations

import contextlib
import os
import stat
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from figureground.errors import ImageError, OutputError, suggest
from figureground.images.formats import FORMATS, load_plugin
from figureground.images.pixels import array_from_pil, eight_bit
from figureground.images.png import encode_png

__all__ = ["encode", "make_folder", "write", "write_bytes"]

_FAST_PNG_MODES = ("L", "RGB", "RGBA")
_WITHOUT_ALPHA = ("JPEG", "BMP")


def encode(image: NDArray[Any] | Image.Image, format: str, *, quality: int = 95) -> bytes:  # noqa: A002 Pillow's name
    """Encode an image as the bytes of a file.

    Args:
        image: a PIL image, or an array (H, W), (H, W, 3) or (H, W, 4): uint8, uint16, bool, or float from 0 to 1.
            Everything is written with 8 bits.
        format: a name or a suffix: "png", ".jpg", "WEBP", ...
        quality: 1 to 100, for the formats that lose detail.

    Raises:
        OutputError: an unknown format, transparency where the format has none, or a size that the format cannot hold.
        MissingExtraError: HEIC, and pillow-heif is not installed.
    """
    image_format = _format(format)
    picture = _picture(image)
    if image_format == "PNG" and picture.mode in _FAST_PNG_MODES:
        return encode_png(array_from_pil(picture) if isinstance(image, Image.Image) else np.asarray(picture))
    if image_format in _WITHOUT_ALPHA and picture.has_transparency_data:
        raise OutputError(f"{image_format} cannot hold transparency", remedy="write a .png or .webp file")
    if image_format == "JPEG" and picture.mode not in ("L", "RGB", "CMYK"):
        picture = picture.convert("RGB")
    load_plugin(image_format, "the output")
    buffer = BytesIO()
    try:
        picture.save(buffer, image_format, quality=quality)
    except Exception as error:
        # Pillow and its plugins raise OSError, ValueError, KeyError or SystemError for what a format cannot hold.
        width, height = picture.size
        raise OutputError(f"cannot encode {width} x {height} {picture.mode} as {image_format}: {error}") from error
    return buffer.getvalue()


def write(image: NDArray[Any] | Image.Image, path: str | os.PathLike[str], *, quality: int = 95) -> None:
    """Write an image in the format of the path's suffix, whole or not at all; see `encode` and `write_bytes`."""
    try:
        data = encode(image, Path(path).suffix, quality=quality)
    except OutputError as error:
        raise OutputError(f"cannot write '{os.fspath(path)}': {error.message}", remedy=error.remedy) from error
    write_bytes(data, path)


def write_bytes(data: bytes, path: str | os.PathLike[str]) -> None:
    """Write a file so that nobody ever sees half of it: beside the target first, then moved over it.

    A link is followed. A device or pipe is written straight, since moving a file over it would take its place.

    Raises:
        OutputError: no such folder, no permission, or the disk is full. An older file at the path is then unharmed and
            nothing new lies in the folder.
    """
    target = os.fspath(path)
    try:
        target = os.path.realpath(target)
        if _is_special(target):
            with open(target, "wb", buffering=0) as device:
                _store(device, data)
        else:
            _write_beside(data, target)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"cannot write '{os.fspath(path)}': {reason}", remedy=_remedy(error, target)) from error


def make_folder(folder: str | os.PathLike[str], *, remedy: str = "give another place") -> None:
    """Make a folder for what is written, and those above it; one that is there stays as it is.

    Raises:
        OutputError: no permission, no space, or a file stands in the way; `remedy` is what it says to do.
    """
    try:
        os.makedirs(folder, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"cannot make the folder {os.fspath(folder)}: {reason}", remedy=remedy) from error


def _is_special(target: str) -> bool:
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(0, "it is a folder")
    return not stat.S_ISREG(mode)


def _write_beside(data: bytes, target: str) -> None:
    # A short name of its own: the target's name may be as long as the file system allows.
    beside = os.path.join(os.path.dirname(target), f".figureground-{os.urandom(8).hex()}.part")
    # Not tempfile: its files are for their owner only, and a result should get the permissions that any new file gets.
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        with open(descriptor, "wb", buffering=0) as file:
            _store(file, data)
        os.replace(beside, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise


def _store(file: Any, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _remedy(error: Exception, target: str) -> str:
    if isinstance(error, FileNotFoundError):
        return f"make the folder '{os.path.dirname(target)}' first"
    if isinstance(error, IsADirectoryError):
        return "name a file in it"
    return ""


def _picture(image: NDArray[Any] | Image.Image) -> Image.Image:
    if isinstance(image, Image.Image):
        return image
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3, 4)) or 0 in image.shape:
        raise OutputError(
            f"an array of shape {image.shape} is not an image", remedy="give (H, W), (H, W, 3) or (H, W, 4)"
        )
    try:
        pixels = eight_bit(image, "the array")
    except ImageError as error:
        raise OutputError(error.message, remedy=error.remedy) from error
    return Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels))


def _format(name: str) -> str:
    wanted = name.lower().removeprefix(".")
    known = {suffix[1:]: entry.name for entry in FORMATS for suffix in entry.suffixes}
    if wanted not in known:
        problem = f"unknown image format '{name}'" if name else "the file name has no suffix"
        raise OutputError(problem, remedy=suggest(wanted, known) if name else "end it in .png or .jpg")
    return known[wanted]
