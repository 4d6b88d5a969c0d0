"""SegFormer against transformers, segmentation-models-pytorch and golden values; checkpoints under all names."""

from __future__ import annotations

import re

import pytest
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import SegformerConfig, SegformerForSemanticSegmentation

from figureground.errors import NetworkError
from figureground.networks import create
from figureground.networks.encoders.mit import MiT
from figureground.networks.encoders.mit_keys import our_name, our_tensors
from figureground.networks.transfer import transfer

# Our names -> theirs, written the other way round than the table under test and from other sources.
TRANSFORMERS_5 = [
    (r"encoder\.stages\.(\d)\.embed\.project", r"segformer.stages.\1.patch_embeddings.proj"),
    (r"encoder\.stages\.(\d)\.embed\.norm", r"segformer.stages.\1.patch_embeddings.layer_norm"),
    (r"encoder\.stages\.(\d)\.blocks\.(\d+)\.", r"segformer.stages.\1.blocks.\2."),
    (r"encoder\.stages\.(\d)\.norm", r"segformer.stages.\1.layer_norm"),
    (r"\.norm1\.", ".layernorm_before."),
    (r"\.norm2\.", ".layernorm_after."),
    (r"attention\.query\.", "attention.q_proj."),
    (r"attention\.key\.", "attention.k_proj."),
    (r"attention\.value\.", "attention.v_proj."),
    (r"attention\.out\.", "attention.o_proj."),
    (r"attention\.reduce\.", "attention.sequence_reduction.sequence_reduction."),
    (r"attention\.reduce_norm\.", "attention.sequence_reduction.layer_norm."),
    (r"mlp\.widen", "mlp.fc1"),
    (r"mlp\.depthwise", "mlp.dwconv.dwconv"),
    (r"mlp\.narrow", "mlp.fc2"),
    (r"head\.project\.(\d)", r"decode_head.linear_projections.\1.proj"),
    (r"head\.fuse\.0", "decode_head.linear_fuse"),
    (r"head\.fuse\.1", "decode_head.batch_norm"),
    (r"head\.classify", "decode_head.classifier"),
]
TRANSFORMERS_4 = [
    (r"encoder\.stages\.(\d)\.embed\.project", r"segformer.encoder.patch_embeddings.\1.proj"),
    (r"encoder\.stages\.(\d)\.embed\.norm", r"segformer.encoder.patch_embeddings.\1.layer_norm"),
    (r"encoder\.stages\.(\d)\.blocks\.(\d+)\.", r"segformer.encoder.block.\1.\2."),
    (r"encoder\.stages\.(\d)\.norm", r"segformer.encoder.layer_norm.\1"),
    (r"\.norm1\.", ".layer_norm_1."),
    (r"\.norm2\.", ".layer_norm_2."),
    (r"attention\.(query|key|value)\.", r"attention.self.\1."),
    (r"attention\.out\.", "attention.output.dense."),
    (r"attention\.reduce\.", "attention.self.sr."),
    (r"attention\.reduce_norm\.", "attention.self.layer_norm."),
    (r"mlp\.widen", "mlp.dense1"),
    (r"mlp\.depthwise", "mlp.dwconv.dwconv"),
    (r"mlp\.narrow", "mlp.dense2"),
    (r"head\.project\.(\d)", r"decode_head.linear_c.\1.proj"),
    (r"head\.fuse\.0", "decode_head.linear_fuse"),
    (r"head\.fuse\.1", "decode_head.batch_norm"),
    (r"head\.classify", "decode_head.classifier"),
]
MMSEGMENTATION = [
    (r"encoder\.stages\.(\d)\.embed\.project", r"backbone.layers.\1.0.projection"),
    (r"encoder\.stages\.(\d)\.embed\.norm", r"backbone.layers.\1.0.norm"),
    (r"encoder\.stages\.(\d)\.blocks\.(\d+)\.", r"backbone.layers.\1.1.\2."),
    (r"encoder\.stages\.(\d)\.norm", r"backbone.layers.\1.2"),
    (r"attention\.query_key_value\.", "attn.attn.in_proj_"),
    (r"attention\.out\.", "attn.attn.out_proj."),
    (r"attention\.reduce\.", "attn.sr."),
    (r"attention\.reduce_norm\.", "attn.norm."),
    (r"mlp\.widen", "ffn.layers.0"),
    (r"mlp\.depthwise", "ffn.layers.1"),
    (r"mlp\.narrow", "ffn.layers.4"),
    (r"head\.project\.(\d)\.0", r"decode_head.convs.\1.conv"),
    (r"head\.project\.(\d)\.1", r"decode_head.convs.\1.bn"),
    (r"head\.fuse\.0", "decode_head.fusion_conv.conv"),
    (r"head\.fuse\.1", "decode_head.fusion_conv.bn"),
    (r"head\.classify", "decode_head.conv_seg"),
]


