"""Which image formats there are, how their first bytes look, and how to open a header.

Formats are told apart by content and only the decoder of that one format is loaded. `PIL.Image.open` would load them
all and would try formats that start other programs.
"""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO, NamedTuple

from PIL import Image, ImageFile

from figureground.errors import FiguregroundError, MissingExtraError, UnreadableImageError

__all__ = [
    "FORMATS",
    "IMAGE_SUFFIXES",
    "Format",
    "decoding",
    "is_image_path",
    "load_plugin",
    "open_header",
    "unbounded",
]


class Format(NamedTuple):
    """An image format: Pillow's name for it, the module that reads and writes it, and its suffixes, usual one first."""

    name: str
    plugin: str
    suffixes: tuple[str, ...]


FORMATS = (
    Format("JPEG", "PIL.JpegImagePlugin", (".jpg", ".jpeg", ".jpe", ".jfif")),
    Format("PNG", "PIL.PngImagePlugin", (".png",)),
    Format("WEBP", "PIL.WebPImagePlugin", (".webp",)),
    Format("TIFF", "PIL.TiffImagePlugin", (".tif", ".tiff")),
    Format("BMP", "PIL.BmpImagePlugin", (".bmp",)),
    Format("GIF", "PIL.GifImagePlugin", (".gif",)),
    Format("HEIF", "pillow_heif", (".heic", ".heif", ".hif")),
    Format("AVIF", "PIL.AvifImagePlugin", (".avif",)),
)

IMAGE_SUFFIXES = frozenset(suffix for image_format in FORMATS for suffix in image_format.suffixes)

# Written at the start of the file, for the formats whose start never varies.
_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
)
_HEIF_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"))
_PREFIX_BYTES = 16

# Pillow compares these with its own process-wide limit while it reads the header, before anyone can look at the size.
_CHECKED_WHILE_OPENING = frozenset(("WEBP", "GIF"))


def is_image_path(path: str | os.PathLike[str]) -> bool:
    """Say whether the name looks like an image. Resource forks that macOS leaves behind (`._photo.jpg`) do not."""
    path = Path(path)
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("._")


def open_header(stream: BinaryIO, name: str) -> ImageFile.ImageFile:
    """Read the header of an image and decode nothing; `name` stands for the source in errors.

    Raises:
        UnreadableImageError: empty, not an image, or a damaged header.
        MissingExtraError: an HEIC image, and pillow-heif is not installed.
    """
    with decoding(name, "image"):
        prefix = stream.read(_PREFIX_BYTES)
    if not prefix:
        raise UnreadableImageError(f"{name} is empty")
    image_format = _identify(prefix)
    if image_format is None:
        known = ", ".join("HEIC" if entry.name == "HEIF" else entry.name for entry in FORMATS)
        raise UnreadableImageError(f"{name} is not an image", remedy=f"the formats are {known}")
    load_plugin(image_format, name)
    factory, _accepts = Image.OPEN[image_format]
    with decoding(name, image_format), unbounded() if image_format in _CHECKED_WHILE_OPENING else nullcontext():
        stream.seek(0)
        # An empty file name keeps Pillow from mapping the file, where a shortened file would end the process.
        return factory(stream, "")


def load_plugin(image_format: str, name: str) -> None:
    """Make Pillow able to read and write one format; `name` stands for the image in errors.

    Raises:
        MissingExtraError: the format is HEIF (HEIC) and pillow-heif is not installed, or this Pillow lacks AVIF.
    """
    plugin = next(entry.plugin for entry in FORMATS if entry.name == image_format)
    try:
        module = importlib.import_module(plugin)
        if image_format == "HEIF":
            module.register_heif_opener()
    except ImportError:
        shown = "HEIC" if image_format == "HEIF" else image_format
        remedy = "pip install pillow-heif, or figureground[heic]" if image_format == "HEIF" else "pip install -U pillow"
        raise MissingExtraError(f"{name} is in the {shown} format, which is not installed", remedy=remedy) from None


@contextmanager
def decoding(name: str, image_format: str) -> Iterator[None]:
    """Turn whatever a decoder raises on damaged bytes into one `UnreadableImageError`."""
    try:
        yield
    except FiguregroundError:
        raise
    except MemoryError as error:
        raise UnreadableImageError(f"{name} does not fit into memory", remedy="make it smaller") from error
    except Exception as error:
        # The decoders raise a dozen types on damaged bytes (OSError, SyntaxError, struct.error, KeyError, ...).
        reason = str(error) or type(error).__name__
        raise UnreadableImageError(f"{name} is damaged or truncated ({image_format}: {reason})") from error


_lock = threading.Lock()
_users = 0
_pillows_limit: int | None = None


@contextmanager
def unbounded() -> Iterator[None]:
    """Set Pillow's process-wide pixel limit aside; for images whose size was, or is about to be, checked against ours.

    The limit comes back when the last thread leaves. It is 89 megapixels unless the user chose another, below ours.
    """
    global _users, _pillows_limit
    with _lock:
        if _users == 0:
            _pillows_limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                Image.MAX_IMAGE_PIXELS = _pillows_limit


def _identify(prefix: bytes) -> str | None:
    for signature, image_format in _SIGNATURES:
        if prefix.startswith(signature):
            return image_format
    if prefix.startswith(b"RIFF") and prefix[8:12] == b"WEBP":
        return "WEBP"
    if prefix[4:8] == b"ftyp" and prefix[8:12] in (b"avif", b"avis"):
        return "AVIF"
    if prefix[4:8] == b"ftyp" and prefix[8:12] in _HEIF_BRANDS:
        return "HEIF"
    return None
