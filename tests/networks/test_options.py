"""Every option changes something, and where it cannot, it is refused with what to write instead."""

from __future__ import annotations

import re

import pytest
import timm
import torch
from safetensors.torch import save_file

from figureground.errors import NetworkError
from figureground.networks import create, list_networks, spec
from figureground.networks.transfer import transfer

OTHER = {
    "in_channels": 4, "width": 16, "gates": "channel", "dual_attention": True, "auxiliary": True, "drop_path": 0.6,
    "dilation": True, "dilation_reduction": 2, "dilation_rates": [2, 4], "dilation_attention": True, "fusion": True,
    "decoder_fusion": True, "cross_gates": "sigmoid", "conv_decoder": True, "depth_everywhere": True, "boosts": False,
    "spatial_fusion": False, "context_fusion": False, "kernel": 3, "rates": [2, 4], "output_stride": 8, "channels": 48,
    "separable_convolutions": True, "convolutions": 2, "project_kernel": 3, "padding": "caffe", "stacks": 1,
    "learned_upsampling": False, "pool4_scale": 0.01, "pool3_scale": 0.01, "link_stem": True, "average_pool": True,
    "background_class": False, "background_region": False, "queries": 16, "layers": 1, "key_channels": 8,
    "normalised": False, "normalised_projections": True, "decoder_width": 64, "widths": [32, 16, 16, 16, 8],
}  # fmt: skip
"""A value for each option that is not its default."""
OTHERS_OF = {
    "hourglass": {"width": 32},
    "maskformer": {"width": 128},
    "sdunet": {"width": 32},
    "sdunet_wide": {"width": 32},
    "unet": {"padding": "valid"},
    "sernet_former": {"output_stride": 16, "dilation": False},
}
"""Where the default is that, or another would not fit."""
NEEDS = {
    "drop_path": {"maskformer": {"encoder": "swin_tiny"}},
    "depth_everywhere": {"sersegformer": {"in_channels": 4}},
    "dilation_reduction": {"sersegformer": {"dilation": True}},
    "dilation_rates": {"sersegformer": {"dilation": True}},
    "dilation_attention": {"sersegformer": {"dilation": True}},
}
"""What an option of a network works with."""
ALL = [(name, option) for name in list_networks() for option in spec(name).options]


def built(name: str, **options: object) -> torch.nn.Module:
    torch.manual_seed(0)
    return create(name, **{**spec(name).reduced, "leaves": 2, **options})


def shapes(name: str, options: dict[str, object]) -> dict[str, torch.Size]:
    with torch.device("meta"):
        return {key: tensor.shape for key, tensor in built(name, **options).named_parameters()}


@pytest.mark.parametrize(("name", "option"), ALL)
def test_every_option_changes_something(name, option):
    if option in ("leaves", "encoder", "encoder_weights"):
        return
    value = {**OTHER, **OTHERS_OF.get(name, {})}[option]
    needed = NEEDS.get(option, {}).get(name, {})
    if shapes(name, needed) != shapes(name, {**needed, option: value}):
        return
    plain, changed = built(name, **needed), built(name, **needed, **{option: value})
    transfer(changed, plain.state_dict())
    for parameter, other in zip(plain.parameters(), changed.parameters(), strict=True):
        if not parameter.any():  # what starts at 0 would hide what stands behind it
            other.data.copy_(parameter.data.normal_())
    side = max(33, spec(name).min_size)
    x = torch.randn(2, needed.get("in_channels", 3), side, side + 8)
    found = []
    for network in (plain, changed):
        torch.manual_seed(1)
        found.append(network.train()(x))
    assert not torch.equal(*found)


