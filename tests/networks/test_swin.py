"""Swin against timm's and transformers' on the same weights: maps, gradient, counts, checkpoints."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from timm.models.swin_transformer import SwinTransformer
from torch import nn
from torch.nn.modules.utils import _pair
from torchvision.models.swin_transformer import _get_relative_position_bias
from transformers import SwinBackbone, SwinConfig
from transformers.models.maskformer.configuration_maskformer_swin import MaskFormerSwinConfig
from transformers.models.maskformer.modeling_maskformer_swin import MaskFormerSwinBackbone

from figureground.errors import NetworkError
from figureground.networks.blocks.frame import pad_to_multiple
from figureground.networks.encoders.swin import (
    VARIANTS,
    Swin,
    Variant,
    from_windows,
    pad_zeros,
    relative_places,
    swin_encoder,
    to_windows,
)
from figureground.networks.published.swin_names import our_tensors
from figureground.networks.transfer import transfer

SMALL = Variant(16, (2, 2, 2, 2), (1, 2, 4, 8), 4)
STAGES = ["stage1", "stage2", "stage3", "stage4"]


def randomised(module: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    return module.double().eval()


def small_timm() -> nn.Module:
    """Built for images of which every map is several windows large; elsewhere timm shifts and pads differently."""
    return randomised(
        SwinTransformer(
            img_size=256, window_size=4, embed_dim=16, depths=SMALL.depths, num_heads=SMALL.heads, num_classes=0,
            strict_img_size=False,
        )
    )  # fmt: skip


def small_maskformer_swin() -> nn.Module:
    config = MaskFormerSwinConfig(
        embed_dim=16, depths=list(SMALL.depths), num_heads=list(SMALL.heads), window_size=4, out_features=STAGES
    )
    return randomised(MaskFormerSwinBackbone(config))


def check_equal(mine, other) -> None:
    mine, other = mine.detach(), other.detach()
    assert mine.shape == other.shape
    assert float((mine - other).abs().max()) <= 1e-10 * float(other.abs().max())


@pytest.mark.parametrize("size", [(64, 64), (96, 160), (70, 54)])
def test_same_maps_and_gradient_as_transformers(size):
    theirs, ours = small_maskformer_swin(), Swin(SMALL).double().eval()
    report = transfer(ours, our_tensors(theirs.state_dict()))
    assert not report.new
    assert report.ignored == ("model.layernorm.weight", "model.layernorm.bias")
    x = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    results = []
    for maps in (ours(x), theirs(x).feature_maps):
        (gradient,) = torch.autograd.grad(sum(feature.square().mean() for feature in maps), x)
        results.append([*maps, gradient])
    for mine, other in zip(*results, strict=True):
        check_equal(mine, other)


@pytest.mark.parametrize("size", [(256, 256), (128, 384), (253, 255)])
def test_same_maps_and_gradient_as_timm(size):
    """The odd size is padded to whole cells of the last map first: of others timm's padding is another."""
    theirs, ours = small_timm(), Swin(SMALL, norms=False).double().eval()
    report = transfer(ours, our_tensors(theirs.state_dict()))
    assert not report.new
    assert report.ignored == ("norm.weight", "norm.bias")
    image = torch.randn(1, 3, *size, dtype=torch.float64, requires_grad=True)
    x = pad_to_multiple(image, 128)
    results = []
    for maps in (ours(x), theirs.forward_intermediates(x, intermediates_only=True)):
        (gradient,) = torch.autograd.grad(sum(feature.square().mean() for feature in maps), image, retain_graph=True)
        results.append([*maps, gradient])
    for mine, other in zip(*results, strict=True):
        check_equal(mine, other)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("swin_tiny", 27_517_818),
        ("swin_small", 48_835_722),
        ("swin_base", 86_876_536),
        ("swin_large", 195_195_444),
    ],
)
def test_parameter_counts(name, parameters):
    """Of timm's swin_tiny_patch4_window7_224 and so on, base and large with windows of 12, features only."""
    with torch.device("meta"):
        network = Swin(VARIANTS[name], norms=False)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_places_are_torchvisions():
    side = 5
    table = torch.arange((2 * side - 1) ** 2).float()[:, None]
    places = relative_places(side)
    theirs = _get_relative_position_bias(table, places.flatten(), list(_pair(side)))
    assert torch.equal(theirs[0, 0].long(), places)
    assert places[0, 0] == places[7, 7] == (2 * side - 1) ** 2 // 2
    # The key one to the right of the query, and the one below it.
    assert places[0, 1] == places[0, 0] - 1
    assert places[0, side] == places[0, 0] - (2 * side - 1)


