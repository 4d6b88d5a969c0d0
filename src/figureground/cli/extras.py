"""Optional parts: a missing one is an error that says what to install."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from figureground.errors import MissingExtraError


@contextmanager
def extra(name: str, purpose: str) -> Iterator[None]:
    """Around what needs the extra `name`; `purpose` starts the sentence "... needs ...".

    Raises:
        MissingExtraError: a third-party package could not be found. A missing module of our own is a mistake of ours
            and passes through.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "figureground":
            raise
        raise MissingExtraError(
            f"{purpose} needs the package '{error.name}', which is not installed",
            remedy=f"type: pip install 'figureground[{name}]'",
        ) from error
