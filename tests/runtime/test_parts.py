"""Parts, decided down the tree: checked pixel by pixel against the rule, over random trees and random networks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import figureground as fg
from figureground.checks import ArgumentError
from figureground.errors import LabelError, NetworkError, OutputError, UnknownNetworkError
from figureground.labels import Label, LabelTree
from figureground.runtime import catalogue
from figureground.runtime.photo import Photo
from figureground.runtime.segmentation import PART_PICTURES, Segmentation


def random_tree(rng: np.random.Generator, nodes: int, deepest: int, chain: float, roots: float) -> LabelTree:
    """A forest: each node is a root, the child of the node before it (a chain), or of any that is not too deep."""
    parents, depths = [-1], [0]
    for i in range(1, nodes):
        parent = -1 if rng.random() < roots else i - 1 if rng.random() < chain else int(rng.integers(i))
        parent = parent if parent < 0 or depths[parent] + 1 < deepest else -1
        parents.append(parent)
        depths.append(0 if parent < 0 else depths[parent] + 1)
    labels = [Label(f"n{i}", (i % 256, i // 256, 5), None if p < 0 else f"n{p}") for i, p in enumerate(parents)]
    return LabelTree([labels[i] for i in rng.permutation(nodes)])


@st.composite
def results(draw, most=200):
    """A random forest to depth 6, with a random network's probabilities over it."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.sampled_from([(0.0, 0.05), (1.0, 0.0), (0.7, 0.1), (0.0, 1.0)]))
    tree = random_tree(rng, draw(st.integers(1, most)), draw(st.integers(1, 6)), *shape)
    leaves = rng.random((len(tree.leaves) + 1, 5, 7)) ** 2 + 1e-3
    leaves[0] *= len(leaves)  # the background, or a figure of many leaves would be everywhere
    probabilities = (leaves / leaves.sum(0))[1:].astype(np.float32)
    photo = rng.integers(0, 256, (5, 7, 3), np.uint8)
    return Segmentation(Photo(photo), probabilities, tree, threshold=draw(st.sampled_from([0.2, 0.5, 0.9])))


def by_hand(result: Segmentation, row: int, column: int) -> list[str]:
    """The labels of one pixel from its root down, by the rule: figure or not, then the best child each time."""
    tree = result.labels
    p = {leaf.name: result._leaves[k, row, column] for k, leaf in enumerate(tree.leaves)}

    def score(name):
        return np.float32(sum(p[leaf.name] for leaf in tree.leaves_under(name)))

    way: list[str] = []
    siblings = tree.roots if np.float32(sum(p.values())) >= result.threshold else ()
    while siblings:
        way.append(max(siblings, key=lambda label: score(label.name)).name)
        siblings = tree.children(way[-1])
    return way


@settings(max_examples=25, deadline=None)
@given(results(most=40))
def test_every_pixel_follows_the_rule(result):
    levels = [(result.labels.level(d), result.level(d)) for d in range(result.labels.depth)]
    settled = 0
    for row, column in np.ndindex(5, 7):
        if _has_near_tie(result, row, column):
            continue  # sums in another order may fall on another side
        settled += 1
        way = by_hand(result, row, column)
        for depth, (labels, index_map) in enumerate(levels):
            expected = way[min(depth, len(way) - 1)] if way else None
            k = int(index_map[row, column])
            assert (labels[k - 1].name if k else None) == expected
    assert settled > 10


def _has_near_tie(result, row, column):
    """Whether rounding decides: two siblings score the same but for that, or the figure is at the threshold."""
    scores = result.labels.nodes_from_leaves(result._leaves[:, row, column].astype(np.float64))
    groups: dict[str | None, list[float]] = {None: [result.threshold]}
    for label, score in zip(result.labels.labels, scores, strict=True):
        groups.setdefault(label.parent, []).append(float(score))
    roots = groups.pop(None)[1:]
    near = [np.diff(np.sort(group)).min(initial=1.0) for group in (*groups.values(), roots)]
    return min(*near, abs(sum(roots) - result.threshold)) < 1e-6


def test_of_equal_scores_the_first_listed_wins():
    labels = [Label("b", (1, 0, 0), "all"), Label("all", (2, 0, 0)), Label("a", (3, 0, 0), "all")]
    result = Segmentation(
        Photo(np.zeros((1, 1, 3), np.uint8)), np.full((2, 1, 1), 0.4, np.float32), LabelTree(labels), threshold=0.5
    )
    assert [part.name for part in result.found(-1)] == ["b"]


@settings(max_examples=30, deadline=None)
@given(results())
def test_no_part_is_where_its_whole_is_not(result):
    tree = result.labels
    masks = {label.name: result.parts(label.name) for label in tree.labels}
    np.testing.assert_array_equal(np.any([masks[root.name] for root in tree.roots], axis=0), result.mask)
    for label in tree.labels:
        children = [masks[child.name] for child in tree.children(label.name)]
        if children:
            np.testing.assert_array_equal(np.sum(children, axis=0), masks[label.name])
    for depth in range(tree.depth):
        index_map = result.level(depth)
        assert index_map.dtype == np.uint8
        for k, label in enumerate(tree.level(depth)):
            np.testing.assert_array_equal(index_map == k + 1, masks[label.name])


