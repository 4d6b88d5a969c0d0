"""The numbers of a run as they were over time, read from its `metrics.csv`."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

__all__ = ["Moment", "best", "read_history"]


class Moment(NamedTuple):
    """One number: when it was measured (`epoch` is None where it was not noted) and its value."""

    epoch: int | None
    step: int
    value: float


def read_history(path: Path) -> dict[str, list[Moment]]:
    """The course of every number, by name, in the order of its steps; nothing where there is no file yet.

    Where a resumed run measured a step again, the later value counts. Values that are not finite are left out, and so
    are lines that are damaged.
    """
    if not path.exists():
        return {}
    found: dict[str, dict[int, Moment]] = {}
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        for row in csv.DictReader(file):
            moment = _moment(row)
            if moment is not None:
                found.setdefault(row["name"], {})[moment.step] = moment
    return {
        name: [moment for _, moment in sorted(moments.items()) if math.isfinite(moment.value)]
        for name, moments in found.items()
    }


def _moment(row: Mapping[str, str | None]) -> Moment | None:
    try:
        epoch = int(float(row["epoch"])) if row["epoch"] else None
        return Moment(epoch, int(row["step"] or ""), float(row["value"] or "")) if row["name"] else None
    except (KeyError, ValueError, OverflowError):
        return None


def best(moments: list[Moment]) -> Moment | None:
    """The first of the highest; None where nothing was measured."""
    return max(moments, key=lambda moment: moment.value, default=None)
