"""A torch network as an ONNX model that takes pictures as they are: uint8 (N, H, W, 3) in, logits (N, K, H, W) out."""

from __future__ import annotations

import logging
import tempfile
import warnings
from pathlib import Path
from typing import cast

import onnx
import torch
from torch import nn

OPSET = 18


class Deployed(nn.Module):
    """The interface of a bundle around a network of 0-to-255 pictures."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(N, H, W, 3) uint8 -> (N, K, H, W) float32."""
        logits: torch.Tensor = self.model(image.permute(0, 3, 1, 2).float())
        return logits


class DeployedWithDepth(Deployed):
    """The same around a network that is shown normalised depth as a fourth channel."""

    def forward(self, image: torch.Tensor, depth: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """(N, H, W, 3) uint8 and (N, H, W) float32 -> (N, K, H, W) float32."""
        colors = image.permute(0, 3, 1, 2).float()
        logits: torch.Tensor = self.model(torch.cat([colors, depth.unsqueeze(1)], dim=1))
        return logits


def to_onnx(model: nn.Module, *, size: int = 256) -> bytes:
    """Export a network of 0-to-255 pictures with dynamic batch, height and width; batch norms are folded.

    Args:
        model: (N, 3, H, W) float -> (N, K, H, W); it is put in evaluation mode.
        size: side of the picture the exporter traces with.
    """
    example = torch.zeros(2, size, size + 32, 3, dtype=torch.uint8)
    return _exported(Deployed(model), {"image": example})


def to_onnx_with_depth(model: nn.Module, *, size: int = 256) -> bytes:
    """As `to_onnx`, with a second input `depth`, float32 (N, H, W), for a network (N, 4, H, W) -> (N, K, H, W)."""
    example = torch.zeros(2, size, size + 32, 3, dtype=torch.uint8)
    return _exported(DeployedWithDepth(model), {"image": example, "depth": torch.zeros(example.shape[:3])})


def _exported(deployed: Deployed, examples: dict[str, torch.Tensor]) -> bytes:
    deployed = deployed.eval().to(memory_format=torch.contiguous_format)
    dims = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC}
    # The exporter's notes on its own deprecations are not for whoever exports a network.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            deployed,
            tuple(examples.values()),
            input_names=list(examples),
            output_names=["logits"],
            dynamic_shapes=(dims,) * len(examples),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    return _bare(_folded(cast("torch.onnx.ONNXProgram", program).model_proto.SerializeToString()))


def _bare(model: bytes) -> bytes:
    """The model without what the exporter notes beside it: source lines with the paths of this machine, mostly."""
    proto = onnx.load_model_from_string(model)
    graph = proto.graph
    for part in (*graph.node, *graph.initializer, *graph.input, *graph.output, graph, proto):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    del graph.value_info[:]
    used = {node.domain for node in graph.node}
    kept = [entry for entry in proto.opset_import if entry.domain in used]
    del proto.opset_import[:]
    proto.opset_import.extend(kept)
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString())


def _folded(model: bytes) -> bytes:
    # ONNX Runtime's basic level is hardware independent: it folds constants and batch norms and writes plain ONNX.
    import onnxruntime as ort

    with tempfile.TemporaryDirectory() as scratch:
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(Path(scratch) / "folded.onnx")
        options.log_severity_level = 3
        ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return Path(options.optimized_model_filepath).read_bytes()
