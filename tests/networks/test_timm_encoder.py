"""The first weights of an encoder, from wherever they come, and timm's encoders that cannot serve."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torchvision.models import resnet50
from torchvision.models.feature_extraction import create_feature_extractor
from transformers import SegformerConfig, SegformerForImageClassification

from figureground.errors import NetworkError
from figureground.networks import create
from figureground.networks.encoders import TimmEncoder, timm_encoder
from figureground.networks.encoders.swin import VARIANTS, Variant
from figureground.networks.encoders.weights import FROM_PYPI

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"encoder": "resnet10t"}


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """The hub's own code, told that there is no internet, and with nothing in its cache."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("timm.models._hub._USE_HF_HUB", True, raising=False)


@pytest.mark.parametrize(
    ("name", "encoder", "remedy"),
    [
        ("unet_timm", "resnet18", r"give a local safetensors file.*hf download timm/resnet18\.\w+ --local-dir"),
        ("pyramid", "mobilenetv2_100", "encoder_weights.py encoders/ --only mobilenetv2_100"),
        ("maskformer", "swin_tiny", r"hf download timm/swin_tiny_patch4_window7_224\.\w+ --local-dir"),
        ("maskformer", "resnet18", "give a local safetensors file"),
        ("hrnet", "hrnet_w18_small", "give a local safetensors file"),
    ],
)
@pytest.mark.usefixtures("offline")
def test_without_the_internet_the_error_says_how_to_go_on(name, encoder, remedy):
    with pytest.raises(NetworkError, match=f"ImageNet weights of '{encoder}.* the hub cannot be reached; .*{remedy}"):
        create(name, encoder=encoder, encoder_weights="imagenet")


def test_the_script_makes_the_files_that_the_error_speaks_of():
    place = importlib.util.spec_from_file_location("script", ROOT / "scripts" / "encoder_weights.py")
    script = importlib.util.module_from_spec(place)
    place.loader.exec_module(script)
    assert sorted(script.PACKAGES) == sorted(FROM_PYPI)


def test_an_encoder_that_nobody_trained_is_told():
    with pytest.raises(NetworkError, match="timm has no ImageNet weights for 'resnet18_nobody'"):
        timm_encoder.imagenet_weights("resnet18_nobody")


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ("ImageNet", "no encoder weights at ImageNet; did you mean 'imagenet'"),
        ("imagnet", "did you mean 'imagenet'"),
        ("nowhere.safetensors", "no encoder weights at nowhere.safetensors; run scripts/encoder_weights.py"),
        ("hub:nobody/nothing", "hf download nobody/nothing --local-dir FOLDER"),
    ],
)
@pytest.mark.usefixtures("offline")
def test_weights_that_are_not_there(weights, said):
    with pytest.raises(NetworkError, match=said):
        create("unet_timm", encoder_weights=weights, **SMALL)


@pytest.mark.parametrize("weights", ["imagenet", "ImageNet"])
def test_segformer_names_its_own_imagenet(weights):
    with pytest.raises(NetworkError, match="timm has no weights of mit_b1; write encoder_weights: hub:nvidia/mit-b1"):
        create("segformer", encoder="mit_b1", encoder_weights=weights)


def hub_of(folder: Path):
    return lambda repository, name, revision: str(folder / repository / name)


@pytest.mark.parametrize("encoder", ["resnet10t", "convnext_atto"])
def test_a_folder_and_the_hub_serve(encoder, tmp_path, monkeypatch):
    """Also where timm's encoder gives its stages other names than the model that is published."""
    theirs = timm.create_model(encoder)
    folder = tmp_path / "timm" / encoder
    folder.mkdir(parents=True)
    save_file(theirs.state_dict(), folder / "model.safetensors")
    monkeypatch.setattr("huggingface_hub.hf_hub_download", hub_of(tmp_path))
    expected = timm.create_model(
        encoder, features_only=True, pretrained=True, pretrained_cfg_overlay={"state_dict": theirs.state_dict()}
    ).state_dict()
    for source in (str(folder), f"hub:timm/{encoder}", str(folder / "model.safetensors")):
        found = TimmEncoder(encoder, weights=source, levels=None).body.state_dict()
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_a_folder_and_the_hub_serve_segformer(tmp_path, monkeypatch):
    folder = tmp_path / "nvidia" / "mit-b0"
    theirs = SegformerForImageClassification(SegformerConfig())
    theirs.save_pretrained(folder)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", hub_of(tmp_path))
    for source in (str(folder), "hub:nvidia/mit-b0"):
        ours = create("segformer", encoder_weights=source).encoder
        assert torch.equal(ours.stages[3].norm.weight, theirs.state_dict()["segformer.stages.3.layer_norm.weight"])
    with pytest.raises(NetworkError, match=rf"{folder} does not fit the encoder: .*use the weights of mit_b1"):
        create("segformer", encoder="mit_b1", encoder_weights=str(folder))


