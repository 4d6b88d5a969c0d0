"""Depth in training: the estimator that a recipe names, its place in the run folder, and networks that see depth."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from figureground import images
from figureground.data.depth_specs import DepthSpec, EstimatorSpec
from figureground.errors import MissingExtraError, RecipeError
from figureground.networks.registry import FOREIGN, list_networks, spec
from figureground.runtime.depth_input import DepthInput
from figureground.train.specs import Network

if TYPE_CHECKING:
    from figureground.depth.cache import DepthCache
    from figureground.depth.estimator import Estimator

GRAPH = "depth.onnx"
"""The estimator's graph in a run folder, so that whatever opens the run has the one it was trained with."""
COLORS = 3
_TOLD = 50


def open_estimator(wanted: DepthSpec, *, folder: Path | None = None) -> Estimator | None:
    """The estimator of a recipe; None where depth comes from files.

    Args:
        wanted: the recipe's section.
        folder: a run folder, whose own estimator is taken where there is one.

    Raises:
        NetworkError: no such network, or one that cannot be an estimator.
        MissingExtraError: onnx or transformers is not installed.
    """
    if wanted.estimator is None:
        return None
    if folder is not None and (folder / GRAPH).is_file():
        return kept_estimator(folder)
    return _opened(wanted.estimator, wanted.cache)


def kept_estimator(folder: Path) -> Estimator:
    """The estimator in a run folder; NetworkError where there is none."""
    from figureground.depth.estimator import Estimator

    return Estimator.read(folder / GRAPH)


def _opened(wanted: EstimatorSpec, cache: Path) -> Estimator:
    try:
        from figureground.depth.graph import Look
        from figureground.depth.opening import open_onnx, open_transformers
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"depth.estimator needs the package '{error.name}', which is not installed",
            remedy="type: pip install 'figureground[train,export]'",
        ) from error

    plain = Look()
    look = Look(
        mean=wanted.mean or plain.mean,
        std=wanted.std or plain.std,
        size=wanted.size,
        values=wanted.values or plain.values,
    )
    if wanted.onnx is not None:
        return open_onnx(wanted.onnx, look)
    return open_transformers(
        str(wanted.transformers),
        size=wanted.size,
        normalisation=None if wanted.mean is None else (look.mean, look.std),
        values=wanted.values,
        kept=cache / "networks",
    )


def fill(cache: DepthCache, photos: Sequence[Path]) -> None:
    """Compute the depth of all photos that the cache does not have yet, telling about it on stderr now and then."""
    missing = cache.missing(photos)
    if missing:
        sys.stderr.write(f"depth of {len(missing)} photos by {cache.estimator.name}, kept in {cache.folder}\n")
        cache.fill(missing, _tell)


def _tell(done: int, total: int) -> None:
    if done % _TOLD == 0:
        sys.stderr.write(f"  {done} of {total}\n")


def keep(estimator: Estimator, folder: Path) -> None:
    """Put the estimator into a run folder; OutputError where that cannot be written."""
    images.write_bytes(estimator.graph, folder / GRAPH)


def input_of(wanted: DepthSpec) -> DepthInput | None:
    """What a network trained so wants of a depth map; None where it estimates depth itself."""
    return DepthInput(wanted.values, needed=wanted.drop == 0) if wanted.estimator is None else None


def channel_options(network: Network, *, depth: bool) -> dict[str, Any]:
    """The network's options with the number of channels that it sees: 4 with depth, else 3.

    Networks of other libraries call that number differently, so their options stay as they are.

    Raises:
        RecipeError: the network sees no depth, or its options say another number.
    """
    options, channels = dict(network.options), COLORS + depth
    if network.name.startswith(FOREIGN):
        return options
    if options.get("in_channels", channels) != channels:
        raise RecipeError(
            f"network.options.in_channels is {options['in_channels']}, but pictures have {channels} channels",
            remedy="leave it away: the section 'depth' alone decides",
        )
    if depth and not spec(network.name).depth:
        known = ", ".join(name for name in list_networks() if spec(name).depth)
        raise RecipeError(f"network '{network.name}' cannot see depth", remedy=f"use one that can: {known}")
    return {**options, "in_channels": channels} if depth else options


class EstimatesDepth(nn.Module):
    """A network of four channels as one of three, with an estimator before it: what a bundle does in one graph."""

    def __init__(self, model: nn.Module, estimator: Estimator) -> None:
        super().__init__()
        self.model = model
        self.estimator = estimator

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) of whole numbers from 0 to 255 -> what the network gives."""
        pictures = image.detach().to("cpu", torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
        depth = torch.from_numpy(np.stack([self.estimator(picture) for picture in pictures]))
        return torch.as_tensor(self.model(torch.cat([image.float(), depth.unsqueeze(1).to(image.device)], dim=1)))
