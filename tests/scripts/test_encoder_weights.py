"""Weights of another package under timm's names: the same tensors in the same order, or a refusal."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from figureground.errors import NetworkError
from figureground.networks.encoders import TimmEncoder

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "encoder_weights.py"
NAME = "mobilenetv2_035"


@pytest.fixture(scope="module")
def script():
    found = importlib.util.spec_from_file_location("encoder_weights", SCRIPT)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def trained():
    torch.manual_seed(0)
    state = timm.create_model(NAME).state_dict()
    return {key: torch.randn_like(value) if value.is_floating_point() else value for key, value in state.items()}


def renamed(state):
    """The same tensors under another package's names, without the counters, as older files have it."""
    kept = [value for key, value in state.items() if "num_batches_tracked" not in key]
    return {f"features.{number}": value for number, value in enumerate(kept)}


def test_the_tensors_come_under_timms_names(script, trained, tmp_path):
    torch.save(renamed(trained), tmp_path / "theirs.pth")
    state = script.in_parameter_order(NAME, tmp_path / "theirs.pth")
    assert all(torch.equal(value, trained[key]) for key, value in state.items())
    save_file(state, tmp_path / "ours.safetensors")
    encoder = TimmEncoder(NAME, weights=str(tmp_path / "ours.safetensors"))
    for key, value in encoder.body.state_dict().items():
        if "num_batches_tracked" not in key:
            assert torch.equal(value, trained[key]), key


def test_another_number_of_tensors_is_refused(script, trained, tmp_path):
    theirs = renamed(trained)
    theirs.popitem()
    torch.save(theirs, tmp_path / "theirs.pth")
    with pytest.raises(SystemExit, match=r"theirs\.pth has \d+ tensors, mobilenetv2_035 has \d+"):
        script.in_parameter_order(NAME, tmp_path / "theirs.pth")


def test_another_shape_is_refused(script, trained, tmp_path):
    theirs = renamed(trained)
    theirs["features.5"] = torch.zeros(1, 2, 3)
    torch.save(theirs, tmp_path / "theirs.pth")
    with pytest.raises(SystemExit, match=r"features\.5 \(1, 2, 3\) does not fit blocks"):
        script.in_parameter_order(NAME, tmp_path / "theirs.pth")


def test_a_pickle_with_code_in_it_is_not_run(script, tmp_path):
    torch.save({"features.0": Path("anything but a tensor")}, tmp_path / "theirs.pth")
    with pytest.raises(Exception, match=r"[Ww]eights.only"):
        script.in_parameter_order(NAME, tmp_path / "theirs.pth")


# The encoder's side


def test_local_weights_that_do_not_fit_are_named(trained, tmp_path):
    path = tmp_path / "w.safetensors"
    save_file({key: value for key, value in trained.items() if key != "bn1.weight"}, path)
    with pytest.raises(NetworkError, match=r"does not fit the encoder: 'bn1\.weight' is missing"):
        TimmEncoder(NAME, weights=str(path))
    save_file(trained, path)
    with pytest.raises(NetworkError, match=r"'conv_stem\.weight' is \(\d+, 3, 3, 3\), not \(\d+, 1, 3, 3\)"):
        TimmEncoder(NAME, weights=str(path), in_channels=1)
    path.write_bytes(b"no weights")
    with pytest.raises(NetworkError, match=r"w\.safetensors is no safetensors file"):
        TimmEncoder(NAME, weights=str(path))
    with pytest.raises(NetworkError, match=r"no encoder weights at .*nowhere"):
        TimmEncoder(NAME, weights=str(tmp_path / "nowhere"))


def test_weights_of_three_channels_start_a_fourth_at_zero(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "w.safetensors"
    save_file(timm.create_model(NAME).state_dict(), path)
    three, four = (TimmEncoder(NAME, weights=str(path), in_channels=channels).eval() for channels in (3, 4))
    picture = torch.randn(1, 4, 64, 64, generator=torch.Generator().manual_seed(0))
    for wanted, got in zip(three(picture[:, :3]), four(picture), strict=True):
        torch.testing.assert_close(got, wanted, rtol=0, atol=1e-6 * float(wanted.detach().abs().max()))
    four(picture)[0].square().mean().backward()
    assert four.body.conv_stem.weight.grad[:, 3].abs().max() > 0


def test_encoders_that_cannot_be_used_are_named():
    with pytest.raises(NetworkError, match=r"timm has no encoder 'mobilenetv2_036'; did you mean"):
        TimmEncoder("mobilenetv2_036")
    with pytest.raises(NetworkError, match="'convnext_atto' has fewer than 5 strides"):
        TimmEncoder("convnext_atto")


def test_maps_have_the_channels_and_strides_it_says():
    encoder = TimmEncoder(NAME).eval()
    with torch.inference_mode():
        maps = encoder(torch.zeros(1, 3, 64, 96))
    assert encoder.strides == [2, 4, 8, 16, 32]
    assert [tuple(m.shape) for m in maps] == [
        (1, channels, 64 // stride, 96 // stride)
        for channels, stride in zip(encoder.channels, encoder.strides, strict=True)
    ]
