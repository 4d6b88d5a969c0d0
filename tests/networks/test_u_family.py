"""U-Net, SDU-Net, the hourglass and HumanSegmentation's HRNet: what their papers say and a count cannot show."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from figureground.networks import create, spec
from figureground.networks.blocks.ushape import UShape
from figureground.networks.hrnet_humanseg import ConcatenatingFusion
from figureground.networks.unet import double_convolution


def test_unet_is_blind_when_the_way_up_is_zero():
    network = create("unet", width=4).eval()
    for up in network.ups:
        for parameter in up.parameters():
            nn.init.zeros_(parameter)
    with torch.inference_mode():
        assert float(network(torch.randn(1, 3, 48, 32)).std()) == 0


@pytest.mark.parametrize(("name", "width"), [("unet", 4), ("sdunet_humanseg", 4)])
def test_a_shifted_image_gives_a_shifted_output(name, width):
    network = create(name, width=width).eval().double()
    x = torch.randn(1, 3, 320, 320, dtype=torch.float64)
    with torch.inference_mode():
        out, moved = network(x), network(x.roll(16, dims=3))
    torch.testing.assert_close(moved[..., 152:168, 152:168], out[..., 152:168, 136:152])


def test_sdunet_is_two_fifths_of_its_unet():
    widths, up_widths = [64, 128, 256, 512, 512], [256, 128, 64, 64]
    with torch.device("meta"):
        plain = sum(p.numel() for p in UShape(1, 3, widths, up_widths, double_convolution).parameters())
    assert plain == 14_788_929
    assert spec("sdunet").parameters / plain == pytest.approx(0.406, abs=5e-4)


def test_hourglass_supervises_every_stack():
    network = create("hourglass", stacks=3, width=8)
    assert list(network.forward_training(torch.randn(2, 3, 64, 64))) == ["logits", "aux_1", "aux_2"]


def test_the_first_output_does_not_teach_the_second_stack():
    network = create("hourglass", width=8)
    network.forward_training(torch.randn(2, 3, 64, 64))["aux_1"].sum().backward()
    assert all(p.grad is None for part in (network.stacks[1], network.merges) for p in part.parameters())
    assert network.stacks[0].score.weight.grad.abs().sum() > 0


def test_without_merges_the_second_stack_ignores_the_first():
    network = create("hourglass", width=8).eval()
    for parameter in network.merges.parameters():
        nn.init.zeros_(parameter)
    x = torch.randn(1, 3, 64, 64)
    before = network(x)
    nn.init.normal_(network.stacks[0].score.weight)
    nn.init.normal_(network.stacks[0].features[2][0].weight)
    assert torch.equal(network(x), before)


def test_fusion_shapes():
    fusion = ConcatenatingFusion(6, 4, (1, 2, 4), (1, 2, 4, 8)).eval()
    maps = [torch.randn(2, 6, 32 // scale, 48 // scale) for scale in (1, 2, 4)]
    assert [out.shape for out in fusion(maps)] == [(2, 12, 32 // scale, 48 // scale) for scale in (1, 2, 4, 8)]


def test_humanseg_hrnet_may_say_no():
    network = create("hrnet_humanseg", width=8)
    assert float(network(torch.randn(2, 3, 32, 32)).detach().min()) < 0
