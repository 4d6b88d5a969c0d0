"""The stage table against the formulas of the profiler of torch, against published counts, and on other libraries."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from figureground.errors import NetworkError
from figureground.networks import create, list_networks, spec
from figureground.networks.stages import ITSELF, outline, stage_stride, stages_of

GEMMS = {"aten::conv2d", "aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm"}


def profiled(network: nn.Module, image: torch.Tensor) -> float:
    """Multiply-adds by torch's profiler while the network computes; it passes over transposed convolutions."""
    transposed = []
    for module in network.modules():
        if isinstance(module, nn.ConvTranspose2d):
            module.register_forward_hook(
                lambda layer, inputs, _: transposed.append(inputs[0][0, 0].numel() * layer.weight.numel())
            )
    with (
        torch.inference_mode(),
        sdpa_kernel(SDPBackend.MATH),
        torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], with_flops=True) as profile,
    ):
        network(image)
    return sum(event.flops for event in profile.key_averages() if event.key in GEMMS) / 2 + sum(transposed)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("unet", {"width": 8}),
        ("linknet_timm", {"encoder": "mobilenetv2_035"}),
        ("deeplabv3plus", {"encoder": "resnet18"}),
        ("segformer", {}),
        ("ocrnet", {"encoder": "hrnet_w18_small", "channels": 32, "key_channels": 16}),
    ],
)
def test_multiply_adds_are_those_of_the_profiler(name, options):
    counted = outline(name, size=(64, 96), **options).multiply_adds
    assert counted == profiled(create(name, **options).eval(), torch.zeros(1, 3, 64, 96))


# Billions of multiply-adds at 512x512: counted from the implementation that each network follows.
PUBLISHED = [
    ("deeplab_v1", {"leaves": 21}, 125.63),
    ("deeplabv3plus", {"leaves": 21}, 59.56),
    pytest.param("deeplabv3plus", {"leaves": 21, "output_stride": 8}, 172.91, marks=pytest.mark.slow),
    pytest.param("deeplabv3plus", {"leaves": 21, "encoder": "resnet101"}, 78.95, marks=pytest.mark.slow),
    ("deeplabv3plus", {"leaves": 21, "separable_convolutions": True, "convolutions": 2}, 37.69),
    ("deeplabv3plus_smp", {}, 36.56),
    ("hourglass", {"leaves": 2}, 33.16),
    ("hrnet", {"leaves": 19}, 18.43),
    pytest.param("hrnet", {"leaves": 19, "encoder": "hrnet_w48"}, 93.44, marks=pytest.mark.slow),
    ("ocrnet", {"leaves": 19, "background_region": False}, 53.25),
    ("linknet", {"leaves": 21}, 10.89),
    ("linknet_humanseg", {}, 46.70),
    ("sdunet", {}, 46.89),
    ("sdunet_wide", {}, 71.76),
    ("sdunet_humanseg", {}, 105.70),
    ("segformer", {"leaves": 150}, 8.39),
    ("segformer", {"leaves": 150, "encoder": "mit_b1"}, 15.88),
    pytest.param("segformer", {"leaves": 150, "encoder": "mit_b5"}, 111.51, marks=pytest.mark.slow),
    ("segnet", {"leaves": 21}, 163.07),
    ("sernet_former", {"leaves": 19, "output_stride": 16}, 96.32),
    ("sernet_former_compact", {}, 56.69),
    ("sersegformer", {"conv_decoder": True, "dilation": True}, 28.21),
    ("unet", {}, 192.67),
    ("unet", {"width": 32}, 48.28),
    ("unet_timm", {}, 31.26),
    pytest.param("unet_timm", {"encoder": "resnet101"}, 61.92, marks=pytest.mark.slow),
]


@pytest.mark.usefixtures("_as_published")
@pytest.mark.parametrize(("name", "options", "billions"), PUBLISHED, ids=str)
def test_multiply_adds_are_the_published_ones(name, options, billions):
    assert outline(name, **options).multiply_adds / 1e9 == pytest.approx(billions, abs=0.006)


