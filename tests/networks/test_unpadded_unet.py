"""U-Net with the paper's unpadded convolutions: sizes, mirror images, and what the network contract asks of it."""

from __future__ import annotations

import io

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from figureground.errors import NetworkError
from figureground.export.onnx_model import to_onnx
from figureground.networks import create
from figureground.networks.blocks.ushape import UShape, mirrored

SIZES = [(16, 17), (33, 70), (64, 64), (107, 109), (130, 93)]
SWITCHES = {"gates": "squeeze", "dual_attention": True, "auxiliary": True}


def unpadded(width: int = 4, **options: object) -> nn.Module:
    torch.manual_seed(0)
    network = create("unet", leaves=2, width=width, padding="valid", **options)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    return network


def by_hand(network: nn.Module, x: Tensor) -> Tensor:
    """The paper's figure 1 in plain functions, with the weights of a network without normalisation."""
    weights = [(w, b) for w, b in zip(*[iter(network.state_dict().values())] * 2, strict=True)]
    (down, up), skips = (weights[:10], weights[10:]), []

    def twice(x: Tensor, layers: list[tuple[Tensor, Tensor]]) -> Tensor:
        for weight, bias in layers:
            x = F.relu(F.conv2d(x, weight, bias))
        return x

    for level in range(5):
        x = twice(x if level == 0 else F.max_pool2d(x, 2), down[2 * level : 2 * level + 2])
        skips.append(x)
    skips.pop()
    for level in range(4):
        weight, bias = up[3 * level]
        x = F.conv_transpose2d(x, weight, bias, stride=2)
        skip = skips.pop()
        off = (skip.shape[-1] - x.shape[-1]) // 2
        skip = skip[..., off : off + x.shape[-2], off : off + x.shape[-1]]
        x = twice(torch.cat([skip, x], dim=1), up[3 * level + 1 : 3 * level + 3])
    return F.conv2d(x, *up[12])


def test_the_body_alone_has_the_papers_sizes():
    network = unpadded(width=1, normalised=False).eval()
    x = torch.randn(1, 3, 572, 572)
    with torch.inference_mode():
        maps = UShape.encode(network, x)
        assert [m.shape[-1] for m in maps] == [568, 280, 136, 64, 28]
        assert UShape.decode(network, maps, x).shape == (1, 2, 388, 388)
        torch.testing.assert_close(UShape.decode(network, maps, x), by_hand(network, x))


def test_an_image_of_388_pixels_takes_the_papers_multiply_adds():
    with torch.device("meta"):
        network = create("unet", in_channels=1, leaves=2, padding="valid", normalised=False).eval()
        counter = FlopCounterMode(display=False)
        with counter, torch.inference_mode():
            assert network(torch.zeros(1, 1, 388, 388)).shape == (1, 2, 388, 388)
    assert counter.get_total_flops() / 2e9 == pytest.approx(150.43, abs=0.005)


@pytest.mark.parametrize("size", SIZES)
def test_it_is_the_papers_network_over_the_mirrored_image(size):
    network = unpadded(normalised=False).eval().double()
    x = torch.randn(1, 3, *size, dtype=torch.float64)
    # After the image comes what makes the sides 16 b + 60, too.
    margins = [(92, 92 + (-side - 60) % 16) for side in size]
    whole = torch.from_numpy(np.pad(x.numpy(), ((0, 0), (0, 0), *margins), mode="reflect"))
    with torch.inference_mode():
        torch.testing.assert_close(network(x), by_hand(network, whole)[..., : size[0], : size[1]])


def test_inside_of_the_image_nothing_is_mirrored():
    network = unpadded(normalised=False).eval().double()
    x = torch.randn(1, 3, 340, 360, dtype=torch.float64)
    with torch.inference_mode():
        # Pooling begins 92 pixels before the image, so the same pixels are pooled where the cut begins 4 after it.
        inside = by_hand(network, x[..., 4:336, 4:352])
        assert inside.shape == (1, 2, 148, 164)
        torch.testing.assert_close(network(x)[..., 96:244, 96:260], inside)


