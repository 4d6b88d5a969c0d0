"""LinkNet and U-Net over timm encoders against segmentation-models-pytorch: output, gradient, golden values."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import pytest
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from figureground.errors import NetworkError
from figureground.networks import create


def linknet_name(key: str) -> str:
    """Key of ``linknet_timm`` -> key of ``smp.Linknet``."""
    if key.startswith("blocks."):
        _, block, rest = key.split(".", 2)
        return f"decoder.blocks.{block}.block.{rest}"
    return key.replace("classify.", "segmentation_head.0.").replace("encoder.body.", "encoder.")


def unet_name(key: str) -> str:
    """Key of ``unet_timm`` -> key of ``smp.Unet``."""
    if key.startswith("blocks."):
        _, block, layer, rest = key.split(".", 3)
        return f"decoder.blocks.{block}.conv{int(layer) + 1}.{rest}"
    return key.replace("classify.", "segmentation_head.0.").replace("encoder.body.", "encoder.")


class Pair(NamedTuple):
    ours: nn.Module
    theirs: nn.Module


@pytest.fixture(scope="module", name="pair", params=["linknet_timm", "unet_timm"])
def _pair(request: pytest.FixtureRequest) -> Pair:
    torch.manual_seed(0)
    build, name = {"linknet_timm": (smp.Linknet, linknet_name), "unet_timm": (smp.Unet, unet_name)}[request.param]
    theirs = build("resnet18", encoder_weights=None, classes=2).eval()
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    ours = create(request.param, leaves=2, encoder="resnet18").eval()
    state = theirs.state_dict()
    ours.load_state_dict({key: state[name(key)] for key in ours.state_dict()})
    return Pair(ours, theirs)


def test_same_parameters(pair):
    ours, theirs = (sum(p.numel() for p in network.parameters()) for network in pair)
    assert ours == theirs


@pytest.mark.parametrize("size", [(64, 64), (96, 160), (70, 54)])
def test_same_output_and_gradient(pair, size):
    def run(network: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
        x = x.clone().requires_grad_()
        out = network(x)
        return out.detach(), torch.autograd.grad(out.square().mean(), x)[0]

    # smp takes multiples of 32 only, so an odd size is compared through the padding that ours applies.
    x = torch.randn(1, 3, *size)
    padded = F.pad(x, (0, -size[1] % 32, 0, -size[0] % 32), mode="replicate")
    for mine, other in zip(run(pair.ours, padded), run(pair.theirs, padded), strict=True):
        assert float((mine - other).abs().max()) <= 1e-4 * float(other.abs().max())
    with torch.inference_mode():
        torch.testing.assert_close(pair.ours(x), pair.theirs(padded)[..., : size[0], : size[1]], rtol=1e-4, atol=1e-4)


class Work(TorchDispatchMode):
    """Counts the bytes that each kind of operator writes; a view writes none, in place is no other kind."""

    def __init__(self) -> None:
        super().__init__()
        self.written: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = func(*args, **(kwargs or {}))
        tensors = [one for one in (given if isinstance(given, tuple | list) else [given]) if isinstance(one, Tensor)]
        if not func.is_view:
            name = func.overloadpacket.__name__.rstrip("_")
            self.written[name] += sum(one.numel() * one.element_size() for one in tensors)
        return given


def test_a_training_step_does_no_more_work_than_theirs(pair):
    """No copy, no cast, no operator that theirs does not have, forward and backward."""
    x, counted = torch.randn(2, 3, 64, 64), []
    for network in pair:
        network.train()
        with Work() as work:
            network(x).square().mean().backward()
        counted.append(work.written)
        network.zero_grad()
        network.eval()
    mine, other = counted
    assert mine["convolution"] == other["convolution"] > 0
    assert not mine - other


def test_linknet_golden(fill_by_hash, hashed_input):
    network = create("linknet_timm", leaves=2).eval()
    fill_by_hash(network, linknet_name)
    with torch.inference_mode():
        out = network(hashed_input("input", 1, 3, 128, 128).float())
    assert float(out.mean()) == pytest.approx(0.023137, abs=2e-6)
    assert float(out.std()) == pytest.approx(0.100467, abs=2e-6)
    assert float(out.abs().max()) == pytest.approx(0.483838, abs=2e-6)
    assert out.flatten()[:5].tolist() == pytest.approx([-0.02124, 0.01551, -0.00281, -0.01269, 0.02931], abs=1e-5)
    assert float(out.flatten()[-1]) == pytest.approx(0.01617, abs=1e-5)


def test_unet_golden(fill_by_hash, hashed_input):
    network = create("unet_timm", leaves=2).eval()
    fill_by_hash(network, unet_name)
    with torch.inference_mode():
        out = network(hashed_input("input", 1, 3, 128, 128).float())
    assert float(out.mean()) == pytest.approx(-0.201960, abs=2e-6)
    assert float(out.std()) == pytest.approx(0.148882, abs=2e-6)
    assert float(out.abs().max()) == pytest.approx(0.641523, abs=2e-6)
    assert out.flatten()[:5].tolist() == pytest.approx([-0.02307, -0.03969, -0.04292, -0.04234, -0.02904], abs=1e-5)


def test_the_stem_link_changes_the_output_only():
    three = create("linknet", encoder="resnet10t").eval()
    four = create("linknet", encoder="resnet10t", link_stem=True).eval()
    four.load_state_dict(three.state_dict())
    x = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        assert not torch.allclose(three(x), four(x))


def test_widths_must_fit_the_encoder():
    with pytest.raises(NetworkError, match="one width for each"):
        create("unet_timm", encoder="mobilenetv2_035", widths=(16, 8))
