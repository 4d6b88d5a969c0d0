"""DeepLabV3+ against segmentation-models-pytorch, its parts against torchvision's."""

from __future__ import annotations

import pytest
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import resnet50
from torchvision.models.segmentation import deeplabv3

from figureground.errors import NetworkError
from figureground.networks import create
from figureground.networks.blocks.aspp import ASPP, ImagePooling
from figureground.networks.blocks.normalisation import SparseBatchNorm
from figureground.networks.encoders.dilated import dilated_encoder


def names_in_order(ours: nn.Module, theirs: nn.Module) -> dict[str, str]:
    """Our key -> theirs, for two networks that list the same tensors in the same order."""
    mine, other = ours.state_dict(), theirs.state_dict()
    assert [tensor.shape for tensor in mine.values()] == [tensor.shape for tensor in other.values()]
    return dict(zip(mine, other, strict=True))


def randomise(network: nn.Module) -> None:
    """Running statistics that would show a normalisation in the wrong place."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)


def run(network: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """The output and the gradient of its mean square by the input."""
    x = x.clone().requires_grad_()
    out = network(x)
    return out.detach(), torch.autograd.grad(out.square().mean(), x)[0]


@pytest.fixture(scope="module", params=[16, 8])
def pair(request):
    torch.manual_seed(0)
    theirs = smp.DeepLabV3Plus(
        "resnet18", encoder_weights=None, encoder_output_stride=request.param, classes=2, decoder_channels=32
    )
    randomise(theirs)
    theirs = theirs.double().eval()
    ours = create("deeplabv3plus_smp", leaves=2, encoder="resnet18", output_stride=request.param, channels=32)
    ours = ours.double().eval()
    names, state = names_in_order(ours, theirs), theirs.state_dict()
    ours.load_state_dict({key: state[names[key]] for key in names})
    return ours, theirs


@pytest.mark.parametrize("size", [(64, 64), (48, 80), (70, 54)])
def test_same_output_and_gradient_as_smp(pair, size):
    x = torch.randn(1, 3, *size, dtype=torch.float64)
    # smp takes multiples of the output stride only, so an odd size is compared through the padding that ours applies.
    padded = F.pad(x, (0, -size[1] % 16, 0, -size[0] % 16), mode="replicate")
    for mine, other in zip(run(pair[0], padded), run(pair[1], padded), strict=True):
        assert float((mine - other).abs().max()) <= 1e-10 * float(other.abs().max())


def test_smp_golden(fill_by_hash, hashed_input):
    ours = create("deeplabv3plus_smp", leaves=2).eval()
    with torch.device("meta"):
        theirs = smp.DeepLabV3Plus("resnet50", encoder_weights=None, classes=2)
    fill_by_hash(ours, names_in_order(ours, theirs).__getitem__)
    with torch.inference_mode():
        out = ours(hashed_input("input", 1, 3, 128, 128).float())
    assert float(out.mean()) == pytest.approx(0.016490, abs=2e-6)
    assert float(out.std()) == pytest.approx(0.139282, abs=2e-6)
    assert float(out.abs().max()) == pytest.approx(0.361833, abs=2e-6)
    assert out.flatten()[:5].tolist() == pytest.approx([0.13190, 0.13669, 0.14147, 0.14625, 0.15103], abs=1e-5)
    assert float(out.flatten()[-1]) == pytest.approx(0.01130, abs=1e-5)


@pytest.mark.parametrize(("output_stride", "replaced"), [(16, [False, False, True]), (8, [False, True, True])])
def test_dilations_are_torchvisions(output_stride, replaced):
    with torch.device("meta"):
        theirs = resnet50(replace_stride_with_dilation=replaced)
        ours = dilated_encoder("resnet50", in_channels=3, weights=None, output_stride=output_stride)
    expected = {name: (m.stride, m.dilation) for name, m in theirs.named_modules() if isinstance(m, nn.Conv2d)}
    found = {name: (m.stride, m.dilation) for name, m in ours.body.named_modules() if isinstance(m, nn.Conv2d)}
    assert found == expected
    assert ours.strides == [2, 4, *(min(stride, output_stride) for stride in (8, 16, 32))]


def test_aspp_equals_torchvision():
    theirs = deeplabv3.ASPP(12, (2, 3, 5), out_channels=8)
    randomise(theirs)
    ours = ASPP(12, 8, (2, 3, 5))
    names, state = names_in_order(ours, theirs), theirs.state_dict()
    ours.load_state_dict({key: state[names[key]] for key in names})
    x = torch.randn(2, 12, 9, 11)
    for mine, other in zip(run(ours.double().eval(), x.double()), run(theirs.double().eval(), x.double()), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-12)


def test_image_pooling_of_one_image_uses_what_was_learned():
    pooling = ImagePooling(4, 6).train()
    randomise(pooling)
    x = torch.randn(1, 4, 5, 3)
    trained = pooling(x)
    assert torch.equal(trained, pooling.eval()(x))
    assert torch.equal(trained, trained[..., :1, :1].expand_as(trained))


def test_sparse_norm_is_batch_norm_for_more_than_one_value():
    ours, theirs = SparseBatchNorm(3).train(), nn.BatchNorm2d(3).train()
    for x in (torch.randn(2, 3, 1, 1), torch.randn(1, 3, 2, 1)):
        assert torch.equal(ours(x), theirs(x))
    assert torch.equal(ours.running_var, theirs.running_var)


def test_stride_8_sees_as_far_as_stride_16():
    for output_stride, expected in ((16, [6, 12, 18]), (8, [12, 24, 36])):
        network = create("deeplabv3plus", encoder="mobilenetv2_035", channels=8, output_stride=output_stride)
        assert [branch[0].dilation[0] for branch in network.aspp.branches[1:4]] == expected


def test_low_level_map_reaches_the_logits():
    network = create("deeplabv3plus", encoder="mobilenetv2_035", channels=8).eval()
    for parameter in network.aspp.parameters():
        nn.init.zeros_(parameter)
    assert float(network(torch.randn(1, 3, 64, 64)).detach().std()) > 0
    for parameter in network.low.parameters():
        nn.init.zeros_(parameter)
    inside = network(torch.randn(1, 3, 64, 64)).detach()[..., 8:-8, 8:-8]
    assert float(inside.std()) < 1e-6


@pytest.mark.parametrize("encoder", ["swin_tiny_patch4_window7_224", "hrnet_w18_small", "vgg11"])
def test_encoders_that_cannot_be_dilated_are_refused(encoder):
    with pytest.raises(NetworkError, match=f"'{encoder}' (cannot be dilated|are)"), torch.device("meta"):
        create("deeplabv3plus", encoder=encoder)


def test_convnext_has_no_stride_2_and_fits():
    with torch.device("meta"):
        network = create("deeplabv3plus", encoder="convnext_atto", channels=8)
    assert network.encoder.strides == [4, 8, 16, 16]


def test_other_output_strides_are_refused():
    with pytest.raises(NetworkError, match="output stride 32"):
        create("deeplabv3plus", output_stride=32)