def test_a_folder_serves_swin(tmp_path, monkeypatch):
    monkeypatch.setitem(VARIANTS, "swin_tiny", Variant(16, (1, 1, 1, 1), (1, 2, 4, 8), 4))
    theirs = create("maskformer", encoder="swin_tiny", width=64, queries=2, layers=1).encoder
    save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    options = {"encoder": "swin_tiny", "width": 64, "queries": 2, "layers": 1}
    ours = create("maskformer", encoder_weights=str(tmp_path), **options).encoder
    assert all(map(torch.equal, ours.state_dict().values(), theirs.state_dict().values()))
    with pytest.raises(NetworkError, match="no encoder weights at imagnet; did you mean 'imagenet'"):
        create("maskformer", encoder_weights="imagnet", **options)


def test_weights_of_another_encoder_name_both(tmp_path):
    save_file(timm.create_model("resnet18").state_dict(), tmp_path / "r18.safetensors")
    with pytest.raises(
        NetworkError, match=r"r18\.safetensors does not fit the encoder: .*use the weights of resnet10t"
    ):
        create("unet_timm", encoder_weights=str(tmp_path / "r18.safetensors"), **SMALL)


@pytest.mark.parametrize(
    ("name", "encoder", "said"),
    [
        ("unet_timm", "inception_v3", r"strides .*\[2, 4, 8, 16, 32\], but its maps .* are 125x189, .*use an encoder"),
        ("pyramid", "swin_tiny_patch4_window7_224", "does not take an image of 256x384 pixels: Input height"),
        ("maskformer", "swin_tiny_patch4_window7_224", "does not take an image of 256x384 pixels: Input height"),
        ("pyramid", "mambaout_femto", "are 96x48"),
    ],
)
def test_encoders_that_cannot_serve_are_refused(name, encoder, said):
    options = {"widths": [8, 8, 8, 8]} if name == "pyramid" else {}
    with pytest.raises(NetworkError, match=said), torch.device("meta"):
        create(name, encoder=encoder, **options)


def test_an_encoder_is_tried_once_and_left_as_it_was(monkeypatch):
    monkeypatch.setattr(timm_encoder, "_MEASURED", {})
    torch.manual_seed(0)
    first = TimmEncoder("resnet10t")
    after = torch.rand(1)
    assert first.body.training
    monkeypatch.setattr(timm_encoder, "_sizes", None)
    torch.manual_seed(0)
    second = TimmEncoder("resnet10t")
    assert torch.equal(torch.rand(1), after)
    assert all(map(torch.equal, first.state_dict().values(), second.state_dict().values()))


@pytest.mark.parametrize("size", [(64, 64), (96, 160), (71, 53)])
def test_same_maps_and_gradient_as_torchvision_and_timm(size):
    torch.manual_seed(0)
    layers = ["relu", "layer1", "layer2", "layer3", "layer4"]
    theirs, ours = resnet50(weights=None).double().eval(), TimmEncoder("resnet50").double().eval()
    plain = timm.create_model("resnet50", num_classes=0).double().eval()
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    state = {key: tensor for key, tensor in theirs.state_dict().items() if not key.startswith("fc.")}
    ours.body.load_state_dict(state)
    plain.load_state_dict(state)
    extracted = create_feature_extractor(theirs, layers)
    x = torch.randn(1, 3, *size, dtype=torch.float64, requires_grad=True)
    results = []
    for maps in (ours(x), list(extracted(x).values()), plain.forward_intermediates(x, intermediates_only=True)):
        (gradient,) = torch.autograd.grad(sum(feature.square().mean() for feature in maps), x)
        results.append([*(feature.detach() for feature in maps), gradient])
    for mine, *others in zip(*results, strict=True):
        for other in others:
            assert float((mine - other).abs().max()) <= 1e-10 * float(other.abs().max())
