"""OCRNet: the golden values of its head, what its attention must obey, and both kinds of encoders."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from figureground.networks import create
from figureground.networks.blocks.convolution import ConvNormReLU
from figureground.networks.blocks.object_context import ObjectContext, OCRHead, region_features

GOLDEN_NAMES = {
    "regions.0.0": "aux.0",
    "regions.1": "aux.1",
    "features.0": "feats",
    "context.pixel.0.0": "pixel.0",
    "context.pixel.1.0": "pixel.1",
    "context.region.0.0": "object.0",
    "context.region.1.0": "object.1",
    "context.value.0": "down",
    "context.up.0": "up",
    "context.fuse.0.0": "fuse",
    "classify": "cls",
}


def golden_name(key: str) -> str:
    body, _, end = key.rpartition(".")
    return f"{GOLDEN_NAMES.get(body, body)}.{end}"


def context(channels: int = 6, key_channels: int = 4) -> ObjectContext:
    torch.manual_seed(0)
    return ObjectContext(channels, key_channels).double().eval()


def maps(channels: int = 6, regions: int = 3) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(2, channels, 5, 7, dtype=torch.float64), torch.randn(2, regions, 5, 7, dtype=torch.float64)


def test_head_golden(fill_by_hash, hashed_input):
    regions = nn.Sequential(ConvNormReLU(8, 8, kernel=1, bias=True), nn.Conv2d(8, 3, 1))
    head = OCRHead(3, regions, 8, channels=8, key_channels=4, background_region=False).double().eval()
    fill_by_hash(head, golden_name)
    x = hashed_input("x", 1, 8, 6, 6)
    logits, scores = (out.detach() for out in head(x, x))
    for out, mean, std, most, first, last in (
        (
            scores,
            -0.03779963,
            0.39797521,
            0.91133738,
            [-0.182222, -0.045506, -0.369519, -0.533162, -0.116111],
            -0.666419,
        ),
        (logits, -0.17164827, 0.15605225, 0.63118214, [0.099340, -0.094598, 0.096150, -0.132210, -0.078759], -0.241755),
    ):
        assert out.shape == (1, 3, 6, 6)
        assert float(out.mean()) == pytest.approx(mean, abs=1e-8)
        assert float(out.std()) == pytest.approx(std, abs=1e-8)
        assert float(out.abs().max()) == pytest.approx(most, abs=1e-8)
        assert out.flatten()[:5].tolist() == pytest.approx(first, abs=1e-6)
        assert float(out.flatten()[-1]) == pytest.approx(last, abs=1e-6)


def test_region_features_are_weighted_means():
    x, scores = maps()
    found = region_features(x, scores)
    for image in range(2):
        for region in range(3):
            weights = scores[image, region].exp() / scores[image, region].exp().sum()
            torch.testing.assert_close(found[image, region], (x[image] * weights).sum((1, 2)))
    ones = torch.ones_like(x)
    torch.testing.assert_close(region_features(ones, scores), torch.ones(2, 3, 6, dtype=torch.float64))


def test_order_of_regions_does_not_matter():
    x, scores = maps()
    block = context()
    torch.testing.assert_close(block(x, scores), block(x, scores[:, [2, 0, 1]]))


def test_scores_that_are_the_same_everywhere_give_every_pixel_the_same_context():
    x, _ = maps()
    scores = torch.randn(2, 3, 1, 1, dtype=torch.float64).expand(2, 3, 5, 7)
    torch.testing.assert_close(region_features(x, scores), x.mean((2, 3))[:, None].expand(2, 3, 6))
    seen = []
    block = context()
    block.up.register_forward_hook(lambda module, inputs, output: seen.append(output))
    block(x, scores)
    torch.testing.assert_close(seen[0], seen[0][..., :1, :1].expand_as(seen[0]))


def test_background_is_one_more_region():
    regions = nn.Conv2d(8, 1, 1)
    head = OCRHead(1, regions, 8, channels=8, key_channels=4).double().eval()
    seen = []
    head.context.register_forward_hook(lambda module, inputs, output: seen.append(inputs[1]))
    _, scores = head(*(torch.randn(1, 8, 6, 6, dtype=torch.float64),) * 2)
    assert seen[0].shape == (1, 2, 6, 6)
    assert not seen[0][:, 0].any()
    assert torch.equal(seen[0][:, 1:], scores)


def test_one_image_with_one_region_trains():
    network = create("ocrnet", encoder="hrnet_w18_small", channels=16, key_channels=8, background_region=False).train()
    outputs = network.forward_training(torch.randn(1, 3, 64, 64))
    assert list(outputs) == ["logits", "aux_regions"]
    sum(out.sum() for out in outputs.values()).backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters())


def test_over_a_dilated_encoder():
    network = create("ocrnet", leaves=2, encoder="mobilenetv2_035", channels=16, key_channels=8).eval()
    assert network.trunk.encoder.strides[-1] == 8
    with torch.inference_mode():
        coarse, fine = network.trunk(torch.randn(1, 3, 64, 64))
        assert coarse.shape[-2:] == fine.shape[-2:] == (8, 8)
        assert network(torch.randn(1, 3, 65, 43)).shape == (1, 2, 65, 43)
    network.forward_training(torch.randn(1, 3, 64, 64))["aux_regions"].sum().backward()
    assert network.head.classify.weight.grad is None
    assert next(network.trunk.parameters()).grad.abs().sum() > 0
