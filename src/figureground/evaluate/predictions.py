"""Predictions of many photos in two files: a CSV of run lengths, and one page that shows them all."""

from __future__ import annotations

import base64
import csv
import html
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

import numpy as np

from figureground import images
from figureground.datasets import marked
from figureground.errors import DataError, OutputError

if TYPE_CHECKING:
    from figureground.runtime.segmentation import Segmentation
    from figureground.runtime.segmenter import Segmenter

PICTURE_HEIGHT = 200
_WIDEST = 3 * PICTURE_HEIGHT
_QUALITY = 80
_HEADING = ("id", "rle_mask")
_TOP = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 14px/1.4 system-ui, sans-serif; margin: 1.5rem; background: #fafafa; color: #222 }}
main {{ display: flex; flex-wrap: wrap; gap: 1rem }}
figure {{ margin: 0 }}
img {{ height: {height}px }}
</style></head><body>
<h1>{title}</h1>
<main>
"""
_BOTTOM = "</main>\n</body></html>\n"


@dataclass(frozen=True)
class Prediction:
    """What the two files say about one photo.

    runs: the mask as `images.mask_to_rle` writes it, at the photo's own size.
    share: share of the photo that is figure.
    pictures: the photo, and the photo with the figure drawn on it, as JPEG files of about 200 pixels height.
    """

    runs: str
    share: float
    pictures: tuple[bytes, bytes]

    @classmethod
    def of(cls, result: Segmentation) -> Prediction:
        """Of a segmentation, drawn at once.

        Raises:
            ImageError: the photo's pixels are damaged.
        """
        height, width = result.size
        scale = min(PICTURE_HEIGHT / height, _WIDEST / width, 1.0)
        size = max(1, round(height * scale)), max(1, round(width * scale))
        small = images.resize(result.photo, size)
        rows = ((np.arange(size[0]) + 0.5) * height / size[0]).astype(int)
        columns = ((np.arange(size[1]) + 0.5) * width / size[1]).astype(int)
        drawn = marked(small, result.level(-1)[rows][:, columns], result.labels)
        files = tuple(images.encode(picture, "jpg", quality=_QUALITY) for picture in (small, drawn))
        return cls(images.mask_to_rle(result.mask), float(result.mask.mean()), (files[0], files[1]))


class PredictionFiles:
    """The CSV file and the page, filled prediction by prediction; both appear when all is done, or not at all.

        with PredictionFiles(csv="predictions.csv", html="predictions.html") as files:
            files.add("001", Prediction.of(segmenter("001.jpg")))

    Args:
        csv: a file of `id,rle_mask`, or None.
        html: a page that needs no other file, or None.
        title: heading of the page.

    Raises:
        OutputError: a file cannot be written.
        DataError: two photos have one name.
    """

    def __init__(
        self,
        *,
        csv: str | os.PathLike[str] | None = None,
        html: str | os.PathLike[str] | None = None,
        title: str = "Predictions",
    ) -> None:
        self._targets = [None if file is None else Path(file) for file in (csv, html)]
        self._title = title
        self._names: set[str] = set()
        self._open: list[tuple[TextIO, Path] | None] = [None, None]

    def __enter__(self) -> Self:
        try:
            self._open = [_beside(target) for target in self._targets]
            if self._open[0] is not None:
                csv.writer(self._open[0][0]).writerow(_HEADING)
            if self._open[1] is not None:
                self._open[1][0].write(_TOP.format(title=html.escape(self._title), height=PICTURE_HEIGHT))
        except OSError as error:
            self._give_up()
            raise self._failed(error) from error
        return self

    def add(self, name: str, prediction: Prediction) -> None:
        """Write one prediction; the order of the calls is that of the files."""
        if name in self._names:
            raise DataError(f"two photos are called '{name}'", remedy="rename one of them")
        self._names.add(name)
        try:
            if self._open[0] is not None:
                csv.writer(self._open[0][0]).writerow((name, prediction.runs))
            if self._open[1] is not None:
                self._open[1][0].write(_figure(name, prediction))
        except OSError as error:
            raise self._failed(error) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._give_up()
            return
        try:
            if self._open[1] is not None:
                self._open[1][0].write(_BOTTOM)
            for opened in self._open:
                if opened is not None:
                    opened[0].close()
            for opened, target in zip(self._open, self._targets, strict=True):
                if opened is not None and target is not None:
                    os.replace(opened[1], target)
        except OSError as failure:
            self._give_up()
            raise self._failed(failure) from failure

    def _give_up(self) -> None:
        for opened in self._open:
            if opened is not None:
                with suppress(OSError):
                    opened[0].close()
                with suppress(OSError):
                    opened[1].unlink()

    def _failed(self, error: OSError) -> OutputError:
        wanted = " and ".join(str(target) for target in self._targets if target is not None)
        return OutputError(f"cannot write {wanted}: {error.strerror}", remedy="make the folder, or give another place")


def write_predictions(
    segmenter: Segmenter,
    photos: Sequence[str | os.PathLike[str]],
    *,
    csv: str | os.PathLike[str] | None = None,
    html: str | os.PathLike[str] | None = None,
    threshold: float | None = None,
) -> None:
    """Segment `photos` into the two files; a photo is called by its name without suffix.

    Args:
        segmenter: what predicts.
        photos: files, in the order they shall have.
        csv: the CSV file, or None.
        html: the page, or None.
        threshold: probability from which a pixel is person; the segmenter's own when None.

    Raises:
        DataError: two photos have one name.
        ImageError: a photo that cannot be used.
        OutputError: a file cannot be written. Nothing is left then.
    """
    with PredictionFiles(csv=csv, html=html, title=f"Predictions of {segmenter.name}") as files:
        for photo, result in zip(photos, segmenter.batch(photos, threshold=threshold), strict=True):
            files.add(Path(photo).stem, Prediction.of(result))


def _beside(target: Path | None) -> tuple[TextIO, Path] | None:
    if target is None:
        return None
    path = target.with_name(f".figureground-{os.urandom(8).hex()}.part")
    # Lines end as csv wants them, on every system.
    return open(path, "x", encoding="utf-8", errors="surrogateescape", newline=""), path


def _figure(name: str, prediction: Prediction) -> str:
    caption = html.escape(f"{name}   {prediction.share:.1%}" if prediction.share else f"{name}   nobody")
    sources = [f"data:image/jpeg;base64,{base64.b64encode(data).decode()}" for data in prediction.pictures]
    pictures = " ".join(f'<img src="{source}" alt="">' for source in sources)
    return f"<figure>{pictures}<figcaption>{caption}</figcaption></figure>\n"
