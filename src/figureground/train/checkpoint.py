"""Whether a run can go on from its checkpoint."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch import nn

from figureground.errors import DataError

_NEEDED = ("state_dict", "optimizer_states", "lr_schedulers", "epoch", "global_step", "loops")


def check_checkpoint(path: Path, task: nn.Module) -> None:
    """Raise DataError where the file is damaged, or holds other tensors than the task's."""
    try:
        kept = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        missing = [name for name in _NEEDED if name not in kept]
        reason = f"it has no '{missing[0]}'" if missing else _difference(kept["state_dict"], task.state_dict())
    except (OSError, EOFError, KeyError, RuntimeError, TypeError, ValueError, pickle.UnpicklingError) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
    if reason:
        raise DataError(
            f"the run cannot go on from {path}, which is damaged: {reason}",
            remedy="delete it to begin anew in this folder, or start a run elsewhere from last.safetensors "
            "(network.weights)",
        )


def _difference(kept: dict[str, torch.Tensor], own: dict[str, torch.Tensor]) -> str:
    for name in sorted({*kept, *own}):
        if name not in kept or name not in own:
            return f"the tensor '{name}' is {'missing' if name not in kept else 'of another network'}"
        if kept[name].shape != own[name].shape:
            return f"the tensor '{name}' has the shape {tuple(kept[name].shape)}, not {tuple(own[name].shape)}"
    return ""
