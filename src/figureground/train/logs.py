"""The numbers of a run as a CSV file that survives being stopped at any moment.

Not Lightning's CSVLogger: that deletes the file of the run that it should go on with.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only


class LongCsv(Logger):
    """One line per number: epoch, step, name, value; only ever appended to.

    After a resume the steps of the epoch that was broken off come twice; the later ones are the run's.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        _cut_broken_line(path)

    @property
    def name(self) -> str:
        """What Lightning calls this log."""
        return self.path.stem

    @property
    def version(self) -> str:
        """None is kept: the run folder is the version."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: the recipe lies beside the file."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append the numbers of one moment."""
        rows = [(metrics.get("epoch"), step, name, value) for name, value in metrics.items() if name != "epoch"]
        is_new = not self.path.exists()
        with self.path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if is_new:
                writer.writerow(("epoch", "step", "name", "value"))
            writer.writerows(rows)


def _cut_broken_line(path: Path) -> None:
    """Take away a last line that has no end, which a full disk or a power cut left there."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)
