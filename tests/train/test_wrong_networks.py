"""Wrong use of networks from a recipe: each is one line that says what to type instead."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from figureground.cli.app import main
from figureground.errors import NetworkError
from figureground.networks import create
from figureground.train import Recipe, build_model, run


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("segformr", "{}", "did you mean 'segformer'"),
        ("segnet", "{stacks: 2}", "network 'segnet' has no option 'stacks'"),
        ("unet", "{widht: 8}", "did you mean 'width'"),
        ("unet", "{width: wide}", "network 'unet' cannot be built with leaves=1, width='wide'"),
        ("segformer", "{encoder: mit_b9}", "no MiT encoder 'mit_b9'; did you mean 'mit_b"),
        ("hrnet", "{encoder: hrnet_w19}", "no HRNet 'hrnet_w19'; did you mean 'hrnet_w"),
        ("unet_timm", "{encoder: resnt34}", "did you mean 'resnet34'"),
        ("unet_timm", "{encoder: vgg11}", r"strides of encoder 'vgg11' are \[1, 2, 4, 8, 16\].*2, 4, 8, 16 and 32"),
        ("linknet", "{encoder: convnext_atto}", "'convnext_atto' has fewer than 5 strides"),
        ("linknet_timm", "{encoder: vit_tiny_patch16_224}", r"are \[16, 16, 16, 16, 16\]; use an encoder that halves"),
        ("deeplabv3plus", "{encoder: vgg11}", "cannot be dilated; use an encoder"),
        ("deeplabv3plus", "{output_stride: 4}", "output stride 4 is not offered; use 16"),
    ],
)
def test_a_network_that_cannot_be(tiny_recipe, name, options, said):
    recipe = Recipe.read(tiny_recipe, [f"network.name={name}", f"network.options={options}"])
    with pytest.raises(NetworkError, match=said), torch.device("meta"):
        build_model(recipe)


def test_weights_that_do_not_fit(tiny_recipe, tmp_path):
    other = create("unet", width=4)
    save_file({f"network.{key}": value for key, value in other.state_dict().items()}, tmp_path / "other.safetensors")
    weights = f"network.weights={tmp_path / 'other.safetensors'}"
    with pytest.raises(
        NetworkError, match=r"the network has no tensor 'network\.\S+', which .*other.safetensors holds"
    ):
        build_model(Recipe.read(tiny_recipe, [weights]))
    wider = ["network.name=unet", "network.options={width: 6}", weights]
    with pytest.raises(NetworkError, match=r"is \(\d.*\) in .*other.safetensors and \(\d.*\) in the network"):
        build_model(Recipe.read(tiny_recipe, wider))


def test_weights_of_another_encoder(tiny_recipe, tmp_path):
    save_file({"conv.weight": create("unet", width=4).classify.weight.data}, tmp_path / "other.safetensors")
    with pytest.raises(NetworkError, match=r"does not fit the encoder: .* is missing"):
        build_model(Recipe.read(tiny_recipe, [f"network.options.encoder_weights={tmp_path / 'other.safetensors'}"]))


def test_crops_that_are_too_small_name_the_least_size(tiny_recipe, tmp_path):
    small = ["network.name=segformer", "network.options={decoder_width: 16}", "schedule.stages.0.sizes=[16]"]
    with pytest.raises(NetworkError, match=r"16x16 pixels is too small for this network; give at least 32x32"):
        run(tiny_recipe, small, output=tmp_path / "run")


def test_the_command_line_says_it_in_one_line(tiny_recipe, tmp_path, capsys):
    code = main(["train", str(tiny_recipe), "--set", "network.name=piramid", "-o", str(tmp_path / "run")])
    assert code == 3
    [line] = capsys.readouterr().err.splitlines()
    assert line == f"figureground: {tiny_recipe}: network: there is no network 'piramid'; did you mean 'pyramid'?"
