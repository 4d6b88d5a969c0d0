"""A finished training run becomes a bundle, with the proof that both compute the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from figureground import images
from figureground.data import picture_files
from figureground.data.depth_specs import DepthSpec
from figureground.errors import NetworkError
from figureground.export.compress import Storage, compress
from figureground.export.depth import example_depths, with_estimator
from figureground.export.onnx_model import to_onnx, to_onnx_with_depth
from figureground.export.parity import TOLERANCE, compare
from figureground.export.whole import WholeFigure, whole_tree
from figureground.labels import LabelTree
from figureground.networks.published.sources import HUB
from figureground.runtime.bundle import Bundle
from figureground.runtime.sizing import Sizing
from figureground.train import Recipe, load_run
from figureground.train.depth import EstimatesDepth, input_of, kept_estimator

Pixels = NDArray[np.uint8]


def export_run(
    run: Path,
    output: Path,
    *,
    name: str | None = None,
    report: Path | None = None,
    card: Mapping[str, Any] | None = None,
    storage: Storage = "float16",
    threshold: float | None = None,
    peak: float = 0.0,
    whole: str | None = None,
    area: int | None = None,
    photos: Path | None = None,
) -> Bundle:
    """Export the best weights of a run folder to a bundle file.

    The bundle is the network alone: `export_inference` writes what the recipe's `predict` puts around it.

    Args:
        run: the folder that training made.
        output: the bundle to write.
        name: of the network; the recipe's name by default.
        report: where to write the parity report as JSON.
        card: what people should know: description, licences, metrics.
        storage: how weights are stored; they compute in float32 whatever it is.
        threshold: probability from which a pixel is in the mask; that of the recipe's `predict` by default, or 0.5.
        peak: areas of the figure in which the probability never reaches this are dropped; 0 keeps all.
        whole: leave the parts out: one label of this name for the whole figure, with the leaves' summed probability.
        area: pixels at which the network sees a photo; the recipe's by default.
        photos: folder of pictures to measure parity on; the bundled photo and noise by default.

    Raises:
        RecipeError: the folder holds no run.
        NetworkError: the run has no weights, `whole` of a tree of several roots, or the ONNX model does not compute
            what the network does.
        DataError: no pictures in `photos`.
        FiguregroundError: a network of the recipe's `predict.ensemble` that cannot be opened, or has other labels.
        OutputError: the bundle or the report cannot be written.
    """
    recipe, model = load_run(run)
    labels: LabelTree = recipe.tree
    network: nn.Module = model
    if whole is not None:
        network, labels = WholeFigure(model).eval(), whole_tree(recipe.tree, whole)
    # `export_inference` needs them, and would find out with the bundle already written.
    recipe.inference.check(labels)
    sizing = Sizing(area=area or recipe.sizing.area, multiple=recipe.sizing.multiple)
    wanted = None if recipe.depth is None else input_of(recipe.depth)
    exact = to_onnx(network) if recipe.depth is None else to_onnx_with_depth(network)
    small = compress(exact, storage)
    if recipe.depth is not None and wanted is None:
        estimator = kept_estimator(run)
        exact, small = with_estimator(exact, estimator.graph), with_estimator(small, estimator.graph)
        network = EstimatesDepth(network, estimator).eval()
    pictures = parity_pictures(photos, sizing)
    depths = None if wanted is None else example_depths(pictures)
    parity = {kind: compare(network, one, pictures, depths) for kind, one in _kinds(exact, small, storage)}
    if not parity["onnx"].logit_relative <= TOLERANCE:
        raise NetworkError(
            f"the ONNX model differs from the network by {parity['onnx'].logit_relative:.1e} of the largest logit",
            remedy=f"at most {TOLERANCE:.0e} is allowed; nothing was written",
        )
    facts = {
        "description": recipe.description,
        "architecture": {"network": recipe.network.name, **_plain(recipe.network.options), **_head(recipe)},
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "storage": storage,
        "parity": {kind: found.to_dict() for kind, found in parity.items()},
        **_depth(recipe, run),
        "recipe": _public(recipe).dump(),
        **(card or {}),
    }
    bundle = Bundle.create(
        small,
        name=name or recipe.name,
        labels=labels,
        sizing=sizing,
        threshold=next(one for one in (threshold, recipe.inference.threshold, 0.5) if one is not None),
        peak=peak,
        card=facts,
        depth=wanted,
    )
    bundle.save(output)
    if report is not None:
        images.write_bytes(json.dumps(facts["parity"], indent=1).encode() + b"\n", report)
    return bundle


def _kinds(exact: bytes, small: bytes, storage: Storage) -> list[tuple[str, bytes]]:
    return [("onnx", exact), (f"onnx {storage}", small)]


def _depth(recipe: Recipe, run: Path) -> dict[str, Any]:
    """What the card says about depth: the estimator inside, or what the maps beside photos hold."""
    if recipe.depth is None:
        return {}
    if recipe.depth.estimator is None:
        return {"depth": {"files": recipe.depth.values, "needed": recipe.depth.drop == 0}}
    estimator = kept_estimator(run)
    return {"depth": {"estimator": estimator.name, "sha256": estimator.sha256}}


def _head(recipe: Recipe) -> dict[str, Any]:
    plain = recipe.head.name == "leaves"
    return {} if plain else {"head": {"name": recipe.head.name, **recipe.head.options}}


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key != "encoder_weights"}


def _public(recipe: Recipe) -> Recipe:
    """The recipe without the folders of one machine: a bundle is passed on, and they are nobody's business."""
    changes: dict[str, Any] = {"data": recipe.data.model_copy(update={"root": Path("${FIGUREGROUND_DATA}")})}
    network, options = recipe.network, dict(recipe.network.options)
    if isinstance(options.get("encoder_weights"), str):
        options["encoder_weights"] = Path(options["encoder_weights"]).name
    weights = network.weights
    if weights is not None and not str(weights).startswith(HUB):
        weights = Path(weights.name)
    changes["network"] = network.model_copy(update={"options": options, "weights": weights})
    if recipe.distill is not None:
        changes["distill"] = recipe.distill.model_copy(update={"run": Path(recipe.distill.run.name)})
    if recipe.depth is not None:
        changes["depth"] = _public_depth(recipe.depth)
    return recipe.model_copy(update=changes)


def _public_depth(depth: DepthSpec) -> DepthSpec:
    changes: dict[str, Any] = {"cache": Path(depth.cache.name)}
    estimator = depth.estimator
    if estimator is not None and estimator.onnx is not None:
        changes["estimator"] = estimator.model_copy(update={"onnx": Path(estimator.onnx.name)})
    elif estimator is not None and Path(str(estimator.transformers)).is_dir():
        name = Path(str(estimator.transformers)).name
        changes["estimator"] = estimator.model_copy(update={"transformers": name})
    return depth.model_copy(update=changes)


def parity_pictures(folder: Path | None, sizing: Sizing) -> list[Pixels]:
    """Pictures to compare two models on, at the network's size: those of a folder, or the bundled photo and noise.

    Raises:
        DataError: no pictures in the folder.
    """
    if folder is not None:
        photos = [images.read(path) for path in picture_files(folder)]
    else:
        demo = resources.files("figureground") / "demo" / "astronaut.jpg"
        noise = np.random.default_rng(0).integers(0, 256, (300, 451, 3), dtype=np.uint8)
        photos = [images.read(demo.read_bytes()), noise, np.zeros((97, 64, 3), np.uint8)]
    return [images.resize(photo, sizing.network_size(*photo.shape[:2])) for photo in photos]
