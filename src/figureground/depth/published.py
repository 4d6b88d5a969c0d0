"""Depth-estimation models of `transformers` (DPT, Depth Anything, ...) as ONNX models.

The model is loaded from safetensors, exported once for the size that it is shown, and compared with itself.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from figureground import images
from figureground.depth.graph import OPSET, Look, Triple
from figureground.errors import MissingExtraError, NetworkError

_SIZE = (384, 384)
"""Where neither the image processor nor the model says at what size it looks: that of MiDaS and DPT."""
_HALF = (0.5, 0.5, 0.5)
_METRIC = ("zoedepth", "depth_pro")
_TOLERANCE = 1e-3
"""Largest difference between the model and its export, relative to the largest number that it gives."""


@dataclass(frozen=True)
class Published:
    """A published model: its ONNX bytes, what its files say about how it looks, its name, and its weights' hash."""

    model: bytes
    look: Look
    name: str
    sha256: str


def published(name: str, size: tuple[int, int] | None, kept: Path | None) -> Published:
    """The model `name`, a folder or a name on the hub, at `size` or its own; `kept` is where exports are kept.

    Raises:
        NetworkError: no such model, or one that cannot be exported.
        MissingExtraError: transformers is not installed.
    """
    folder = Path(name) if Path(name).is_dir() else _fetched(name)
    config = _json(folder / "config.json")
    processor = _json(folder / "preprocessor_config.json") if (folder / "preprocessor_config.json").exists() else {}
    look = Look(
        mean=_three(processor.get("image_mean")) or _HALF,
        std=_three(processor.get("image_std")) or _HALF,
        size=size or _size(processor.get("size")) or _size(config.get("image_size")) or _SIZE,
        values="distance" if _is_metric(config) else "inverse",
    )
    sha256 = _hash(folder)
    shown = Path(name).name if Path(name).is_dir() else name
    return Published(_exported(folder, cast("tuple[int, int]", look.size), sha256, kept), look, shown, sha256)


def _exported(folder: Path, size: tuple[int, int], sha256: str, kept: Path | None) -> bytes:
    told = hashlib.sha256((folder / "config.json").read_bytes() + sha256.encode()).hexdigest()
    place = kept / f"{told}-{size[0]}x{size[1]}.onnx" if kept is not None else None
    if place is not None and place.is_file():
        return place.read_bytes()
    model = _export(folder, size)
    if place is not None:
        images.make_folder(place.parent)
        images.write_bytes(model, place)
    return model


def _export(folder: Path, size: tuple[int, int]) -> bytes:
    import torch

    network = _loaded(folder)
    example = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    # The exporter's notes on its own deprecations are not for whoever uses a model.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                network,
                (example,),
                input_names=["pixel_values"],
                output_names=["depth"],
                dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
                opset_version=OPSET,
                dynamo=True,
                optimize=False,  # ONNX Runtime does it when it loads the graph
                verbose=False,
            )
            model = bytes(cast("torch.onnx.ONNXProgram", program).model_proto.SerializeToString())
            _compare(model, example.numpy()[:1], network(example[:1]).numpy())
    except NetworkError:
        raise
    except Exception as error:  # the exporter raises a dozen types, and so do models on sizes that they do not take
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise NetworkError(
            f"the depth model in {folder.name} cannot be exported at {size[0]}x{size[1]} (height x width): {reason}",
            remedy="set estimator.size to multiples of its patches, or give an ONNX file as estimator.onnx",
        ) from error
    return model


def _loaded(folder: Path) -> Any:
    """The model as a torch module from pixels (N, 3, h, w) to depth (N, h, w)."""
    from torch import Tensor, nn

    try:
        loader = importlib.import_module("transformers").AutoModelForDepthEstimation
    except ImportError as error:
        raise MissingExtraError(
            "estimator.transformers needs the package 'transformers'", remedy="type: pip install transformers"
        ) from error

    class Depth(nn.Module):
        def __init__(self, model: nn.Module) -> None:
            super().__init__()
            self.model = model

        def forward(self, pixels: Tensor) -> Tensor:
            return cast("Tensor", self.model(pixel_values=pixels).predicted_depth)

    try:
        return Depth(loader.from_pretrained(folder, use_safetensors=True)).eval()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise NetworkError(
            f"{folder} holds no depth-estimation model: {reason}",
            remedy="give a folder with config.json and model.safetensors of a DPT or Depth Anything",
        ) from error


def _compare(model: bytes, pixels: np.ndarray, wanted: np.ndarray) -> None:
    import onnxruntime as ort

    got = ort.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, {"pixel_values": pixels})[0]
    difference = float(np.abs(got - wanted).max() / max(float(np.abs(wanted).max()), 1e-12))
    if not difference <= _TOLERANCE:
        raise NetworkError(
            f"the exported depth model differs from itself by {difference:.1e} of its largest answer",
            remedy="give an ONNX file as estimator.onnx",
        )


def _fetched(name: str) -> Path:
    import huggingface_hub

    try:
        return Path(huggingface_hub.snapshot_download(name, allow_patterns=["*.json", "*.safetensors"]))
    except Exception as error:  # the hub's errors share no base class
        raise NetworkError(
            f"no folder '{name}', and no model of that name from the hub: {(str(error).splitlines() or [''])[0]}",
            remedy="give a folder of save_pretrained, or a name such as depth-anything/Depth-Anything-V2-Small-hf",
        ) from error


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NetworkError(f"cannot read {path}: {error}", remedy="give a folder of save_pretrained") from error
    return found if isinstance(found, dict) else {}


def _three(value: Any) -> Triple | None:
    return (float(value[0]), float(value[1]), float(value[2])) if isinstance(value, list) and len(value) == 3 else None


def _size(value: Any) -> tuple[int, int] | None:
    """A size as image processors and configurations write it: {"height": h, "width": w}, [h, w], or one side."""
    if isinstance(value, dict) and {"height", "width"} <= set(value):
        return int(value["height"]), int(value["width"])
    if isinstance(value, list) and len(value) == 2:
        return int(value[0]), int(value[1])
    return (int(value), int(value)) if isinstance(value, int) else None


def _is_metric(config: dict[str, Any]) -> bool:
    return config.get("depth_estimation_type") == "metric" or config.get("model_type") in _METRIC


def _hash(folder: Path) -> str:
    """Of the weights, file by file in the order of their names."""
    digest = hashlib.sha256()
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise NetworkError(f"{folder} holds no .safetensors file", remedy="save the model with save_pretrained")
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()
