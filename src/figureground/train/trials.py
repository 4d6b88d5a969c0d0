"""The trials of a search as a table, in Markdown and JSON, and the best one as a recipe."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.trial import FrozenTrial, TrialState

from figureground import images
from figureground.train.history import best, read_history
from figureground.train.recipe import changed_values
from figureground.train.space import Space

__all__ = ["Trial", "Trials", "summary", "write_trials"]

_WORDS = {TrialState.COMPLETE: "finished", TrialState.PRUNED: "broken off", TrialState.FAIL: "failed"}


@dataclass(frozen=True)
class Trial:
    """One trial: how it ended, its highest `score`, the epoch of that, and the values as YAML.

    `seconds` are those of its last part, where it was interrupted. `error` says why it failed.
    """

    number: int
    state: str
    score: float | None
    epoch: int | None
    seconds: float | None
    values: dict[str, str]
    folder: str
    error: str | None


@dataclass(frozen=True)
class Trials:
    """All ended trials, the best first, and the folder of the search."""

    folder: Path
    rows: tuple[Trial, ...]

    @property
    def best(self) -> Trial | None:
        """The finished trial with the highest score; None where none has finished."""
        return next((row for row in self.rows if row.state == "finished"), None)

    def table(self) -> list[list[str]]:
        """The trials as text, the heading first."""
        keys = list(self.rows[0].values) if self.rows else []
        lines = [["trial", "state", "score", "in epoch", "seconds", *keys]]
        for row in self.rows:
            score = "-" if row.score is None else f"{row.score:.4f}"
            spent = "-" if row.seconds is None else f"{row.seconds:.0f}"
            epoch = "-" if row.epoch is None else str(row.epoch)
            lines.append([row.folder, row.state, score, epoch, spent, *(_short(text) for text in row.values.values())])
        return lines

    def to_dict(self) -> dict[str, Any]:
        """What `trials.json` holds, as plain values."""
        return {"metric": "val/score", "trials": [asdict(row) for row in self.rows]}


def summary(study: optuna.Study, space: Space, folder: Path) -> Trials:
    """The trials of a study that have ended by themselves; finished ones first, then by score."""
    rows = []
    for trial in study.get_trials(deepcopy=False):
        interrupted = trial.state == TrialState.FAIL and "error" not in trial.user_attrs
        if trial.state in _WORDS and not interrupted:
            rows.append(_row(trial, space, folder))
    order = list(_WORDS.values())
    rows.sort(key=lambda row: (order.index(row.state), -(row.score or 0.0), row.number))
    return Trials(folder, tuple(rows))


def _row(trial: FrozenTrial, space: Space, folder: Path) -> Trial:
    known = trial.user_attrs
    highest = best(read_history(folder / known["folder"] / "metrics.csv").get("val/score", []))
    return Trial(
        number=trial.number,
        state=_WORDS[trial.state],
        score=trial.value if highest is None else highest.value,
        epoch=None if highest is None else highest.epoch,
        seconds=known.get("seconds"),
        values={key: dimension.text(trial.params[key]) for key, dimension in space.items()},
        folder=known["folder"],
        error=known.get("error"),
    )


def write_trials(trials: Trials, folder: Path, recipe_path: Path, overrides: Sequence[str]) -> None:
    """Write `trials.md`, `trials.json` and, where a trial has finished, `best.yaml`.

    Raises:
        OutputError: the folder cannot be written.
    """
    images.make_folder(folder)
    lines = [[cell.replace("|", "\\|") for cell in line] for line in trials.table()]
    lines.insert(1, ["---"] * len(lines[0]))
    text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    failed = [f"\n{row.folder} failed: {row.error}\n" for row in trials.rows if row.error]
    images.write_bytes("".join([text, *failed]).encode(errors="replace"), folder / "trials.md")
    images.write_bytes(json.dumps(trials.to_dict(), indent=1).encode(), folder / "trials.json")
    if trials.best is not None:
        chosen = [f"{key}={text}" for key, text in trials.best.values.items()]
        recipe = changed_values(recipe_path, [*overrides, *chosen])
        recipe["name"] = f"{recipe['name']}-best"
        images.write_bytes(_dumped(recipe).encode(), folder / "best.yaml")


def _dumped(values: dict[str, Any]) -> str:
    return str(yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


def _short(text: str) -> str:
    """A drawn number without its last digits; anything else as it is."""
    value = yaml.safe_load(text)
    return f"{value:.4g}" if isinstance(value, float) else text
