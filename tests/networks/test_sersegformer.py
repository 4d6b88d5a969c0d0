"""SERSegFormer: nothing with its switches off, everything in any pair of them on; its document's recipe builds."""

from __future__ import annotations

import io
import re
from itertools import combinations
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
import yaml
from safetensors.torch import save_file
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from figureground.errors import NetworkError
from figureground.export.onnx_model import to_onnx
from figureground.networks import create, spec
from figureground.networks.encoders import mit
from figureground.networks.encoders.mit import MiT
from figureground.networks.transfer import transfer

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "sersegformer.md"
SWITCHES = {
    "gates": {"gates": "pixel"},
    "normalised gates": {"gates": "normalised"},
    "dilation": {"dilation": True, "dilation_rates": (2, 3)},
    "narrow dilation": {"dilation": True, "dilation_reduction": 2, "dilation_attention": True},
    "dual_attention": {"dual_attention": True},
    "fusion": {"fusion": True},
    "decoder_fusion": {"decoder_fusion": True},
    "cross_gates": {"cross_gates": "sigmoid"},
    "cross attention": {"cross_gates": "attention"},
    "conv_decoder": {"conv_decoder": True},
    "depth": {"in_channels": 4},
    "depth_everywhere": {"in_channels": 4, "depth_everywhere": True},
    "auxiliary": {"auxiliary": True},
}
PAIRS = [
    pair
    for pair in combinations(SWITCHES, 2)
    if all(SWITCHES[pair[0]].get(key, value) == value for key, value in SWITCHES[pair[1]].items())
]


FULL, NARROW = mit.VARIANTS["mit_b0"], ((8, 16, 20, 24), (1, 1, 1, 1))


@pytest.fixture(autouse=True)
def _narrow(monkeypatch):
    monkeypatch.setitem(mit.VARIANTS, "mit_b0", NARROW)


@pytest.fixture
def _full_width(_narrow, monkeypatch):
    monkeypatch.setitem(mit.VARIANTS, "mit_b0", FULL)


def small(name: str = "sersegformer", **options: object) -> nn.Module:
    torch.manual_seed(0)
    return create(name, **{"leaves": 2, "decoder_width": 8, **options})


def picture(network_options: dict[str, object], height: int = 65, width: int = 71) -> torch.Tensor:
    channels = network_options.get("in_channels", 3)
    return torch.randn(1, channels, height, width, generator=torch.Generator().manual_seed(1))


def test_with_everything_off_it_is_segformer():
    ours, plain = small(), small("segformer")
    assert list(ours.state_dict()) == list(plain.state_dict())
    for key, tensor in plain.state_dict().items():
        assert torch.equal(tensor, ours.state_dict()[key]), key
    x = picture({})
    for mode in (True, False):
        torch.manual_seed(1)
        first = ours.train(mode)(x)
        torch.manual_seed(1)
        assert torch.equal(first, plain.train(mode)(x))


@pytest.mark.parametrize("shared", ["gates", "normalised gates", "dual_attention", "auxiliary"])
def test_a_switch_that_segformer_has_too_is_the_same_there(shared):
    ours, theirs = small(**SWITCHES[shared]).eval(), small("segformer", **SWITCHES[shared]).eval()
    theirs.load_state_dict(ours.state_dict())
    x = picture({})
    with torch.inference_mode():
        for name, out in theirs.forward_training(x).items():
            assert torch.equal(ours.forward_training(x)[name], out)


@pytest.mark.parametrize("pair", PAIRS, ids=" and ".join)
def test_any_two_switches_together(pair):
    options = SWITCHES[pair[0]] | SWITCHES[pair[1]]
    network, x = small(**options).train(), picture(options)
    outputs = network.forward_training(x)
    assert set(outputs) == ({"logits", "aux_encoder"} if "auxiliary" in pair else {"logits"})
    assert all(out.shape == (1, 2, 65, 71) for out in outputs.values())
    torch.stack([out.square().mean() for out in outputs.values()]).sum().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, f"no gradient reaches {key}"
        assert torch.isfinite(parameter.grad).all(), f"the gradient of {key} is not finite"


EVERYTHING: dict[str, object] = {}
for _options in SWITCHES.values():
    EVERYTHING |= _options


def test_all_pairs_are_tested():
    # Of 13 choices, only the two forms of gates and of cross gates exclude one another.
    assert len(PAIRS) == 13 * 12 // 2 - 2
    has = set(spec("sersegformer").options) - {"leaves", "encoder", "encoder_weights", "decoder_width", "drop_path"}
    assert has == set(EVERYTHING)


