"""Freed memory is kept for the next step instead of being given back to the kernel, where glibc's malloc is used.

A training step on a CPU allocates the same large activations again and again. glibc asks the kernel for each of them
and returns it at once, so that every step touches fresh pages, and the kernel fills every one of them with zeros.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

__all__ = ["KEEP_MEMORY", "keep_freed_memory"]

KEEP_MEMORY = "FIGUREGROUND_KEEP_MEMORY"
"""The environment variable that switches this off where it is 0."""

# The parameters of glibc's malloc.h: mallopt(3).
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8
_SETTINGS = {
    _MMAP_MAX: 0,  # large blocks come from the heap too, which alone can keep them
    _TRIM_THRESHOLD: 2**31 - 1,
    _TOP_PAD: 256 * 2**20,
    _ARENA_MAX: 1,  # only the first heap grows without a limit
}


def keep_freed_memory() -> bool:
    """Let this process, and those that it forks, keep what they free; returns whether they do.

    Nothing happens where the C library is not glibc, or where the environment says `FIGUREGROUND_KEEP_MEMORY=0`.
    """
    set_option = None if os.environ.get(KEEP_MEMORY) == "0" else _mallopt()
    if set_option is None:
        return False
    taken = [set_option(option, value) for option, value in _SETTINGS.items()]
    return all(one == 1 for one in taken)


def _mallopt() -> Callable[[int, int], int] | None:
    try:
        # musl has no mallopt, Windows no library None.
        function: Callable[[int, int], int] = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return None
    return function
