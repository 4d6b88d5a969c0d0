"""What every network in the folder promises; a new network is tested with no edit here, and there are no exceptions.

Counts are taken at full width on the meta device, everything that computes uses the network's reduced options.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load, save
from torch import Tensor, nn

from figureground.errors import NetworkError
from figureground.export.onnx_model import to_onnx
from figureground.networks import create, list_networks, spec

LEAVES = 2
each_network = pytest.mark.parametrize("name", list_networks())


def reduced(name: str, **options: object) -> nn.Module:
    """The small variant, without the zeros and unit variances that would let a fresh network hide a mistake."""
    torch.manual_seed(0)
    network = create(name, **{**spec(name).reduced, "leaves": LEAVES, **options})
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.running_mean.normal_(std=0.1)
                module.running_var.uniform_(0.5, 1.5)
    return network


def odd_size(name: str) -> tuple[int, int]:
    known = spec(name)
    return (known.min_size + known.stride) | 1, (known.min_size + known.stride + 6) | 1


def images(name: str, batch: int = 1, channels: int = 3) -> Tensor:
    return torch.randn(batch, channels, *odd_size(name), generator=torch.Generator().manual_seed(1))


def training_loss(network: nn.Module, x: Tensor) -> Tensor:
    """Mean cross-entropy of all logits against a target of stripes, the background's logit being zero."""
    torch.manual_seed(2)  # the same dropout each time
    target = (torch.arange(x.shape[-1]) * (LEAVES + 1) // x.shape[-1]).expand(x.shape[0], *x.shape[-2:])
    outputs = logits_of(network.forward_training(x)).values()
    return sum(F.cross_entropy(F.pad(out, (0, 0, 0, 0, 1, 0)), target) for out in outputs) / len(outputs)


def logits_of(outputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """All but what a network gives to losses of its own."""
    return {key: out for key, out in outputs.items() if not key.startswith("query_")}


def parameter_count(name: str, **options: object) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in create(name, **options).parameters())


@each_network
def test_parameter_counts(name):
    known = spec(name)
    assert known.source
    assert parameter_count(name) == known.parameters
    for options, count in known.counts.values():
        assert parameter_count(name, **options) == count, options


@each_network
def test_odd_size_in_same_size_out(name):
    network = reduced(name).eval()
    least = spec(name).min_size
    with torch.inference_mode():
        for height, width in (odd_size(name), (least, least + 1)):
            logits = network(torch.randn(2, 3, height, width))
            assert logits.shape == (2, LEAVES, height, width)
            assert logits.dtype == torch.float32
            assert torch.isfinite(logits).all()


@each_network
def test_too_small_names_the_least_size(name):
    least = spec(name).min_size
    if least > 1:
        with pytest.raises(NetworkError, match=f"{least}x{least}"):
            reduced(name).eval()(torch.zeros(1, 3, least, least - 1))


@each_network
def test_gradient_reaches_every_parameter_with_batch_one(name):
    network = reduced(name).train()
    training_loss(network, images(name)).backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, f"no gradient reaches {key}"
        assert torch.isfinite(parameter.grad).all(), f"the gradient of {key} is not finite"


@each_network
def test_the_least_size_trains_or_says_what_does(name):
    least = spec(name).min_size
    try:
        outputs = reduced(name).train().forward_training(torch.randn(1, 3, least, least))
    except NetworkError as error:
        assert "batch of at least 2" in str(error)  # noqa: PT017
        outputs = reduced(name).train().forward_training(torch.randn(2, 3, least, least))
    assert all(torch.isfinite(out).all() for out in outputs.values())


@each_network
def test_what_is_no_image_of_this_network_is_told(name):
    network, least = reduced(name).eval(), spec(name).min_size
    for call in (network, network.forward_training):
        with pytest.raises(NetworkError, match="reads 3 channels, but the image has 5; build the network with in_chan"):
            call(torch.zeros(1, 5, least, least))
        with pytest.raises(NetworkError, match=rf"shape \(3, {least}, {least}\) is no batch of images"):
            call(torch.zeros(3, least, least))


@each_network
def test_training_outputs(name):
    network, x = reduced(name).train(), images(name)
    outputs = logits_of(network.forward_training(x))
    assert all(key == "logits" or key.startswith("aux_") for key in outputs)
    assert all(out.shape == (1, LEAVES, *x.shape[-2:]) for out in outputs.values())
    network.eval()
    with torch.inference_mode():
        torch.testing.assert_close(network.forward_training(x)["logits"], network(x))


@each_network
def test_a_step_lowers_the_loss(name):
    network, x = reduced(name).train(), images(name, batch=2)
    before = training_loss(network, x)
    before.backward()
    # A step that by the slope alone would take a hundredth off the loss, whatever the scale of the gradient.
    slope = sum(float(parameter.grad.square().sum()) for parameter in network.parameters())
    assert math.isfinite(slope)
    assert slope > 0
    with torch.no_grad():
        for parameter in network.parameters():
            parameter -= 0.01 * before / slope * parameter.grad
        assert training_loss(network, x) < before


@each_network
def test_save_and_load(name):
    network = reduced(name).eval()
    other = create(name, **{**spec(name).reduced, "leaves": LEAVES}).eval()
    other.load_state_dict(load(save({key: value.contiguous() for key, value in network.state_dict().items()})))
    x = images(name)
    with torch.inference_mode():
        assert torch.equal(network(x), other(x))


def check_onnx(model: bytes, network: nn.Module, *batches: Tensor, to_input: Callable[[Tensor], np.ndarray]) -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # its spinning threads make a busy machine crawl
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    for x in batches:
        with torch.inference_mode():
            expected = network(x).numpy()
        (found,) = session.run(None, {"image": to_input(x)})
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


@each_network
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_onnx_with_dynamic_batch_and_size(name):
    # The older exporter, because it takes a tenth of the time; the one that makes bundles has its turn below.
    network, x = reduced(name).eval(), images(name, batch=2)
    file, dynamic = io.BytesIO(), {0: "batch", 2: "height", 3: "width"}
    torch.onnx.export(
        network, (x,), file, dynamo=False, opset_version=17, input_names=["image"], output_names=["logits"],
        dynamic_axes={"image": dynamic, "logits": dynamic},
    )  # fmt: skip
    height, width = odd_size(name)
    other = torch.randn(1, 3, height + 14, width + 33)
    check_onnx(file.getvalue(), network, x, other, to_input=Tensor.numpy)


@pytest.mark.slow
@each_network
def test_onnx_as_bundles_are_made(name):
    network, (height, width) = reduced(name).eval(), odd_size(name)
    model = to_onnx(network, size=height)
    batches = [
        torch.randint(0, 256, shape).float() for shape in ((2, 3, height, width), (1, 3, height + 14, width + 33))
    ]
    check_onnx(model, network, *batches, to_input=lambda x: x.permute(0, 2, 3, 1).byte().contiguous().numpy())


@each_network
def test_channels_last(name):
    network, x = reduced(name).eval(), images(name)
    with torch.inference_mode():
        expected = network(x)
        found = network.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


@each_network
def test_depth_as_fourth_channel(name):
    if not spec(name).depth:
        assert "in_channels" not in spec(name).options
        return
    network, x = reduced(name, in_channels=4).train(), images(name, channels=4).requires_grad_()
    training_loss(network, x).backward()
    assert x.grad[:, 3].abs().max() > 0, "the depth channel changes nothing"


@pytest.fixture
def compiler():
    """torch.compile in this process alone, and with nothing kept of the network before."""
    from torch._inductor import config

    torch.compiler.reset()
    with config.patch(compile_threads=1):
        yield torch.compile
    torch.compiler.reset()


# What the compiler's last step, the writing of kernels, adds is the compiler's business and takes minutes a network, so
# it has a turn on the network that is shipped; that each network is recorded as one graph is ours to keep so.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "backend"), [*((name, "aot_eager") for name in list_networks()), ("pyramid", "inductor")]
)
def test_compiled(name, backend, compiler):
    network, x = reduced(name).eval(), images(name)
    with torch.inference_mode():
        expected = network(x)
        found = compiler(network, fullgraph=True, backend=backend)(x)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


@pytest.mark.slow
@each_network
def test_traced_for_training(name, compiler):
    # Forward and backward are one graph each.
    network, x = reduced(name).train(), images(name, batch=2)
    traced = compiler(network.forward_training, fullgraph=True, backend="aot_eager")
    torch.manual_seed(2)
    sum(out.square().mean() for out in logits_of(traced(x)).values()).backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters())
