"""Heads: path inference equals a search over all paths, what is exported gives one logit for each leaf."""

from __future__ import annotations

import math

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from figureground.errors import LabelError, NetworkError
from figureground.export.onnx_model import to_onnx
from figureground.labels import LabelTree
from figureground.labels.nodes import node_layout
from figureground.losses import hierarchical_softmax, with_background
from figureground.networks import create
from figureground.networks.heads import HeadedNetwork, with_head
from figureground.networks.heads.forms import Hyperbolic, Leaves, Nodes
from figureground.networks.heads.headed import PixelEmbedding
from figureground.networks.heads.inference import PathInference, SiblingSoftmax
from figureground.networks.registry import spec

PEOPLE = LabelTree.named("pascal-person-part")
BACKGROUNDS = ["none", "node", "chain"]
PYRAMID = {"encoder": "mobilenetv2_035", "widths": [8, 8, 8, 8, 8]}

trees = st.tuples(st.integers(0, 2**31), st.sampled_from([1, 2, 5, 20, 200]), st.integers(1, 6))
quickly = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def chain(tree_of, nodes):
    return tree_of(range(-1, nodes - 1))


def all_paths(labels):
    """Names from the root to each leaf, in the leaves' order, as many as there are levels."""
    paths = []
    for leaf in labels.leaves:
        way = [*reversed([above.name for above in labels.ancestors(leaf.name)]), leaf.name]
        paths.append(way + [leaf.name] * (labels.depth - len(way)))
    return paths


def searched(scores, labels, background, score):
    """For one pixel: the leaf of the best path, by trying all, and whether it beats the background's."""
    value = {name: scores[number - 1] for name, number in labels.mask_values().items()}
    sums = [sum(value[name] for name in path) for path in all_paths(labels)]
    own = scores[len(labels) :]
    if background == "none":
        best = max(value[root.name] for root in labels.roots)
        ground = labels.depth * (1 - best if score == "prob" else -best)
    else:
        ground = sum(own) * labels.depth / len(own)
    return int(np.argmax(sums)), max(sums) > ground


