"""The one way in for other people's weights."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from figureground.networks.published.sources import read_source
from figureground.networks.transfer import TransferReport, transfer


def load_published(network: nn.Module, source: str | Path) -> TransferReport:
    """Copy what fits of a published checkpoint into ``network``, in place, and say what became of every tensor.

    What the network has more stays new, what the checkpoint has more is ignored. A network without names of its own for
    other libraries takes tensors under the names it gives them itself.

    source: a .safetensors file, a folder that holds ``model.safetensors``, or "hub:owner/name".

    Raises NetworkError when the source cannot be read, or when nothing of it fits.

    >>> load_published(create("segformer"), "hub:nvidia/segformer-b0-finetuned-ade-512-512")  # doctest: +SKIP
    """
    state = read_source(source)
    own = getattr(network, "load_published", None)
    report: TransferReport = own(state) if own is not None else transfer(network, state)
    return report
