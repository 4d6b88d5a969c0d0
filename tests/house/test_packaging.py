"""What an installation brings along."""

from __future__ import annotations

import ast
import re
import sys
import tomllib

import pytest

PROJECT = "pyproject.toml"
# The name under which a distribution is imported, where the two differ.
IMPORTED_AS = {"pillow": "PIL", "pyyaml": "yaml", "pillow-heif": "pillow_heif"}
NEEDS_AN_EXTRA = {"depth", "networks", "losses", "data", "train", "export", "serve", "batch"}


def names(requirements):
    return {re.match(r"[\w.-]+", requirement).group().lower().replace("_", "-") for requirement in requirements}


@pytest.fixture(scope="module")
def project(root):
    return tomllib.loads((root / PROJECT).read_text(encoding="utf-8"))["project"]


def test_the_core_stays_small(project):
    assert names(project["dependencies"]) <= {"numpy", "pillow", "onnxruntime", "click"}


def test_core_code_imports_what_the_core_installs(project, modules):
    """At the top of a file of the core stands only what every installation has."""
    installed = {IMPORTED_AS.get(name, name) for name in names(project["dependencies"])}
    wrong = []
    for module in modules.values():
        if module.folder in NEEDS_AN_EXTRA:
            continue
        for node in module.tree.body:
            if isinstance(node, ast.Import):
                roots = {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                roots = {(node.module or "").split(".")[0]}
            else:
                continue
            known = installed | set(sys.stdlib_module_names) | {"figureground"}
            wrong += [(module.name, root) for root in roots - known]
    assert not wrong


def test_extras(project):
    assert {"train", "serve", "video", "batch", "export", "dev", "all"} <= set(project["optional-dependencies"])


def test_constraints_are_plain_pins(root, project):
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert not [pin for pin in pins if not re.fullmatch(r"[\w.-]+==[\w.!]+", pin)]
    needed = names(project["dependencies"]) | names(
        requirement
        for extra in ("train", "export", "heic", "dev")
        for requirement in project["optional-dependencies"][extra]
    )
    assert not needed - {"figureground"} - names(pins)


def test_the_entry_point_exists(project):
    module, _, function = project["scripts"]["figureground"].partition(":")
    assert callable(getattr(__import__(module, fromlist=[function]), function))


def test_versions_agree(project, root):
    import figureground

    assert figureground.__version__ == project["version"]
    assert f"## {project['version']} " in (root / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_package_says_that_it_is_typed(root):
    assert (root / "src" / "figureground" / "py.typed").is_file()
