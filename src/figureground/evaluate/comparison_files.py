"""A comparison as tables, a plot and pictures: Markdown, CSV, and a page."""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from figureground import draw, images
from figureground.evaluate.comparison import Comparison, Contestant, Standing, Value
from figureground.evaluate.gallery import error_map
from figureground.evaluate.pairs import Pair
from figureground.evaluate.run import true_mask

__all__ = ["as_csv", "as_html", "as_markdown", "as_scatter", "rows", "write_comparison"]

HEADINGS = {
    "dice_image_mean": "Dice, image mean",
    "iou_image_mean": "IoU, image mean",
    "dice_dataset": "Dice, all pixels",
    "iou_dataset": "IoU, all pixels",
    "boundary_f": "boundary F",
}
_HEIGHT, _WIDEST, _CAPTION, _GAP = 260, 780, 22, 4
_STYLE = """body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem; background: #fafafa; color: #222 }
table { border-collapse: collapse; margin: 1rem 0 }
td, th { padding: .25rem .8rem; border-bottom: 1px solid #ddd; text-align: right }
td:first-child, th:first-child { text-align: left }
img { max-width: 100%; display: block }
figure { margin: 0 0 2rem }"""


def rows(comparison: Comparison) -> list[list[str]]:
    """The table of all contestants as text, its heading first. Intervals stand in brackets, unknown numbers are -."""
    heading = ["network", "parameters", "multiply-adds", "ms", *map(_heading, comparison.standings[0].metrics)]
    return [heading, *[_row(standing) for standing in comparison.standings]]


def difference_rows(comparison: Comparison) -> list[list[str]]:
    """The table of all pairs as text, its heading first; empty where there is one contestant."""
    if not comparison.differences:
        return []
    heading = ["pair", f"difference of {comparison.metric}", "better", "worse", "p", "p, all pairs"]
    body = [
        [
            f"{one.first} - {one.second}",
            _interval(one.mean, signed=True),
            str(one.better),
            str(one.worse),
            f"{one.p:.2g}",
            f"{one.p_adjusted:.2g}",
        ]
        for one in comparison.differences
    ]
    return [heading, *body]


def as_markdown(comparison: Comparison) -> str:
    """Both tables in Markdown."""
    tables = [rows(comparison), difference_rows(comparison)]
    return "\n".join("\n".join(_markdown(table)) + "\n" for table in tables if table)


