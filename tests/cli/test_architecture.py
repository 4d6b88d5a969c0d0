"""`figureground networks show`: cards as a page, architectures as tables, and what is said about wrong use."""

from __future__ import annotations

import json

import pytest
import yaml

pytest.importorskip("torch")
from figureground.cli.architecture import _short
from figureground.runtime.bundle import Bundle

CARD = {
    "description": "a long description " * 12,
    "architecture": {"network": "pyramid", "widths": [8, 8]},
    "parameters": 1234,
    "storage": "float16",
    "parity": {"onnx": {"probability_max": 1e-6}},
    "recipe": "name: mine\nlosses: []\n",
    "licences": {"code": "Apache-2.0"},
    "data": ["photos"],
    "metrics": {"here": {"images": 3, "iou_dataset": 0.98765}, "there": {"images": 5, "empty_wrong": 0.5}},
}


@pytest.fixture
def trained(tiny_bundle, tmp_path):
    """A bundle whose card has all that training and export put in one."""
    found = Bundle.read(tiny_bundle)
    bundle = Bundle.create(
        found.model_bytes, name="mine", labels=found.labels, sizing=found.sizing, threshold=0.5, card=CARD
    )
    bundle.save(tmp_path / "mine.onnx")
    return tmp_path / "mine.onnx"


def test_a_card_is_a_page_without_the_recipe(call, trained):
    page = call("networks", "show", trained)
    assert page.code == 0
    assert len(page.lines) < 30
    assert max(len(line) for line in page.lines) <= 100
    assert "losses" not in page.out
    assert "architecture: pyramid, widths 8 8" in page.lines
    rows = [line.split() for line in page.lines if line.startswith("  ")]
    assert ["photos", "images", "iou", "dataset", "empty", "wrong"] in rows
    assert ["here", "3", "0.9877", "-"] in rows
    assert ["there", "5", "-", "0.5"] in rows
    assert json.loads(call("networks", "show", trained, "--json").out)["card"] == CARD


def test_the_recipe_is_behind_an_option(call, trained, tiny_bundle):
    assert yaml.safe_load(call("networks", "show", trained, "--recipe").out) == {"name": "mine", "losses": []}
    answer = call("networks", "show", tiny_bundle, "--recipe")
    assert answer.code == 3
    assert "holds no recipe" in answer.one_error


def test_the_stages_of_an_architecture(call):
    answer = call("networks", "show", "unet", "--size", "64x96", "--set", "width=8")
    title, _, heading, *rows, total = answer.lines
    assert title == "unet, width 8, for an image of 64x96"
    assert heading.split() == ["stage", "output", "stride", "parameters", "multiply-adds"]
    assert rows[1].split() == ["downs.0", "16x32x48", "2", "3.55", "k", "5.31", "M"]
    assert total.startswith("in all")


def test_the_stages_as_json(call):
    facts = json.loads(call("networks", "show", "segformer", "--size", "64x64", "--depth", "1", "--json").out)
    assert (facts["name"], facts["size"], facts["parameters"]) == ("segformer", [64, 64], 3_714_401)
    assert sum(stage["multiply_adds"] for stage in facts["stages"]) == facts["multiply_adds"]
    assert "head.fuse" in [stage["name"] for stage in facts["stages"]]


def test_two_architectures_side_by_side(call):
    options = ("--set", "A.width=8", "--set", "B.width=16", "--set", "in_channels=4", "--size", "64x64")
    answer = call("networks", "show", "--compare", "unet", "unet", *options)
    lines = answer.lines
    assert lines[0].startswith("unet, width 8, in_channels 4")
    assert lines[0].split(" | ")[1].startswith("unet, width 16, in_channels 4")
    assert len({line.index("|") for line in lines if "|" in line}) == 1
    [total] = [line for line in lines if line.startswith("in all")]
    assert total.count("in all") == 2
    assert lines[-1].startswith("unet has 3.9")
    both = json.loads(call("networks", "show", "--compare", "unet", "linknet", *options[-2:], "--json").out)
    assert [one["name"] for one in both["compared"]] == ["unet", "linknet"]


def test_a_network_of_another_library(call):
    answer = call("networks", "show", "import:segmentation_models_pytorch.Unet", "--size", "64x64")
    assert "module.segmentation_head" in answer.out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["segforme"], 3, "did you mean 'segformer'?"),
        (["unet", "--set", "widht=3"], 3, "did you mean 'width'?"),
        (["unet", "--set", "width"], 2, "not OPTION=VALUE"),
        (["unet", "--set", "width=["], 2, "not YAML"),
        (["unet", "--set", "A.width=8"], 2, "write width"),
        (["--compare", "unet", "unet", "--set", "C.width=8"], 2, "write A.width or B.width"),
        (["unet", "--size", "12"], 2, "is not HxW"),
        (["unet", "--size", "8x64"], 3, "at least 16x16"),
        (["unet", "segnet"], 2, "--compare"),
        (["--compare", "unet"], 2, "--compare"),
        (["unet", "--recipe"], 2, "is an architecture"),
        (["tiny.onnx", "--size", "64x64"], 2, "is a trained network"),
        (["deeplabv3plus", "--set", "encoder=vgg16"], 3, "cannot be dilated"),
        (["segformer", "--set", "encoder=mit_b9"], 3, "did you mean 'mit_b"),
        (["import:no_such.Net"], 3, "No module named 'no_such'"),
        (["torchvision.models.resnet18"], 3, "write 'import:torchvision.models.resnet18'"),
    ],
)
def test_wrong_use_is_one_line(call, arguments, code, said):
    answer = call("networks", "show", *arguments)
    assert answer.code == code
    assert said in answer.one_error


@pytest.mark.parametrize(
    ("number", "shown"),
    [(0, "0"), (513, "513"), (9408, "9.41 k"), (163_840, "164 k"), (31_043_521, "31.0 M"), (2e9, "2.00 G")],
)
def test_numbers_have_three_digits(number, shown):
    assert _short(number) == shown
