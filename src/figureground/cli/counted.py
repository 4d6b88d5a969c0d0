"""A progress bar for work that learns only when it starts how much there is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from figureground.cli.progress import Progress


@contextmanager
def counted(unit: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function to tell (things done, things in all) after each thing; the bar starts with the first."""
    with ExitStack() as stack:
        bars: list[Progress] = []

        def tell(_done: int, total: int) -> None:
            if not bars:
                bars.append(stack.enter_context(Progress(total, unit)))
            bars[0].advance()

        yield tell
