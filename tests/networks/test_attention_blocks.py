"""Gates, fusion, dilation and dual attention against golden values, torch's own layers and their formulas."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.models.segmentation.fcn import FCNHead

from figureground.errors import NetworkError
from figureground.networks.blocks.attention_boosting import FORMS, BoostedConv, Gate
from figureground.networks.blocks.attention_fusion import CONTEXT, SPATIAL, AttentionFusion, FusionBranch
from figureground.networks.blocks.auxiliary import AuxiliaryHead
from figureground.networks.blocks.conv_decoder import ConvDecoder, UpsampleBlock
from figureground.networks.blocks.cross_gates import CrossAttention, CrossGate, cross_gate
from figureground.networks.blocks.dilation_based import CompressedDilation, DilationBasedNetwork
from figureground.networks.blocks.dual_attention import DualAttention, DualAttentionBlock

# Our names -> those under which the golden values were made; where none fits, the names are the same.
DILATION = {f"branches.{i}.0.": f"dbn.{i}.conv." for i in range(3)}
DUAL = {
    ".channel.": ".conv_c.",
    ".spatial.": ".conv_s.",
    ".weigh_channels.0.": ".fc1.",
    ".weigh_channels.2.": ".fc2.",
    ".weigh_places.0.": ".sp1.",
    ".weigh_places.2.": ".sp2.",
}


class BoostedSum(nn.Module):
    """x + gate(x), as the golden value of the channel gate is defined."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.gate = Gate(4, form)

    def forward(self, x):
        return x + self.gate(x)


GOLDEN = {
    "AbM, PReLU": (
        lambda: BoostedConv(4, 6), {}, (6, 16, 16), 0.21677636, 0.63541589, 3.38557035,
        [0.165889, -0.172500, 0.815521, -0.079164, 0.706510], 0.267857,
    ),
    "AbM, PReLU, stride 2": (
        lambda: BoostedConv(4, 6, stride=2), {}, (6, 8, 8), 0.21575437, 0.64934543, 3.06408911,
        [0.165889, 0.815521, 0.706510, -0.197581, -0.106428], -0.045870,
    ),
    "AbM, ReLU": (
        lambda: BoostedConv(4, 6, activation=nn.ReLU()), {}, (6, 16, 16), 0.27140758, 0.58741643, 3.38557035,
        [0.165889, -0.109783, 0.815521, -0.051777, 0.706510], 0.267857,
    ),
    "DbN": (
        lambda: DilationBasedNetwork(4), DILATION, (4, 16, 16), 0.21155389, 0.27660538, 1.71104127,
        [0.039980, 0.340554, -0.001018, 0.205016, -0.145153], 0.320404,
    ),
    "DbN, rates 1, 2, 3": (
        lambda: DilationBasedNetwork(4, (1, 2, 3)), DILATION, (4, 16, 16), 0.48636738, 0.62173984, 2.73961835,
        [0.635919, 0.754232, 0.269937, 0.147044, -0.111269], 0.311307,
    ),
    "U": (
        lambda: UpsampleBlock(4, 6), {}, (6, 32, 32), 0.09819209, 0.23013421, 1.18234753,
        [-0.042171, -0.038942, 0.008574, 0.399489, 0.417371], -0.020844,
    ),
    "AfN1 branch": (
        lambda: FusionBranch(4, 4, factor=1, strides=SPATIAL), {}, (4, 16, 16), 0.34587755, 0.56274650, 4.13443162,
        [-0.171473, 0.234995, 0.305713, 0.978814, -0.140319], 0.271408,
    ),
    "AfN2 branch": (
        lambda: FusionBranch(4, 4, factor=4, strides=CONTEXT), {}, (4, 16, 16), 0.14664532, 0.26758304, 1.09503802,
        [-0.065119, -0.156909, -0.102528, -0.048147, 0.093604], 0.825532,
    ),
    "DAM, one block": (
        lambda: DualAttention(4, blocks=1), DUAL, (4, 16, 16), -0.02973384, 0.86028717, 3.42468329,
        [-0.277457, 1.001610, 0.882592, -1.027442, 0.386670], -0.376454,
    ),
    "DAM, two blocks": (
        lambda: DualAttention(4), DUAL, (4, 16, 16), 0.05114971, 1.15486169, 4.63967034,
        [-0.053317, 0.046363, 0.479349, 1.061715, -0.816703], 1.305271,
    ),
    "AbG": (
        lambda: Gate(4), {}, (4, 16, 16), 0.09001649, 0.29536346, 0.72985458,
        [0.123883, 0.178573, 0.130805, -0.229794, 0.611134], 0.297481,
    ),
    "channel AbG": (
        lambda: BoostedSum("channel"), {}, (4, 16, 16), 0.03643944, 0.86061982, 1.51094684,
        [0.337384, 0.468397, 0.354459, -1.038162, 1.312823], 0.722935,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", GOLDEN)
def test_golden(case, fill_by_hash, hashed_input):
    build, names, shape, mean, std, most, first, last = GOLDEN[case]

    def known_as(name: str) -> str:
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        return name

    module = build().double().eval()
    fill_by_hash(module, known_as)
    x = hashed_input("x", 1, 4, 16, 16)
    out = module(x[:, :, :4, :4] if case == "AfN2 branch" else x).detach()
    assert out.shape[1:] == shape
    assert float(out.mean()) == pytest.approx(mean, abs=1e-8)
    assert float(out.std()) == pytest.approx(std, abs=1e-8)
    assert float(out.abs().max()) == pytest.approx(most, abs=1e-8)
    assert out.flatten()[:5].tolist() == pytest.approx(first, abs=1e-6)
    assert float(out.flatten()[-1]) == pytest.approx(last, abs=1e-6)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("build", "parameters"),
    [
        (lambda: DilationBasedNetwork(512), 7_080_963),
        (lambda: DilationBasedNetwork(256), 1_771_011),
        (lambda: DualAttention(64), 78_220),
        (lambda: DualAttention(256), 1_246_156),
        (lambda: Gate(64), 0),
        (lambda: Gate(64, "channel"), 0),
        (lambda: Gate(64, "normalised"), 2 * 64),
        (lambda: Gate(64, "squeeze"), 64 * 16 + 16 + 16 * 64 + 64),
        # 1x1 convolutions with norm and slope around the network of half the width.
        (lambda: CompressedDilation(64, 2), 3 * (9 * 32**2 + 2 * 32 + 1) + 2 * 64 * 32 + 2 * (64 + 32) + 2),
    ],
)
def test_published_counts(build, parameters):
    with torch.device("meta"):
        assert count(build()) == parameters


def test_pixel_gate_is_silu():
    x = torch.randn(2, 5, 7, 9, dtype=torch.float64)
    torch.testing.assert_close(Gate(5)(x), nn.functional.silu(x))


def test_normalised_gate():
    gate, x = Gate(5, "normalised").double().train(), torch.randn(2, 5, 7, 9, dtype=torch.float64)
    mean, std = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), unbiased=False, keepdim=True).add(1e-5).sqrt()
    torch.testing.assert_close(gate(x), x / (1 + torch.exp((mean - x) / std)))


