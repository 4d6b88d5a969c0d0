"""Both SERNet-Formers: published multiply-adds, the wiring by hand, the ablation's switches, clear refusals."""

from __future__ import annotations

import re

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from figureground.errors import NetworkError
from figureground.networks import create, spec
from figureground.networks.transfer import transfer

BOTH = ("sernet_former", "sernet_former_compact")


def small(name: str, **options: object) -> nn.Module:
    torch.manual_seed(0)
    return create(name, **{**spec(name).reduced, "leaves": 2, **options}).eval()


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("name", "options", "size", "billions"),
    [
        ("sernet_former_compact", {}, (512, 512), 56.69),
        ("sernet_former_compact", {"leaves": 2}, (1024, 768), 170.18),
        ("sernet_former", {"leaves": 19}, (512, 512), 204.63),
        ("sernet_former", {"leaves": 19, "output_stride": 16}, (512, 512), 96.32),
        ("sernet_former", {"leaves": 19, "encoder": "resnet101", "kernel": 3}, (512, 512), 473.34),
    ],
)
def test_published_multiply_adds(name, options, size, billions):
    with torch.device("meta"):
        network, x = create(name, **options).eval(), torch.zeros(1, 3, *size)
    counter = FlopCounterMode(display=False)
    with counter, torch.inference_mode():
        network(x)
    assert counter.get_total_flops() / 2e9 == pytest.approx(billions, abs=0.006)


def upsampled(x, factor):
    return nn.functional.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=True)


def plain(block, x, factor=1):
    """What an upsampling block computes."""
    return block.activate(block.norm(block.conv(upsampled(x, factor))))


def test_the_compact_network_by_hand():
    """The table of the network as a chain of its layers, on an image that needs no padding."""
    network, x = small("sernet_former_compact"), torch.randn(1, 3, 64, 48)
    encoder, decoder = network.encoder, network.decoder
    stem = encoder.stem(x)
    shallow = encoder.stages[0](nn.functional.max_pool2d(stem, 3, 2, 1))
    deep = encoder.stages[3](encoder.stages[2](encoder.stages[1](shallow)))
    assert [y.shape[-2:] for y in (stem, shallow, deep)] == [(32, 24), (16, 12), (4, 3)]
    bridged = sum(branch(deep) for branch in network.bridge.branches)
    one = plain(decoder.spatial.up1, shallow)
    one = one + plain(decoder.spatial.up2, decoder.spatial.afn(one))
    two = plain(decoder.context.up1, bridged, 4)
    assert decoder.context.afn(two).shape[-2:] == (4, 3)
    two = two + plain(decoder.context.up2, decoder.context.afn(two), 4)
    half = plain(decoder.up1, decoder.join(torch.cat([shallow, one, two], 1)), 2)
    expected = decoder.classify(plain(decoder.up2, torch.cat([stem, half], 1), 2))
    with torch.inference_mode():
        torch.testing.assert_close(network(x), expected)


def test_every_stage_of_the_encoder_is_boosted_before_the_next_reads_it():
    network, x = small("sernet_former"), torch.randn(1, 3, 64, 48)
    body, boosts = network.encoder.body, network.boosts
    assert list(boosts) == ["act1", "layer1", "layer2", "layer3", "layer4"]
    y, expected = body["act1"](body["bn1"](body["conv1"](x))), []
    for name in boosts:
        y = body[name](body["maxpool"](y) if name == "layer1" else y) if name != "act1" else y
        u = boosts[name].norm(boosts[name].conv(y))
        y = u.relu() + u * torch.sigmoid(u)
        expected.append(y)
    with torch.inference_mode():
        maps = network.encode(x)
    for mine, other in zip(maps, expected, strict=True):
        torch.testing.assert_close(mine, other)
    assert maps[-2].shape[-2:] == maps[-1].shape[-2:] == (8, 6)  # the last two share a size, H / 8


WIDE = {"encoder": "resnet10t", "channels": 16, "width": 8}
WITHOUT = {
    # what a switch of the ablation takes away, counted by its definition
    "boosts": lambda c: sum(wide * wide + 2 * wide for wide in c.encoder.channels),
    "dilation": lambda _: 3 * (9 * 16**2 + 2 * 16 + 1),
    "spatial_fusion": lambda _: 4 * (9 * 8**2 + 2 * 8 + 1),
    "context_fusion": lambda _: 4 * (9 * 4**2 + 2 * 4 + 1),
}


@pytest.mark.parametrize("switch", WITHOUT)
def test_the_switches_of_the_ablation(switch):
    whole, part = small("sernet_former"), small("sernet_former", **{switch: False})
    assert parameters(whole) - parameters(part) == WITHOUT[switch](whole)
    transfer(part, whole.state_dict())
    x = torch.randn(1, 3, 50, 70)
    with torch.inference_mode():
        assert part(x).shape == (1, 2, 50, 70)
        assert not torch.allclose(part(x), whole(x))


@pytest.mark.parametrize("name", BOTH)
def test_gates_can_be_left_out_and_changed(name):
    gated, x = small(name), torch.randn(1, 3, 40, 48)
    for gates in (None, "channel"):
        other = small(name, gates=gates)
        other.load_state_dict(gated.state_dict())
        with torch.inference_mode():
            assert not torch.allclose(other(x), gated(x))
    assert parameters(small(name, gates="normalised")) > parameters(gated)


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("form", ["sigmoid", "attention"])
def test_cross_gates(name, form):
    plain_network, crossed = small(name), small(name, cross_gates=form)
    assert not transfer(crossed, plain_network.state_dict()).ignored
    x = torch.randn(1, 3, 33, 41)
    same = torch.allclose(crossed(x), plain_network(x))
    assert same == (form == "attention")  # which starts without effect
    crossed.train().forward_training(x)["logits"].square().mean().backward()
    assert all(parameter.grad is not None for parameter in crossed.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoder": "hrnet_w18_small", "output_stride": 16}, "use an encoder with a map at stride 4"),
        ({"encoder": "efficientnet_lite0"}, "cannot be boosted one by one; use a ResNet"),
        ({"output_stride": 32}, "output stride 32 is not offered; use 16, or 8"),
        ({"gates": "pixle"}, "did you mean 'pixel'"),
        ({"cross_gates": "atention"}, "did you mean 'attention'"),
        ({"rates": ()}, "give a list of whole numbers of at least 1"),
        ({"fusion": True}, "did you mean"),
    ],
)
def test_what_cannot_be_built(options, message):
    with pytest.raises(NetworkError, match=re.escape(message)):
        small("sernet_former", **options)


def test_weights_of_a_timm_encoder_fit(tmp_path):
    given = small("sernet_former")
    body = {key.removeprefix("encoder.body."): t for key, t in given.state_dict().items() if "encoder.body." in key}
    save_file(body, tmp_path / "resnet.safetensors")
    torch.manual_seed(1)
    loaded = create("sernet_former", **WIDE, encoder_weights=str(tmp_path / "resnet.safetensors"))
    for key, tensor in body.items():
        if not key.endswith("num_batches_tracked"):
            assert torch.equal(loaded.encoder.body.state_dict()[key], tensor), key
