"""Optimisers, their learning rates step by step, and rates that fall from stage to stage of an encoder."""

from __future__ import annotations

import math

import pytest
import timm
import torch
from torch import nn
from torch.optim import lr_scheduler

from figureground.errors import RecipeError
from figureground.networks.registry import create
from figureground.train import Recipe, build_model
from figureground.train.optimizers import build_optimizer, build_schedule, parameter_groups
from figureground.train.places import places, stage_count
from figureground.train.specs import Optimize

STEPS = 40


class Held(nn.Module):
    """A network where a training has it: below the name `network`."""

    def __init__(self, network):
        super().__init__()
        self.network = network


def rates(schedule_of, steps=STEPS):
    """The learning rate of each step."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
    schedule = schedule_of(optimizer)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def of_recipe(**options):
    return rates(lambda optimizer: build_schedule(optimizer, Optimize(**options), STEPS))


def of_torch(after, warmup):
    """torch's own linear warm-up, then another of its schedulers for the steps that remain."""

    def build(optimizer):
        if warmup == 0:
            return after(optimizer, STEPS)
        linear = lr_scheduler.LinearLR(optimizer, start_factor=1 / warmup, total_iters=warmup - 1)
        return lr_scheduler.SequentialLR(optimizer, [linear, after(optimizer, STEPS - warmup)], milestones=[warmup])

    return rates(build)


@pytest.mark.filterwarnings("ignore:The epoch parameter")
@pytest.mark.parametrize("warmup", [0, 4, 10])
@pytest.mark.parametrize(
    ("options", "after"),
    [
        ({"schedule": "poly", "power": 0.9}, lambda o, n: lr_scheduler.PolynomialLR(o, n, power=0.9)),
        ({"schedule": "poly", "power": 2}, lambda o, n: lr_scheduler.PolynomialLR(o, n, power=2)),
        ({"schedule": "cosine"}, lr_scheduler.CosineAnnealingLR),
        ({"schedule": "constant"}, lambda o, n: lr_scheduler.ConstantLR(o, factor=1.0)),
    ],
    ids=["poly", "poly of power 2", "cosine", "constant"],
)
def test_the_schedules_are_those_of_torch(options, after, warmup):
    assert of_recipe(**options, warmup=warmup / STEPS) == pytest.approx(of_torch(after, warmup), rel=1e-6)


def test_poly_and_cosine_are_their_formulas():
    share = [step / STEPS for step in range(STEPS)]
    assert of_recipe(schedule="poly", warmup=0) == pytest.approx([0.5 * (1 - x) ** 0.9 for x in share])
    assert of_recipe(schedule="cosine", warmup=0) == pytest.approx([0.25 * (1 + math.cos(math.pi * x)) for x in share])


def test_one_cycle_is_what_is_not_said():
    def cycle(optimizer):
        return lr_scheduler.OneCycleLR(optimizer, max_lr=0.5, total_steps=STEPS, pct_start=0.1, cycle_momentum=False)

    assert rates(cycle, STEPS - 1) == rates(lambda o: build_schedule(o, Optimize(), STEPS), STEPS - 1)


def test_the_whole_training_may_be_warm_up_and_a_schedule_may_go_on_past_its_end():
    assert of_recipe(schedule="cosine", warmup=0.99)[-1] == pytest.approx(0.5)
    late = rates(lambda optimizer: build_schedule(optimizer, Optimize(schedule="poly"), STEPS), STEPS + 3)
    assert late[-3:] == [0, 0, 0]


@pytest.mark.parametrize("schedule", ["poly", "cosine", "constant", "one_cycle"])
def test_a_schedule_goes_on_from_its_state(schedule):
    def build():
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
        return optimizer, build_schedule(optimizer, Optimize(schedule=schedule), STEPS)

    optimizer, first = build()
    for _ in range(17):
        optimizer.step()
        first.step()
    other, second = build()
    other.load_state_dict(optimizer.state_dict())
    second.load_state_dict(first.state_dict())
    for one, it in ((optimizer, first), (other, second)):
        one.step()
        it.step()
    assert optimizer.param_groups[0]["lr"] == other.param_groups[0]["lr"]


def test_the_optimisers():
    model = Held(create("unet", width=4))
    adamw = build_optimizer(model, Optimize(weight_decay=0.2))
    assert type(adamw) is torch.optim.AdamW
    sgd = build_optimizer(model, Optimize(name="sgd", momentum=0.8, nesterov=True))
    assert type(sgd) is torch.optim.SGD
    assert {(group["momentum"], group["nesterov"]) for group in sgd.param_groups} == {(0.8, True)}
    decays = {group["weight_decay"] for group in adamw.param_groups}
    assert decays == {0.0, 0.2}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"warmup": 0}, "one_cycle needs a 'warmup' above 0"),
        ({"nesterov": True}, "'nesterov' needs the name sgd"),
        ({"name": "sgd", "nesterov": True, "momentum": 0}, "'momentum' above 0"),
        ({"name": "adam"}, "'adamw' or 'sgd'"),
        ({"layer_decay": 0}, "greater than 0"),
        ({"layer_decay": 1.1}, "less than or equal to 1"),
        ({"accumulate": 0}, "greater than 0"),
    ],
)
def test_what_an_optimiser_cannot_do(options, message):
    with pytest.raises(ValueError, match=message):
        Optimize(**options)