@pytest.mark.parametrize("size", [(32, 32), (64, 96), (77, 45)])
def test_everything_at_once_at_any_size(size):
    network = small(**EVERYTHING).eval()
    with torch.inference_mode():
        assert network(picture(EVERYTHING, *size)).shape == (1, 2, *size)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_everything_at_once_in_onnx():
    network, x = small(**EVERYTHING).eval(), picture(EVERYTHING)
    nn.init.normal_(network.cross[0].out.weight)
    file, dynamic = io.BytesIO(), {0: "batch", 2: "height", 3: "width"}
    torch.onnx.export(
        network, (x,), file, dynamo=False, opset_version=17, input_names=["image"], output_names=["logits"],
        dynamic_axes={"image": dynamic, "logits": dynamic},
    )  # fmt: skip
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
    for image in (x, picture(EVERYTHING, 96, 83)):
        with torch.inference_mode():
            expected = network(image).numpy()
        (found,) = session.run(None, {"image": image.numpy()})
        assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.slow
@pytest.mark.parametrize("cross_gates", ["sigmoid", "attention"])
def test_everything_in_colour_as_bundles_are_made(cross_gates):
    colour = EVERYTHING | {"in_channels": 3, "depth_everywhere": False, "cross_gates": cross_gates}
    network = small(**colour).eval()
    session = onnxruntime.InferenceSession(to_onnx(network, size=65), providers=["CPUExecutionProvider"])
    for size in ((65, 97), (90, 71)):
        x = torch.randint(0, 256, (1, *size, 3), dtype=torch.uint8)
        with torch.inference_mode():
            expected = network(x.permute(0, 3, 1, 2).float()).numpy()
        (found,) = session.run(None, {"image": x.numpy()})
        assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


# With these a SegFormer's weights give what they give there: what is new is read with zeros at first.
@pytest.mark.parametrize(
    "switch", ["dilation", "narrow dilation", "fusion", "cross attention", "depth", "depth_everywhere", "auxiliary"]
)
def test_a_checkpoint_of_segformer_starts_where_it_was(switch):
    plain, more = small("segformer").eval(), small(**SWITCHES[switch]).eval()
    for parameter in plain.parameters():
        nn.init.normal_(parameter, std=0.2)
    report = transfer(more, plain.state_dict())
    assert not report.ignored
    x = picture(SWITCHES[switch])
    with torch.inference_mode():
        torch.testing.assert_close(more(x), plain(x[:, :3]), rtol=1e-4, atol=1e-5)


def test_the_report_says_what_is_widened():
    report = transfer(small(dilation=True, fusion=True), small("segformer").state_dict())
    assert report.widened == tuple(f"head.project.{index}.weight" for index in range(4))
    assert "4 of them with zeros for further input channels" in str(report)
    assert all(name.startswith(("dilation.", "fusion.")) for name in report.new)


def test_encoder_weights_fit_with_switches_in_the_encoder(tmp_path):
    given = small("segformer", in_channels=3)
    save_file(given.state_dict(), tmp_path / "plain.safetensors")
    options = {"gates": "squeeze", "in_channels": 4, "depth_everywhere": True}
    loaded = small(encoder_weights=str(tmp_path / "plain.safetensors"), **options)
    for key, tensor in given.encoder.state_dict().items():
        assert torch.equal(
            loaded.encoder.state_dict()[key][:, : tensor.shape[1]] if tensor.ndim > 1 else tensor, tensor
        )


def test_staged_training_the_conv_decoder_comes_later():
    """The plain decoder is trained first; then all but its classifier goes on under the convolutional one."""
    report = transfer(small(conv_decoder=True), small().state_dict())
    assert report.ignored == ("head.classify.weight",)
    assert set(report.new) - {"head.classify.weight"} == {
        key for key in small(conv_decoder=True).state_dict() if key.startswith("upsample.") and "num_batches" not in key
    }


def test_gates_stand_after_the_norms_and_beside_the_gelus():
    """One stage of one block by hand: tokens, keys and values, and the MLP each with x * sigmoid(x) added."""
    boosted = MiT((8, 16, 20, 24), (1, 1, 1, 1), gate="pixel").eval()
    stage = boosted.stages[0]
    x = torch.randn(1, 3, 64, 64)

    def swish(y):
        return y / (1 + torch.exp(-y))

    tokens = stage.embed.norm(stage.embed.project(x).flatten(2).transpose(1, 2))
    tokens = tokens + swish(tokens)
    block = stage.blocks[0]
    y = block.norm1(tokens)
    seen = block.attention.reduce_norm(
        block.attention.reduce(y.transpose(1, 2).reshape(1, 8, 16, 16)).flatten(2).transpose(1, 2)
    )
    key, value = block.attention.key_value(seen + swish(seen)).chunk(2, dim=2)
    weights = (block.attention.query(y) @ key.transpose(1, 2) / 8**0.5).softmax(2)
    tokens = tokens + block.attention.out(weights @ value)
    hidden = block.mlp.depthwise(block.mlp.widen(block.norm2(tokens)).transpose(1, 2).reshape(1, 32, 16, 16))
    hidden = (nn.functional.gelu(hidden) + swish(hidden)).flatten(2).transpose(1, 2)
    expected = stage.norm(tokens + block.mlp.narrow(hidden)).transpose(1, 2).reshape(1, 8, 16, 16)
    torch.testing.assert_close(stage(x), expected, rtol=1e-4, atol=1e-5)