@pytest.mark.parametrize("form", ["channel", "squeeze"])
def test_channel_gates_prefer_no_place(form):
    gate, x = Gate(16, form).eval(), torch.randn(1, 16, 6, 6)
    weights = gate(x) / x
    torch.testing.assert_close(weights, weights[..., :1, :1].expand_as(weights))
    places = torch.randperm(36)
    moved = x.flatten(2)[..., places].reshape(x.shape)
    torch.testing.assert_close(gate(moved).flatten(2), gate(x).flatten(2)[..., places])


def test_a_gate_can_be_left_out():
    conv, x = BoostedConv(3, 4, activation=nn.ReLU(), gate=None).eval(), torch.randn(1, 3, 8, 8)
    torch.testing.assert_close(conv(x), conv.norm(conv.conv(x)).relu())


@pytest.mark.parametrize("form", FORMS)
def test_gates_keep_the_size_and_train_on_one_pixel(form):
    gate = Gate(8, form).train()
    assert gate(torch.randn(1, 8, 1, 1)).shape == (1, 8, 1, 1)
    assert gate(torch.randn(2, 8, 5, 3)).shape == (2, 8, 5, 3)


def test_dual_attention_with_zeroed_scores_is_one_and_a_half_times_its_halves():
    block, x = DualAttentionBlock(5), torch.randn(1, 5, 7, 9)
    for last in (block.weigh_channels[2], block.weigh_places[2]):
        nn.init.zeros_(last.weight)
    nn.init.zeros_(block.weigh_places[2].bias)
    halves = torch.cat([block.channel(x), block.spatial(x)], dim=1)
    assert block.channel(x).shape[1] == 2
    torch.testing.assert_close(block(x), 1.5 * halves)
    block.residual = False
    torch.testing.assert_close(block(x), 0.5 * halves)


