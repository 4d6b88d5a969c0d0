"""The shared parts against torch's own functions, brute force and published golden values."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from figureground.errors import NetworkError
from figureground.networks.blocks.bilinear import BilinearUpsample, bilinear_kernel
from figureground.networks.blocks.convolution import MixNormReLU
from figureground.networks.blocks.frame import pad_to_multiple
from figureground.networks.blocks.preactivation import PreActivationBottleneck
from figureground.networks.blocks.stacked_dilation import StackedDilation
from figureground.networks.blocks.unpooling import max_pool, unpool
from figureground.networks.hourglass import Hourglass


def test_unpool_equals_torch_forward_and_gradient():
    x = torch.randn(2, 3, 8, 12, dtype=torch.float64, requires_grad=True)
    maxima, places = max_pool(x)
    ours, theirs = unpool(maxima, places, x), F.max_unpool2d(maxima, places, 2, output_size=x.shape)
    assert torch.equal(ours, theirs)
    weight = torch.randn_like(ours)
    (mine,) = torch.autograd.grad((ours * weight).sum(), x, retain_graph=True)
    (other,) = torch.autograd.grad((theirs * weight).sum(), x)
    assert torch.equal(mine, other)


def test_unpool_keeps_the_pool_of_an_odd_size():
    x = torch.rand(1, 2, 7, 5)
    maxima, places = max_pool(x)
    assert unpool(maxima, places, x).shape == x.shape


def test_unpool_of_channels_last():
    x = torch.randn(2, 3, 8, 8)
    maxima, places = max_pool(x.to(memory_format=torch.channels_last))
    assert torch.equal(unpool(maxima, places, x), unpool(*max_pool(x), x))


def test_bilinear_kernel_rows():
    assert bilinear_kernel(4).diagonal().sqrt().tolist() == pytest.approx([0.25, 0.75, 0.75, 0.25])
    row = bilinear_kernel(16).diagonal().sqrt().tolist()
    assert row[:3] == pytest.approx([0.0625, 0.1875, 0.3125])
    assert row[7:9] == pytest.approx([0.9375, 0.9375])
    assert bilinear_kernel(3).diagonal().sqrt().tolist() == pytest.approx([0.5, 1.0, 0.5])


@pytest.mark.parametrize("factor", [2, 8, 32])
def test_bilinear_upsampling_is_interpolation_inside(factor):
    x = torch.randn(1, 3, 5, 6)
    ours = BilinearUpsample(3, factor, padding=factor // 2)(x)
    theirs = F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
    assert ours.shape == theirs.shape
    inside = (..., slice(factor // 2, -factor // 2), slice(factor // 2, -factor // 2))
    torch.testing.assert_close(ours[inside], theirs[inside])


@pytest.mark.parametrize("coarsest_first", [False, True])
@pytest.mark.parametrize("size", [(8, 12), (7, 9)])
def test_mixing_before_resizing_is_mixing_the_concatenation(size, coarsest_first, concatenated, monkeypatch):
    channels = (5, 2, 3)
    mix = MixNormReLU(
        channels[::-1] if coarsest_first else channels, 4, coarsest_first=coarsest_first, bias=True
    ).double()
    shapes = [(2, width, -(-size[0] // 2**level), -(-size[1] // 2**level)) for level, width in enumerate(channels)]
    maps = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    found = []
    for _ in range(2):  # ours, then the concatenation's
        out = mix(maps)
        found.append([out, *torch.autograd.grad(out.square().sum(), [*maps, *mix.parameters()])])
        mix[1].reset_running_stats()
        monkeypatch.setattr(MixNormReLU, "forward", concatenated)
    assert found[0][0].shape == (2, 4, *size)
    torch.testing.assert_close(found[0], found[1])


def test_frozen_upsampling_has_no_parameters():
    frozen = BilinearUpsample(2, 4, padding=2, learned=False)
    assert not list(frozen.parameters())
    assert "weight" in frozen.state_dict()


@pytest.mark.parametrize(("size", "padded"), [((33, 64), (64, 64)), ((32, 96), (32, 96)), ((1, 65), (32, 96))])
def test_padding_repeats_the_edge(size, padded):
    x = torch.rand(1, 2, *size)
    out = pad_to_multiple(x, 32)
    assert out.shape[-2:] == padded
    assert torch.equal(out[..., : size[0], : size[1]], x)
    assert torch.equal(out[..., -1, -1], x[..., -1, -1])


def test_stacked_dilation_keeps_every_link():
    block = StackedDilation(5, 32).eval()
    x = torch.randn(1, 5, 30, 30)
    out = block(x)
    assert out.shape == (1, 32, 30, 30)
    torch.testing.assert_close(out[:, :16], block.links[0](x))
    assert [link[0].dilation[0] for link in block.links] == [1, 3, 6, 9, 12]
    assert [link[0].out_channels for link in block.links] == [16, 8, 4, 2, 2]


def test_stacked_dilation_needs_sixteenths():
    with pytest.raises(NetworkError, match="multiple of 16"):
        StackedDilation(3, 24)


def _bottleneck_name(prefix: str, key: str) -> str:
    for ours, theirs in (("branch.0.2", "c1"), ("branch.1.2", "c2"), ("branch.2.2", "c3")):
        key = key.replace(ours, theirs)
    return f"{prefix}.{key}"


def test_bottleneck_golden(fill_by_hash, hashed_input):
    block = PreActivationBottleneck(8, 12).double().eval()
    fill_by_hash(block, lambda key: _bottleneck_name("r", key))
    out = block(hashed_input("x", 1, 8, 16, 16)).detach()
    assert out.shape == (1, 12, 16, 16)
    assert float(out.mean()) == pytest.approx(0.05998170, abs=1e-8)
    assert float(out.std()) == pytest.approx(0.59659053, abs=1e-8)
    assert out.flatten()[:5].tolist() == pytest.approx([0.130796, 0.395117, 0.134713, -0.041399, -0.208014], abs=1e-6)


def test_hourglass_golden(fill_by_hash, hashed_input):
    module = Hourglass(8, 2).double().eval()
    # In the golden names the inner hourglass is "h", in ours it stands where the innermost residual does, "low2".
    fill_by_hash(module, lambda key: _bottleneck_name("hg", key.replace("low2.", "h.", 1)))
    out = module(hashed_input("x", 1, 8, 16, 16)).detach()
    assert float(out.mean()) == pytest.approx(1.79167829, abs=1e-8)
    assert float(out.std()) == pytest.approx(0.96186568, abs=1e-8)
    assert float(out.abs().max()) == pytest.approx(4.63437652, abs=1e-8)
    assert out.flatten()[:5].tolist() == pytest.approx([2.672007, 2.991026, 2.631403, 1.695686, 4.095673], abs=1e-6)
    assert float(out.flatten()[-1]) == pytest.approx(1.283661, abs=1e-6)
