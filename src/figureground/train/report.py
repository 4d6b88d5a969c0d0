"""A run on one page: scores, curves, pictures, recipe and surroundings, in one HTML file that needs no other."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import yaml

from figureground import draw, images
from figureground.train.history import Moment, best, read_history
from figureground.train.provenance import read_note

__all__ = ["WriteReport", "report_page", "write_report"]

REPORT = "report.html"
_GROUPS = {"Scores on held-out photos": "val/", "Losses": "train/", "Learning rate": "lr-"}
_LAST = {"predictions": "epoch_*.jpg", "pixels on the disk": "disk_*.png"}
_TYPES = {".jpg": "image/jpeg", ".png": "image/png"}
_STYLE = """body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem; background: #fafafa; color: #222 }
table { border-collapse: collapse; margin: 1rem 0 }
td, th { padding: .25rem .8rem; border-bottom: 1px solid #ddd; text-align: right }
td:first-child, th:first-child { text-align: left }
img, svg { max-width: 100%; height: auto; display: block }
figure { margin: 0 0 2rem }
pre { background: #fff; border: 1px solid #ddd; padding: 1rem; overflow-x: auto }"""


class WriteReport(L.Callback):
    """After each validation, and when the training is over: `report.html`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write what is known so far; the losses of this epoch come with the next report."""
        self._write(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write all of it."""
        self._write(trainer)

    def _write(self, trainer: L.Trainer) -> None:
        if trainer.is_global_zero and not trainer.sanity_checking:
            write_report(self.folder)


def write_report(folder: Path) -> Path:
    """Write `report.html` of a run folder, and return its path.

    Raises:
        OutputError: the folder cannot be written.
    """
    images.write_bytes(report_page(folder).encode(errors="replace"), folder / REPORT)
    return folder / REPORT


def report_page(folder: Path) -> str:
    """The page of a run folder; what the folder does not hold (yet) is left out."""
    recipe = _text(folder / "recipe.yaml")
    facts = yaml.safe_load(recipe) if recipe else {}
    title = html.escape(str(facts.get("name", folder.name)))
    history = read_history(folder / "metrics.csv")
    parts = [f"<h1>{title}</h1>", f"<p>{html.escape(str(facts.get('description', '')))}</p>", _state(history, facts)]
    parts += [_scores(history), *_curves(history), *_pictures(folder / "pictures")]
    parts += _json_table("Photos", folder / "data.json", ("source", "files", "bytes", "sha256"))
    parts += _json_table("Environment", folder / "environment.json", ("what", "version"))
    parts += ["<h2>Recipe</h2>", f"<pre>{html.escape(recipe)}</pre>"] if recipe else []
    head = f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    return f"{head}\n<style>\n{_STYLE}\n</style></head><body>\n" + "\n".join(parts) + "\n</body></html>\n"


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _state(history: Mapping[str, list[Moment]], facts: Mapping[str, Any]) -> str:
    highest = best(history.get("val/score", []))
    if highest is None:
        return "<p>Not validated yet.</p>"
    epochs = facts.get("schedule", {}).get("epochs", "?")
    done = history["val/score"][-1].epoch
    return (
        f"<p>Best score {highest.value:.4f} in epoch {highest.epoch}; "
        f"the last validated is epoch {done}, counted from 0, of {epochs}.</p>"
    )


def _scores(history: Mapping[str, list[Moment]]) -> str:
    rows = [["score", "best", "in epoch", "last"]]
    for name, moments in history.items():
        highest = best(moments)
        if name.startswith("val/") and highest is not None:
            rows.append([name, f"{highest.value:.4f}", str(highest.epoch), f"{moments[-1].value:.4f}"])
    return _table(rows) if len(rows) > 1 else ""


def _curves(history: Mapping[str, list[Moment]]) -> list[str]:
    parts = []
    for heading, prefix in _GROUPS.items():
        # Of the loss there are single steps as well as means of epochs, which tell more.
        names = [name for name in history if name.startswith(prefix) and not name.endswith("_step")]
        courses = {
            name.removeprefix("train/").removeprefix("val/"): [(moment.step, moment.value) for moment in history[name]]
            for name in names
            if history[name]
        }
        if courses:
            parts += [f"<h2>{heading}</h2>", draw.curves(courses, x_title="step", y_title="")]
    return parts


def _pictures(folder: Path) -> list[str]:
    parts = []
    for what, pattern in _LAST.items():
        # By length first: epoch 1000 comes after 999.
        last = max(folder.glob(pattern), key=lambda path: (len(path.name), path.name), default=None)
        if last is not None:
            content = base64.b64encode(last.read_bytes()).decode()
            picture = f'<img src="data:{_TYPES[last.suffix]};base64,{content}" alt="">'
            parts.append(f"<figure>{picture}<figcaption>{what}: {last.name}</figcaption></figure>")
    return ["<h2>Pictures</h2>", *parts] if parts else []


def _json_table(heading: str, path: Path, columns: Sequence[str]) -> list[str]:
    if not path.exists():
        return []
    rows = [list(columns)]
    for name, value in read_note(path).items():
        if isinstance(value, dict) and len(columns) > 2:
            rows.append([name, *(str(value.get(key, "")) for key in columns[1:])])
        elif isinstance(value, dict):
            rows.append([name, ", ".join(f"{key} {item}" for key, item in value.items())])
        else:
            rows.append([name, str(value)])
    return [f"<h2>{heading}</h2>", _table(rows)]


def _table(rows: Sequence[Sequence[str]]) -> str:
    heading, *body = rows
    return "\n".join(["<table>", _row(heading, "th"), *(_row(row, "td") for row in body), "</table>"])


def _row(cells: Iterable[str], tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"
