"""Pictures of the worst cases: photo, truth, prediction and what was wrong, side by side, and a page of them."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from figureground import images
from figureground.evaluate.pairs import Pair
from figureground.evaluate.run import Report, true_mask
from figureground.metrics.report import ImageRecord

if TYPE_CHECKING:
    from figureground.runtime.segmenter import Segmenter

PANEL_HEIGHT = 320
MISSED, INVENTED, FOUND = (230, 60, 60), (60, 110, 240), (70, 170, 80)
_CAPTION_HEIGHT = 24
_WIDEST = 4 * PANEL_HEIGHT
_GAP = 4
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem; background: #fafafa; color: #222 }}
img {{ max-width: 100%; display: block }}
figure {{ margin: 0 0 2rem }}
</style></head><body>
<h1>{title}</h1>
<p>{explanation}</p>
{figures}
</body></html>
"""
_EXPLANATION = (
    "From left to right: photo, truth, prediction, errors (red: person that was missed; blue: called person but is "
    "not; green: found)."
)


def write_gallery(segmenter: Segmenter, pairs: Sequence[Pair], report: Report, folder: str | Path, worst: int) -> Path:
    """Draw the `worst` cases of `report` into `folder` and return the path of its `index.html`.

    The photos are segmented again: an evaluation keeps counts, not pixels.

    Raises:
        OutputError: the folder cannot be written to.
    """
    by_stem = {pair.stem: pair for pair in pairs}
    worst_records = report.worst(worst)
    cases = (
        (
            record.name,
            _caption(record),
            case_picture(segmenter, by_stem[record.name], record, report.summary["threshold"]),
        )
        for record in worst_records
    )
    title = f"The {len(worst_records)} worst of {len(report.per_image)} photos"
    return write_page(Path(folder), title, _EXPLANATION, cases)


def write_page(folder: Path, title: str, explanation: str, cases: Iterable[tuple[str, str, Image.Image]]) -> Path:
    """Write pictures of cases and a page of them into `folder`; return the path of its `index.html`.

    Args:
        folder: made when missing.
        title: of the page.
        explanation: what there is to see in a picture.
        cases: name, caption and picture of each.

    Raises:
        OutputError: the folder cannot be written to.
    """
    images.make_folder(folder)
    figures = []
    for rank, (case, caption, picture) in enumerate(cases, start=1):
        name = f"{rank:03d}-{case.replace('/', '-')}.jpg"
        images.write(picture, folder / name)
        figures.append(_figure(name, caption))
    page = folder / "index.html"
    content = _PAGE.format(title=title, explanation=explanation, figures="\n".join(figures))
    images.write_bytes(content.encode(errors="replace"), page)
    return page


def case_picture(segmenter: Segmenter, pair: Pair, record: ImageRecord, threshold: float) -> Image.Image:
    """One case as a strip of four panels under its name and scores."""
    photo = images.read(pair.image)
    predicted = segmenter(pair.seen_by(segmenter), threshold=threshold).mask
    true = true_mask(pair, predicted.shape)
    panels = [photo, _grey(true), _grey(predicted), error_map(predicted, true)]
    return strip_of(panels, _caption(record))


def strip_of(panels: Sequence[NDArray[np.uint8]], caption: str) -> Image.Image:
    """Pictures uint8 (H, W, 3) of one size next to one another under a caption."""
    height = PANEL_HEIGHT
    width = min(max(1, round(panels[0].shape[1] * height / panels[0].shape[0])), _WIDEST)
    strip = Image.new("RGB", (len(panels) * (width + _GAP) - _GAP, height + _CAPTION_HEIGHT), "white")
    ImageDraw.Draw(strip).text((4, 3), caption, fill="black", font=ImageFont.load_default(size=15))
    for index, panel in enumerate(panels):
        fitted = Image.fromarray(panel).resize((width, height), Image.Resampling.BOX)
        strip.paste(fitted, (index * (width + _GAP), _CAPTION_HEIGHT))
    return strip


def error_map(predicted: NDArray[np.bool_], true: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """What was found, missed and invented, as colours, uint8 (H, W, 3); the masks are bool (H, W)."""
    picture = np.full((*true.shape, 3), 235, dtype=np.uint8)
    picture[predicted & true] = FOUND
    picture[true & ~predicted] = MISSED
    picture[predicted & ~true] = INVENTED
    return picture


def _grey(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return np.repeat((mask * np.uint8(255))[..., None], 3, axis=2)


def _caption(record: ImageRecord) -> str:
    if record.is_empty:
        share = record.counts.fp / max(record.counts.total, 1)
        return f"{record.name}   nobody there, {share:.1%} called person"
    return f"{record.name}   IoU {record.iou:.3f}   Dice {record.dice:.3f}   boundary F {record.boundary_f:.3f}"


def _figure(name: str, caption: str) -> str:
    caption, source = html.escape(caption), quote(name, errors="surrogateescape")
    return f'<figure><img src="{source}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'
