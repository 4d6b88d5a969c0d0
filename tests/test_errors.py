"""Errors: one line each, documented exit codes, suggestions."""

import pickle
import subprocess
import sys

import pytest

from figureground import errors
from figureground.errors import FiguregroundError, nearest, suggest

CLASSES = [getattr(errors, name) for name in errors.__all__ if isinstance(getattr(errors, name), type)]


def test_message_and_remedy_are_one_line():
    error = FiguregroundError("no such\nfile:  'a'", remedy="check\tthe name")
    assert str(error) == "no such file: 'a'; check the name"
    assert str(FiguregroundError("plain")) == "plain"


def test_terminal_escapes_and_undecodable_names_are_shown_as_question_marks():
    assert str(FiguregroundError("no such file: '\x1b[31mred\udcff'")) == "no such file: '?[31mred?'"


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_has_a_documented_exit_code_and_survives_pickling(kind):
    error = pickle.loads(pickle.dumps(kind("what", remedy="do")))
    assert isinstance(error, FiguregroundError)
    assert str(error) == "what; do"
    assert f"| {error.exit_code} |" in errors.__doc__


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.UnreadableImageError, 2),
        (errors.SourceError, 2),
        (errors.LabelError, 2),
        (errors.UnknownNetworkError, 3),
        (errors.NewerBundleError, 3),
        (errors.OutputError, 4),
        (errors.MissingExtraError, 5),
    ],
)
def test_exit_codes(kind, code):
    assert kind.exit_code == code


def test_nearest_ignores_case_and_gives_up_on_the_far():
    assert nearest("Persn", ["person", "person-fast"]) == "person"
    assert nearest("PERSON-FSAT", ["person", "person-fast"]) == "person-fast"
    assert nearest("zebra", ["person"]) is None
    assert nearest("x", []) is None


def test_suggest():
    assert suggest("persn", ["person", "car"]) == "did you mean 'person'?"
    assert suggest("zebra", iter(["person", "car"])) == "known: person, car"
    assert suggest("zebra", []) == "none are known"


def test_importing_errors_is_light():
    code = "import sys, figureground.errors; print(sorted({'numpy', 'PIL', 'torch', 'yaml'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
