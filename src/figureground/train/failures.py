"""What can end a training from outside, told in one line: Ctrl-C, a full disk, a picture that a worker cannot read."""

from __future__ import annotations

import errno
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from figureground.errors import FiguregroundError, OutputError


class InterruptedRun(FiguregroundError):  # noqa: N818 - an interruption is no error
    """A training that was stopped on purpose and can be resumed."""

    exit_code = 130


@contextmanager
def plain_failures(folder: Path) -> Iterator[None]:
    """Around a training in `folder`: failures of the surroundings come out as one-line errors with what to do.

    Raises:
        InterruptedRun: Ctrl-C or a terminating signal.
        OutputError: the folder cannot be written, or the disk is full.
    """
    with _own_interrupt_handler():
        try:
            yield
        except (KeyboardInterrupt, SystemExit) as stop:
            raise InterruptedRun(
                f"the run in {folder} was interrupted",
                remedy="add --resume to go on from its last finished epoch",
            ) from stop
        except FiguregroundError as error:
            raise _from_worker(error) from error
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise OutputError(
                    f"the disk of {folder} is full",
                    remedy="make room, then add --resume to go on from the last finished epoch",
                ) from error
            if _concerns(folder, error):
                raise OutputError(f"cannot write to {folder}: {error.strerror}", remedy="check the folder") from error
            raise


@contextmanager
def _own_interrupt_handler() -> Iterator[None]:
    # Lightning answers Ctrl-C by ignoring every later one, for as long as the process lives.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def _concerns(folder: Path, error: OSError) -> bool:
    if not isinstance(error.filename, str):
        return False
    place = Path(error.filename)
    return place.is_relative_to(folder) or folder.is_relative_to(place)


def _from_worker(error: FiguregroundError) -> FiguregroundError:
    """The error that a loading process raised; torch hands on its traceback as the message."""
    _, marked, traceback = str(error.args[0]).partition("Original Traceback")
    return type(error)(traceback.strip().splitlines()[-1].partition(": ")[2]) if marked else error
