"""A depth network inside its graph, against torch and numpy doing the same step by step."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch.nn import functional as F

from figureground.depth.estimator import Estimator
from figureground.depth.graph import Look, depth_graph
from figureground.depth.opening import open_onnx
from figureground.errors import NetworkError
from figureground.images import normalised_depth


def step_by_step(model, look, size, picture):
    """What the graph says it does, with torch's interpolation and our numpy normalisation of maps from files."""
    x = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float()
    if size is not None:
        x = F.interpolate(x, size, mode="bicubic", align_corners=False)
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (look.mean, look.std))
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (said,) = session.run(None, {"pixels": ((x / 255 - mean) / std).numpy()})
    said = torch.from_numpy(said).reshape(1, 1, *said.shape[-2:])
    if look.values == "distance":
        said = 1 / said.clamp(min=1e-6)
    nearness = F.interpolate(said, picture.shape[:2], mode="bicubic", align_corners=False)[0, 0].double().numpy()
    # The map of a file has no numbers below zero; a shift changes nothing.
    return normalised_depth((nearness - nearness.min() + 1).astype(np.float32), "inverse")


CASES = {
    "any size": (("h", "w"), 4, Look()),
    "shown at a size": (("h", "w"), 3, Look(size=(64, 80), mean=(0.5, 0.5, 0.5), std=(0.5, 0.4, 0.3))),
    "of a fixed size": ((48, 48), 4, Look()),
}


@pytest.mark.parametrize(("fixed", "rank", "look"), CASES.values(), ids=CASES)
def test_the_graph_does_what_it_says(network, picture, fixed, rank, look):
    model = network(fixed, rank=rank)
    estimator = Estimator(depth_graph(model, look, facts={}))
    size = look.size or (fixed if fixed != ("h", "w") else None)
    found = estimator(picture)
    assert found.shape == picture.shape[:2]
    assert found.std() > 0.5
    np.testing.assert_allclose(found, step_by_step(model, look, size, picture), atol=2e-3)


def test_distances_become_nearness(network, picture):
    model = network()
    # Of numbers that are all above one: the network's own, squared, plus one.
    model.graph.node.append(onnx.helper.make_node("Mul", ["said", "said"], ["squared"]))
    model.graph.node.append(onnx.helper.make_node("Add", ["squared", "unit"], ["metres"]))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32([1]), "unit"))
    model.graph.output[0].name = "metres"
    look = Look(values="distance")
    found = Estimator(depth_graph(model, look, facts={}))(picture)
    np.testing.assert_allclose(found, step_by_step(model, look, None, picture), atol=2e-3)


def test_a_batch_is_its_pictures_one_by_one(network, picture):
    graph = depth_graph(network(), Look(size=(32, 32)), facts={})
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    batch = np.stack([picture, picture[:, ::-1], 255 - picture])
    (found,) = session.run(["depth"], {"image": batch})
    for one, depth in zip(batch, found, strict=True):
        np.testing.assert_allclose(session.run(["depth"], {"image": one[None]})[0][0], depth, atol=1e-4)


def test_half_precision(network, picture):
    exact, half = (Estimator(depth_graph(network(kind=kind), Look(), facts={})) for kind in (1, 10))
    assert np.abs(exact(picture) - half(picture)).mean() < 0.02


def test_a_file_is_named_and_hashed(network_file, picture):
    import hashlib

    estimator = open_onnx(network_file)
    assert estimator.name == "tiny.onnx"
    assert estimator.sha256 == hashlib.sha256(network_file.read_bytes()).hexdigest()
    assert open_onnx(network_file).fingerprint == estimator.fingerprint
    assert open_onnx(network_file, Look(size=(32, 32))).fingerprint != estimator.fingerprint


def test_what_is_no_depth_network(network, network_file, tmp_path):
    with pytest.raises(NetworkError, match="no depth network at"):
        open_onnx(tmp_path / "nowhere.onnx")
    (tmp_path / "text.onnx").write_text("text")
    with pytest.raises(NetworkError):
        open_onnx(tmp_path / "text.onnx")
    with pytest.raises(NetworkError, match="takes 48x48"):
        depth_graph(network((48, 48)), Look(size=(32, 32)), facts={})
    two = network()
    two.graph.input.append(onnx.helper.make_tensor_value_info("more", 1, [1]))
    with pytest.raises(NetworkError, match="has 2 inputs"):
        depth_graph(two, Look(), facts={})
    three_maps = network()
    three_maps.graph.output[0].name = "b"  # eight channels
    with pytest.raises(NetworkError, match=r"failed on a picture of 32x32 .*estimator\.size"):
        Estimator(depth_graph(three_maps, Look(), facts={}))(np.zeros((32, 32, 3), np.uint8))
