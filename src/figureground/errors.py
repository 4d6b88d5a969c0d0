"""Errors that say what was wrong, where, and what to type instead.

Every failure a user can cause is a `FiguregroundError`: one line of text and the exit code of the command line.

| exit code | what it means |
| --- | --- |
| 2 | the input is wrong: image, source, labels, recipe or data |
| 3 | the network is wrong: unknown name, corrupt or newer bundle |
| 4 | the output could not be written |
| 5 | an optional part is not installed |
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

__all__ = [
    "BundleError",
    "CorruptBundleError",
    "DataError",
    "FiguregroundError",
    "ImageError",
    "ImageTooLargeError",
    "ImageTooSmallError",
    "LabelError",
    "MissingExtraError",
    "NetworkError",
    "NewerBundleError",
    "OutputError",
    "PredictorError",
    "RecipeError",
    "SourceError",
    "UnknownNetworkError",
    "UnreadableImageError",
    "nearest",
    "suggest",
    "within",
]


class FiguregroundError(Exception):
    """A failure with a cause that the user can act on.

    `message` says what was wrong and where, `remedy` what to do about it. Both are folded to one line, because they
    end up behind "figureground:" in a terminal or in a log with one record per line.
    """

    exit_code: int = 2

    def __init__(self, message: str, *, remedy: str = "") -> None:
        # The message goes to the base class as it came, so that the error survives pickling between processes.
        super().__init__(message)
        self.message = _one_line(message)
        self.remedy = _one_line(remedy)

    def __str__(self) -> str:
        return f"{self.message}; {self.remedy}" if self.remedy else self.message


@contextmanager
def within(place: object) -> Iterator[None]:
    """Put the place, a file or a key in it, before the message of any failure that comes out of this block."""
    try:
        yield
    except FiguregroundError as error:
        error.message = _one_line(f"{place}: {error.message}")
        raise


class ImageError(FiguregroundError):
    """An image that cannot be used."""


class UnreadableImageError(ImageError):
    """Not an image, a damaged image, or an array that does not describe one."""


class ImageTooLargeError(ImageError):
    """An image with more pixels than the limit allows."""


class ImageTooSmallError(ImageError):
    """An image with too few pixels for what was asked."""


class SourceError(FiguregroundError):
    """No such file, a folder without images, or an address that cannot be fetched."""


class LabelError(FiguregroundError):
    """A label tree that contradicts itself, or a label that is not in it."""


class RecipeError(FiguregroundError):
    """A training recipe with an unknown key or a value out of range."""


class DataError(FiguregroundError):
    """A dataset folder that does not have the expected layout or content."""


class NetworkError(FiguregroundError):
    """A network that cannot be used."""

    exit_code = 3


class UnknownNetworkError(NetworkError):
    """A network name that is not known."""


class BundleError(NetworkError):
    """A bundle file that cannot be used."""


class CorruptBundleError(BundleError):
    """A bundle whose bytes are damaged or are not a bundle."""


class NewerBundleError(BundleError):
    """A bundle written by a newer version of figureground."""


class PredictorError(NetworkError):
    """A predictor file that cannot be used."""


class OutputError(FiguregroundError):
    """A result that could not be written."""

    exit_code = 4


class MissingExtraError(FiguregroundError):
    """An optional dependency that is not installed."""

    exit_code = 5


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most like `name`, or None when nothing is close."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    matches = difflib.get_close_matches(name.casefold(), list(by_folded), n=1, cutoff=0.6)
    return by_folded[matches[0]] if matches else None


def suggest(name: str, known: Iterable[str]) -> str:
    """Return a remedy for an unknown `name`: the nearest known one, else the whole list in the given order."""
    candidates = list(known)
    match = nearest(name, candidates)
    if match is not None:
        return f"did you mean '{match}'?"
    return f"known: {', '.join(candidates)}" if candidates else "none are known"


def _one_line(text: str) -> str:
    # File names may hold terminal escapes or undecodable bytes; neither belongs in a terminal or a log.
    return "".join(c if c.isprintable() else "?" for c in " ".join(str(text).split()))
