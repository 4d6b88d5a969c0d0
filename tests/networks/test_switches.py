"""The switches that several networks share: off they leave no trace, on they do what they say, wrong ones are named."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from figureground.errors import NetworkError
from figureground.networks import create, list_networks, spec
from figureground.networks.blocks.switches import MapAttention
from figureground.networks.transfer import transfer

CHANGES = {"gates": "squeeze", "dual_attention": True, "auxiliary": True}
NEEDED = {
    "unet_timm", "linknet", "linknet_timm", "pyramid", "deeplabv3plus", "deeplabv3plus_smp", "hrnet", "ocrnet",
    "segformer", "unet", "sdunet", "sdunet_wide", "sdunet_humanseg", "linknet_humanseg",
}  # fmt: skip
WITH = [(name, switch) for name in list_networks() for switch in CHANGES if switch in spec(name).options]


def small(name: str, **options: object) -> torch.nn.Module:
    torch.manual_seed(0)
    return create(name, **{**spec(name).reduced, "leaves": 2, **options})


def picture(name: str, channels: int = 3) -> torch.Tensor:
    least = max(33, spec(name).min_size + 1)
    return torch.randn(1, channels, least | 1, (least + 8) | 1, generator=torch.Generator().manual_seed(1))


def test_the_switches_are_where_they_make_sense():
    for switch in ("gates", "dual_attention"):
        assert {name for name, has in WITH if has == switch} >= NEEDED
    assert {name for name, has in WITH if has == "auxiliary"} >= {
        name for name in NEEDED if "encoder" in spec(name).options
    } - {"ocrnet"} | {"deeplab_v1", "fcn32s", "fcn16s", "fcn8s"}


@pytest.mark.parametrize(("name", "switch"), WITH)
def test_a_switch_adds_and_takes_nothing_away(name, switch):
    """Everything of the network without it is still there under its name, so that its weights can be loaded."""
    off, on = small(name).state_dict(), small(name, **{switch: CHANGES[switch]}).state_dict()
    shared = {key: tensor for key, tensor in off.items() if key in on and on[key].shape == tensor.shape}
    if spec(name).options[switch] in (None, False):
        assert set(shared) == set(off)
        assert set(on) > set(off)


@pytest.mark.parametrize(("name", "switch"), WITH)
def test_a_switch_trains(name, switch):
    network, x = small(name, **{switch: CHANGES[switch]}).train(), picture(name)
    outputs = network.forward_training(x)
    maps = [out for key, out in outputs.items() if not key.startswith("query_")]
    assert all(out.shape == (1, 2, *x.shape[-2:]) for out in maps)
    torch.stack([out.square().mean() for out in outputs.values()]).sum().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, f"no gradient reaches {key}"
        assert torch.isfinite(parameter.grad).all()


@pytest.mark.parametrize(("name", "switch"), [(name, switch) for name, switch in WITH if switch != "auxiliary"])
def test_a_switch_changes_the_logits(name, switch):
    off, on, x = small(name).eval(), small(name, **{switch: CHANGES[switch]}).eval(), picture(name)
    transfer(on, off.state_dict())
    with torch.inference_mode():
        assert not torch.allclose(on(x), off(x))


@pytest.mark.parametrize("name", sorted(name for name, switch in WITH if switch == "auxiliary"))
def test_the_auxiliary_head_is_for_training_only(name):
    off, on, x = small(name).eval(), small(name, auxiliary=True).eval(), picture(name)
    transfer(on, off.state_dict())
    with torch.inference_mode():
        torch.testing.assert_close(on(x), off(x))
        outputs = on.forward_training(x)
    assert {key for key in outputs if not key.startswith("query_")} == {"logits", "aux_encoder"}
    assert not torch.allclose(outputs["aux_encoder"], outputs["logits"])


def test_what_is_off_takes_nothing_from_the_random_numbers():
    plain, attended = small("pyramid"), small("pyramid", dual_attention=True)
    for key, tensor in plain.state_dict().items():
        assert torch.equal(tensor, attended.state_dict()[key]), key


def test_map_attention_by_hand():
    """Every map plus itself times the sigmoid of its mean; only the finest through dual attention."""
    maps = [torch.randn(1, 4, 8, 6), torch.randn(1, 6, 4, 3)]
    module = MapAttention([4, 6], gates="channel", dual_attention=True)
    fine, coarse = (x * (1 + F.sigmoid(F.adaptive_avg_pool2d(x, 1))) for x in maps)
    found = module(maps)
    torch.testing.assert_close(found[0], module.finest(fine))
    torch.testing.assert_close(found[1], coarse)


def test_the_shipped_networks_keep_their_tensors():
    """The names under which the weights of the shipped bundles were trained, by their number and a few of them."""
    keys = list(small("pyramid").state_dict())
    assert {key.split(".")[0] for key in keys} == {"encoder", "context", "laterals", "refine", "head"}
    assert [key for key in keys if key.startswith(("context", "head"))] == [
        *(f"context.project.{key}" for key in ("0.weight", *BATCH_NORM)),
        *(f"context.wide.{key}" for key in ("0.weight", *BATCH_NORM)),
        "context.image.0.weight", "context.image.0.bias", "head.weight", "head.bias",
    ]  # fmt: skip


BATCH_NORM = tuple(f"1.{name}" for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("pyramid", {"gates": "pixl"}, "there is no gate 'pixl'; did you mean 'pixel'"),
        ("pyramid", {"dual_atention": True}, "has no option 'dual_atention'; did you mean 'dual_attention'"),
        ("hrnet", {"auxilary": True}, "did you mean 'auxiliary'"),
        (
            "segnet",
            {"dual_attention": True},
            "has no option 'dual_attention'; use a network that has it: .*hrnet, .*unet_t",
        ),
        ("segnet", {"no_such_thing": True}, "no option 'no_such_thing'; known: in_channels, leaves, width"),
    ],
)
def test_wrong_switches_name_the_right_one(name, options, message):
    with pytest.raises(NetworkError, match=message):
        create(name, **options)