@pytest.mark.parametrize("name", list_networks())
def test_stages_add_up_for_every_network(name):
    known = spec(name)
    size = (known.min_size + known.stride) | 1, (known.min_size + known.stride + 6) | 1
    drawn = outline(name, size=size, **known.reduced)
    with torch.device("meta"):
        network = create(name, **known.reduced)
    assert drawn.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert drawn.multiply_adds > 0
    assert min(stage.multiply_adds for stage in drawn.stages) >= 0
    assert len({stage.name for stage in drawn.stages}) == len(drawn.stages) > 1
    assert outline(name, size=size, depth=1, **known.reduced).multiply_adds == drawn.multiply_adds


def test_stages_of_segformer():
    drawn = outline("segformer", size=(480, 640))
    *encoder, head = drawn.stages
    assert [stage.name for stage in encoder] == [f"encoder.stages.{index}" for index in range(4)]
    assert [stage.shapes for stage in encoder] == [
        ((32, 120, 160),), ((64, 60, 80),), ((160, 30, 40),), ((256, 15, 20),)
    ]  # fmt: skip
    assert [stage.stride for stage in encoder] == [4, 8, 16, 32]
    assert (head.name, head.kind, head.stride, head.parameters) == ("head", "LinearDecoder", 4, 395_009)
    deeper = outline("segformer", size=(480, 640), depth=1)
    assert "head.fuse" in [stage.name for stage in deeper.stages]


def test_odd_sizes_have_the_strides_of_even_ones():
    for name in ("segformer", "unet"):
        odd, even = (outline(name, size=size) for size in ((333, 501), (512, 512)))
        assert [stage.stride for stage in odd.stages] == [stage.stride for stage in even.stages]


@pytest.mark.parametrize(
    ("image", "feature_map", "stride"),
    [((512, 512), (16, 16), 32), ((333, 501), (11, 16), 32), ((90, 120), (30, 40), 3), ((64, 64), (1, 1), None),
     ((64, 64), (16, 32), None), ((64, 64), (64, 3), None)],
)  # fmt: skip
def test_stride(image, feature_map, stride):
    assert stage_stride(image, feature_map) == stride


class Mixed(nn.Module):
    """A part, a weight and a product of its own, a part for training only, and one without effect on the table."""

    def __init__(self) -> None:
        super().__init__()
        self.part = nn.Conv2d(3, 4, 1)
        self.dropout = nn.Dropout()
        self.auxiliary = nn.Conv2d(4, 5, 1)
        self.weight = nn.Parameter(torch.zeros(4, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.dropout(self.part(x))
        return (self.weight @ x.flatten(2)).view_as(x)


def test_what_a_module_does_itself_and_what_a_prediction_leaves_out():
    with torch.device("meta"):
        stages = {stage.name: stage for stage in stages_of(Mixed().eval(), (8, 8))}
    assert stages.keys() == {"part", ITSELF, "auxiliary"}
    assert (stages["part"].parameters, stages["part"].multiply_adds) == (16, 3 * 4 * 64)
    assert (stages[ITSELF].parameters, stages[ITSELF].multiply_adds) == (16, 4 * 4 * 64)
    assert (stages["auxiliary"].parameters, stages["auxiliary"].shapes) == (25, ())


@pytest.mark.usefixtures("_as_published")
@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("import:segmentation_models_pytorch.Unet", "unet_timm"),
        ("import:transformers.SegformerForSemanticSegmentation", "segformer"),
    ],
)
def test_another_library_counts_the_same(name, ours):
    theirs, mine = outline(name, size=(128, 128)), outline(ours, size=(128, 128))
    assert (theirs.parameters, theirs.multiply_adds) == (mine.parameters, mine.multiply_adds)


def test_too_small_an_image_names_the_least_size():
    with pytest.raises(NetworkError, match="at least 32x32"):
        outline("segformer", size=(31, 64))


def test_weights_are_not_read():
    assert outline("pyramid", size=(64, 64), encoder_weights="no/such.safetensors").parameters == 2_264_313
