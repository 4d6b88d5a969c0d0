"""The thirteen convolutions of VGG-16 (Simonyan, Zisserman, arXiv:1409.1556), in five stages and without the pools."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import cast

from torch import Tensor, nn

from figureground.errors import NetworkError
from figureground.networks.transfer import TransferReport, transfer

VGG16_DEPTHS = (2, 2, 3, 3, 3)
"""Convolutions in each stage."""

_CLASSIFIERS = (("classifier.0", "classifier.3"), ("pre_logits.fc1", "pre_logits.fc2"))
"""The first two linear layers of torchvision's classifier and of timm's, where they are convolutions already."""

Layer = Callable[[int, int], nn.Module]
"""(input channels, output channels) -> one convolution with what follows it."""


class ConvReLU(nn.Sequential):
    """3x3 convolution with bias and ReLU: (N, inputs, H, W) -> (N, outputs, H, W)."""

    def __init__(self, inputs: int, outputs: int, *, dilation: int = 1) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, 3, 1, dilation, dilation), nn.ReLU(inplace=True))


class VGG16(nn.Module):
    """Five stages of convolutions; the network that owns them puts its own pooling between.

    width: channels of the first stage (64 in the paper); the others have 2, 4, 8 and 8 times as many.
    layer: builds one convolution, so that the same trunk serves with and without batch normalisation.
    """

    def __init__(self, in_channels: int, width: int, layer: Layer) -> None:
        super().__init__()
        self.widths = tuple(width * factor for factor in (1, 2, 4, 8, 8))
        self.stages = nn.ModuleList()
        for depth, (inputs, outputs) in zip(VGG16_DEPTHS, pairwise((in_channels, *self.widths)), strict=True):
            convolutions = [layer(inputs, outputs), *(layer(outputs, outputs) for _ in range(depth - 1))]
            self.stages.append(nn.Sequential(*convolutions))


def load_vgg16(
    network: nn.Module, trunk: str, state: Mapping[str, Tensor], classifier: Sequence[str] = ()
) -> TransferReport:
    """Copy what fits of a checkpoint into a network in place: torchvision's or timm's VGG-16, or our own names.

    trunk: the name of the network's `VGG16`.
    classifier: the convolutions of the network that the first two linear layers of theirs become, or none.

    Raises NetworkError when nothing fits, and for a VGG-16 of another width or one that is normalised where the network
    is not.
    """
    if "features.0.weight" not in state:
        return transfer(network, state)
    body = cast("VGG16", network.get_submodule(trunk))
    width, batch_norm = len(state["features.0.weight"]), "features.1.running_mean" in state
    if width != body.widths[0]:
        raise NetworkError(
            f"a VGG-16 of width {width} does not fit one of {body.widths[0]}", remedy=f"set width: {width}"
        )
    if batch_norm and not any(isinstance(module, nn.BatchNorm2d) for module in body.modules()):
        raise NetworkError(
            "a VGG-16 with batch normalisation does not fit one without", remedy="use torchvision's vgg16"
        )
    names = {theirs: f"{trunk}.{ours}" for theirs, ours in _names_in_torchvision(batch_norm=batch_norm).items()}
    for theirs in _CLASSIFIERS:
        names |= dict(zip(theirs, classifier, strict=False))
    return transfer(network, _renamed(state, names, network.state_dict()))


def _renamed(state: Mapping[str, Tensor], names: Mapping[str, str], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under our names, those of linear layers in the shape of the convolutions that they become."""
    tensors = {}
    for key, tensor in state.items():
        layer, _, end = key.rpartition(".")
        ours = f"{names.get(layer, layer)}.{end}"
        mine = wanted.get(ours)
        if mine is None:
            tensors[key] = tensor
        else:
            linear = tensor.ndim == 2 and tensor.numel() == mine.numel()
            tensors[ours] = tensor.reshape(mine.shape) if linear else tensor
    return tensors


def _names_in_torchvision(*, batch_norm: bool) -> dict[str, str]:
    """The layers with weights of torchvision's ``vgg16``, or ``vgg16_bn``, -> those of a `VGG16`.

    The first lacks nothing but the normalisation, so it also fits a trunk that has it.
    """
    names, index = {}, 0
    for stage, depth in enumerate(VGG16_DEPTHS):
        for place in range(depth):
            for part in range(1 + batch_norm):
                names[f"features.{index + part}"] = f"stages.{stage}.{place}.{part}"
            index += 2 + batch_norm
        index += 1  # the pool
    return names