IDLE = [
    ("maskformer", {"encoder": "resnet10t", "drop_path": 0.1},
     "'drop_path' does nothing over the encoder 'resnet10t'; leave drop_path away, or use a Swin, such as swin_tiny"),
    ("sernet_former", {"boosts": False, "kernel": 3},
     "'kernel' does nothing without 'boosts'; set boosts to true, or leave kernel away"),
    ("sernet_former", {"dilation": False, "rates": [2, 4]},
     "'rates' does nothing without 'dilation'; set dilation to true, or leave rates away"),
    ("sernet_former", {"spatial_fusion": False, "context_fusion": False, "cross_gates": "sigmoid"},
     "'cross_gates' does nothing without 'spatial_fusion' or 'context_fusion'; set spatial_fusion or"),
    ("sernet_former", {"boosts": False, "spatial_fusion": False, "context_fusion": False, "gates": "channel"},
     "'gates' does nothing without 'boosts' or 'spatial_fusion' or 'context_fusion'"),
    ("sersegformer", {"dilation_reduction": 2}, "'dilation_reduction' does nothing without 'dilation'"),
    ("sersegformer", {"dilation": True, "dilation_reduction": 3},
     "dilation_reduction: 32 channels cannot be divided by a reduction of 3; use 2 or 4"),
    ("sersegformer", {"dilation": True, "dilation_reduction": 64},
     "dilation_reduction: 32 channels cannot be divided by a reduction of 64; use 2 or 4"),
    ("sersegformer", {"in_channels": 5, "depth_everywhere": True},
     "'depth_everywhere' needs depth beside the colours, and nothing else; set in_channels to 4"),
    ("fcn8s", {"pool3_scale": 0}, "give a number above 0 as pool3_scale"),
    ("fcn16s", {"pool4_scale": -0.1}, "give a number above 0 as pool4_scale"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options", "message"), IDLE)
def test_what_would_do_nothing_is_refused(name, options, message):
    with pytest.raises(NetworkError, match=re.escape(message)), torch.device("meta"):
        create(name, **options)


def test_gates_may_be_off_where_nothing_has_any():
    with torch.device("meta"):
        create("sernet_former", boosts=False, spatial_fusion=False, context_fusion=False, gates=None)


@pytest.mark.parametrize("name", [name for name in list_networks() if "in_channels" in spec(name).options])
@pytest.mark.parametrize("channels", [1, 5])
def test_any_number_of_channels_is_read(name, channels):
    network = built(name, in_channels=channels).train()
    side = max(33, spec(name).min_size)
    x = torch.randn(2, channels, side, side + 8, requires_grad=True)
    for parameter in network.parameters():
        if not parameter.any():
            parameter.data.normal_()
    logits = network(x)
    assert logits.shape == (2, 2, side, side + 8)
    logits.square().mean().backward()
    assert x.grad.abs().amax((0, 2, 3)).all()


@pytest.fixture
def trained(tmp_path):
    """A ResNet's weights, of three channels."""
    torch.manual_seed(0)
    save_file(timm.create_model("resnet10t").state_dict(), tmp_path / "trained.safetensors")
    return str(tmp_path / "trained.safetensors")


def test_further_channels_start_without_effect(trained):
    options = {"encoder": "resnet10t", "encoder_weights": trained, "width": 64, "layers": 1}
    colour, more = (built("maskformer", **options, in_channels=channels).eval() for channels in (3, 5))
    x = torch.randn(1, 5, 64, 64)
    for found, expected in zip(more.encode(x), colour.encode(x[:, :3]), strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("channels", [1, 2])
def test_fewer_channels_than_the_weights_read_are_refused(trained, channels):
    with pytest.raises(NetworkError, match=r"does not fit .* set in_channels: 3, or leave encoder_weights away"):
        create("maskformer", encoder="resnet10t", encoder_weights=trained, in_channels=channels)


def test_timms_own_weights_are_no_exception(monkeypatch):
    """They would else leave the first layer at random."""
    weights = timm.create_model("resnet10t", features_only=True).state_dict()
    monkeypatch.setattr("figureground.networks.encoders.timm_encoder.imagenet_weights", lambda *_, **__: weights)
    with pytest.raises(NetworkError, match=r"imagenet does not fit the encoder: .* set in_channels: 3"):
        create("maskformer", encoder="resnet10t", encoder_weights="imagenet", in_channels=1)
    assert torch.equal(
        create("maskformer", encoder="resnet10t", encoder_weights="imagenet").encoder.body.layer1[0].conv1.weight,
        weights["layer1.0.conv1.weight"],
    )
