"""Weights as safetensors that say what they are weights of.

The file's metadata hold the recipe, so a run can be rebuilt from its weights alone.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from figureground import images
from figureground.errors import NetworkError
from figureground.networks.published.sources import HUB, PICKLES


def save_weights(model: nn.Module, path: Path, *, recipe: str) -> None:
    """Write all parameters and buffers, and the resolved recipe's text, to a safetensors file, whole or not at all.

    Raises:
        OutputError: the folder cannot be written, or the disk is full.
    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    images.write_bytes(save(state, metadata={"recipe": recipe}), path)
    reach_disk(path)


def reach_disk(path: Path) -> None:
    """Return when a file's content is on the disk: a power cut could leave it empty before."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def is_published(source: Path) -> bool:
    """Whether weights to start from are another library's: on the hub, in a folder, or not under the names of a run."""
    if str(source).startswith(HUB) or source.is_dir() or source.suffix in PICKLES:
        return True
    try:
        with safe_open(source, framework="pt") as opened:
            return not any(name.startswith("network.") for name in opened.keys())  # noqa: SIM118
    except (OSError, SafetensorError):
        return False


def load_weights(model: nn.Module, path: Path) -> str:
    """Load a file of `save_weights` into the same architecture; returns the recipe's text.

    Raises:
        NetworkError: the file is missing, is no safetensors file, or does not fit (the first misfit is named).
    """
    if not path.is_file():
        raise NetworkError(f"no weights at {path}", remedy="check the path, or train first")
    try:
        with safe_open(path, framework="pt") as opened:
            recipe = str((opened.metadata() or {}).get("recipe", ""))
            state: dict[str, torch.Tensor] = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise NetworkError(f"{path} is no safetensors file: {error}", remedy="give the weights of a run") from error
    own = model.state_dict()
    unknown = sorted(set(state) - set(own))
    if unknown:
        raise NetworkError(
            f"the network has no tensor '{unknown[0]}', which {path} holds",
            remedy="use the recipe that made the weights",
        )
    for name, tensor in own.items():
        if name not in state:
            raise NetworkError(f"{path} has no tensor '{name}'", remedy="use the recipe that made the weights")
        if state[name].shape != tensor.shape:
            raise NetworkError(
                f"'{name}' is {tuple(state[name].shape)} in {path} and {tuple(tensor.shape)} in the network",
                remedy="use the recipe that made the weights",
            )
    model.load_state_dict({name: state[name] for name in own})
    return recipe