def test_mirrored_continues_as_reflection_does_and_goes_on():
    x = torch.randn(2, 3, 5, 4)
    torch.testing.assert_close(mirrored(mirrored(x, 2, 4, 11), 3, 3, 8), F.pad(x, (3, 1, 4, 2), mode="reflect"))
    line = np.array([1, 2, 3])
    assert mirrored(torch.from_numpy(line), 0, 7, 15).tolist() == np.pad(line, (7, 5), mode="reflect").tolist()


def test_unknown_padding_names_the_nearest():
    with pytest.raises(NetworkError, match="there is no padding 'valdi'; did you mean 'valid'"):
        create("unet", padding="valdi")


# What the contract asks of every network, asked of this form


@pytest.mark.parametrize("options", [{}, SWITCHES, {"normalised": False}])
@pytest.mark.parametrize("size", SIZES)
def test_odd_size_in_same_size_out_and_gradients(options, size):
    network = unpadded(**options).train()
    outputs = network.forward_training(torch.randn(1, 3, *size))
    assert list(outputs) == ["logits", *(["aux_encoder"] if "auxiliary" in options else [])]
    assert all(out.shape == (1, 2, *size) for out in outputs.values())
    sum(out.square().mean() for out in outputs.values()).backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters())


def test_too_small_names_the_least_size():
    with pytest.raises(NetworkError, match=r"16x15 pixels is too small .* 16x16"):
        unpadded()(torch.zeros(1, 3, 16, 15))


def test_the_auxiliary_output_lies_where_the_logits_lie():
    """A bright spot on black, seen by layers that only add."""
    network = unpadded(width=1, normalised=False, auxiliary=True).eval()
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
            nn.init.zeros_(module.bias) if module.bias is not None else None
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
    for row, column in ((300, 252), (307, 261)):
        x = torch.zeros(1, 3, 601, 600)
        x[..., row - 8 : row + 8, column - 8 : column + 8] = 1
        with torch.inference_mode():
            outputs = network.forward_training(x)
        for key, out in outputs.items():
            for axis, wanted in ((3, row), (2, column)):
                line = out.sum(axis)[0, 0]
                found = float((line * (torch.arange(len(line)) + 0.5)).sum() / line.sum())
                assert found == pytest.approx(wanted, abs=0.5), key


def check_onnx(model: bytes, network: nn.Module, *batches: Tensor, as_bytes: bool) -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    for x in batches:
        with torch.inference_mode():
            expected = network(x).numpy()
        given = x.permute(0, 2, 3, 1).byte().contiguous().numpy() if as_bytes else x.numpy()
        (found,) = session.run(None, {"image": given})
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_onnx_with_dynamic_batch_and_size():
    network, x = unpadded().eval(), torch.randn(2, 3, 33, 39)
    file, dynamic = io.BytesIO(), {0: "batch", 2: "height", 3: "width"}
    torch.onnx.export(
        network, (x,), file, dynamo=False, opset_version=17, input_names=["image"], output_names=["logits"],
        dynamic_axes={"image": dynamic, "logits": dynamic},
    )  # fmt: skip
    check_onnx(file.getvalue(), network, x, torch.randn(1, 3, 47, 72), torch.randn(1, 3, 130, 16), as_bytes=False)


@pytest.mark.slow
def test_onnx_as_bundles_are_made():
    network = unpadded().eval()
    batches = [torch.randint(0, 256, shape).float() for shape in ((2, 3, 33, 39), (1, 3, 47, 72), (1, 3, 130, 16))]
    check_onnx(to_onnx(network, size=33), network, *batches, as_bytes=True)


@pytest.mark.slow
def test_compiled_and_traced_for_training():
    network, x = unpadded(auxiliary=True).train(), torch.randn(2, 3, 33, 39)
    torch.compiler.reset()
    traced = torch.compile(network.forward_training, fullgraph=True, backend="aot_eager")
    outputs = traced(x)
    sum(out.square().mean() for out in outputs.values()).backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters())
    for key, expected in network.forward_training(x).items():
        if key == "logits":  # the other drops values at random
            torch.testing.assert_close(outputs[key], expected, rtol=1e-3, atol=1e-3)
    torch.compiler.reset()


def test_channels_last():
    network, x = unpadded().eval(), torch.randn(1, 3, 33, 39)
    with torch.inference_mode():
        expected = network(x)
        found = network.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


def test_weights_of_one_form_fit_the_other():
    same = create("unet", leaves=2, width=4)
    unpadded().load_state_dict(same.state_dict())
