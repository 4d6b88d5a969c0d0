"""docs/add-a-network.md keeps its word: its code, put in place, passes its own test and the network contract."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from figureground.networks import list_networks, registry

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^`([\w/]+\.py)`:\n\n```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
NAME = "lraspp"


def load(name: str, path: Path) -> ModuleType:
    found = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The files of the document, written where nothing else is; the network is registered while these tests run."""
    folder = tmp_path_factory.mktemp("document")
    blocks = dict(BLOCK.findall((ROOT / "docs" / "add-a-network.md").read_text(encoding="utf-8")))
    for path, text in blocks.items():
        (folder / Path(path).name).write_text(text, encoding="utf-8")
    assert NAME not in list_networks()
    module = f"figureground.networks.{NAME}"
    load(module, folder / f"{NAME}.py")
    yield {path: folder / Path(path).name for path in blocks}
    del registry._SPECS[NAME], sys.modules[module]


def test_it_is_one_file_and_one_test(files):
    assert list(files) == [f"src/figureground/networks/{NAME}.py", f"tests/networks/test_{NAME}.py"]
    assert NAME in list_networks()


def checks(path: Path) -> list[str]:
    """The quick tests of a file."""
    text = path.read_text(encoding="utf-8")
    return [name for mark, name in re.findall(r"(@pytest\.mark\.slow\n(?:@.*\n)*)?def (test_\w+)", text) if not mark]


@pytest.mark.parametrize("check", checks(ROOT / "tests" / "networks" / "test_contract.py"))
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_the_contract_holds(files, check):
    contract = load("contract_of_the_document", ROOT / "tests" / "networks" / "test_contract.py")
    function = getattr(contract, check)
    if list(inspect.signature(function).parameters) == ["name"]:
        function(NAME)


def test_its_own_test_passes(files):
    tests = load("test_of_the_document", files[f"tests/networks/test_{NAME}.py"])
    found = [function for name, function in vars(tests).items() if name.startswith("test_")]
    assert found
    for function in found:
        function()
