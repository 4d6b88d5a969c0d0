"""The command line as a whole: help, exit codes, completion, interruptions."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from figureground import __version__, errors
from figureground.cli.app import EPILOG, cli, main

ROOT = Path(__file__).resolve().parents[2]
VERBS = {
    "segment", "parse", "predict", "evaluate", "compare", "networks", "labels", "doctor", "data", "train", "export",
    "soup", "tune", "combine", "search", "series", "completion",
}  # fmt: skip


def every_command(command=cli, path=()):
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from every_command(inner, (*path, name))


def test_the_verbs():
    assert set(cli.commands) == VERBS


@pytest.mark.parametrize("path", [path for path, _ in every_command()], ids=" ".join)
def test_every_help_has_an_example_and_debug(call, path):
    answer = call(*path, "--help")
    assert answer.code == 0
    assert "Example\n" in answer.out
    assert "figureground " + " ".join(path[:1]) in answer.out
    assert "--debug" in answer.out


def test_no_arguments_is_help(call):
    assert call().out == call("--help").out


def test_version(call):
    assert call("--version").out == f"figureground {__version__}\n"


def test_exit_codes_are_documented(call):
    in_help = {int(line.split()[0]) for line in EPILOG.splitlines() if line.strip()[:1].isdigit()}
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.FiguregroundError)
    ]
    assert {kind.exit_code for kind in kinds} | {0, 1, 130, 141} == in_help
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert all(f"| {code} |" in page for code in in_help)


def test_an_unknown_verb_names_the_nearest(call):
    answer = call("sgment")
    assert answer.code == 2
    assert "segment" in answer.one_error


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(call, shell):
    answer = call("completion", shell)
    assert answer.code == 0
    assert "_FIGUREGROUND_COMPLETE" in answer.out


def complete(words: str, index: int) -> list[str]:
    run = subprocess.run(
        [sys.executable, "-m", "figureground"],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT / "src"),
            "_FIGUREGROUND_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(index),
        },
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    return run.stdout.split()


def test_completion_knows_verbs_options_and_kinds():
    assert complete("figureground eval", 1) == ["plain,evaluate"]
    assert "plain,--background" in complete("figureground segment --b", 2)
    assert complete("figureground segment --as si", 3) == ["plain,side-by-side"]


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (RuntimeError("two\nlines"), 1, "RuntimeError: two lines"),
        (errors.OutputError("no", remedy="yes"), 4, "no; yes"),
    ],
    ids=["interrupt", "mistake", "ours"],
)
def test_any_failure_is_one_line(call, monkeypatch, error, code, said):
    def fail():
        raise error

    monkeypatch.setattr("figureground.cli.doctor.examine", fail)
    answer = call("doctor")
    assert answer.code == code
    assert said in answer.one_error


def test_debug_lets_the_exception_through(monkeypatch):
    def fail():
        raise errors.OutputError("no")

    monkeypatch.setattr("figureground.cli.doctor.examine", fail)
    for arguments in (["--debug", "doctor"], ["doctor", "--debug"]):
        with pytest.raises(errors.OutputError):
            main(arguments)


def test_a_reader_that_goes_away_is_no_mistake():
    command = f'{sys.executable} -m figureground --help | true; exit "${{PIPESTATUS[0]}}"'
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    run = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment, timeout=120)
    assert run.returncode in (0, 141)  # 0 when the help was written before the reader was gone
    assert run.stderr == ""
