"""Copy a checkpoint into a network that need not match it, and say what became of every tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from figureground.errors import NetworkError

_COLOURS = 3


@dataclass(frozen=True)
class TransferReport:
    """What `transfer` did.

    copied: the network's tensors that now have the checkpoint's values.
    new: the network's tensors that kept their own, because the checkpoint lacks them or has another shape.
    ignored: the checkpoint's tensors that found no place.
    """

    copied: tuple[str, ...]
    new: tuple[str, ...]
    ignored: tuple[str, ...]

    def __str__(self) -> str:
        parts = [f"{len(self.copied)} tensors copied"]
        for names, what in ((self.new, "new"), (self.ignored, "ignored")):
            if names:
                parts.append(f"{len(names)} {what} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})")
        return "; ".join(parts)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file; NetworkError when there is none or it cannot be read."""
    if not path.is_file():
        raise NetworkError(f"no weights at {path}", remedy="give a local safetensors file")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise NetworkError(f"{path} is no safetensors file: {error}", remedy="convert it to safetensors") from error


def transfer(network: nn.Module, state: Mapping[str, Tensor]) -> TransferReport:
    """Copy from ``state`` every tensor that ``network`` has under the same name and shape, in place.

    A first convolution that sees more channels than the three colours of the checkpoint's gets zeros for the others,
    so that depth starts without effect.

    Raises NetworkError when no tensor fits.
    """
    copied, new = [], []
    with torch.no_grad():
        for name, mine in network.state_dict().items():
            given = state.get(name)
            if given is not None and given.shape == mine.shape:
                mine.copy_(given)
                copied.append(name)
            elif given is not None and _is_stem_of_colours(given, mine):
                mine.zero_()
                mine[:, :_COLOURS] = given
                copied.append(name)
            elif not name.endswith("num_batches_tracked"):  # a count, no weight
                new.append(name)
    if not copied:
        raise NetworkError(
            "no tensor of the checkpoint fits the network", remedy="use a checkpoint of the same architecture"
        )
    taken = set(copied)
    return TransferReport(tuple(copied), tuple(new), tuple(name for name in state if name not in taken))


def _is_stem_of_colours(given: Tensor, mine: Tensor) -> bool:
    without_channels = (given.shape[0], *given.shape[2:]) == (mine.shape[0], *mine.shape[2:])
    return given.ndim == 4 == mine.ndim and without_channels and given.shape[1] == _COLOURS < mine.shape[1]