STAGES = [
    [-1.0971, -1.1718, -0.8837, -2.36686, -0.49828],
    [-0.285, -0.21826, -0.88493, -0.77992, -0.59877],
    [-0.69686, 0.24719, -0.05842, -0.40359, 0.2219],
    [0.39064, 0.77396, 1.13116, 1.25619, -1.34754],
]


def renamed(name: str, rules: list[tuple[str, str]]) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def as_transformers(state: dict[str, Tensor], rules: list[tuple[str, str]]) -> dict[str, Tensor]:
    """Our tensors under their names: keys and values apart."""
    theirs = {}
    for name, tensor in state.items():
        if ".key_value." in name:
            for part, half in zip(("key", "value"), tensor.chunk(2), strict=True):
                theirs[renamed(name.replace("key_value", part), rules)] = half.clone()
        else:
            theirs[renamed(name, rules)] = tensor
    return theirs


def as_mmsegmentation(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our tensors as mmsegmentation has them: queries, keys and values in one, 1x1 convolutions, finest map first."""
    theirs = {}
    for name, tensor in state.items():
        if ".query." in name:
            joined = torch.cat([tensor, state[name.replace("query", "key_value")]])
            theirs[renamed(name.replace("query", "query_key_value"), MMSEGMENTATION)] = joined
        elif ".mlp.widen.weight" in name or ".mlp.narrow.weight" in name:
            theirs[renamed(name, MMSEGMENTATION)] = tensor[..., None, None]
        elif name == "head.fuse.0.weight":
            theirs[renamed(name, MMSEGMENTATION)] = torch.cat(tensor.chunk(4, dim=1)[::-1], dim=1)
        elif ".key_value." not in name:
            theirs[renamed(name, MMSEGMENTATION)] = tensor
    return theirs


def small(**options: object) -> nn.Module:
    torch.manual_seed(0)
    return create("segformer", **{"leaves": 2, "decoder_width": 32, **options}).eval()


def fill_as(tensors: dict[str, Tensor], network: nn.Module, fill_by_hash, *, eps: float) -> None:
    """The hash fill under the names and in the shapes of another library, which has one eps everywhere."""

    class Renamed(nn.Module):
        def state_dict(self) -> dict[str, Tensor]:
            return tensors

    fill_by_hash(Renamed())
    report = network.load_published(tensors)
    assert not report.new
    assert not report.ignored
    for module in network.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = eps


@pytest.fixture(scope="module")
def smp_pair():
    torch.manual_seed(0)
    theirs = smp.Segformer("mit_b0", encoder_weights=None, classes=2, decoder_segmentation_channels=32)
    norm = theirs.decoder.fuse_stage[1]
    norm.running_mean.normal_(std=0.1)
    norm.running_var.uniform_(0.5, 1.5)
    ours = small()
    report = ours.load_published(theirs.state_dict())
    assert not report.new
    assert not [name for name in report.ignored if "num_batches" not in name]
    return ours.double(), theirs.double().eval()


@pytest.mark.parametrize("size", [(64, 64), (96, 160)])
def test_same_logits_and_gradient_as_smp(smp_pair, size):
    x = torch.randn(1, 3, *size, dtype=torch.float64, requires_grad=True)
    ours, theirs = smp_pair
    outputs = ours.head(ours.encoder(x)), theirs.segmentation_head[0](theirs.decoder(theirs.encoder(x)))
    results = [(out.detach(), torch.autograd.grad(out.square().mean(), x)[0]) for out in outputs]
    for mine, other in zip(*results, strict=True):
        assert float((mine - other).abs().max()) <= 1e-10 * float(other.abs().max())


@pytest.mark.parametrize("variant", ["mit_b0", "mit_b1"])
def test_maps_of_an_odd_size_equal_smp(variant):
    theirs = smp.encoders.get_encoder(variant, weights=None).double().eval()
    ours = create("segformer", encoder=variant).encoder.double().eval()
    tensors = our_tensors(theirs.state_dict())
    assert not transfer(ours, {name.removeprefix("encoder."): tensor for name, tensor in tensors.items()}).new
    x = torch.randn(1, 3, 70, 54, dtype=torch.float64)
    with torch.inference_mode():
        for mine, other in zip(ours(x), theirs(x)[2:], strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-12)


SIZES_OF_TRANSFORMERS = {
    "mit_b0": ([32, 64, 160, 256], [2, 2, 2, 2], 256),
    "mit_b1": ([64, 128, 320, 512], [2, 2, 2, 2], 256),
    "mit_b2": ([64, 128, 320, 512], [3, 4, 6, 3], 768),
    "mit_b3": ([64, 128, 320, 512], [3, 4, 18, 3], 768),
    "mit_b4": ([64, 128, 320, 512], [3, 8, 27, 3], 768),
    "mit_b5": ([64, 128, 320, 512], [3, 6, 40, 3], 768),
}


@pytest.mark.parametrize(
    "variant",
    [pytest.param(name, marks=[pytest.mark.slow] if name > "mit_b1" else []) for name in SIZES_OF_TRANSFORMERS],
)
def test_same_logits_and_gradient_as_transformers(variant):
    torch.manual_seed(0)
    widths, depths, decoder = SIZES_OF_TRANSFORMERS[variant]
    config = SegformerConfig(hidden_sizes=widths, depths=depths, decoder_hidden_size=decoder, num_labels=3)
    theirs = SegformerForSemanticSegmentation(config)
    norm = theirs.decode_head.batch_norm
    norm.running_mean.normal_(std=0.1)
    norm.running_var.uniform_(0.5, 1.5)
    ours = create("segformer", encoder=variant, leaves=3)
    report = ours.load_published(theirs.state_dict())
    assert not report.new
    assert not [name for name in report.ignored if "num_batches" not in name]
    for module in ours.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = 1e-5  # theirs everywhere; the authors' are 1e-6 in the blocks
    ours, theirs = ours.double().eval(), theirs.double().eval()
    for size in ((64, 64), (96, 160), (71, 53)):
        x = torch.randn(1, 3, *size, dtype=torch.float64, requires_grad=True)
        outputs = ours.head(ours.encoder(x)), theirs(pixel_values=x).logits
        results = [(out.detach(), torch.autograd.grad(out.square().mean(), x)[0]) for out in outputs]
        for mine, other in zip(*results, strict=True):
            assert float((mine - other).abs().max()) <= 1e-10 * float(other.abs().max())


def test_smp_golden(fill_by_hash, hashed_input):
    ours, theirs = create("segformer", leaves=2).eval(), smp.Segformer("mit_b0", encoder_weights=None, classes=2)
    fill_by_hash(theirs)
    ours.load_published(theirs.state_dict())
    with torch.inference_mode():
        logits = ours.head(ours.encoder(hashed_input("input", 1, 3, 128, 128).float()))
        out = F.interpolate(logits, scale_factor=4.0, mode="bilinear", align_corners=True)  # which is what smp does
    assert float(out.mean()) == pytest.approx(-0.391064, abs=5e-6)
    assert float(out.std()) == pytest.approx(0.473722, abs=5e-6)
    assert float(out.abs().max()) == pytest.approx(1.775959, abs=5e-6)
    assert float(out.flatten()[0]) == pytest.approx(-0.36600, abs=1e-5)


@pytest.mark.parametrize(
    ("variant", "size", "mean", "std", "most", "first", "last"),
    [
        ("mit_b0", (64, 64), 0.218110, 0.668554, 2.493774, [0.01218, -0.22078, -0.44148, -0.48381, -0.08464], 0.84283),
        ("mit_b0", (96, 160), -0.028389, 0.599621, 2.114375, [0.28133, 0.28125, 0.37687, 0.34087, 0.22917], -1.44548),
        ("mit_b0", (70, 54), 0.099293, 0.716781, 1.985432, [-0.53735, -0.91243, -1.00437, -1.0192, -0.60928], 0.69955),
        (
            "mit_b1",
            (64, 64),
            -0.237911,
            0.709696,
            2.610395,
            [-0.72302, -0.14621, -0.8285, -0.53547, -0.95542],
            -0.26223,
        ),
    ],
)
def test_transformers_golden(variant, size, mean, std, most, first, last, fill_by_hash, hashed_input):
    network = create("segformer", leaves=19, encoder=variant).eval()
    fill_as(as_transformers(network.state_dict(), TRANSFORMERS_5), network, fill_by_hash, eps=1e-5)
    with torch.inference_mode():
        maps = network.encoder(hashed_input("input", 1, 3, *size).float())
        out = network.head(maps)
    assert out.shape == (1, 19, -(-size[0] // 4), -(-size[1] // 4))
    assert float(out.mean()) == pytest.approx(mean, abs=1e-5)
    assert float(out.std()) == pytest.approx(std, abs=1e-5)
    assert float(out.abs().max()) == pytest.approx(most, abs=2e-5)
    assert out.flatten()[:5].tolist() == pytest.approx(first, abs=2e-5)
    assert float(out.flatten()[-1]) == pytest.approx(last, abs=2e-5)
    if (variant, size) == ("mit_b0", (64, 64)):
        for x, expected in zip(maps, STAGES, strict=True):
            assert x.flatten()[:5].tolist() == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize(
    ("size", "mean", "std", "most", "first", "last"),
    [
        ((64, 64), 0.110129, 0.422834, 0.966829, [0.70579, 0.96683, 0.71336, 0.87238, 0.88838], -0.16405),
        ((96, 160), -0.117609, 0.264470, 0.958996, [0.1106, 0.37165, 0.18866, 0.43081, -0.04937], -0.23251),
        ((70, 54), 0.037439, 0.480468, 0.966548, [0.64791, 0.20684, 0.49358, 0.34324, 0.63327], -0.57291),
    ],
)
def test_mmsegmentation_golden(size, mean, std, most, first, last, fill_by_hash, hashed_input):
    """What SegformerHead over MixVisionTransformer of mmsegmentation 1.2.2 gives with the same fill."""
    network = create("segformer", leaves=2, normalised_projections=True).eval()
    fill_as(as_mmsegmentation(network.state_dict()), network, fill_by_hash, eps=1e-6)
    with torch.inference_mode():
        out = network.head(network.encoder(hashed_input("input", 1, 3, *size).float()))
    assert float(out.mean()) == pytest.approx(mean, abs=1e-5)
    assert float(out.std()) == pytest.approx(std, abs=1e-5)
    assert float(out.abs().max()) == pytest.approx(most, abs=2e-5)
    assert out.flatten()[:5].tolist() == pytest.approx(first, abs=2e-5)
    assert float(out.flatten()[-1]) == pytest.approx(last, abs=2e-5)


@pytest.mark.parametrize("rules", [TRANSFORMERS_5, TRANSFORMERS_4], ids=["5", "4"])
def test_checkpoints_of_transformers_load(rules):
    given = small()
    for parameter in given.parameters():
        nn.init.normal_(parameter)
    loaded = small()
    report = loaded.load_published(as_transformers(given.state_dict(), rules))
    assert not report.new
    assert not report.ignored
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, given.state_dict()[name]), name


def test_checkpoints_of_mmsegmentation_load(tmp_path):
    """Whole where the projections are normalised; elsewhere all but the projections, which the report names."""
    given, loaded = small(normalised_projections=True), small(normalised_projections=True)
    for parameter in given.parameters():
        nn.init.normal_(parameter)
    theirs = as_mmsegmentation(given.state_dict())
    report = loaded.load_published(theirs)
    assert not report.new
    assert not report.ignored
    assert all(map(torch.equal, loaded.state_dict().values(), given.state_dict().values()))
    report = small().load_published(theirs)
    assert all(name.startswith("head.project.") for name in report.new + report.ignored)
    assert "new (head.project.0.weight, head.project.0.bias, head.project.1.weight, ...)" in str(report)
    save_file(theirs, tmp_path / "mit.safetensors")
    loaded = small(encoder_weights=str(tmp_path / "mit.safetensors"))
    for name, tensor in loaded.encoder.state_dict().items():
        assert torch.equal(tensor, given.encoder.state_dict()[name]), name


def test_a_classifier_for_other_classes_stays_new():
    report = small().load_published(as_transformers(small(leaves=19).state_dict(), TRANSFORMERS_5))
    assert report.new == report.ignored == ("head.classify.weight", "head.classify.bias")


def test_depth_starts_without_effect():
    three, four = small(), small(in_channels=4)
    four.load_published(three.state_dict())
    x = torch.randn(1, 4, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(four(x), three(x[:, :3]))


@pytest.mark.parametrize("name", ["head.weight", "norm5.1.weight", "encoder.stages.0.norm.weight", "blocks"])
def test_unknown_names_stay(name):
    assert our_name(name) == name


def test_weights_that_do_not_fit_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    with pytest.raises(NetworkError, match="no encoder weights at"):
        create("segformer", encoder_weights=str(path))
    save_file({"norm1.weight": torch.zeros(32)}, path)
    with pytest.raises(NetworkError, match=r"other\.safetensors does not fit the encoder: 'stages\.0.*of mit_b0"):
        create("segformer", encoder_weights=str(path))
    path.write_bytes(b"not safe")
    with pytest.raises(NetworkError, match="no safetensors file"):
        create("segformer", encoder_weights=str(path))
    with pytest.raises(NetworkError, match="no tensor of the checkpoint fits"):
        small().load_published({"fc.weight": torch.zeros(1)})


def test_unknown_variant_names_the_nearest():
    with pytest.raises(NetworkError, match="mit_b0"):
        create("segformer", encoder="mit_b00")


def test_drop_path_grows_to_its_rate():
    encoder = MiT((8, 8, 10, 16), (2, 1, 3, 2), drop_path=0.7)
    rates = [block.drop_path.drop_prob for stage in encoder.stages for block in stage.blocks]
    assert rates == pytest.approx([0.1 * index for index in range(8)])
