"""The package as the house tests see it: parsed, never imported."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "figureground"


@dataclass(frozen=True)
class Import:
    """One imported module of ours: its dotted name, what is taken out of it and the line."""

    target: str
    name: str | None
    line: int


@dataclass(frozen=True)
class Module:
    """One source file: its dotted name, its path, its text and its syntax tree."""

    name: str
    path: Path
    text: str
    tree: ast.Module

    @property
    def is_public(self) -> bool:
        return not any(part.startswith("_") and part != "__init__" for part in self.name.split("."))

    @property
    def folder(self) -> str:
        """The house's name for where this file lives: `labels`, `runtime`, or `figureground` for the front door."""
        parts = self.name.split(".")
        return parts[1] if len(parts) > 1 else parts[0]

    def imports(self, known: frozenset[str]) -> Iterator[Import]:
        """Every import of a figureground module, wherever in the file it stands."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.name == "figureground":
                        yield from (Import("figureground", name, node.lineno) for name in self._used_of_front_door())
                    elif alias.name.split(".")[0] == "figureground":
                        yield Import(alias.name, None, node.lineno)
            elif isinstance(node, ast.ImportFrom):
                base = self._absolute(node)
                if base.split(".")[0] != "figureground":
                    continue
                for alias in node.names:
                    whole = f"{base}.{alias.name}"
                    yield Import(whole, None, node.lineno) if whole in known else Import(base, alias.name, node.lineno)

    def _used_of_front_door(self) -> set[str]:
        """The names X of every `figureground.X` in this file."""
        return {
            node.attr
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "figureground"
        }

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        package = self.name.split(".") if self.path.name == "__init__.py" else self.name.split(".")[:-1]
        package = package[: len(package) - (node.level - 1)]
        return ".".join([*package, node.module] if node.module else package)


def _load(path: Path) -> Module:
    parts = list(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    text = path.read_text(encoding="utf-8")
    return Module(".".join(parts), path, text, ast.parse(text, str(path)))


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def modules() -> dict[str, Module]:
    """Every module of the package by its dotted name."""
    found = (_load(path) for path in sorted(PACKAGE.rglob("*.py")))
    return {module.name: module for module in found}


@pytest.fixture(scope="session")
def tracked() -> list[Path]:
    """Every file that git keeps, or, in an unpacked archive, every file that lies here."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout.split("\0")
        return [ROOT / name for name in listed if name and (ROOT / name).is_file()]
    except (OSError, subprocess.CalledProcessError):
        return [path for path in ROOT.rglob("*") if path.is_file() and ".venv" not in path.parts]