def as_csv(comparison: Comparison) -> str:
    """One line for each contestant, numbers in full; the ends of an interval are in columns of their own."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    names = list(comparison.standings[0].metrics)
    ends = [f"{name}{end}" for name in names for end in ("", "_low", "_high")]
    writer.writerow(["network", "parameters", "multiply_adds", "milliseconds", *ends])
    for one in comparison.standings:
        values = [number for name in names for number in _numbers(one.metrics[name])]
        writer.writerow([one.name, one.cost.parameters, one.cost.multiply_adds, one.milliseconds, *values])
    return written.getvalue()


def as_scatter(comparison: Comparison) -> str | None:
    """The plot of quality over time as SVG; None where no times were taken."""
    deepest = list(comparison.standings[0].metrics)[-1]
    plotted = {"boundary_f": "boundary_f", "parts": deepest}
    name = plotted.get(comparison.metric, f"{comparison.metric}_image_mean")
    timed = [one for one in comparison.standings if one.milliseconds]
    points = [draw.Point(one.name, one.milliseconds or 0.0, *_numbers(one.metrics[name])) for one in timed]
    if not points:
        return None
    return draw.scatter(points, x_title="milliseconds for a photo, the network alone", y_title=_heading(name))


def as_html(comparison: Comparison, figures: Sequence[str] = ()) -> str:
    """A page with both tables and the plot, and `figures` below them."""
    title = f"{len(comparison.standings)} networks on {len(comparison.disagreement)} photos"
    parts = [f"<h1>{title}</h1>", _html_table(rows(comparison))]
    parts.append("<p>In brackets: 95 % intervals over the choice of photos (bootstrap).</p>")
    plot = as_scatter(comparison)
    if plot is not None:
        parts.append(plot)
    if comparison.differences:
        parts.append("<h2>Pairs, photo by photo</h2>")
        parts.append(_html_table(difference_rows(comparison)))
        parts.append("<p>p: a paired permutation test; in the last column adjusted for all pairs (Holm).</p>")
    if figures:
        parts.append("<h2>Where they disagree most</h2>")
        parts.append("<p>Red: person that was missed; blue: called person but is not; green: found.</p>")
        parts += figures
    head = f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    body = "\n".join(parts)
    return f"{head}\n<style>\n{_STYLE}\n</style></head><body>\n{body}\n</body></html>\n"


def write_comparison(
    comparison: Comparison,
    contestants: Sequence[Contestant],
    pairs: Sequence[Pair],
    folder: str | Path,
    *,
    pictures: int = 12,
) -> Path:
    """Write `compare.md`, `.csv` and `.json`, `scatter.svg`, pictures and `index.html`; return the page's path.

    The disputed photos are segmented again: a comparison keeps counts, not pixels.

    Raises:
        OutputError: the folder cannot be written to.
    """
    folder = Path(folder)
    images.make_folder(folder)
    by_stem = {pair.stem: pair for pair in pairs}
    figures = []
    for rank, stem in enumerate(comparison.most_disputed(pictures), start=1):
        name = f"disputed-{rank:03d}.jpg"
        images.write(_disputed(comparison, contestants, by_stem[stem]), folder / name)
        caption = html.escape(f"{stem}: {comparison.disagreement[stem]:.1%} of the figure is disputed")
        figures.append(f'<figure><img src="{quote(name)}" alt=""><figcaption>{caption}</figcaption></figure>')
    texts = {
        "compare.md": as_markdown(comparison),
        "compare.csv": as_csv(comparison),
        "compare.json": json.dumps(comparison.to_dict(), indent=1),
        "scatter.svg": as_scatter(comparison),
        "index.html": as_html(comparison, figures),
    }
    for name, text in texts.items():
        if text is not None:
            images.write_bytes(text.encode(errors="replace"), folder / name)
    return folder / "index.html"


def _disputed(comparison: Comparison, contestants: Sequence[Contestant], pair: Pair) -> Image.Image:
    """The photo and every contestant's errors in a row, each under its name and score."""
    photo = images.read(pair.image)
    true = true_mask(pair, photo.shape[:2])
    panels = [(photo, "photo")]
    for contestant, standing in zip(contestants, comparison.standings, strict=True):
        score = standing.quality(comparison.metric)[list(comparison.disagreement).index(pair.stem)]
        predicted = contestant.segmenter(pair.seen_by(contestant.segmenter)).mask
        panels.append((error_map(predicted, true), f"{standing.name}   {comparison.metric} {score:.3f}"))
    width = min(max(1, round(photo.shape[1] * _HEIGHT / photo.shape[0])), _WIDEST)
    strip = Image.new("RGB", (len(panels) * (width + _GAP) - _GAP, _HEIGHT + _CAPTION), "white")
    pen, font = ImageDraw.Draw(strip), ImageFont.load_default(size=13)
    for place, (panel, caption) in enumerate(panels):
        left = place * (width + _GAP)
        pen.text((left + 2, 3), caption, fill="black", font=font)
        fitted = Image.fromarray(np.ascontiguousarray(panel)).resize((width, _HEIGHT), Image.Resampling.BOX)
        strip.paste(fitted, (left, _CAPTION))
    return strip


def _row(one: Standing) -> list[str]:
    spent = "-" if one.milliseconds is None else f"{one.milliseconds:.1f}"
    values = [_interval(value) for value in one.metrics.values()]
    return [one.name, _short(one.cost.parameters, "M", 1e6), _short(one.cost.multiply_adds, "G", 1e9), spent, *values]


def _heading(metric: str) -> str:
    return HEADINGS.get(metric, metric.replace("iou_level", "mean IoU, level "))


def _short(number: int | None, unit: str, size: float) -> str:
    return "-" if number is None else f"{number / size:.2f} {unit}"


def _interval(value: Value, *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    return f"{value.value:{sign}.4f} [{value.low:{sign}.4f}, {value.high:{sign}.4f}]"


def _numbers(value: Value) -> tuple[float, float, float]:
    return value.value, value.low, value.high


def _markdown(table: Sequence[Sequence[str]]) -> list[str]:
    heading, *body = [[cell.replace("|", "\\|") for cell in row] for row in table]
    lines = [heading, ["---"] * len(heading), *body]
    return [f"| {' | '.join(row)} |" for row in lines]


def _html_table(table: Sequence[Sequence[str]]) -> str:
    heading, *body = table
    lines = [_html_row(heading, "th"), *[_html_row(row, "td") for row in body]]
    return "\n".join(["<table>", *lines, "</table>"])


def _html_row(cells: Sequence[str], tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"
