"""What a file may be called, how long it may be and what it may not tell."""

from __future__ import annotations

import ast
import re
from pathlib import Path

MOST_LINES = 400
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}
MACHINE_PATH = re.compile(r"(?<![\w./:~-])/(?:work|root|home|Users|opt|mnt|srv)/\w")
REGISTRY = re.compile(r"index-url\s*[= ]\s*\S|https?://[\w.:-]+/simple\b|\b(?:nexus|artifactory)\b", re.IGNORECASE)
BINARY = {".onnx", ".png", ".jpg", ".jpeg", ".gif", ".tif", ".tiff", ".webp", ".npz", ".safetensors"}


def test_no_file_is_called_after_nothing(tracked):
    assert not [path.name for path in tracked if path.stem.strip("_") in BANNED_NAMES]


def test_a_file_is_read_in_one_sitting(modules):
    long = {str(module.path.name): module.text.count("\n") for module in modules.values()}
    assert not {name: lines for name, lines in long.items() if lines >= MOST_LINES}


def test_files_name_no_machine_and_no_registry(tracked):
    wrong = []
    for path in tracked:
        if path.suffix.lower() in BINARY or path == Path(__file__):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if MACHINE_PATH.search(line) or REGISTRY.search(line):
                wrong.append(f"{path.name}:{number}: {line.strip()[:100]}")
    assert not wrong, "\n".join(wrong)


def test_no_file_is_left_unfinished(modules):
    marks = re.compile(r"\b(TODO|FIXME|XXX)\b|NotImplementedError")
    wrong = [module.name for module in modules.values() if marks.search(module.text)]
    assert not wrong


def _public_definitions(tree):
    """Functions, classes and methods that a reader may call, with the dotted path inside the file."""
    stack = [("", node) for node in tree.body]
    while stack:
        prefix, node = stack.pop()
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        yield prefix + node.name, node
        if isinstance(node, ast.ClassDef):
            stack += [(f"{prefix}{node.name}.", child) for child in node.body]


def _decorators(node):
    return {ast.unparse(decorator) for decorator in node.decorator_list}


def test_public_code_is_documented(modules):
    wrong = []
    for module in modules.values():
        if not ast.get_docstring(module.tree):
            wrong.append(f"{module.name}: the module has no docstring")
        for name, node in _public_definitions(module.tree):
            inherits = any(mark.endswith((".setter", "override", "overload")) for mark in _decorators(node))
            if not ast.get_docstring(node) and not inherits and not _overrides(name, module.tree):
                wrong.append(f"{module.name}.{name}:{node.lineno}")
    assert not wrong, "\n".join(wrong)


def _overrides(name, tree):
    """A method that a base class already documents (`forward` of a torch module, a Lightning hook)."""
    owner, _, method = name.rpartition(".")
    bases = [
        ast.unparse(base)
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and node.name == owner
        for base in node.bases
    ]
    return method in DOCUMENTED_BY_THEIR_BASE and bool(bases)


DOCUMENTED_BY_THEIR_BASE = {
    "forward", "training_step", "validation_step", "configure_optimizers", "on_train_epoch_end",
    "on_validation_epoch_start", "on_validation_epoch_end", "on_train_batch_end", "on_save_checkpoint",
    "on_load_checkpoint", "state_dict", "load_state_dict", "train_dataloader", "val_dataloader", "setup",
    "transform", "make_params",
}  # fmt: skip


def test_public_functions_are_annotated(modules):
    wrong = []
    for module in modules.values():
        for name, node in _public_definitions(module.tree):
            if isinstance(node, ast.ClassDef):
                continue
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            bare = [arg.arg for arg in arguments if arg.annotation is None and arg.arg not in {"self", "cls"}]
            if bare or node.returns is None:
                wrong.append(f"{module.name}.{name}:{node.lineno} {bare or 'returns what?'}")
    assert not wrong, "\n".join(wrong)
