"""The `figureground` command: its verbs, and how a failure becomes one line and an exit code."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Sequence

import click
from click.shell_completion import shell_complete

from figureground.cli.combine import combine
from figureground.cli.compare import compare
from figureground.cli.completion import COMPLETION_VARIABLE, completion
from figureground.cli.data import data
from figureground.cli.doctor import doctor
from figureground.cli.evaluate import evaluate
from figureground.cli.export import export
from figureground.cli.labels import labels
from figureground.cli.networks import networks
from figureground.cli.options import Session, debug_option, version_option
from figureground.cli.parse import parse
from figureground.cli.predict import predict
from figureground.cli.search import search
from figureground.cli.segment import segment
from figureground.cli.series import series
from figureground.cli.soup import soup
from figureground.cli.train import train
from figureground.cli.tune import tune
from figureground.errors import FiguregroundError, OutputError

INTERNAL, USAGE, READER_GONE, INTERRUPTED = 1, 2, 141, 130

EPILOG = """\b
Exit codes
  0    everything was done
  1    a mistake in figureground itself (run again with --debug)
  2    wrong usage or wrong input: image, folder, labels, recipe, data;
       also when some images of several could not be read
  3    wrong network: unknown name, corrupt or newer bundle
  4    the output could not be written
  5    a part is not installed (the message says what to install)
  130  interrupted with Ctrl-C
  141  the program reading the output went away

\b
Example
  figureground segment photo.jpg      writes photo-cutout.png
"""


@click.group(epilog=EPILOG, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@version_option
@debug_option
@click.pass_context
def cli(context: click.Context) -> None:
    """Cut people out of photos, offline, on a plain CPU."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


_TO_USE = (segment, parse, predict, evaluate, compare)
_TO_LOOK_UP = (networks, labels, doctor, completion)
_TO_MAKE = (data, train, series, search, export, soup, combine, tune)
for _verb in (*_TO_USE, *_TO_LOOK_UP, *_TO_MAKE):
    cli.add_command(_verb)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line on `arguments` (default: sys.argv) and return the exit code; see EPILOG for the codes.

    Every failure is one line on stderr. With --debug the exception is let through, so that Python shows where it
    came from.
    """
    session = Session()
    _let_any_name_pass()
    try:
        code = _run(sys.argv[1:] if arguments is None else list(arguments), session)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        _forget_stdout()
        return READER_GONE
    except KeyboardInterrupt:
        click.echo("figureground: interrupted", err=True)
        return INTERRUPTED
    except Exception as error:
        if session.debug:
            raise
        line, code = _explain(error)
        click.echo(line, err=True)
        return code


def _run(arguments: list[str], session: Session) -> int:
    """What click's own `main` does, but failures come to us as exceptions, a closed pipe among them."""
    asked = os.environ.get(COMPLETION_VARIABLE)
    if asked:
        return shell_complete(cli, {}, "figureground", COMPLETION_VARIABLE, asked)
    try:
        with cli.make_context("figureground", arguments, obj=session) as context:
            code = cli.invoke(context)
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    return code if isinstance(code, int) else 0


def _explain(error: Exception) -> tuple[str, int]:
    """(one line for stderr, exit code) of a failure."""
    if isinstance(error, FiguregroundError):
        return f"figureground: {error}", error.exit_code
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx else "figureground"
        return f"figureground: {_one_line(error.format_message())} (see: {command} --help)", USAGE
    if isinstance(error, click.ClickException):
        return f"figureground: {_one_line(error.format_message())}", USAGE
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        _forget_stdout()
        return f"figureground: cannot write to stdout: {error.strerror}", OutputError.exit_code
    what = _one_line(f"{type(error).__name__}: {error}")
    return f"figureground: a mistake in figureground itself: {what} (--debug shows where)", INTERNAL


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _let_any_name_pass() -> None:
    """Print file names that are not valid UTF-8 as the bytes they are, instead of failing over them."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")


def _forget_stdout() -> None:
    """Point stdout at nothing: the interpreter flushes it at exit, and would fail once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