def test_depth_reaches_every_stage_and_three_projections():
    options = SWITCHES["depth_everywhere"]
    network, x = small(**options).eval(), picture(options)
    assert [stage.embed.project.in_channels for stage in network.encoder.stages] == [4, 9, 17, 21]
    assert [project.in_features for project in network.head.project] == [9, 17, 21, 24]
    stem = network.encoder.stages[0].embed.project
    with torch.no_grad():
        stem.weight[:, 3] = 0  # so that what remains of depth comes through the other ways
        other = torch.cat([x[:, :3], x[:, 3:] + 1], dim=1)
        assert not torch.allclose(network(x), network(other))


def cost(**options: object) -> tuple[int, float]:
    """Parameters, and billions of multiply-adds for one image of 512x512."""
    with torch.device("meta"):
        network = create("sersegformer", **options).eval()
        x = torch.zeros(1, options.get("in_channels", 3), 512, 512)
    counter = FlopCounterMode(display=False)
    with counter, torch.inference_mode():
        network(x)
    return sum(parameter.numel() for parameter in network.parameters()), counter.get_total_flops() / 2e9


@pytest.mark.usefixtures("_full_width", "_as_published")
@pytest.mark.parametrize(
    ("options", "billions"),
    [
        ({}, 7.76),
        ({"conv_decoder": True}, 27.10),
        ({"conv_decoder": True, "dilation": True}, 28.21),
        ({"conv_decoder": True, "dilation": True, "dual_attention": True}, 29.42),
        ({"conv_decoder": True, "decoder_width": 128}, 9.25),
    ],
)
def test_published_multiply_adds(options, billions):
    assert cost(**options)[1] == pytest.approx(billions, abs=0.006)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dilation_reduction": 4}, "'dilation_reduction' does nothing without 'dilation'; set dilation to true"),
        ({"dilation_rates": [1, 2]}, "'dilation_rates' does nothing without 'dilation'"),
        ({"depth_everywhere": True}, "needs depth beside the colours, and nothing else; set in_channels to 4"),
        ({"conv_decoder": True, "decoder_width": 6}, "6 channels has no quarter; use a multiple of 4"),
        ({"gates": "pixels"}, "did you mean 'pixel'"),
        ({"cross_gates": "sigmoyd"}, "did you mean 'sigmoid'"),
        ({"conv_decoders": True}, "no option 'conv_decoders'; did you mean 'conv_decoder'"),
        ({"encoder": "mit_b9"}, "no MiT encoder 'mit_b9'"),
    ],
)
def test_what_cannot_be_built(options, message):
    with pytest.raises(NetworkError, match=re.escape(message)):
        small(**options)


def rows() -> dict[str, list[str]]:
    """The table of the document: first cell of a row -> its other cells."""
    table = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    return {first: rest for first, *rest in cells}


@pytest.mark.usefixtures("_full_width")
def test_the_document_counts_every_switch():
    """Its table names every option, with what SegFormer-B0 has when that one is on."""
    found = rows()
    assert {re.match(r"`(\w+)", first).group(1) for first in found} == set(EVERYTHING)
    for first, (_, parameters, billions) in found.items():
        options = yaml.safe_load("{" + first.strip("`") + "}")
        if next(iter(options)).startswith("dilation_"):
            options["dilation"] = True
        if "depth_everywhere" in options:
            options["in_channels"] = 4
        counted, measured = cost(**options)
        assert int(parameters.replace(",", "")) == counted, first
        assert float(billions) == pytest.approx(measured, abs=0.0051), first


@pytest.mark.usefixtures("_full_width")
def test_the_recipe_of_the_document_builds():
    [block] = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    recipe = pytest.importorskip("figureground.train.recipe")
    network = recipe.Network.model_validate(yaml.safe_load(block)["network"])
    with torch.device("meta"):
        built = create(network.name, leaves=1, **network.options)
    narrow_dilations = [3 * (9 * (c // 2) ** 2 + c + 1) + c * c + 3 * c + 2 for c in (32, 64)]
    projections, dual_attention, with_conv_decoder_of_128 = (32 + 64) * 128, 78_220, 3_497_475
    assert sum(parameter.numel() for parameter in built.parameters()) == (
        with_conv_decoder_of_128 + sum(narrow_dilations) + projections + dual_attention
    )
