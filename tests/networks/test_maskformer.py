"""MaskFormer against transformers' on the same weights; its checkpoints; and how queries become logits."""

from __future__ import annotations

import io

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from transformers import (
    DetrConfig,
    MaskFormerConfig,
    MaskFormerForInstanceSegmentation,
    MaskFormerImageProcessor,
    ResNetConfig,
    SwinConfig,
)

from figureground.errors import NetworkError
from figureground.networks import create
from figureground.networks.blocks.pixel_decoder import PixelDecoder
from figureground.networks.blocks.transformer_decoder import Attention, TransformerDecoder, sine_positions
from figureground.networks.encoders.swin import Swin, Variant
from figureground.networks.maskformer import MaskFormer
from figureground.networks.published import load_published

STAGES = ["stage1", "stage2", "stage3", "stage4"]
RESNET18 = {"layer_type": "basic", "hidden_sizes": [64, 128, 256, 512], "depths": [2, 2, 2, 2]}
TINY = {"embed_dim": 16, "depths": [2, 2, 2, 2], "num_heads": [1, 2, 4, 8], "window_size": 4}
SWIN_T = {"embed_dim": 96, "depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24], "window_size": 7}


def theirs(backbone, classes: int, *, width: int = 64, queries: int = 8, layers: int = 2) -> nn.Module:
    decoder = DetrConfig(d_model=width, decoder_layers=layers, decoder_ffn_dim=8 * width, num_queries=queries)
    config = MaskFormerConfig(
        backbone_config=backbone, decoder_config=decoder, num_labels=classes,
        fpn_feature_size=width, mask_feature_size=width,
    )  # fmt: skip
    return MaskFormerForInstanceSegmentation(config).eval()


def small_swin(leaves: int, *, background_class: bool) -> MaskFormer:
    encoder = Swin(Variant(16, (2, 2, 2, 2), (1, 2, 4, 8), 4))
    return MaskFormer(leaves, encoder, width=64, queries=8, layers=2, background_class=background_class).eval()


def small_resnet(leaves: int, *, background_class: bool) -> nn.Module:
    options = {"encoder": "resnet18", "width": 64, "queries": 8, "layers": 2}
    return create("maskformer", leaves=leaves, background_class=background_class, **options).eval()


@pytest.fixture(scope="module", params=["swin", "resnet"])
def pair(request):
    torch.manual_seed(0)
    if request.param == "swin":
        ours, other = small_swin(5, background_class=False), theirs(SwinConfig(**TINY, out_features=STAGES), 5)
    else:
        ours, other = small_resnet(5, background_class=False), theirs(ResNetConfig(**RESNET18, out_features=STAGES), 5)
    for module in other.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    report = ours.load_published(other.state_dict())
    assert not report.new
    assert all(name.startswith("model.pixel_level_module.encoder.model.layernorm.") for name in report.ignored)
    return ours.double(), other.double()


@pytest.mark.parametrize("size", [(64, 64), (96, 160), (70, 54)])
def test_same_queries_and_gradient_as_transformers(pair, size):
    x = torch.randn(1, 3, *size, dtype=torch.float64, requires_grad=True)
    classes, masks = pair[0].predict_queries(x)
    other = pair[1](pixel_values=x)
    results = []
    for outputs in ((classes[-1], masks[-1]), (other.class_queries_logits, other.masks_queries_logits)):
        (gradient,) = torch.autograd.grad(sum(out.square().mean() for out in outputs), x)
        results.append([out.detach() for out in (*outputs, gradient)])
    for mine, expected in zip(*results, strict=True):
        assert mine.shape == expected.shape
        assert float((mine - expected).abs().max()) <= 1e-10 * float(expected.abs().max())


def test_the_winner_is_that_of_transformers(pair):
    x = torch.randn(1, 3, 64, 96, dtype=torch.float64)
    with torch.inference_mode():
        classes, masks = pair[0].predict_queries(x)
        logits = pair[0].leaf_logits(classes[-1], masks[-1])
        (expected,) = MaskFormerImageProcessor().post_process_semantic_segmentation(pair[1](pixel_values=x))
    assert torch.equal(logits.argmax(1)[0], expected)


def test_golden(fill_by_hash, hashed_input):
    other = theirs(SwinConfig(**SWIN_T, out_features=STAGES), 7, width=256, queries=100, layers=6)
    fill_by_hash(other)
    ours = create("maskformer", leaves=7, background_class=False, encoder="swin_tiny").eval()
    assert not ours.load_published(other.state_dict()).new
    with torch.inference_mode():
        classes, masks = ours.predict_queries(hashed_input("input", 1, 3, 128, 128).float())
    for out, shape, mean, std, most, first, last in (
        (classes[-1], (1, 100, 8), -0.028716, 1.000956, 1.881127, [0.52353, 0.32847, -1.42238, 1.11737], -1.87997),
        (masks[-1], (1, 100, 32, 32), 2.546254, 3.704992, 14.880006, [1.36582, 1.88431, 1.08166, 3.10911], 0.93947),
    ):
        assert out.shape == shape
        assert float(out.mean()) == pytest.approx(mean, abs=1e-5)
        assert float(out.std()) == pytest.approx(std, abs=1e-5)
        assert float(out.abs().max()) == pytest.approx(most, abs=1e-4)
        assert out.flatten()[:4].tolist() == pytest.approx(first, abs=5e-5)
        assert float(out.flatten()[-1]) == pytest.approx(last, abs=5e-5)


def as_version_4(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The names in the files of the hub, which transformers 5 renames when it loads them."""
    return {
        name.replace(".o_proj.", ".out_proj.").replace(".mlp.fc", ".fc") if ".transformer_module." in name else name: x
        for name, x in state.items()
    }


@pytest.mark.parametrize("version", [4, 5])
def test_every_tensor_of_a_published_resnet_50_has_a_place(version):
    with torch.device("meta"):
        state = theirs(ResNetConfig(out_features=STAGES), 150, width=256, queries=100, layers=6).state_dict()
        ours = create("maskformer", leaves=150, background_class=False)
    report = ours.load_published(as_version_4(state) if version == 4 else state)
    assert not report.new
    assert not report.ignored
    shared = {name: tensor.shape for name, tensor in ours.state_dict().items() if "num_batches" not in name}
    assert len(report.copied) == len(shared)


def test_what_transformers_saves_loads(pair, tmp_path):
    pair[1].save_pretrained(tmp_path)
    build = small_swin if isinstance(pair[0].encoder, Swin) else small_resnet
    ours = build(5, background_class=False).double()
    report = load_published(ours, tmp_path)
    assert not report.new
    assert all(".layernorm." in name for name in report.ignored)
    for name, tensor in ours.state_dict().items():
        assert name.endswith("num_batches_tracked") or torch.equal(tensor, pair[0].state_dict()[name]), name


def test_a_head_for_other_classes_stays_new(pair):
    build = small_swin if isinstance(pair[0].encoder, Swin) else small_resnet
    report = build(3, background_class=True).load_published(pair[1].state_dict())
    assert report.new == ("classify.weight", "classify.bias")


def test_softmax_of_the_logits_is_the_share_of_the_scores():
    torch.manual_seed(0)
    classes, masks = 3 * torch.randn(2, 8, 4, dtype=torch.float64), 4 * torch.randn(2, 8, 5, 6, dtype=torch.float64)
    logits = small_swin(2, background_class=True).leaf_logits(classes, masks)
    scores = torch.zeros(2, 3, 5, 6, dtype=torch.float64)
    for query in range(8):
        for label in range(3):
            share = classes[:, query].softmax(-1)[:, label]
            scores[:, label] += share[:, None, None] * masks[:, query].sigmoid()
    expected = scores / scores.sum(1, keepdim=True)
    found = torch.cat((torch.zeros_like(logits[:, :1]), logits), dim=1).softmax(1)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_without_a_background_class_it_is_what_is_left_over():
    classes, masks = torch.tensor([[[9.0, 0.0]]]), torch.tensor([[[[-8.0, 0.0, 8.0]]]])
    logits = small_swin(1, background_class=False).leaf_logits(classes, masks)
    # One query that is sure of its class: the score is the mask's probability, so the logit is the mask's.
    torch.testing.assert_close(logits[0, 0], masks[0, 0], rtol=0.06, atol=1e-3)
    assert torch.isfinite(small_swin(1, background_class=False).leaf_logits(classes.expand(1, 3, 2), 50 * masks)).all()


def test_training_outputs_of_an_odd_size():
    network = small_swin(2, background_class=True)
    outputs = network.forward_training(torch.randn(2, 3, 70, 54))
    assert outputs["query_classes"].shape == (2, 2, 8, 4)
    assert outputs["query_masks"].shape == (2, 2, 8, 18, 14)
    with pytest.raises(NetworkError, match="32x32"):
        network(torch.zeros(1, 3, 31, 64))


def test_every_parameter_of_a_swin_learns():
    network = small_swin(2, background_class=True).train()
    network(torch.randn(1, 3, 70, 54)).square().mean().backward()
    assert not [name for name, parameter in network.named_parameters() if parameter.grad is None]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_onnx_of_a_swin_with_dynamic_batch_and_size():
    network, file, dynamic = small_swin(2, background_class=True), io.BytesIO(), {0: "n", 2: "h", 3: "w"}
    torch.onnx.export(
        network, (torch.randn(2, 3, 70, 54),), file, dynamo=False, opset_version=17, input_names=["image"],
        output_names=["logits"], dynamic_axes={"image": dynamic, "logits": dynamic},
    )  # fmt: skip
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
    x = torch.randn(1, 3, 100, 131)
    with torch.inference_mode():
        expected = network(x).numpy()
    (found,) = session.run(None, {"image": x.numpy()})
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("switch", [{"gates": "pixel"}, {"dual_attention": True}, {"auxiliary": True}])
def test_switches(switch):
    options = {"encoder": "resnet10t", "width": 64, "queries": 4, "layers": 1, "leaves": 2}
    plain, switched = create("maskformer", **options).eval(), create("maskformer", **options, **switch).eval()
    report = switched.load_published(plain.state_dict())
    assert not report.ignored
    x = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        outputs = switched.forward_training(x)
        same = torch.equal(outputs["logits"], plain(x))
    assert same == ("auxiliary" in switch)
    assert ("aux_encoder" in outputs) == ("auxiliary" in switch)
    assert all(outputs[name].shape == (1, 2, 64, 64) for name in outputs if name.startswith(("aux", "logits")))


def test_an_encoder_without_the_strides_is_refused():
    with pytest.raises(NetworkError, match="resnet50 or swin_tiny"):
        create("maskformer", encoder="efficientvit_m0")


def test_sizes_that_make_none_are_refused():
    with pytest.raises(NetworkError, match="multiple of 64"):
        create("maskformer", encoder="resnet10t", width=96)


def test_blocks_on_their_own():
    maps = [torch.randn(2, 8, 9, 7), torch.randn(2, 12, 5, 4), torch.randn(2, 16, 3, 2)]
    assert PixelDecoder((8, 12, 16), 32, 24)(maps).shape == (2, 24, 9, 7)
    states = TransformerDecoder(16, queries=5, layers=3, heads=4, hidden=32)(torch.randn(2, 16, 3, 4))
    assert states.shape == (3, 2, 5, 16)
    torch.testing.assert_close(states.mean(-1), torch.zeros(3, 2, 5), atol=1e-5, rtol=0)


def test_attention_is_torchs():
    torch.manual_seed(0)
    ours = Attention(16, 4, 0.0).double()
    other = nn.MultiheadAttention(16, 4, batch_first=True).double()
    parts = (ours.query, ours.key, ours.value)
    with torch.no_grad():
        other.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        other.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
        other.out_proj.load_state_dict(ours.out.state_dict())
    query, key, value = (torch.randn(2, length, 16, dtype=torch.float64) for length in (3, 5, 5))
    torch.testing.assert_close(ours(query, key, value), other(query, key, value)[0])


def test_positions_tell_rows_from_columns():
    places = sine_positions(3, 4, 8, torch.zeros(1, dtype=torch.float64)).reshape(3, 4, 8)
    assert torch.equal(places[:, 0, :4], places[:, 3, :4])
    assert torch.equal(places[0, :, 4:], places[2, :, 4:])
    assert places[1, 0, 0] == pytest.approx(np.sin(2 * np.pi * 2 / 3), abs=1e-5)
    assert places[0, 2, 7] == pytest.approx(np.cos(2 * np.pi * 3 / 4 / 100), abs=1e-5)
