"""Published checkpoints: where they lie, under whose names, and what a bad one is told."""

from __future__ import annotations

import json
from pathlib import Path

import huggingface_hub
import pytest
import segmentation_models_pytorch as smp
import torch
from huggingface_hub.errors import EntryNotFoundError, HFValidationError, LocalEntryNotFoundError
from safetensors.torch import save_file
from torch import nn
from transformers import SegformerConfig, SegformerForSemanticSegmentation

from figureground.errors import NetworkError
from figureground.networks import create
from figureground.networks.published import load_published

SMP = {
    "unet_timm": smp.Unet,
    "linknet_timm": smp.Linknet,
    "deeplabv3plus_smp": smp.DeepLabV3Plus,
    "segformer": smp.Segformer,
}


def randomised(network: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.1, 1.0)
    return network.eval()


def plain(source: str | Path, **options: object) -> nn.Module:
    """A small network under its own names, where no library publishes it."""
    network = create("unet", width=4, **options)
    load_published(network, source)
    return network


@pytest.fixture
def unet(tmp_path):
    network = randomised(create("unet", width=4))
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    return network


@pytest.mark.parametrize(
    ("name", "encoder", "called"),
    [
        ("unet_timm", "resnet18", "resnet18"),
        ("unet_timm", "tu-mobilenetv2_035", "mobilenetv2_035"),
        ("unet_timm", "se_resnet50", "legacy_seresnet50"),
        ("unet_timm", "mobileone_s4", "mobileone_s4"),
        ("linknet_timm", "resnet18", "resnet18"),
        ("linknet_timm", "resnext50_32x4d", "resnext50_32x4d"),
        ("deeplabv3plus_smp", "resnet18", "resnet18"),
        ("segformer", "mit_b0", "mit_b0"),
    ],
)
def test_what_smp_saves_loads(name, encoder, called, tmp_path):
    torch.manual_seed(0)
    theirs = SMP[name](encoder, encoder_weights=None, classes=2).eval()
    if name == "segformer":
        theirs.segmentation_head[1].align_corners = False  # half-pixel centres, as ours and the paper's
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    theirs.save_pretrained(tmp_path)
    ours = create(name, leaves=2, encoder=called).eval()
    report = load_published(ours, tmp_path)
    assert not report.new
    assert not [key for key in report.ignored if "num_batches" not in key]
    x = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        mine, other = ours(x), theirs(x)
    assert float(other.std()) > 0
    assert float((mine - other).abs().max()) <= 1e-4 * float(other.abs().max())


def test_what_transformers_saves_loads_into_a_network_with_more(tmp_path):
    theirs = SegformerForSemanticSegmentation(SegformerConfig(num_labels=3, decoder_hidden_size=32))
    randomised(theirs).save_pretrained(tmp_path)
    ours = create("segformer", leaves=3, decoder_width=32, auxiliary=True)
    report = load_published(ours, str(tmp_path))
    assert all(name.startswith("auxiliary.") for name in report.new)
    assert report.new
    assert not [name for name in report.ignored if "num_batches" not in name]
    assert torch.equal(ours.head.classify.weight, theirs.decode_head.classifier.weight)


def test_our_own_names_load_from_a_file_a_folder_and_parts(unet, tmp_path):
    for source in (tmp_path / "model.safetensors", tmp_path):
        assert all(map(torch.equal, plain(source).state_dict().values(), unet.state_dict().values()))
    state = unet.state_dict()
    places = {name: f"part-{index % 2}.safetensors" for index, name in enumerate(state)}
    for part in set(places.values()):
        save_file({name: state[name] for name in places if places[name] == part}, tmp_path / part)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    assert all(map(torch.equal, plain(tmp_path).state_dict().values(), unet.state_dict().values()))
    (tmp_path / "part-1.safetensors").unlink()
    with pytest.raises(NetworkError, match=r"lacks part-1\.safetensors"):
        plain(tmp_path)


@pytest.mark.parametrize(
    ("index", "message"),
    [("[]", "no index"), ("{", "no index"), ('{"weight_map": {"a": "../a.safetensors"}}', "outside its folder")],
)
def test_an_index_that_is_none(index, message, tmp_path):
    (tmp_path / "model.safetensors.index.json").write_text(index)
    with pytest.raises(NetworkError, match=message):
        plain(tmp_path)


def test_a_repository_is_downloaded(unet, tmp_path, monkeypatch):
    asked = []

    def download(repository, name, *, revision):
        asked.append((repository, name, revision))
        return str(tmp_path / name)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    for source in ("hub:owner/name", "hub:owner/name@refs/pr/3"):
        assert torch.equal(next(plain(source).parameters()), next(unet.parameters()))
    assert asked == [("owner/name", "model.safetensors", revision) for revision in (None, "refs/pr/3")]


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (EntryNotFoundError("none"), r"has no model\.safetensors; if it holds a pickle only, convert it once"),
        (LocalEntryNotFoundError("no connection"), "hf download owner/name --local-dir"),
        (HFValidationError("bad"), "the hub has no 'owner/name@main'"),
        (OSError("broken pipe"), "could not be fetched: broken pipe"),
    ],
)
def test_a_repository_that_cannot_be_had(failure, message, monkeypatch):
    def download(*_, **__):
        raise failure

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    with pytest.raises(NetworkError, match=message):
        plain("hub:owner/name@main")


def test_without_the_internet_the_error_says_how_to_go_on(monkeypatch, tmp_path):
    """The real code of the hub's library, told that it is offline."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(NetworkError, match="hf download nobody/nothing --local-dir"):
        plain("hub:nobody/nothing")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model.pth", "a pickle, which is never read; convert it once"),
        ("model.safetensors", "no weights at"),
    ],
)
def test_a_file_that_is_none(name, message, tmp_path):
    with pytest.raises(NetworkError, match=message):
        plain(tmp_path / name)
    with pytest.raises(NetworkError, match=r"has no model\.safetensors"):
        plain(tmp_path)


def test_what_fits_nothing_is_refused(tmp_path):
    save_file({"fc.weight": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(NetworkError, match="no tensor of the checkpoint fits"):
        plain(tmp_path)
