"""What a run's numbers depend on beside its recipe: versions, the state of the code around it, and the photos."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from figureground.data import SourceSpec, picture_files
from figureground.errors import DataError
from figureground.images import DEPTH_SUFFIXES
from figureground.train.recipe import Recipe

__all__ = ["changed_data", "data_fingerprint", "environment", "git_state", "read_note", "with_resumption"]

_PACKAGES = (
    *("figureground", "torch", "torchvision", "lightning", "timm", "numpy", "scipy", "pillow"),
    *("pydantic", "safetensors", "onnxruntime", "transformers"),
)
_RESUMED = "resumed"
_WHOLE_FILES = 16
"""Of each source, how many files are read whole; of all others name and size are enough."""

Fingerprint = dict[str, dict[str, Any]]


def environment() -> dict[str, Any]:
    """Versions of what a result depends on, and the working directory's state in git where it has one."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    git = git_state(Path())
    found = {"python": platform.python_version(), "machine": platform.machine(), **versions}
    return found if git is None else {**found, "git": git}


def read_note(path: Path) -> dict[str, Any]:
    """What a run noted as JSON about itself.

    Raises:
        DataError: the file is damaged.
    """
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))
        reason = "" if isinstance(noted, dict) else "it is no table"
    except (OSError, ValueError) as error:
        noted, reason = {}, str(error)
    if reason:
        raise DataError(f"{path} is damaged: {reason}", remedy="delete it to go on with what is there now")
    return dict(noted)


def with_resumption(before: Mapping[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """The environment that a run began in; under `resumed` that of each later part that had another one."""
    later = before.get(_RESUMED)
    parts = [
        {name: value for name, value in before.items() if name != _RESUMED},
        *(later if isinstance(later, list) else []),
    ]
    return dict(before) if now == parts[-1] else {**before, _RESUMED: [*parts[1:], now]}


def git_state(folder: Path) -> dict[str, Any] | None:
    """The commit that is checked out around `folder`, and whether tracked files differ from it (`dirty`).

    None where there is no repository, no commit in it, or no git.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    return {"commit": commit.strip(), "dirty": bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))}


def _git(folder: Path, *arguments: str) -> str | None:
    program = shutil.which("git")
    if program is None:
        return None
    # Without optional locks a look at the state cannot get in the way of who works there.
    surroundings = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(  # noqa: S603 - the arguments are ours
            [program, *arguments], cwd=folder, env=surroundings, capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def data_fingerprint(recipe: Recipe) -> Fingerprint:
    """For each source of a recipe the number of its `files`, their `bytes`, and a `sha256`.

    Hashed are the names and sizes of all files and the contents of some; not where they lie (`data.root`).

    Raises:
        DataError: a folder is missing or empty.
    """
    return {spec.name: _of_source(spec, recipe.data.root) for spec in recipe.data.sources}


def _of_source(spec: SourceSpec, root: Path) -> dict[str, Any]:
    folders = [folder for folder in (spec.images, spec.masks, spec.people, *spec.backgrounds) if folder]
    found = {folder: picture_files(root / folder) for folder in folders}
    if isinstance(spec.depth, str):
        found[spec.depth] = [path for path in (root / spec.depth).iterdir() if path.suffix.lower() in DEPTH_SUFFIXES]
    files = sorted((f"{folder}/{path.name}", path) for folder, paths in found.items() for path in paths)
    sizes = [path.stat().st_size for _, path in files]
    digest = hashlib.sha256()
    for (name, _), size in zip(files, sizes, strict=True):
        digest.update(f"{name}\0{size}\n".encode(errors="surrogateescape"))
    step = -(-len(files) // _WHOLE_FILES)
    for _, path in files[::step]:
        digest.update(path.read_bytes())
    return {"files": len(files), "bytes": sum(sizes), "sha256": digest.hexdigest()}


def changed_data(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """The first source whose files are not the same in two fingerprints, in words; None where all are."""
    for name in sorted({*before, *now}):
        old, new = before.get(name), now.get(name)
        if old == new:
            continue
        if old is None or new is None:
            return f"source '{name}' is {'new' if old is None else 'gone'}"
        if not isinstance(old, Mapping):
            return f"source '{name}' was noted as {old!r}"
        was, has = (f"{one.get('files')} files of {one.get('bytes')} bytes" for one in (old, new))
        return f"source '{name}' had {was}, and has {has}" if was != has else f"source '{name}' has other files"
    return None
