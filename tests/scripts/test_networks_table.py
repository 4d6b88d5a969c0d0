"""The table in docs/networks.md is what the script would write today."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from figureground.networks import list_networks, spec

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def script():
    found = importlib.util.spec_from_file_location("networks_table", ROOT / "scripts" / "networks_table.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def document(script):
    return script.DOCUMENT.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", list_networks())
def test_the_row_of_each_network_is_current(script, document, name):
    assert script.network_row(name) in document, "run: python scripts/networks_table.py"


def test_no_row_is_left_over_and_no_variant_is_missing(script, document):
    table = document.partition(script.BEGIN)[2].partition(script.END)[0]
    networks, variants = table.split(script.VARIANTS)
    assert re.findall(r"^\| `(\w+)`", networks, re.MULTILINE) == list_networks()
    wanted = [
        (name, variant, f"{count:,}") for name in list_networks() for variant, (_, count) in spec(name).counts.items()
    ]
    assert re.findall(r"^\| `(\w+)`, (.*?) \| `.*` \| ([\d,]+) \|", variants, re.MULTILINE) == wanted


@pytest.mark.slow
def test_the_whole_document_is_current(script, document):
    assert script.written(document) == document


def test_a_changed_table_is_noticed(script, document, monkeypatch):
    monkeypatch.setattr(script, "tables", lambda: "another table\n")
    changed = script.written(document)
    assert changed != document
    assert changed.count(script.BEGIN) == changed.count(script.END) == 1
    with pytest.raises(SystemExit, match="lacks the lines"):
        script.written("no marks")
