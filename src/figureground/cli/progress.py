"""The progress bar of a long run, on stderr and only in a terminal."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar


class Progress:
    """Counts what is done. In a terminal, and for more than one thing, it draws a bar with things per second.

    Args:
        total: how many things there are.
        unit: what they are called in the rate, in the plural.
    """

    def __init__(self, total: int, unit: str = "images") -> None:
        self.done = 0
        self._unit = unit
        self._started = time.perf_counter()
        self._bar: ProgressBar[int] | None = None
        if total > 1 and sys.stderr.isatty():
            self._bar = click.progressbar(length=total, file=sys.stderr, item_show_func=lambda _: self._rate_text())

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.__exit__(kind, error, trace)

    @property
    def rate(self) -> float:
        """Things per second since the start."""
        return self.done / max(time.perf_counter() - self._started, 1e-9)

    def advance(self) -> None:
        """One more is done."""
        self.done += 1
        if self._bar is not None:
            self._bar.update(1)

    def say(self, line: str, *, err: bool = False) -> None:
        """Print one line on stdout, or on stderr with `err`, without tearing the bar."""
        if self._bar is not None:
            click.echo("\r\x1b[K", err=True, nl=False)
        click.echo(line, err=err)

    def _rate_text(self) -> str:
        return f"{self.rate:.1f} {self._unit}/s"
