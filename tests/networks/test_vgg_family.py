"""FCN, SegNet, DeconvNet and DeepLab v1: their trunks against torchvision, their own geometry by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn
from torchvision.models.vgg import make_layers

from figureground.errors import NetworkError
from figureground.networks import create
from figureground.networks.published import load_published

WIDTH = 4
WIDTHS = [WIDTH * factor for factor in (1, 2, 4, 8, 8)]


def torchvision_vgg16(*, batch_norm: bool, in_channels: int = 3) -> nn.ModuleDict:
    """torchvision's VGG-16 at a sixteenth of its width, under torchvision's key names."""
    plan = [step for width, depth in zip(WIDTHS, (2, 2, 3, 3, 3), strict=True) for step in (*[width] * depth, "M")]
    features = make_layers(plan, batch_norm=batch_norm)
    hidden = 64 * WIDTH
    classifier = nn.Sequential(
        nn.Linear(WIDTHS[-1] * 49, hidden), nn.ReLU(), nn.Dropout(), nn.Linear(hidden, hidden), nn.ReLU()
    )
    for module in features.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    return nn.ModuleDict({"features": features, "classifier": classifier}).eval()


def saved(network: nn.Module, folder: Path) -> Path:
    """A file as one makes it of torchvision's weights, where the order of the names is the alphabet's."""
    save_file(network.state_dict(), folder / "vgg16.safetensors")
    return folder / "vgg16.safetensors"


def test_segnet_encoder_equals_torchvision(tmp_path):
    theirs, ours = torchvision_vgg16(batch_norm=True), create("segnet", width=WIDTH).eval()
    report = load_published(ours, saved(theirs, tmp_path))
    assert all(name.startswith(("decoder.", "classify.")) for name in report.new)
    x = torch.randn(1, 3, 64, 96)
    mine = x
    for stage in ours.encoder.stages:
        mine = F.max_pool2d(stage(mine), 2)
    torch.testing.assert_close(mine, theirs["features"](x))


def test_fcn_equals_the_classifier_where_it_sees_the_whole_image(tmp_path):
    theirs, ours = torchvision_vgg16(batch_norm=False), create("fcn32s", width=WIDTH).eval()
    report = load_published(ours, saved(theirs, tmp_path))
    assert not report.ignored
    assert [name for name in report.new if not name.startswith("ups.")] == ["score.weight", "score.bias"]
    nn.init.normal_(ours.score.weight)
    x = torch.randn(1, 3, 224, 224)
    hidden = theirs["classifier"](theirs["features"](x).flatten(1))
    expected = hidden @ ours.score.weight.flatten(1).T + ours.score.bias
    torch.testing.assert_close(ours.coarse_scores(ours.encode(x)[-1])[..., 3, 3], expected)


def test_depth_starts_without_effect():
    theirs, ours = torchvision_vgg16(batch_norm=False), create("fcn8s", width=WIDTH, in_channels=4).eval()
    assert ours.load_published(theirs.state_dict()).widened == ("trunk.stages.0.0.0.weight",)
    for score in (ours.score, *ours.pool_scores):
        nn.init.normal_(score.weight)
    x = torch.randn(1, 4, 64, 64)
    flat = torch.cat([x[:, :3], torch.zeros(1, 1, 64, 64)], dim=1)
    assert torch.equal(ours(x), ours(flat))


def test_deconvnet_starts_from_the_classifier_too(tmp_path):
    theirs = torchvision_vgg16(batch_norm=True)
    ours = create("deconvnet", width=WIDTH)
    report = load_published(ours, saved(theirs, tmp_path))
    assert not report.ignored
    fc6, fc7 = theirs["classifier"][0], theirs["classifier"][3]
    assert torch.equal(ours.middle.layers[0][0].weight.flatten(1), fc6.weight)
    assert torch.equal(ours.middle.layers[1][0].weight.flatten(1), fc7.weight)
    report = load_published(create("deconvnet_lite", width=WIDTH), saved(theirs, tmp_path))
    assert {name.split(".")[0] for name in report.ignored} == {"classifier"}


def test_deeplab_starts_from_the_convolutions(tmp_path):
    theirs, ours = torchvision_vgg16(batch_norm=False), create("deeplab_v1", width=WIDTH)
    report = load_published(ours, saved(theirs, tmp_path))
    assert {name.split(".")[0] for name in report.new} == {"fc6", "fc7", "fc8"}
    assert torch.equal(ours.trunk.stages[4][2][0].weight, theirs["features"][28].weight)


def test_convolutions_without_normalisation_start_a_network_with_it():
    theirs, ours = torchvision_vgg16(batch_norm=False), create("segnet", width=WIDTH)
    ours.load_published(theirs.state_dict())
    assert torch.equal(ours.encoder.stages[4][2][0].weight, theirs["features"][28].weight)


def test_timms_names_of_the_classifier_load_too():
    theirs, state = torchvision_vgg16(batch_norm=False), {}
    for key, tensor in theirs.state_dict().items():
        as_timm = key.replace("classifier.0", "pre_logits.fc1").replace("classifier.3", "pre_logits.fc2")
        sides = (7, 7) if "fc1" in as_timm else (1, 1)
        state[as_timm] = tensor.unflatten(1, (-1, *sides)) if "fc" in as_timm and tensor.ndim == 2 else tensor
    ours = create("fcn8s", width=WIDTH)
    assert not ours.load_published(state).ignored
    assert torch.equal(ours.fc6.weight.flatten(1), theirs["classifier"][0].weight)


def test_our_own_names_load_too():
    given, ours = create("fcn8s", width=WIDTH), create("fcn8s", width=WIDTH)
    assert not ours.load_published(given.state_dict()).new
    assert all(map(torch.equal, ours.state_dict().values(), given.state_dict().values()))


def test_weights_that_do_not_fit_are_refused():
    with pytest.raises(NetworkError, match="one without; use torchvision's vgg16"):
        create("fcn8s", width=WIDTH).load_published(torchvision_vgg16(batch_norm=True).state_dict())
    with pytest.raises(NetworkError, match="a VGG-16 of width 4 does not fit one of 2; set width: 4"):
        create("fcn8s", width=2).load_published(torchvision_vgg16(batch_norm=False).state_dict())


@pytest.mark.parametrize("name", ["fcn32s", "fcn16s", "fcn8s"])
def test_fcn_with_the_margin_of_the_release(name):
    network = create(name, width=2, leaves=2, padding="caffe").eval()
    for score in (network.score, *network.pool_scores):
        nn.init.normal_(score.weight)
    for height, width in ((32, 33), (100, 75)):
        assert network(torch.randn(1, 3, height, width)).shape == (1, 2, height, width)


def test_fcn_sizes_of_the_release():
    network = create("fcn8s", width=1, padding="caffe").eval()
    pools = network.encode(torch.zeros(1, 3, 512, 512))
    assert [pool.shape[-1] for pool in pools] == [355, 178, 89, 45, 23]
    assert network.coarse_scores(pools[-1]).shape[-1] == 17


@pytest.mark.parametrize("padding", ["same", "caffe"])
@pytest.mark.parametrize("name", ["fcn32s", "fcn16s", "fcn8s"])
def test_fcn_places_both_outputs_where_the_image_is(name, padding):
    """A bright spot on black, seen by layers that only add: its image in each output lies around it."""
    network = create(name, width=1, padding=padding, auxiliary=True).eval()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
            nn.init.zeros_(module.bias) if module.bias is not None else None
    for row, column in ((470, 433), (486, 449), (475, 441)):
        x = torch.zeros(1, 3, 900, 901)
        x[..., row - 16 : row + 16, column - 16 : column + 16] = 1
        with torch.inference_mode():
            outputs = network.forward_training(x)
        for key, out in outputs.items():
            found = [
                float((out.sum(axis)[0, 0] * (torch.arange(n) + 0.5)).sum() / out.sum())
                for axis, n in ((3, 900), (2, 901))
            ]
            off = [abs(place - wanted) for place, wanted in zip(found, (row, column), strict=True)]
            assert max(off) < 0.5, (key, off)


@pytest.mark.parametrize("size", [(32, 32), (33, 70), (100, 75)])
def test_the_auxiliary_head_of_fcn_reads_the_image_and_not_its_margin(size):
    network, seen = create("fcn8s", width=2, padding="caffe", auxiliary=True), []
    network.auxiliary.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    x = torch.zeros(1, 3, *size)
    whole = network.encode(x)[-2]
    assert network.forward_training(x)["aux_encoder"].shape == (1, 1, *size)
    for side, cells in zip(size, seen[0].shape[-2:], strict=True):
        held = [cell for cell in range(whole.shape[-1]) if 16 * cell < 99 + side and 16 * (cell + 1) > 99]
        assert cells == len(held)


def test_fcn_names_the_known_paddings():
    with pytest.raises(NetworkError, match="did you mean 'same'"):
        create("fcn8s", padding="sam")


def test_fcn8s_adds_the_scores_of_both_pools():
    network = create("fcn8s", width=WIDTH).eval()
    x = torch.randn(1, 3, 96, 64)
    pools = network.encode(x)
    nn.init.normal_(network.pool_scores[1].weight)
    expected = F.interpolate(network.pool_scores[1](pools[2]), scale_factor=8, mode="bilinear", align_corners=False)
    torch.testing.assert_close(network(x)[..., 4:-4, 4:-4], expected[..., 4:-4, 4:-4])


def test_segnet_biases_are_what_the_count_says():
    network = create("segnet")
    biases = sum(m.bias.numel() for m in network.modules() if isinstance(m, nn.Conv2d)) - network.classify.bias.numel()
    assert biases == 7_936


def test_deconvnet_refuses_to_normalise_one_value():
    network = create("deconvnet", width=1).train()
    with pytest.raises(NetworkError, match="batch of at least 2"):
        network(torch.zeros(1, 3, 224, 224))
    assert network(torch.randn(2, 3, 224, 224)).shape == (2, 1, 224, 224)


def test_deconvnet_starts_as_released():
    network = create("deconvnet", width=8)
    convolution, norm = network.decoder.stages[0][0][0], network.decoder.stages[0][0][1]
    assert float(convolution.weight.detach().std()) == pytest.approx(0.01, rel=0.05)
    assert torch.all(norm.bias == 0.001)


@pytest.mark.parametrize(("size", "cells"), [(321, 41), (513, 65)])
def test_deeplab_sizes_of_the_release(size, cells):
    network = create("deeplab_v1", width=1).eval()
    x = torch.zeros(1, 3, size, size)
    for stage, stride in zip(network.trunk.stages, (2, 2, 2, 1, 1), strict=True):
        x = F.max_pool2d(stage(x), 3, stride, padding=1)
    assert x.shape[-1] == cells


def test_deeplab_average_pool_smooths():
    plain, smooth = create("deeplab_v1", width=2).eval(), create("deeplab_v1", width=2, average_pool=True).eval()
    smooth.load_state_dict(plain.state_dict())
    x = torch.randn(1, 3, 64, 64)
    assert not torch.allclose(plain(x), smooth(x))
