"""The exported model computes what torch computes, at sizes and batches it was not traced with."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from figureground.export import compare, compress
from figureground.export.parity import TOLERANCE


def run(model, images):
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, {"image": images})[0]


@pytest.fixture(scope="session")
def compressed(exact):
    return {storage: compress(exact, storage) for storage in ("float32", "float16", "int8")}


def weight_bytes(model):
    return sum(onnx.numpy_helper.to_array(tensor).nbytes for tensor in onnx.load_from_string(model).graph.initializer)


@pytest.mark.parametrize(("batch", "height", "width"), [(1, 64, 96), (3, 32, 32), (2, 33, 70), (1, 1, 3), (1, 97, 31)])
def test_any_batch_and_size_is_that_of_torch(model, exact, batch, height, width):
    images = np.random.default_rng(height).integers(0, 256, (batch, height, width, 3), np.uint8)
    with torch.inference_mode():
        expected = model(torch.from_numpy(images).permute(0, 3, 1, 2).float()).numpy()
    found = run(exact, images)
    assert found.shape == (batch, 2, height, width)
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() <= TOLERANCE * np.abs(expected).max()


def test_the_interface_is_that_of_a_bundle(exact):
    graph = onnx.load_from_string(exact).graph
    [image], [logits] = graph.input, graph.output
    assert (image.name, logits.name) == ("image", "logits")
    assert image.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    sizes = [side.dim_param or side.dim_value for side in image.type.tensor_type.shape.dim]
    assert sizes[3] == 3
    assert all(isinstance(side, str) for side in sizes[:3])


def test_batch_norms_are_folded(exact):
    kinds = {node.op_type for node in onnx.load_from_string(exact).graph.node}
    assert "Conv" in kinds
    assert "BatchNormalization" not in kinds


def test_nothing_tells_where_it_was_made(exact):
    """The exporter likes to note the source line behind each node."""
    assert b".py" not in exact
    assert b"torch.ops" not in exact
    assert not any(node.metadata_props or node.doc_string for node in onnx.load_from_string(exact).graph.node)


def test_smaller_storage_is_smaller(compressed):
    assert compressed["float32"] is not None
    full = weight_bytes(compressed["float32"])
    assert weight_bytes(compressed["float16"]) < 0.6 * full
    assert weight_bytes(compressed["int8"]) < 0.4 * full


@pytest.mark.parametrize(("storage", "most"), [("float32", 1e-4), ("float16", 5e-3), ("int8", 0.2)])
def test_smaller_storage_stays_close(model, compressed, pictures, storage, most):
    found = compare(model, compressed[storage], pictures)
    assert found.logit_relative <= most
    assert found.pixels_changed <= most
    assert found.pictures == 3


def test_each_weight_is_off_by_at_most_half_a_step(exact, compressed):
    """int8 with one scale per output channel: half of 1/100 of the channel's largest weight."""
    wanted = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load_from_string(exact).graph.initializer}
    kept = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load_from_string(compressed["int8"]).graph.initializer}
    stored = [name for name in wanted if f"{name}.byte" in kept]
    assert len(stored) > 20
    for name in stored:
        values = wanted[name]
        largest = np.abs(values).max(axis=tuple(range(1, values.ndim)), keepdims=True)
        error = np.abs(kept[f"{name}.byte"] * kept[f"{name}.scale"] - values)
        assert (error <= largest / 100 * 0.5001).all()


def test_small_tensors_are_kept_exactly(exact, compressed):
    before = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load_from_string(exact).graph.initializer}
    after = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load_from_string(compressed["int8"]).graph.initializer}
    small = [name for name, values in before.items() if values.size < 256 or values.ndim < 2]
    assert small
    assert all(np.array_equal(before[name], after[name]) for name in small)


def test_compressed_weights_are_widened_once_at_load(compressed, tmp_path):
    """Nothing but plain float32 convolutions is left to run: small storage costs no time."""
    for storage in ("float16", "int8"):
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(tmp_path / f"{storage}.onnx")
        ort.InferenceSession(compressed[storage], options, providers=["CPUExecutionProvider"])
        left = onnx.load(tmp_path / f"{storage}.onnx").graph
        assert sum(node.op_type == "Cast" for node in left.node) <= 1  # the picture's own
        assert not [t for t in left.initializer if t.data_type in (onnx.TensorProto.INT8, onnx.TensorProto.FLOAT16)]


# The comparison itself


def test_compare_sees_another_network(model, exact, pictures):
    with torch.no_grad():
        model.network.head.bias += 0.5
        found = compare(model, exact, pictures)
        model.network.head.bias -= 0.5
    assert found.logit_max == pytest.approx(0.5, rel=1e-3)
    assert found.probability_max > 0.01
    assert compare(model, exact, pictures).pixels_changed == 0


def test_compare_takes_no_numbers_for_no_difference(model, exact, pictures):
    proto = onnx.load_from_string(exact)
    [bias] = [t for t in proto.graph.initializer if list(t.dims) == [2] and t.data_type == onnx.TensorProto.FLOAT]
    bias.CopyFrom(onnx.numpy_helper.from_array(np.full(2, np.nan, np.float32), bias.name))
    found = compare(model, proto.SerializeToString(), pictures)
    assert found.logit_max == np.inf
    assert not found.logit_relative <= TOLERANCE
