"""LinkNet against segmentation-models-pytorch."""

from __future__ import annotations

import pytest
import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

from figureground.networks import create


def smp_name(key: str) -> str:
    """Key of `linknet_timm` -> key of ``smp.Linknet``."""
    if key.startswith("classify."):
        return key.replace("classify", "segmentation_head.0")
    if key.startswith("blocks."):
        _, block, rest = key.split(".", 2)
        return f"decoder.blocks.{block}.block.{rest}"
    return key.replace("encoder.body.", "encoder.")


@pytest.fixture(scope="module", name="pair")
def _pair() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    theirs = smp.Linknet("resnet18", encoder_weights=None, classes=2).eval()
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    ours = create("linknet_timm", leaves=2, encoder="resnet18").eval()
    state = theirs.state_dict()
    ours.load_state_dict({key: state[smp_name(key)] for key in ours.state_dict()})
    return ours, theirs


def test_same_parameters(pair):
    ours, theirs = (sum(p.numel() for p in network.parameters()) for network in pair)
    assert ours == theirs


@pytest.mark.parametrize("size", [(64, 64), (96, 160), (70, 54)])
def test_same_output_and_gradient(pair, size):
    def run(network: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
        x = x.clone().requires_grad_()
        out = network(x)
        return out, torch.autograd.grad(out.square().mean(), x)[0]

    # smp wants multiples of 32, so an odd size is compared through its padded image.
    padded = nn.functional.pad(torch.randn(1, 3, *size), (0, -size[1] % 32, 0, -size[0] % 32))
    for mine, other in zip(*(run(network, padded) for network in pair), strict=True):
        assert float((mine - other).abs().max()) <= 1e-4 * float(other.abs().max())


def test_golden(fill_by_hash, hashed_input):
    network = create("linknet_timm", leaves=2).eval()
    fill_by_hash(network, smp_name)
    with torch.inference_mode():
        out = network(hashed_input("input", 1, 3, 128, 128).float())
    assert float(out.mean()) == pytest.approx(0.023137, abs=2e-6)
    assert float(out.std()) == pytest.approx(0.100467, abs=2e-6)
    assert float(out.abs().max()) == pytest.approx(0.483838, abs=2e-6)
    assert out.flatten()[:5].tolist() == pytest.approx([-0.02124, 0.01551, -0.00281, -0.01269, 0.02931], abs=1e-5)
    assert float(out.flatten()[-1]) == pytest.approx(0.01617, abs=1e-5)


def test_the_stem_link_changes_the_output_only():
    three = create("linknet", encoder="resnet10t").eval()
    four = create("linknet", encoder="resnet10t", link_stem=True).eval()
    four.load_state_dict(three.state_dict())
    x = torch.randn(1, 3, 64, 64)
    assert not torch.allclose(three(x), four(x))