# Rates by stage

ENCODERS = ["resnet18", "convnext_atto", "swin_tiny_patch4_window7_224", "regnetx_002", "densenet121"]


@pytest.mark.parametrize("name", ENCODERS)
def test_the_stages_are_those_that_timm_knows(name):
    """timm's own rule (group_matcher) puts parameters together as ours does, where it stands in the same order."""
    with torch.device("meta"):
        whole = timm.create_model(name, pretrained=False)
        network = Held(nn.Module())
        network.network.encoder = timm.create_model(name, pretrained=False, features_only=True)
    matcher = whole.group_matcher(coarse=True)
    theirs = timm.models.group_parameters(whole, matcher)
    of_name = {parameter: group for group, members in theirs.items() for parameter in members}
    ours = {name.removeprefix("network.encoder."): place.stage for name, place in places(network).items()}
    # The encoder has flat names (layers_0.x for layers.0.x).
    flat = {parameter.replace(".", "_"): group for parameter, group in of_name.items()}
    pairs = {
        (stage, flat[parameter.replace(".", "_")]) for parameter, stage in ours.items() if "norm5" not in parameter
    }
    assert (
        len(pairs) == len({stage for stage, _ in pairs}) == len({group for _, group in pairs}) == max(ours.values()) + 1
    )
    assert [group for _, group in sorted(pairs)] == sorted(group for _, group in pairs)


@pytest.mark.parametrize(
    ("network", "options", "first", "last", "count"),
    [
        ("segformer", {}, "encoder.stages.0.embed.project.weight", "encoder.stages.3.norm.bias", 4),
        (
            "maskformer",
            {"encoder": "swin_tiny"},
            "encoder.embed.project.weight",
            "encoder.norms.3.weight",
            5,
        ),
        ("hrnet", {}, "encoder.body.conv1.weight", "encoder.body.stage4.0.branches.0.0.conv1.weight", 5),
        ("pyramid", {}, "encoder.body.conv_stem.weight", "encoder.body.blocks.6.0.conv_dw.weight", 8),
    ],
)
def test_the_stages_of_our_networks(network, options, first, last, count):
    with torch.device("meta"):
        model = Held(create(network, **options))
    found = places(model)
    assert stage_count(model) == count
    assert found[f"network.{first}"].stage == 0
    assert found[f"network.{last}"].stage == count - 1
    assert not found[next(name for name in found if not name.startswith("network.encoder."))].in_encoder


def test_a_layer_decay_makes_early_stages_learn_less():
    with torch.device("meta"):
        model = Held(create("segformer"))
    optimize = Optimize(learning_rate=0.1, encoder_factor=0.5, layer_decay=0.8, weight_decay=0.05)
    groups = parameter_groups(model, optimize)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    rate = {names[id(parameter)]: group["lr"] for group in groups for parameter in group["params"]}
    assert len(rate) == len(names)
    for stage, expected in enumerate([0.0256, 0.032, 0.04, 0.05]):
        own = {lr for name, lr in rate.items() if name.startswith(f"network.encoder.stages.{stage}.")}
        assert sorted(own) == pytest.approx([expected])
    assert {lr for name, lr in rate.items() if ".encoder." not in name} == {0.1}
    titles = [group["name"] for group in groups]
    assert len(set(titles)) == len(titles)
    assert "encoder 0, not decayed" in titles
    bare = {names[id(parameter)] for group in groups if not group["weight_decay"] for parameter in group["params"]}
    assert "network.encoder.stages.1.norm.bias" in bare
    assert "network.encoder.stages.1.embed.project.weight" not in bare


def test_a_layer_decay_of_one_keeps_the_groups_that_there_were():
    with torch.device("meta"):
        model = Held(create("segformer"))
    titles = {group["name"] for group in parameter_groups(model, Optimize())}
    assert titles == {f"{part}, {decay}" for part in ("encoder", "decoder") for decay in ("decayed", "not decayed")}


def test_a_network_without_an_encoder_has_no_stages(tiny_recipe):
    overrides = ["network={name: unet, options: {width: 4}}", "optimize.layer_decay=0.9"]
    recipe = Recipe.read(tiny_recipe, overrides)
    with pytest.raises(RecipeError, match=r"no encoder for optimize\.layer_decay"):
        parameter_groups(build_model(recipe), recipe.optimize)