def check_search(labels, background, score, seed):
    layout = node_layout(labels, background)
    logits = 3 * torch.randn(1, len(layout), 2, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found = with_background(PathInference(layout, score)(logits)).softmax(1)
    scores = logits.sigmoid() if score == "prob" else logits
    for y, x in np.ndindex(2, 3):
        leaf, is_person = searched(scores[0, :, y, x].tolist(), labels, background, score)
        assert int(found[0, 1:, y, x].argmax()) == leaf
        assert bool(found[0, 0, y, x] < 0.5) == is_person


@quickly
@given(trees, st.sampled_from(BACKGROUNDS), st.sampled_from(["prob", "logit"]))
def test_path_inference_is_a_search_over_all_paths(random_tree, tree, background, score):
    seed, nodes, depth = tree
    check_search(random_tree(seed, nodes=nodes, depth=depth), background, score, seed)


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_chains_and_flat_forests_are_searched_too(tree_of, background):
    for labels in (chain(tree_of, 6), tree_of([-1] * 7)):
        check_search(labels, background, "prob", 0)


@quickly
@given(trees, st.sampled_from(BACKGROUNDS))
def test_sibling_softmax_is_the_product_of_conditional_probabilities(random_tree, tree, background):
    seed, nodes, depth = tree
    labels = random_tree(seed, nodes=nodes, depth=depth)
    layout = node_layout(labels, background)
    logits = 3 * torch.randn(1, len(layout), 1, 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    z = logits.flatten().tolist()
    parents = layout.parents.tolist()
    if background == "none":
        z, parents = [*z, 0.0], [*parents, -1]

    def given_parent(node):
        return math.exp(z[node]) / sum(math.exp(z[i]) for i, above in enumerate(parents) if above == parents[node])

    expected = []
    for leaf in range(len(labels.leaves)):
        node, product = leaf, 1.0
        while node >= 0:
            product *= given_parent(node)
            node = parents[node]
        expected.append(product)
    found = with_background(SiblingSoftmax(layout)(logits)).softmax(1).flatten()
    assert found[1:].tolist() == pytest.approx(expected, rel=1e-9)
    assert found[0].item() == pytest.approx(given_parent(len(labels)), rel=1e-9)


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_sibling_softmax_is_what_hierarchical_softmax_trains(background):
    layout = node_layout(PEOPLE, background)
    logits = 3 * torch.randn(2, len(layout), 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    target = torch.randint(0, 7, (2, 4, 5), generator=torch.Generator().manual_seed(1))
    probability = with_background(SiblingSoftmax(layout)(logits)).softmax(1).gather(1, target[:, None])
    torch.testing.assert_close(hierarchical_softmax(logits, target, labels=PEOPLE), -probability.log().mean())


def test_hyperbolic_leaves_are_a_softmax_of_hyperplanes():
    head = Hyperbolic(PEOPLE, dim=3, curvature=0.5).double()
    nn.init.normal_(head.offsets)
    maps = torch.randn(1, 3, 4, 5, dtype=torch.float64)
    expected = head.scores(maps).softmax(1)
    found = with_background(head(maps)).softmax(1)
    torch.testing.assert_close(found, torch.cat((expected[:, -1:], expected[:, :-1]), 1))
    assert (0.5 * head.points(maps).square().sum(1) < 1).all()


@pytest.mark.parametrize("tree", [False, True])
@pytest.mark.parametrize("dim", [1, 2, 64])
def test_a_hyperbolic_head_learns_in_bfloat16(tree, dim):
    torch.manual_seed(0)
    head = Hyperbolic(PEOPLE, dim=dim, tree=tree)
    maps = torch.nn.Parameter(20 * torch.randn(2, dim, 4, 5))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = head.output("nodes" if tree else "logits", maps)
        loss = out.square().mean()
    loss.backward()
    assert out.dtype == torch.float32
    for parameter in (maps, *head.parameters()):
        assert torch.isfinite(parameter.grad).all()
        assert parameter.grad.any()


HEADED = [
    ("leaves", {}, {"at": "refine.0", "size": 4}),
    ("nodes", {}, None),
    ("nodes", {"background": "chain", "inference": "logit"}, None),
    ("nodes", {"background": "none", "inference": "softmax"}, {"size": 4}),
    ("hyperbolic", {"dim": 2}, None),
    ("hyperbolic", {"dim": 5, "tree": True, "curvature": 0.3, "clip": None}, None),
]


@pytest.fixture(params=HEADED, ids=lambda case: "-".join(map(str, (case[0], *case[1].values()))))
def headed(request):
    name, options, embedding = request.param
    torch.manual_seed(0)
    return with_head("pyramid", PYRAMID, labels=PEOPLE, head=name, head_options=options, embedding=embedding)


def test_any_head_gives_one_logit_for_each_leaf(headed):
    x = torch.randn(2, 3, 45, 38)
    headed.train()
    outputs = headed.outputs(x, headed.gives)
    assert outputs["logits"].shape == (2, 6, 45, 38)
    if "nodes" in outputs:
        assert outputs["nodes"].shape[1] in (9, 10, 12)
    if "embedding" in outputs:
        vectors = outputs["embedding"]
        assert vectors.shape[:2] == (2, 4)
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(vectors[:, 0].shape))
    sum(output.square().sum() for output in outputs.values()).backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in headed.parameters())
    headed.eval()
    plain = headed(x)
    torch.testing.assert_close(plain, headed.outputs(x, ["logits"])["logits"])
    headed.to(memory_format=torch.channels_last)
    torch.testing.assert_close(headed(x.contiguous(memory_format=torch.channels_last)), plain, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "head",
    [
        Nodes(PEOPLE),
        Nodes(PEOPLE, background="none", inference="logit"),
        Nodes(PEOPLE, background="chain", inference="softmax"),
        Hyperbolic(PEOPLE, dim=2),
        Hyperbolic(PEOPLE, dim=3, tree=True),
    ],
    ids=["prob", "logit", "softmax", "hyperbolic", "hyperbolic tree"],
)
def test_a_bundle_computes_the_same(head):
    torch.manual_seed(0)
    body = nn.Conv2d(3, head.channels, 1)
    with torch.no_grad():
        body.weight.normal_(std=0.03)
        for parameter in head.parameters():
            parameter.normal_()
    network = HeadedNetwork(body, head).eval()
    session = onnxruntime.InferenceSession(to_onnx(network, size=32), providers=["CPUExecutionProvider"])
    picture = np.random.default_rng(0).integers(0, 256, (2, 24, 40, 3), dtype=np.uint8)
    [found] = session.run(None, {"image": picture})
    with torch.no_grad():
        wanted = network(torch.from_numpy(picture).permute(0, 3, 1, 2).float())
    assert found.shape == (2, 6, 24, 40)
    np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-4, atol=1e-4)


