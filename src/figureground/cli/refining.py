"""`--refine`: the steps after the network that a verb was asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from figureground.runtime.segmenter import Segmenter


def opener(network: str, steps: str | None) -> Callable[[], Segmenter]:
    """What opens the network, with the steps after it. Steps are checked at once, before any photo is read.

    Raises:
        ArgumentError: an unknown step or setting, or a setting out of its range.
    """
    from figureground.runtime.catalogue import load

    if steps is None:
        return lambda: load(network)
    from figureground.refine.steps import read_steps
    from figureground.runtime.refined import Refined

    chain = read_steps(steps)
    return lambda: Refined(load(network), chain)
