"""HRNet against the golden values of timm's, its fusion against the paper's formula, and what it loads."""

from __future__ import annotations

import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from figureground.errors import NetworkError
from figureground.networks import create
from figureground.networks.blocks.frame import pad_to_multiple
from figureground.networks.encoders.hrnet import concatenated, hrnet_encoder
from figureground.networks.transfer import transfer


def as_timm(encoder: nn.Module) -> nn.Module:
    """The encoder with timm's way to upsample."""
    for module in encoder.modules():
        if isinstance(module, nn.Upsample):
            module.mode, module.align_corners = "nearest", None
    return encoder


def test_timm_golden(fill_by_hash, hashed_input):
    encoder = as_timm(hrnet_encoder("hrnet_w18", in_channels=3, weights=None)).eval()
    fill_by_hash(encoder.body)
    with torch.inference_mode():
        maps = encoder(hashed_input("input", 1, 3, 128, 128).float())
    expected = [
        ((18, 32, 32), 996.202564, 1134.687231),
        ((36, 16, 16), 704.629454, 973.227899),
        ((72, 8, 8), 702.049189, 930.721678),
        ((144, 4, 4), 585.387485, 794.125094),
    ]
    for x, (shape, mean, std) in zip(maps, expected, strict=True):
        assert x.shape[1:] == shape
        assert float(x.mean()) == pytest.approx(mean, rel=1e-4)
        assert float(x.std()) == pytest.approx(std, rel=1e-4)
    assert float(maps[0].abs().max()) == pytest.approx(5492.336426, rel=1e-4)


def test_weights_of_timm_load_and_give_timms_maps(tmp_path):
    torch.manual_seed(0)
    theirs = timm.create_model("hrnet_w18_small").eval()
    save_file(theirs.state_dict(), tmp_path / "hrnet.safetensors")
    ours = as_timm(
        create("hrnet", encoder="hrnet_w18_small", encoder_weights=str(tmp_path / "hrnet.safetensors")).encoder
    )
    x = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        stem = theirs.act2(theirs.bn2(theirs.conv2(theirs.act1(theirs.bn1(theirs.conv1(x))))))
        for mine, other in zip(ours.eval()(x), theirs.stages(stem), strict=True):
            assert torch.equal(mine, other)


@pytest.mark.parametrize("name", ["hrnet_w18_small", pytest.param("hrnet_w18", marks=pytest.mark.slow)])
def test_same_maps_and_gradient_as_timm(name):
    """Sizes of whole cells, which timm's fusions need; an odd image is padded before it is encoded."""
    torch.manual_seed(0)
    theirs = timm.create_model(name).double().eval()
    network = create("hrnet", encoder=name).double().eval()
    encoder = as_timm(network.encoder)
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)  # timm starts the last norm of a residual at 0, which would hide its branch
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    transfer(encoder.body, theirs.state_dict())
    layers = ("conv1", "bn1", "act1", "conv2", "bn2", "act2")
    for size in ((64, 64), (96, 160), (71, 53)):
        image = torch.randn(1, 3, *size, dtype=torch.float64, requires_grad=True)
        x = stem = pad_to_multiple(image, network.multiple)
        for layer in layers:
            stem = getattr(theirs, layer)(stem)
        results = []
        for maps in (encoder(x), theirs.stages(stem)):
            (gradient,) = torch.autograd.grad(
                sum(feature.square().mean() for feature in maps), image, retain_graph=True
            )
            results.append([*(feature.detach() for feature in maps), gradient])
        for mine, other in zip(*results, strict=True):
            assert float((mine - other).abs().max()) <= 1e-10 * float(other.abs().max())


def test_fusion_adds_bilinearly():
    encoder = hrnet_encoder("hrnet_w18_small", in_channels=3, weights=None)
    module = encoder.body.stage2[0].eval()
    fine, coarse = torch.randn(1, 16, 8, 12), torch.randn(1, 32, 4, 6)
    up, down = module.fuse_layers[0][1], module.fuse_layers[1][0]
    with torch.inference_mode():
        a, b = module.branches[0](fine.clone()), module.branches[1](coarse.clone())
        found = module([fine, coarse])
        raised = F.interpolate(up[1](up[0](b)), size=(8, 12), mode="bilinear", align_corners=False)
        torch.testing.assert_close(found[0], F.relu(a + raised))
        torch.testing.assert_close(found[1], F.relu(b + down(a)))


def test_maps_are_concatenated_finest_first():
    maps = [torch.full((1, 2**level, 16 // 2**level, 8 // 2**level), float(level)) for level in range(4)]
    out = concatenated(maps)
    assert out.shape == (1, 15, 16, 8)
    assert out[0, :, 3, 3].tolist() == [0] + [1] * 2 + [2] * 4 + [3] * 8


def test_head_starts_as_released():
    head = create("hrnet", encoder="hrnet_w18_small").head
    assert float(head[0][0].weight.detach().std()) == pytest.approx(0.001, rel=0.05)


def test_other_encoders_are_refused():
    with pytest.raises(NetworkError, match=r"there is no HRNet 'hrnet_w19'.*hrnet_w18"):
        create("hrnet", encoder="hrnet_w19")