def test_the_plain_head_is_the_network_itself():
    """So weights of earlier runs keep their names."""
    network = with_head("pyramid", PYRAMID, labels=PEOPLE)
    assert network.state_dict().keys() == create("pyramid", leaves=6, **PYRAMID).state_dict().keys()
    assert Leaves(PEOPLE).channels == 6


def test_the_embedding_has_the_published_number_of_parameters():
    body = nn.Sequential(nn.Conv2d(3, 2048, 1))
    embedding = PixelEmbedding(body, 3, 8, at="0")
    assert sum(parameter.numel() for parameter in embedding.parameters()) == 4_724_992


def test_a_bundle_has_no_embedding():
    plain = with_head("pyramid", PYRAMID, labels=PEOPLE, head="nodes").eval()
    beside = with_head("pyramid", PYRAMID, labels=PEOPLE, head="nodes", embedding={}).eval()
    beside.load_state_dict(plain.state_dict(), strict=False)
    x = torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(beside(x), plain(x))
    for parameter in beside.embedding.parameters():
        parameter.data.fill_(math.nan)
    assert torch.isfinite(beside(x)).all()


def test_wrong_use_is_told():
    def build(**options):
        return with_head("pyramid", PYRAMID, labels=PEOPLE, **options)

    with pytest.raises(NetworkError, match=r"there is no head 'node'; did you mean 'nodes'\?"):
        build(head="node")
    with pytest.raises(NetworkError, match=r"head 'hyperbolic' has no option 'curve'"):
        build(head="hyperbolic", head_options={"curve": 1})
    with pytest.raises(NetworkError, match=r"head 'leaves' has no option 'dim'; leave it away"):
        build(head_options={"dim": 1})
    with pytest.raises(NetworkError, match="curvature and a clip above 0"):
        build(head="hyperbolic", head_options={"curvature": 0})
    with pytest.raises(NetworkError, match=r"no inference 'probs'; did you mean 'prob'\?"):
        build(head="nodes", head_options={"inference": "probs"})
    with pytest.raises(LabelError, match=r"no background is called 'chains'; did you mean 'chain'\?"):
        build(head="nodes", head_options={"background": "chains"})
    with pytest.raises(NetworkError, match=r"no module 'refine\.9' to embed; did you mean"):
        build(head="nodes", embedding={"at": "refine.9"})
    with pytest.raises(NetworkError, match="the embedding has no option 'width'"):
        build(embedding={"width": 3})
    with pytest.raises(NetworkError, match="the head gives no 'embedding'; it gives logits, nodes"):
        build(head="nodes").outputs(torch.zeros(1, 3, 32, 32), ["embedding"])


@pytest.mark.parametrize("network", ["deeplabv3plus", "ocrnet", "maskformer", "segformer"])
@pytest.mark.parametrize(("head", "options"), [("nodes", {}), ("hyperbolic", {"dim": 2, "tree": True})])
def test_heads_and_embeddings_stand_on_the_networks_of_the_field(network, head, options):
    reduced = spec(network).reduced
    made = with_head(network, reduced, labels=PEOPLE, head=head, head_options=options, embedding={"size": 8}).eval()
    image = torch.zeros(1, 3, 64, 64)
    with torch.no_grad():
        found = made.outputs(image, ["logits", "nodes", "embedding"])
    assert found["logits"].shape == (1, 6, 64, 64)
    assert found["nodes"].shape[2:] == (64, 64)
    assert found["embedding"].shape[1] == 8