def test_windows_come_back():
    x = torch.randn(2, 6, 9, 4)
    windows = to_windows(x, 3)
    assert torch.equal(windows[1].reshape(3, 3, 4), x[0, :3, 3:6])
    assert torch.equal(from_windows(windows, 3, 6, 9), x)


def test_a_backbone_of_transformers_loads():
    config = SwinConfig(
        embed_dim=16, depths=list(SMALL.depths), num_heads=list(SMALL.heads), window_size=4, out_features=STAGES
    )
    theirs = randomised(SwinBackbone(config))
    report = transfer(Swin(SMALL).double(), our_tensors(theirs.state_dict()))
    assert not report.new
    assert report.ignored == ("swin.layernorm.weight", "swin.layernorm.bias")


def test_weights_of_a_classifier_load(tmp_path, monkeypatch):
    monkeypatch.setitem(VARIANTS, "swin_tiny", SMALL)
    state = small_timm().float().state_dict()
    save_file({key: value.contiguous() for key, value in state.items()}, tmp_path / "timm.safetensors")
    options = {"in_channels": 3, "drop_path": 0.0}
    encoder = swin_encoder("swin_tiny", weights=str(tmp_path / "timm.safetensors"), **options)
    assert torch.equal(encoder.stages[3].merge.reduce.weight, state["layers.3.downsample.reduction.weight"])
    save_file({"patch_embed.proj.weight": state["patch_embed.proj.weight"]}, tmp_path / "less.safetensors")
    with pytest.raises(NetworkError, match="weights of swin_tiny"):
        swin_encoder("swin_tiny", weights=str(tmp_path / "less.safetensors"), **options)


def test_weights_from_timms_hub_are_those_of_the_variant(monkeypatch):
    asked = []

    def create_model(name, **options):
        asked.append((name, options))
        return small_timm()

    monkeypatch.setattr("timm.create_model", create_model)
    for name in ("swin_tiny", "swin_base"):
        monkeypatch.setitem(VARIANTS, name, SMALL._replace(window=VARIANTS[name].window))
        with pytest.raises(NetworkError, match="imagenet does not fit"):  # its windows are those of the small one
            swin_encoder(name, in_channels=3, weights="imagenet", drop_path=0.0)
    assert [name for name, _ in asked] == ["swin_tiny_patch4_window7_224", "swin_base_patch4_window12_384"]
    assert all(options == {"pretrained": True} for _, options in asked)


def test_drop_path_grows_to_its_rate():
    encoder = Swin(SMALL, drop_path=0.7)
    rates = [block.drop_path.drop_prob for stage in encoder.stages for block in stage.blocks]
    assert rates == pytest.approx([0.1 * index for index in range(8)])


def test_what_needs_no_padding_is_not_copied():
    x = torch.randn(1, 4, 6, 2)
    assert pad_zeros(x, (0, 0, 0, 0, 0, 0)) is x
    assert torch.equal(pad_zeros(x, (0, 0, 0, 1, 0, 2)), F.pad(x, (0, 0, 0, 1, 0, 2)))


def test_the_image_is_not_held_twice_for_the_way_back():
    encoder, x, held = Swin(SMALL), torch.randn(1, 3, 64, 96), []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: held.append(t) or t, lambda t: t):
        encoder(x)
    of_its_shape = [t for t in held if t.shape == x.shape]
    assert [t.data_ptr() for t in of_its_shape] == [x.data_ptr()]


def test_the_way_back_begins_with_the_norms():
    """Their inputs are what nothing else holds of the stages' outputs."""
    encoder, order = Swin(SMALL), []
    maps = encoder(torch.randn(1, 3, 64, 64))
    encoder.stages[3].blocks[1].mlp.narrow.weight.register_hook(lambda _: order.append("stage"))
    for norm in encoder.norms:
        norm.weight.register_hook(lambda _: order.append("norm"))
    sum(y.square().mean() for y in maps).backward()
    assert order == ["norm"] * 4 + ["stage"]
