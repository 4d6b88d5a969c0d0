"""Weights come back exactly, or the file says what is wrong with it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from figureground.errors import NetworkError, OutputError
from figureground.train.weights import load_weights, save_weights


def network(width=4, *, bias=True):
    torch.manual_seed(width)
    return nn.Sequential(nn.Conv2d(3, width, 3, bias=bias), nn.BatchNorm2d(width))


@pytest.fixture
def saved(tmp_path):
    save_weights(network(), tmp_path / "w.safetensors", recipe="name: x\n")
    return tmp_path / "w.safetensors"


def test_weights_and_recipe_come_back(saved):
    other = network()
    nn.init.zeros_(other[0].weight)
    assert load_weights(other, saved) == "name: x\n"
    expected = network().state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in other.state_dict().items())


def test_channels_last_weights_are_saved_alike(saved, tmp_path):
    save_weights(network().to(memory_format=torch.channels_last), tmp_path / "c.safetensors", recipe="name: x\n")
    assert (tmp_path / "c.safetensors").read_bytes() == saved.read_bytes()


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (network(8), r"'0\.weight' is \(4, 3, 3, 3\) in .* and \(8, 3, 3, 3\) in the network"),
        (nn.Sequential(*network(), nn.Conv2d(4, 1, 1)), r"has no tensor '2\.weight'"),
        (network(bias=False), r"the network has no tensor '0\.bias'"),
    ],
)
def test_a_misfit_is_named(saved, other, message):
    with pytest.raises(NetworkError, match=message):
        load_weights(other, saved)


def test_a_file_that_is_none(tmp_path):
    with pytest.raises(NetworkError, match="no weights at"):
        load_weights(network(), tmp_path / "w.safetensors")
    (tmp_path / "w.safetensors").write_bytes(b"\x80\x04 a pickle, say")
    with pytest.raises(NetworkError, match="is no safetensors file"):
        load_weights(network(), tmp_path / "w.safetensors")


def test_no_folder_to_write_to(tmp_path):
    with pytest.raises(OutputError):
        save_weights(network(), tmp_path / "nowhere" / "w.safetensors", recipe="")