@settings(max_examples=20, deadline=None)
@given(results(most=30))
def test_what_is_found_is_what_the_masks_say(result):
    found = {part.name: part for part in result.found()}
    node = dict(zip(result.labels.names, result.probabilities, strict=True))
    np.testing.assert_allclose(result.coarse_probabilities, result.probabilities, atol=1e-6)  # already full size
    assert list(found) == [name for name in result.labels.names if result.parts(name).any()]
    for name, part in found.items():
        mask = result.parts(name)
        left, top, right, bottom = part.box
        assert part.area == mask.sum() == mask[top:bottom, left:right].sum()
        assert mask[top].any()
        assert mask[bottom - 1].any()
        assert mask[:, left].any()
        assert mask[:, right - 1].any()
        assert part.share == part.area / 35
        assert part.confidence == pytest.approx(min(1, node[name][mask].mean()), abs=1e-5)
        assert part.level == len(result.labels.ancestors(name))
    for depth in range(-1, result.labels.depth):
        names = {label.name for label in result.labels.level(depth % result.labels.depth)}
        assert [part.name for part in result.found(depth)] == [name for name in found if name in names]


def test_many_labels_need_two_bytes():
    tree = LabelTree([Label("all", (0, 0, 9)), *(Label(f"n{i}", (i % 256, i // 256, 1), "all") for i in range(300))])
    probabilities = np.zeros((300, 1, 300), np.float32)
    probabilities[np.arange(300), 0, np.arange(300)] = 0.9
    result = Segmentation(Photo(np.zeros((1, 300, 3), np.uint8)), probabilities, tree, threshold=0.5)
    assert result.level(0).dtype == np.uint8
    assert result.level(1).dtype == np.uint16
    assert result.level(1)[0].tolist() == list(range(1, 301))
    with pytest.raises(ArgumentError, match="300 labels"):
        result.part_picture("map")


class TestPictures:
    @pytest.fixture
    def result(self, color_segmenter):
        photo = np.zeros((64, 96, 3), np.uint8)
        photo[:32, :32], photo[:32, 32:], photo[32:, :32] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
        return color_segmenter(photo)

    @pytest.mark.parametrize("kind", PART_PICTURES)
    @pytest.mark.parametrize("depth", [-1, 0, 1, 2])
    def test_every_kind_at_every_level(self, result, kind, depth):
        picture = result.part_picture(kind, depth)
        assert picture.mode == ("P" if kind == "map" else "RGB")
        assert picture.height >= 64

    def test_a_map_keeps_the_numbers_and_shows_the_colours(self, result, tmp_path):
        result.part_picture("map", 1).save(tmp_path / "map.png")
        with Image.open(tmp_path / "map.png") as picture:
            np.testing.assert_array_equal(np.asarray(picture), result.level(1))
            shown = np.asarray(picture.convert("RGB"))
        for label in result.labels.level(1):
            assert (shown[result.parts(label.name)] == label.color).all()
        assert (shown[~result.mask] == 0).all()

    def test_an_overlay_has_a_legend(self, result):
        picture = np.asarray(result.part_picture("overlay"))
        np.testing.assert_array_equal(picture[:64, :96], np.asarray(result.overlay()))
        for label in result.labels.leaves:
            assert (picture[:, 96:] == label.color).all(-1).any()

    def test_nothing_found(self, color_segmenter):
        result = color_segmenter(np.zeros((20, 20, 3), np.uint8))
        assert result.found() == []
        for kind in PART_PICTURES:
            result.part_picture(kind)

    def test_unknown_kinds_and_levels(self, result):
        with pytest.raises(OutputError, match="did you mean 'overlay'"):
            result.part_picture("overly")
        with pytest.raises(LabelError, match="levels run from 0 to 2"):
            result.part_picture("map", 3)
        with pytest.raises(LabelError, match="levels run from 0 to 2"):
            result.found(-2)


class TestParse:
    @pytest.fixture
    def shipped(self, tmp_path, bundle_file, color_segmenter, monkeypatch):
        color_segmenter.bundle.save(tmp_path / "parts.onnx")
        found = {"parts": tmp_path / "parts.onnx", "person": bundle_file}
        monkeypatch.setattr(catalogue, "shipped", lambda: found)
        catalogue._kept.cache_clear()
        yield found
        catalogue._kept.cache_clear()

    def test_the_default_is_the_network_of_parts(self, shipped):
        photo = np.zeros((32, 32, 3), np.uint8)
        photo[:16] = (255, 0, 0)
        result = fg.parse(photo)
        assert [part.name for part in result.found(-1)] == ["red"]
        assert fg.parse(photo, threshold=0.999).threshold == 0.999

    def test_a_network_without_parts_is_refused(self, shipped):
        with pytest.raises(NetworkError, match=r"has no parts, it only finds 'person'; take a network of parts: parts"):
            fg.parse(np.zeros((8, 8, 3), np.uint8), network="person")

    def test_an_installation_without_parts(self, shipped):
        del shipped["parts"]
        with pytest.raises(UnknownNetworkError, match="no network 'parts'"):
            fg.parse(np.zeros((8, 8, 3), np.uint8))
