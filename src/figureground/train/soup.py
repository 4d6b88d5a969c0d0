"""Weights averaged inside one network: several states of it become one that costs no more than each.

Snapshots of one training, or trainings that went on from the same weights, lie in one valley of the loss, and their
mean is often better than the best of them (Izmailov et al., arXiv:1803.05407; Wortsman et al., arXiv:2203.05482).
Trainings that started from different random weights do not, and their mean is worth nothing: average their answers.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from figureground import images
from figureground.checks import ArgumentError
from figureground.errors import LabelError, NetworkError, RecipeError
from figureground.labels import LabelTree
from figureground.networks.registry import without_weights

BEST = "best.safetensors"
NOTE = "soup.json"
_DEFAULTS: dict[str, dict[str, Any]] = {
    "network": {"name": "", "options": {}, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
    "head": {"name": "leaves", "options": {}, "embedding": None},
}
"""What of a recipe says what the weights compute, with what it is when it is left out."""
_TRAINING_ALONE = "drop"
"""Options that start so make a difference to training alone; trainings for a soup may differ in them."""

State = dict[str, torch.Tensor]


def soup(
    sources: Sequence[Path], output: Path, *, weights: Sequence[float] | None = None, decay: float | None = None
) -> Path:
    """Average the weights of several states of one network into a new run folder, which can be exported.

    `soup.json` in it tells the sources, with a hash of each, and what each counts.

    The running statistics of batch norms are averaged as well; whole numbers (their counters) are the last state's.

    Args:
        sources: run folders, of which `best.safetensors` is taken, or weight files of runs, in the order of training.
        output: the run folder to make; it gets the first one's recipe.
        weights: one number per source, at least 0, not all 0; equal when not given.
        decay: instead of weights: an exponential moving average over the sources, each keeping `decay` of the mean
            before it, above 0, below 1.

    Returns:
        The run folder.

    Raises:
        ArgumentError: fewer than two sources, or weights or a decay that do not fit.
        NetworkError: a source without weights, or of another network or other labels; the first difference is named.
        RecipeError: weights that carry no recipe, or a folder that already holds a run.
        OutputError: the folder cannot be written.
    """
    if len(sources) < 2:
        raise ArgumentError(f"a soup of {len(sources)} source", remedy="give at least two runs or weight files")
    shares = _shares(len(sources), weights, decay)
    if (output / "recipe.yaml").exists():
        raise RecipeError(f"{output} already holds a run", remedy="give another folder")
    files = [source / BEST if source.is_dir() else source for source in sources]
    state, recipe = _read(files[0])
    if not recipe:
        raise RecipeError(f"{files[0]} carries no recipe", remedy="give weights that a training of ours wrote")
    total = {name: shares[0] * tensor.double() for name, tensor in state.items() if tensor.is_floating_point()}
    kept = state
    for file, share in zip(files[1:], shares[1:], strict=True):
        kept, other = _read(file)
        _check_same(state, files[0], kept, file)
        _check_meaning(recipe, files[0], other, file)
        for name, mean in total.items():
            mean.add_(kept[name].double(), alpha=share)
    mixed = {
        name: total[name].to(tensor.dtype).contiguous() if name in total else tensor for name, tensor in kept.items()
    }
    images.make_folder(output)
    images.write_bytes(save(mixed, metadata={"recipe": recipe}), output / BEST)
    images.write_bytes(_note(files, shares), output / NOTE)
    images.write_bytes(recipe.encode(), output / "recipe.yaml")
    return output


def _shares(count: int, weights: Sequence[float] | None, decay: float | None) -> list[float]:
    """What each source counts; they sum to 1."""
    if weights is not None and decay is not None:
        raise ArgumentError("both weights and a decay", remedy="give one of them")
    if decay is not None:
        if not 0 < decay < 1:
            raise ArgumentError(f"decay is {decay}", remedy="it must lie between 0 and 1")
        return [decay ** (count - 1), *[(1 - decay) * decay ** (count - 1 - index) for index in range(1, count)]]
    given = [1.0] * count if weights is None else [float(weight) for weight in weights]
    total = sum(given)
    if len(given) != count or not all(0 <= weight < math.inf for weight in given) or not 0 < total < math.inf:
        raise ArgumentError(
            f"weights {given} for {count} sources",
            remedy="give one number per source, at least 0, not all 0, with a finite sum",
        )
    return [weight / total for weight in given]


def _read(file: Path) -> tuple[State, str]:
    if not file.is_file():
        raise NetworkError(f"no weights at {file}", remedy="give a run folder or a .safetensors file of one")
    try:
        with safe_open(file, framework="pt") as opened:
            names = list(opened.keys())
            recipe = str((opened.metadata() or {}).get("recipe", ""))
            return {name: opened.get_tensor(name) for name in names}, recipe
    except SafetensorError as error:
        raise NetworkError(f"{file} is no safetensors file: {error}", remedy="give the weights of a run") from error


def _check_same(first: State, first_file: Path, other: State, file: Path) -> None:
    differing = sorted(set(first) ^ set(other))
    if differing:
        raise NetworkError(
            f"only one of {first_file} and {file} has a tensor '{differing[0]}'", remedy="average states of one network"
        )
    for name, tensor in first.items():
        if other[name].shape != tensor.shape:
            raise NetworkError(
                f"'{name}' is {tuple(tensor.shape)} in {first_file} and {tuple(other[name].shape)} in {file}",
                remedy="average states of one network",
            )


def _check_meaning(first: str, first_file: Path, other: str, file: Path) -> None:
    """Raise NetworkError where tensors of equal shapes mean other things; weights without a recipe are believed."""
    if not other:
        return
    ours, theirs = _meaning(first), _meaning(other)
    for key, value in ours.items():
        if theirs[key] != value:
            raise NetworkError(
                f"{first_file} and {file} differ in their recipes' {key}", remedy="average states of one network"
            )


def _meaning(recipe: str) -> dict[str, Any]:
    """What of a recipe says what the weights compute, by its key with a dot: `network.options`."""
    try:
        values = yaml.safe_load(recipe)
    except yaml.YAMLError:
        values = None
    values = values if isinstance(values, dict) else {}
    found = {"labels": _tree(values.get("labels", "person"))}
    for section, defaults in _DEFAULTS.items():
        given = values.get(section) or {}
        found.update({f"{section}.{key}": given.get(key, default) for key, default in defaults.items()})
    # Where the encoder began is no part of what the weights have become.
    options = without_weights(str(found["network.name"]), found["network.options"] or {})
    found["network.options"] = {key: value for key, value in options.items() if not key.startswith(_TRAINING_ALONE)}
    return found


def _tree(labels: Any) -> Any:
    """The label tree; what stands there where it is none."""
    try:
        return LabelTree.from_dict(labels) if isinstance(labels, dict) else LabelTree.find(str(labels))
    except LabelError:
        return labels


def _note(files: Sequence[Path], shares: Sequence[float]) -> bytes:
    sources = [
        {"file": str(file), "sha256": hashlib.sha256(file.read_bytes()).hexdigest(), "share": share}
        for file, share in zip(files, shares, strict=True)
    ]
    return f"{json.dumps({'sources': sources}, indent=1)}\n".encode()
