"""Multiply-adds against torch's own counter, and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from figureground.runtime.bundle import Bundle
from figureground.runtime.catalogue import load
from figureground.runtime.cost import Cost, cost, multiply_adds
from figureground.runtime.ensemble import Ensemble
from figureground.runtime.sizing import Sizing
from figureground.runtime.views import View

onnx = pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def products():
    """A bundle with one of each: convolution, its transpose, products of matrices; and the counts by hand."""
    from onnx import TensorProto, helper, numpy_helper

    from figureground.labels import LabelTree

    rng = np.random.default_rng(0)

    def weight(name, *shape):
        return numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)

    nodes = [
        helper.make_node("Cast", ["image"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["f"], ["x"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["x", "w1"], ["a"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["a", "w2"], ["b"], group=6, pads=[1, 1, 1, 1]),
        helper.make_node("ConvTranspose", ["b", "w3"], ["c"], strides=[2, 2]),
        helper.make_node("Transpose", ["c"], ["d"], perm=[0, 2, 3, 1]),
        helper.make_node("MatMul", ["d", "w4"], ["e"]),
        helper.make_node("Transpose", ["e"], ["logits"], perm=[0, 3, 1, 2]),
    ]
    graph = helper.make_graph(
        nodes,
        "products",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", "h", "w", 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 1, "h", "w"])],
        [weight("w1", 6, 3, 3, 3), weight("w2", 6, 1, 3, 3), weight("w3", 6, 4, 2, 2), weight("w4", 4, 1)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    bundle = Bundle.create(
        model.SerializeToString(), name="products", labels=LabelTree.person(), sizing=Sizing(area=32 * 64, multiple=32),
        threshold=0.5, card={"parameters": 6 * 27 + 6 * 9 + 24 * 4 + 4},
    )  # fmt: skip

    def by_hand(height, width):
        small = height * width // 4
        return small * 6 * 27 + small * 6 * 9 + small * 6 * 16 + height * width * 4

    return bundle, by_hand


def test_a_graph_is_counted_by_hand(products):
    bundle, by_hand = products
    for size in ((32, 64), (64, 64)):
        assert multiply_adds(bundle, size) == by_hand(*size)


def test_what_is_made_of_several_costs_all_their_runs(products):
    from figureground.runtime.onnx_segmenter import OnnxSegmenter

    bundle, by_hand = products
    network = OnnxSegmenter(bundle)
    photo = np.zeros((40, 80, 3), np.uint8)
    size = network.network_size(40, 80)
    alone = cost(network, photo)
    assert alone == Cost(bundle.card["parameters"], by_hand(*size))
    both = cost(Ensemble([network, View(network, mirrored=True)]), photo)
    assert both == Cost(alone.parameters, 2 * by_hand(*size))
    assert "logits" not in vars(network)


def test_a_network_of_torch_costs_the_same_exported(tmp_path):
    """Against torch's counter, through our own exporter."""
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode

    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, stride=2, padding=1),
        torch.nn.ReLU(),
        torch.nn.Conv2d(8, 8, 5, padding=4, dilation=2, groups=2),
        torch.nn.ConvTranspose2d(8, 1, 4, stride=2, padding=1),
    ).eval()

    class Bytes(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, image):
            return self.net(image.permute(0, 3, 1, 2).float())

    image = torch.zeros(1, 64, 32, 3, dtype=torch.uint8)
    file = tmp_path / "net.onnx"
    torch.onnx.export(Bytes().eval(), (image,), file, input_names=["image"], output_names=["logits"], dynamo=False)
    from figureground.labels import LabelTree

    bundle = Bundle.create(
        file.read_bytes(), name="n", labels=LabelTree.person(), sizing=Sizing(area=4096), threshold=0.5, card={}
    )
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        Bytes()(image)
    assert multiply_adds(bundle, (64, 32)) == counter.get_total_flops() // 2


def test_without_a_number_on_the_card(tiny_bundle):
    assert cost(load(tiny_bundle), np.zeros((9, 9, 3), np.uint8)) == Cost(None, 0)
