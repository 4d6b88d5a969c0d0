"""Depth from end to end: a recipe with an estimator, or with recorded maps, to a run and to a bundle."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch
import yaml
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import figureground as fg
from figureground import images
from figureground.data.depth_specs import DepthSpec, EstimatorSpec
from figureground.errors import ImageError, NetworkError, RecipeError
from figureground.export import export_run
from figureground.runtime.bundle import Bundle
from figureground.runtime.depth_input import DepthInput
from figureground.train import Recipe, build_model, load_run, run
from figureground.train.depth import GRAPH, kept_estimator
from figureground.train.feed import Feed
from figureground.train.preview import augmented_sheet
from figureground.train.segmenter import RunSegmenter

SMALL = {"name": "unet", "options": {"width": 4}}


@pytest.fixture(scope="module")
def estimator_file(tmp_path_factory):
    """A random depth network of a few weights: the first convolution has stride 2."""
    rng = np.random.default_rng(0)
    weights = {"wide": rng.normal(size=(6, 3, 3, 3)), "narrow": rng.normal(size=(1, 6, 3, 3))}
    nodes = [
        helper.make_node("Conv", ["pixels", "wide"], ["a"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "narrow"], ["depth"], pads=[1, 1, 1, 1]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("depth", TensorProto.FLOAT, ["n", 1, "y", "x"])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    path = tmp_path_factory.mktemp("estimator") / "tiny-depth.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture
def estimated(values, estimator_file, tmp_path):
    """The tiny recipe with an estimator and a small network."""
    depth = {"estimator": {"onnx": str(estimator_file), "size": [32, 48]}, "drop": 0.2, "cache": str(tmp_path / "maps")}
    return {**values, "network": SMALL, "depth": depth}


def assert_same(bundle_file, run_folder, pictures, depths=None):
    """Torch and the bundle within 1e-4 of the largest logit."""
    bundle, torch_run = fg.load(bundle_file), RunSegmenter(run_folder)
    for number, picture in enumerate(pictures):
        fitted = images.resize(picture, torch_run.network_size(*picture.shape[:2]))
        given = () if depths is None else (depths[number](fitted.shape[:2]),)
        wanted, got = torch_run.logits(fitted, *given), bundle.logits(fitted, *given)
        assert np.abs(wanted - got).max() <= 1e-4 * np.abs(wanted).max()


def test_from_a_recipe_with_an_estimator_to_a_bundle(estimated, recipe_file, estimator_file, tmp_path, capsys):
    folder = run(recipe_file(estimated), output=tmp_path / "run")
    kept = list((tmp_path / "maps").rglob("*.png"))
    assert len(kept) == 16  # eight photos of people, eight without
    assert "depth of" in capsys.readouterr().err

    # What validation showed the network is what the run's own estimator says about the photo at the network's size.
    feed = Feed(Recipe.read(folder / "recipe.yaml"), folder)
    photo = next(iter(feed.val_dataloader()))
    assert photo.image.shape[1] == 4
    picture = photo.image[0, :3].permute(1, 2, 0).byte().numpy()
    said = kept_estimator(folder)(np.ascontiguousarray(picture))
    np.testing.assert_allclose(photo.image[0, 3].numpy(), said, atol=3 / 65534 + 1e-5)

    bundle = export_run(folder, tmp_path / "b.onnx", storage="float32")
    assert bundle.depth is None
    assert bundle.card["depth"]["estimator"] == "tiny-depth.onnx"
    assert bundle.card["depth"]["sha256"] == kept_estimator(folder).sha256
    assert str(tmp_path) not in str(bundle.card)
    rng = np.random.default_rng(0)
    photos = [np.asarray(Image.fromarray(rng.integers(0, 256, (5, 8, 3), np.uint8)).resize((90, 60))) for _ in range(2)]
    assert_same(tmp_path / "b.onnx", folder, photos)
    assert fg.load(tmp_path / "b.onnx")(photos[0]).mask.shape == (60, 90)

    # The network looks at it.
    network = load_run(folder)[1]
    seen = photo.image.float()
    without = seen.clone()
    without[:, 3] = 0
    with torch.no_grad():
        assert (network(seen) - network(without)).abs().max() > 1e-3

    (folder / GRAPH).unlink()
    with pytest.raises(NetworkError, match=r"no depth estimator at .*depth\.onnx"):
        export_run(folder, tmp_path / "again.onnx")


def test_a_resumed_run_needs_the_estimators_file_no_more(estimated, recipe_file, tmp_path):
    recipe = recipe_file(estimated)
    folder = run(recipe, output=tmp_path / "run", overrides=["schedule.epochs=1"])
    own = (folder / GRAPH).read_bytes()
    estimated["depth"]["estimator"]["onnx"] = str(tmp_path / "gone.onnx")
    assert Feed(Recipe.read(recipe_file(estimated)), folder).estimator.graph == own
    with pytest.raises(NetworkError, match=r"no depth network at .*gone\.onnx"):
        Feed(Recipe.read(recipe_file(estimated)))


def test_augmented_samples_with_depth_are_shown(estimated, recipe_file):
    sheet = augmented_sheet(recipe_file(estimated), number=4, cell=64)
    assert sheet.dtype == np.uint8
    assert sheet.std() > 0


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Parts of a photo whose depth was recorded with structured light, as pairs whose masks are what is near.

    The motorcycle of the Middlebury 2014 stereo pairs, which scikit-image carries: disparities, infinite where unknown.
    """
    pytest.importorskip("skimage")
    data = resources.files("skimage") / "data"
    with np.load(str(data / "motorcycle_disp.npz")) as stored:
        disparity = np.where(np.isfinite(stored["arr_0"]), stored["arr_0"], 0)
    photo = images.read(str(data / "motorcycle_left.png"))
    root = tmp_path_factory.mktemp("motorcycle")
    for folder in ("images", "masks", "depth"):
        (root / folder).mkdir()
    for number in range(8):
        top, left = 40 * (number % 4), 300 * (number // 4)
        cut = np.s_[top : top + 320, left : left + 400]
        Image.fromarray(photo[cut]).save(root / f"images/p{number}.png")
        near = disparity[cut] > np.median(disparity[cut][disparity[cut] > 0])
        Image.fromarray(near).convert("L").save(root / f"masks/p{number}.png")
        Image.fromarray(np.rint(256 * disparity[cut]).astype(np.uint16)).save(root / f"depth/p{number}.png")
    return root


def test_from_recorded_maps_to_a_bundle_that_wants_one(values, recorded, recipe_file, tmp_path):
    source = {"name": "parts", "images": "images", "masks": "masks", "depth": "depth", "hold_out": 0.3}
    values["data"] = {**values["data"], "root": str(recorded), "sources": [source]}
    values.update(network=SMALL, depth={"values": "inverse"})
    folder = run(recipe_file(values), output=tmp_path / "run", overrides=["schedule.epochs=1"])
    bundle = export_run(folder, tmp_path / "b.onnx", storage="float32")
    assert bundle.depth == DepthInput("inverse", needed=True)
    assert bundle.card["depth"] == {"files": "inverse", "needed": True}
    photo, depth = recorded / "images/p0.png", recorded / "depth/p0.png"
    wanted = bundle.depth
    assert_same(
        tmp_path / "b.onnx",
        folder,
        [images.read(photo)],
        [lambda size: wanted.fitted(depth, (320, 400), size)],
    )
    segmenter, same = fg.load(tmp_path / "b.onnx"), RunSegmenter(folder)
    with_map, in_torch = segmenter(photo, depth=depth), same(photo, depth=depth)
    np.testing.assert_allclose(with_map.probabilities, in_torch.probabilities, atol=1e-3)
    for one in (segmenter, same):
        with pytest.raises(ImageError, match="needs a depth map"):
            one(photo)
    assert Bundle.read(tmp_path / "b.onnx").depth == bundle.depth
    assert (same.cost(same, images.read(photo)).multiply_adds or 0) > 0


# What is refused before anything starts

FILES = {"depth": {}}
WRONG = {
    "a map without the section": ({}, {"depth": "depth"}, "add a section 'depth'"),
    "no map": (FILES, {}, "has no 'depth': name its folder"),
    "a map and an estimator": ({"depth": {"estimator": {"onnx": "a.onnx"}}}, {"depth": "d"}, "away"),
    "two estimators": ({"depth": {"estimator": {"onnx": "a.onnx", "transformers": "b"}}}, {}, "either 'onnx' or"),
    "no estimator": ({"depth": {"estimator": {}}}, {}, "either 'onnx' or"),
    "half a normalisation": ({"depth": {"estimator": {"onnx": "a", "mean": [0, 0, 0]}}}, {}, "both 'mean' and 'std'"),
    "people without depth": ({"depth": {}, "augment": {"paste": 0.5}}, {"depth": "d"}, r"augment\.paste puts people"),
    "an unknown key": ({"depth": {"estimater": {}}}, {}, r"unknown key 'depth\.estimater'; did you mean 'estimator'"),
    "an unknown kind of values": ({"depth": {"values": "metres"}}, {"depth": "d"}, r"depth\.values"),
}


@pytest.mark.parametrize(("section", "source", "said"), WRONG.values(), ids=WRONG)
def test_recipes_that_contradict_themselves(values, recipe_file, section, source, said):
    values["data"]["sources"] = [{**values["data"]["sources"][0], **source}]
    with pytest.raises(RecipeError, match=said):
        Recipe.read(recipe_file({**values, **section}))


def test_composites_have_no_maps_in_files(values, recipe_file):
    pasted = {"name": "c", "kind": "composite", "people": "p", "backgrounds": ["b"], "depth": "d"}
    values["data"]["sources"].append(pasted)
    for source in values["data"]["sources"][:2]:
        source["depth"] = "d"
    with pytest.raises(RecipeError, match="made up anew each time"):
        Recipe.read(recipe_file({**values, **FILES}))


def test_channels_that_contradict_the_section(values):
    def built(network, depth):
        return build_model(Recipe.model_validate({**values, "network": network, **depth}))

    with pytest.raises(RecipeError, match=r"in_channels is 4, but pictures have 3"):
        built({"name": "unet", "options": {"width": 4, "in_channels": 4}}, {})
    for source in values["data"]["sources"]:
        source["depth"] = False
    with pytest.raises(RecipeError, match=r"in_channels is 3, but pictures have 4"):
        built({"name": "unet", "options": {"width": 4, "in_channels": 3}}, FILES)
    assert built(SMALL, FILES).channels == 4


def test_a_network_that_cannot_see_depth(values, monkeypatch):
    monkeypatch.setattr("figureground.train.depth.spec", lambda name: SimpleNamespace(depth=name == "segnet"))
    for source in values["data"]["sources"]:
        source["depth"] = False
    with pytest.raises(RecipeError, match="'unet' cannot see depth; use one that can: segnet"):
        build_model(Recipe.model_validate({**values, "network": SMALL, **FILES}))


def test_a_run_without_depth_starts_one_with_depth(values):
    """Every network's first layer is widened by zeros, so the answer is the same whatever the depth is."""
    torch.manual_seed(0)
    plain = build_model(Recipe.model_validate({**values, "network": SMALL})).eval()
    from figureground.networks.transfer import transfer

    for source in values["data"]["sources"]:
        source["depth"] = False
    deep = build_model(Recipe.model_validate({**values, "network": SMALL, **FILES})).eval()
    report = transfer(deep, plain.state_dict())
    assert len(report.widened) == 1
    picture = torch.rand(1, 4, 32, 48) * 255
    with torch.no_grad():
        torch.testing.assert_close(deep(picture), plain(picture[:, :3]), rtol=0, atol=1e-6)


def test_the_recipe_of_a_bundle_names_no_folder(values, tmp_path):
    from figureground.export.run import _public

    estimator = {"transformers": str(tmp_path), "size": [28, 28]}
    for given in (estimator, {"onnx": str(tmp_path / "a.onnx")}):
        depth = {"estimator": given, "cache": str(tmp_path / "cache")}
        text = _public(Recipe.model_validate({**values, "depth": depth})).dump()
        assert str(tmp_path) not in text
        assert yaml.safe_load(text)["depth"]["cache"] == "cache"


@pytest.mark.parametrize("section", [DepthSpec, EstimatorSpec], ids=["depth", "estimator"])
def test_every_key_is_explained(section):
    text = (Path(__file__).resolve().parents[2] / "docs" / "depth.md").read_text(encoding="utf-8")
    assert not [key for key in section.model_fields if f"`{key}`" not in text]
