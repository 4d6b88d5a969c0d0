"""A run folder of which something is damaged or gone is told of in one line before anything is trained."""

from __future__ import annotations

import shutil

import pytest
import torch

from figureground.errors import DataError, FiguregroundError, RecipeError
from figureground.train import Recipe, run
from figureground.train.history import read_history


@pytest.fixture(scope="module")
def trained(tiny_recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    run(tiny_recipe, output=folder)
    (folder / "finished.json").unlink()
    return folder


@pytest.fixture
def folder(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


def wider(kept):
    name = next(name for name, tensor in kept["state_dict"].items() if tensor.ndim == 4)
    kept["state_dict"][name] = torch.zeros(1, 1, 3, 3)
    return kept


@pytest.mark.parametrize("share", [0.5, 0, None])
def test_a_checkpoint_that_is_none(tiny_recipe, folder, share):
    path = folder / "checkpoints/last.ckpt"
    content = path.read_bytes()
    path.write_bytes(b"text" if share is None else content[: int(share * len(content))])
    with pytest.raises(DataError, match=r"cannot go on from .*last\.ckpt, which is damaged: .+; delete it"):
        run(tiny_recipe, output=folder, resume=True)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda kept: {"x": 1}, "it has no 'state_dict'"),
        (lambda kept: [1], "it has no 'state_dict'"),
        (lambda kept: {**kept, "state_dict": {}}, "the tensor 'model.*' is missing"),
        (wider, "the tensor .* has the shape"),
    ],
)
def test_a_checkpoint_of_something_else(tiny_recipe, folder, change, says):
    path = folder / "checkpoints/last.ckpt"
    torch.save(change(torch.load(path, weights_only=True)), path)
    with pytest.raises(DataError, match=rf"which is damaged: {says}"):
        run(tiny_recipe, output=folder, resume=True)


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff\xfe"])
def test_a_damaged_environment(tiny_recipe, folder, content):
    (folder / "environment.json").write_bytes(content)
    with pytest.raises(DataError, match=r"environment\.json is damaged: .+; delete it to go on"):
        run(tiny_recipe, output=folder, resume=True)


def test_damaged_numbers_do_not_end_a_run(tiny_recipe, folder):
    numbers = folder / "metrics.csv"
    before = read_history(numbers)
    with numbers.open("ab") as file:
        file.write(b"0,x,val/score,0.5\n\xff\xfe,3,,\n1,2\n")
    assert read_history(numbers) == before
    (folder / "environment.json").write_text('{"resumed": 3}')
    run(tiny_recipe, output=folder, resume=True)
    assert (folder / "finished.json").exists()


@pytest.mark.parametrize("resume", [False, True])
def test_what_is_left_of_a_run_is_not_gone_on_with(tiny_recipe, folder, resume):
    (folder / "recipe.yaml").unlink()
    with pytest.raises(RecipeError, match=r"what is left of a run without its recipe\.yaml; give -o another"):
        run(tiny_recipe, ["seed=7"], output=folder, resume=resume)
    assert not (folder / "recipe.yaml").exists()


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("network={name: unet, options: {width: 2}}", "schedule: the network unet cannot be trained .* crops of 8x8"),
        ("critic={mode: hinge}", "schedule: the critic cannot be trained on batches of 2 crops of"),
        ("sizing.area=1", "sizing: area is 1"),
        ("losses.0.weight=.inf", "losses.0.weight': it should be a finite number"),
        ("network.std=[0, 1, 1]", "network.std.0"),
        ("network.std=[-1, 1, 1]", "network.std.0"),
        ("optimize.learning_rate=.inf", "finite number"),
        ("data.sources.0.weight=.inf", "finite number"),
        ("augment.crop_ratio=[0.000000001, 0.000000001]", "augment.crop_ratio"),
        ("augment.crop_scale=[5, 9]", "augment.crop_scale"),
        ("seed=-1", "seed"),
        ("seed=1180591620717411303424", "seed"),
        ("name=../x", "cannot be the name of a run folder"),
        ("name=''", "cannot be the name of a run folder"),
        ("losses=[{name: tversky, options: {gamma: 0}}]", "losses.0|loss 'tversky': gamma must be at least 0.01"),
        ("losses=[{name: soft_dice, options: {per_image: maybe}}]", "losses.0: .* per_image is 'maybe'; it takes true"),
        ("losses=[{name: cross_entropy, weight: 0}]", "every loss has the weight 0"),
        ("losses=[{name: cross_entropy, options: {class_weights: [.nan, 1]}}]", "class_weights is"),
        ("data.sources.0.name=score", "no source can be called 'score'"),
        ("data.sources.0.masks=people/images", "the masks are the photos themselves"),
        ("data.sources.0.images=nope", "data.sources.0: no folder"),
        ("data.sources.1.masks=people/masks", "a source of kind 'empty' has no 'masks'"),
        ("network.name=unett", "tiny.yaml: network: "),
        ("optimize.freeze=encoder", "optimize.freeze': write a list"),
    ],
)
def test_what_makes_no_sense_is_refused_before_there_is_a_folder(tiny_recipe, tmp_path, override, says):
    with pytest.raises(FiguregroundError, match=says) as failed:
        run(tiny_recipe, ["schedule.stages.0.sizes=[8, 32]", override], output=tmp_path / "run")
    assert "tiny.yaml" in failed.value.message
    assert not (tmp_path / "run").exists()


def test_a_key_that_stands_twice_is_refused(tiny_recipe, tmp_path):
    file = tmp_path / "twice.yaml"
    file.write_text(tiny_recipe.read_text() + "\nseed: 3\n")
    with pytest.raises(RecipeError, match="'seed' stands there twice"):
        Recipe.read(file)


def test_masks_of_black_and_white_are_no_leaf_numbers(tiny_recipe, tmp_path):
    with pytest.raises(DataError, match=r"data\.sources\.0: source .* none of its \d+ masks shows anybody; .*255"):
        run(tiny_recipe, ["data.sources.0.any_value_is_leaf=false"], output=tmp_path / "run")
