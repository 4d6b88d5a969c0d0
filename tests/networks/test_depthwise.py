"""The quick backward of depthwise convolutions gives autograd's own gradients."""

import pytest
import torch
from torch import nn

from figureground.networks.blocks.depthwise import DepthwiseConv2d, quick_depthwise

SHAPES = [  # kernel, stride, padding, height, width
    (5, 1, 2, 9, 12),
    (5, 2, 2, 9, 12),
    (5, 2, 0, 11, 8),
    (3, 2, 1, 8, 9),
    (3, 2, 1, 9, 8),
    (7, 3, 3, 13, 17),
    (5, 2, 5, 9, 9),
    ((3, 5), (1, 2), (1, 2), 7, 10),
]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("kernel", "stride", "padding", "height", "width"), SHAPES)
def test_gradients_are_those_of_the_plain_convolution(kernel, stride, padding, height, width, bias):
    torch.manual_seed(0)
    plain = nn.Conv2d(6, 6, kernel, stride, padding, groups=6, bias=bias)
    quick = nn.Conv2d(6, 6, kernel, stride, padding, groups=6, bias=bias)
    quick.load_state_dict(plain.state_dict())
    assert isinstance(quick_depthwise(quick), DepthwiseConv2d)
    x = torch.randn(2, 6, height, width)
    theirs, ours = x.clone().requires_grad_(), x.clone().requires_grad_()
    expected = plain(theirs)
    with torch.autocast("cpu", torch.bfloat16):
        got = quick(ours)
    assert got.dtype == torch.bfloat16
    gradient = torch.randn_like(expected)
    expected.backward(gradient)
    got.backward(gradient.to(torch.bfloat16))
    pairs = [(got, expected), (ours.grad, theirs.grad), *zip(_gradients(quick), _gradients(plain), strict=True)]
    for value, reference in pairs:
        assert value.shape == reference.shape
        # bfloat16 keeps eight bits; a wrong tap or a shifted grid is off by the size of the values themselves.
        assert (value.float() - reference).abs().max() < 0.012 * reference.abs().max()


def _gradients(module):
    return [parameter.grad for parameter in module.parameters()]


def test_in_float32_nothing_changes():
    torch.manual_seed(0)
    plain = nn.Conv2d(4, 4, 5, padding=2, groups=4)
    quick = quick_depthwise(nn.Conv2d(4, 4, 5, padding=2, groups=4))
    quick.load_state_dict(plain.state_dict())
    x = torch.randn(1, 4, 8, 8)
    assert torch.equal(quick(x), plain(x))


@pytest.mark.parametrize(
    "other",
    [
        nn.Conv2d(4, 4, 5, padding=2),
        nn.Conv2d(4, 8, 5, padding=2, groups=4),
        nn.Conv2d(4, 4, 3, padding=1, groups=4),
        nn.Conv2d(4, 4, 5, padding=4, dilation=2, groups=4),
        nn.Conv2d(4, 4, 5, padding="same", groups=4),
        nn.Conv2d(4, 4, 5, padding=2, padding_mode="reflect", groups=4),
        nn.Conv1d(4, 4, 5, padding=2, groups=4),
    ],
    ids=["dense", "widening", "already quick", "dilated", "padded by a word", "reflecting", "one axis"],
)
def test_other_convolutions_are_left_alone(other):
    kind = type(other)
    assert type(quick_depthwise(other)) is kind


def test_training_uses_it():
    from figureground.networks.registry import create

    network = quick_depthwise(create("pyramid", encoder="efficientnet_lite0", widths=(8, 8, 8, 8, 8)))
    assert sum(isinstance(module, DepthwiseConv2d) for module in network.modules()) >= 9
