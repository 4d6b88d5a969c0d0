"""Who may import whom: downward only, and never in a circle."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter

import pytest

LEVELS = {
    **dict.fromkeys(["errors", "checks", "labels", "images"], 0),
    **dict.fromkeys(["metrics", "refine", "draw", "depth"], 1),
    **dict.fromkeys(["runtime", "networks", "losses", "data", "datasets"], 2),
    **dict.fromkeys(["train", "evaluate", "export", "serve", "batch"], 3),
    "cli": 4,
    "figureground": 5,
    "__main__": 5,
}

# Folders of one level do not know of one another, but for these. docs/architecture.md says why.
SIDEWAYS = {
    ("labels", "errors"),
    ("images", "errors"),
    ("checks", "errors"),
    ("data", "losses"),
    ("export", "train"),
}

# The front door hands these out without importing anything, so that any floor may ask for them.
FROM_THE_FRONT_DOOR = {"__version__"}

NEEDS_TRAINING = {"depth", "networks", "losses", "data", "train", "export", "serve", "batch"}
CORE_REQUIREMENTS = {"numpy", "PIL", "onnxruntime", "click"}
HEAVY = {"torch", "torchvision", "lightning", "timm", "pydantic", "safetensors", "onnx", "onnxscript", "tensorboard"}


def test_every_folder_has_a_level(modules):
    unknown = {module.folder for module in modules.values()} - set(LEVELS)
    assert not unknown, f"give {sorted(unknown)} a level here and in docs/architecture.md"


def test_imports_go_down(modules):
    known = frozenset(modules)
    wrong = []
    for module in modules.values():
        for found in module.imports(known):
            if found.target == "figureground" and found.name in FROM_THE_FRONT_DOOR:
                continue
            target = found.target.split(".")[1] if "." in found.target else "figureground"
            edge = (module.folder, target)
            if edge[0] == edge[1] or edge in SIDEWAYS:
                continue
            if LEVELS[edge[0]] <= LEVELS.get(edge[1], 99):
                wrong.append(f"{module.path.name}:{found.line} in {edge[0]} imports {found.target}")
    assert not wrong, "\n".join(wrong)


def test_no_import_cycle(modules):
    known = frozenset(modules)
    graph = {
        module.name: {found.target for found in module.imports(known)} - {module.name, "figureground"}
        for module in modules.values()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail("import cycle: " + " -> ".join(error.args[1]))


def _imported_roots(tree: ast.AST) -> set[tuple[str, int]]:
    roots = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            roots |= {(alias.name.split(".")[0], node.lineno) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            roots.add((node.module.split(".")[0], node.lineno))
    return roots


def test_prediction_code_never_names_training_libraries(modules):
    wrong = [
        f"{module.path.name}:{line} imports {name}"
        for module in modules.values()
        if module.folder not in NEEDS_TRAINING | {"cli"}
        for name, line in _imported_roots(module.tree)
        if name in HEAVY
    ]
    assert not wrong, "\n".join(wrong)


def test_the_command_line_imports_inside_functions(modules):
    """Start-up time is the import time of what stands at the top of these files."""
    allowed = {"click", "figureground", "__future__"}
    wrong = []
    for module in modules.values():
        if module.folder != "cli":
            continue
        top = ast.Module([node for node in module.tree.body if isinstance(node, ast.Import | ast.ImportFrom)], [])
        wrong += [
            f"{module.path.name}:{line} imports {name} at the top"
            for name, line in _imported_roots(top)
            if name in (CORE_REQUIREMENTS | HEAVY) - allowed
        ]
    assert not wrong, "\n".join(wrong)