def test_dual_attention_weighs_channels_whatever_their_places():
    block = DualAttentionBlock(4)
    block.channel = nn.Conv2d(4, 2, 1)
    x, places = torch.randn(1, 4, 6, 6), torch.randperm(36)
    moved = x.flatten(2)[..., places].reshape(x.shape)
    torch.testing.assert_close(block(moved)[:, :2].flatten(2), block(x)[:, :2].flatten(2)[..., places])


def test_compressed_dilation_with_dual_attention():
    plain, attended = CompressedDilation(16, 4), CompressedDilation(16, 4, (1, 2), dual_attention=True)
    assert count(attended) == count(plain) - (9 * 16 + 2 * 4 + 1) + count(DualAttention(4))
    assert attended(torch.randn(2, 16, 7, 5)).shape == (2, 16, 7, 5)


def test_fusion_networks_divide_the_size_and_round_up():
    x = torch.randn(2, 4, 13, 22)
    assert AttentionFusion(4)(x).shape == x.shape
    assert AttentionFusion(4, CONTEXT)(x).shape == (2, 4, 4, 6)


def test_a_branch_without_fusion_is_its_upsampling():
    branch, x = FusionBranch(4, 3, factor=2, strides=None).eval(), torch.randn(1, 4, 5, 6)
    torch.testing.assert_close(branch(x), branch.up1(x))
    assert not [name for name, _ in branch.named_parameters() if not name.startswith("up1.")]


def test_upsampling_by_one_keeps_the_convolution():
    block, x = UpsampleBlock(3, 4, 1).eval(), torch.randn(1, 3, 5, 6)
    torch.testing.assert_close(block(x), block.activate(block.norm(block.conv(x))))


def test_conv_decoder():
    x = torch.randn(1, 16, 5, 7)
    assert ConvDecoder(16)(x).shape == (1, 4, 20, 28)
    between = nn.Conv2d(4, 4, 1)
    assert ConvDecoder(16, between)[1] is between


def test_cross_gate_formula():
    gate, x, encoded = CrossGate(4, 6), torch.randn(1, 4, 5, 7), torch.randn(1, 6, 5, 7)
    score = torch.einsum("oi,nihw->nohw", gate.score.weight[..., 0, 0], encoded) + gate.score.bias.view(1, -1, 1, 1)
    torch.testing.assert_close(gate(x, encoded), x * (1 + 1 / (1 + torch.exp(-score))))


def test_cross_attention_equals_torch():
    ours = CrossAttention(8, 6).double()
    nn.init.normal_(ours.out.weight)
    theirs = nn.MultiheadAttention(8, 1, kdim=6, vdim=6, batch_first=True).double()
    with torch.no_grad():
        key, value = ours.key_value.weight.chunk(2)
        theirs.q_proj_weight.copy_(ours.query.weight)
        theirs.k_proj_weight.copy_(key)
        theirs.v_proj_weight.copy_(value)
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key_value.bias]))
        theirs.out_proj.weight.copy_(ours.out.weight)
        theirs.out_proj.bias.copy_(ours.out.bias)
    x, encoded = torch.randn(2, 8, 5, 7, dtype=torch.float64), torch.randn(2, 6, 3, 4, dtype=torch.float64)
    tokens = ours.norm(encoded.flatten(2).transpose(1, 2))
    added, _ = theirs(x.flatten(2).transpose(1, 2), tokens, tokens)
    torch.testing.assert_close(ours(x, encoded), x + added.transpose(1, 2).reshape(x.shape))


def test_cross_attention_starts_without_effect_and_reduces():
    attention, x, encoded = CrossAttention(4, 6, reduction=4), torch.randn(1, 4, 9, 8), torch.randn(1, 6, 9, 8)
    assert torch.equal(attention(x, encoded), x)
    assert attention.reduce(encoded).shape == (1, 6, 2, 2)


def test_auxiliary_head_equals_torchvision():
    ours, theirs = AuxiliaryHead(16, 3).eval(), FCNHead(16, 3).eval()
    names = dict(zip(ours.state_dict(), theirs.state_dict(), strict=True))
    theirs.load_state_dict({names[name]: tensor for name, tensor in ours.state_dict().items()})
    x = torch.randn(2, 16, 5, 7)
    torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Gate(4, "chanel"), "there is no gate 'chanel'; did you mean 'channel'"),
        (lambda: cross_gate("attenton", 4, 4, reduction=1), "did you mean 'attention'"),
        (lambda: DilationBasedNetwork(4, ()), "needs a dilation; give rates"),
        (lambda: CompressedDilation(4, 8), "reduction of 8; use 2 or 4"),
        (lambda: DualAttention(1), "two channels to halve"),
    ],
)
def test_what_cannot_be_built(build, message):
    with pytest.raises(NetworkError, match=message):
        build()
