"""The label tree, checked against brute force over random trees."""

import json
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figureground.errors import LabelError, MissingExtraError
from figureground.labels import Label, LabelTree, shipped_trees


def color(i):
    return (i % 256, i // 256, 77)


@st.composite
def trees(draw, max_nodes=200):
    """Random forests in random order: bushy, chains, or anything between."""
    count = draw(st.integers(1, max_nodes))
    reach = draw(st.sampled_from([1, 2, 5, 1000]))
    seed = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    deepest = draw(st.sampled_from([1, 3, 6, 1000]))
    parents, depths = [], []
    for i in range(count):
        parent = -1 if i == 0 or seed.random() < 0.05 else int(seed.integers(max(0, i - reach), i))
        if parent >= 0 and depths[parent] + 1 >= deepest:
            parent = -1
        parents.append(parent)
        depths.append(0 if parent < 0 else depths[parent] + 1)
    labels = [Label(f"n{i}", color(i), None if p < 0 else f"n{p}") for i, p in enumerate(parents)]
    return [labels[i] for i in seed.permutation(count)]


def climb(labels, name):
    """The names from a label up to its root, by looking each one up in the list."""
    way = [name]
    while (parent := next(label.parent for label in labels if label.name == way[-1])) is not None:
        way.append(parent)
    return way


@settings(max_examples=60, deadline=None)
@given(trees())
def test_tree_agrees_with_brute_force(labels):
    tree = LabelTree(labels)
    ways = {label.name: climb(labels, label.name) for label in labels}
    leaves = [label for label in labels if not any(other.parent == label.name for other in labels)]
    assert tree.leaves == tuple(leaves)
    assert tree.roots == tuple(label for label in labels if label.parent is None)
    assert tree.depth == max(len(way) for way in ways.values())
    expected = [[float(node.name in ways[leaf.name]) for leaf in leaves] for node in labels]
    matrix = tree.node_leaf_matrix()
    assert matrix.dtype == np.float32
    assert matrix.tolist() == expected
    for i, label in enumerate(labels):
        assert tree.index(label.name) == i
        assert [above.name for above in tree.ancestors(label.name)] == ways[label.name][1:]
    for label in labels[:20]:
        assert tree.children(label.name) == tuple(other for other in labels if other.parent == label.name)
        assert tree.leaves_under(label.name) == tuple(leaf for leaf in leaves if label.name in ways[leaf.name])


@settings(max_examples=60, deadline=None)
@given(trees())
def test_every_level_covers_every_leaf_once(labels):
    tree = LabelTree(labels)
    matrix = tree.node_leaf_matrix()
    for i in range(tree.depth):
        rows = [tree.index(label.name) for label in tree.level(i)]
        assert rows == sorted(rows)
        assert (matrix[rows].sum(axis=0) == 1).all()
        assert all(len(tree.ancestors(label.name)) <= i for label in tree.level(i))
    assert tree.level(0) == tree.roots
    assert tree.level(tree.depth - 1) == tree.leaves


@settings(max_examples=40, deadline=None)
@given(trees(max_nodes=40), st.integers(0, 2**32 - 1), st.sampled_from([np.float32, np.float64, np.float16]))
def test_nodes_from_leaves_sums_what_lies_below(labels, seed, dtype):
    tree = LabelTree(labels)
    logits = np.random.default_rng(seed).normal(size=(len(tree.leaves), 3, 2))
    p = (np.exp(logits) / (1 + np.exp(logits).sum(axis=0))).astype(dtype)
    nodes = tree.nodes_from_leaves(p)
    assert nodes.shape == (len(tree), 3, 2)
    assert nodes.dtype == dtype
    for label, found in zip(labels, nodes, strict=True):
        below = [p[i] for i, leaf in enumerate(tree.leaves) if leaf in tree.leaves_under(label.name)]
        np.testing.assert_allclose(found, np.sum(below, axis=0), rtol=1e-2 if dtype == np.float16 else 1e-5)


@settings(max_examples=30, deadline=None)
@given(trees(max_nodes=30))
def test_dict_round_trip_and_equality(labels):
    tree = LabelTree(labels)
    again = LabelTree.from_dict(json.loads(json.dumps(tree.to_dict())))
    assert again == tree
    assert hash(again) == hash(tree)
    if len(labels) > 1:
        assert LabelTree(labels[::-1]) != tree
    assert tree != "tree"


def mirrored_body():
    return [
        Label("left arm", (1, 0, 0), "body", "right arm"),
        Label("head", (2, 0, 0), "body"),
        Label("right hand", (3, 0, 0), "right arm", "left hand"),
        Label("body", (4, 0, 0)),
        Label("right arm", (5, 0, 0), "body", "left arm"),
        Label("left hand", (6, 0, 0), "left arm", "right hand"),
    ]


def test_flip_permutation_swaps_partners_and_keeps_the_rest():
    tree = LabelTree(mirrored_body())
    assert [leaf.name for leaf in tree.leaves] == ["head", "right hand", "left hand"]
    assert tree.flip_permutation() == [0, 2, 1]
    assert LabelTree.person().flip_permutation() == [0]


@settings(max_examples=40, deadline=None)
@given(trees(max_nodes=60), st.integers(0, 2**32 - 1))
def test_flipping_maps_the_leaves_of_a_node_onto_those_of_its_partner(labels, seed):
    # Two mirrored copies of a random tree under one root give every node a partner.
    order = np.random.default_rng(seed).permutation(2 * len(labels) + 1)
    both = [Label("all", (255, 255, 255))]
    for side, other, blue in (("l", "r", 1), ("r", "l", 2)):
        for label in labels:
            parent = "all" if label.parent is None else side + label.parent
            both.append(Label(side + label.name, (*label.color[:2], blue), parent, other + label.name))
    tree = LabelTree([both[i] for i in order])
    flip = tree.flip_permutation()
    assert [flip[i] for i in flip] == list(range(len(tree.leaves)))
    matrix = tree.node_leaf_matrix()
    for label in tree.labels:
        partner = tree.index(label.flip or label.name)
        assert (matrix[tree.index(label.name)][flip] == matrix[partner]).all()


def test_person_is_one_node():
    tree = LabelTree.person()
    assert tree.names == ("person",)
    assert tree.depth == 1
    assert tree.level(0) == tree.leaves == tree.roots == tree.labels
    p = np.random.default_rng(0).random((1, 4, 5), dtype=np.float32)
    assert (tree.nodes_from_leaves(p) == p).all()


RED, BLUE, GREEN = (255, 0, 0), (0, 0, 255), (0, 255, 0)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([], ["at least one"]),
        ([Label("a", RED), Label("a", BLUE)], ["label 2", "'a'", "label 1"]),
        (
            [Label("a", RED), Label("b", BLUE), Label("c", GREEN, "a"), Label("c", (1, 1, 1), "b")],
            ["label 4 ('c')", "two parents, 'a' and 'b'"],
        ),
        ([Label("a", RED), Label("b", RED)], ["label 2", "colour", "label 1 ('a')"]),
        ([Label("body", RED), Label("arm", BLUE, "bdy")], ["label 2 ('arm')", "did you mean 'body'?"]),
        ([Label("a", RED, "a")], ["circle", "a -> a"]),
        ([Label("x", GREEN, "a"), Label("a", RED, "b"), Label("b", BLUE, "a")], ["circle", "a -> b -> a"]),
        ([Label("a", RED, flip="c")], ["flip partner", "'c'"]),
        ([Label("a", RED, flip="a")], ["flips to itself"]),
        ([Label("a", RED, flip="b"), Label("b", BLUE)], ["'b' does not flip back"]),
        (
            [Label("p", (9, 9, 9)), Label("a", RED, "p", flip="b"), Label("b", BLUE, flip="a")],
            ["label 2 ('a')", "parents 'p' and 'None'"],
        ),
        ([Label(" a", RED)], ["name"]),
        ([Label("", RED)], ["name"]),
        ([Label("a", (0, 0, 256))], ["colour", "256"]),
        ([Label("a", (0, 0))], ["colour"]),
        ([Label("a", (0, 0, True))], ["colour"]),
    ],
)
def test_unsound_trees_are_refused_with_the_entry_named(labels, words):
    with pytest.raises(LabelError) as caught:
        LabelTree(labels)
    for word in words:
        assert word in str(caught.value)


def test_a_child_of_a_flipping_node_needs_a_partner_too():
    labels = [label for label in mirrored_body() if label.name != "left hand"]
    labels[2] = Label("right hand", (3, 0, 0), "right arm")
    with pytest.raises(LabelError, match="do not mirror each other"):
        LabelTree(labels)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "no list under 'labels'"),
        ([], "no list under 'labels'"),
        ({"labels": "person"}, "no list under 'labels'"),
        ({"labels": ["person"]}, "label 1: expected a name and a color"),
        ({"labels": [{"name": "a", "colour": [1, 2, 3]}]}, "unknown key 'colour'; did you mean 'color'?"),
        ({"labels": [{"name": "a"}]}, "'color' is missing"),
        ({"labels": [{"name": "a", "color": [1, 2, 3], "parent": ["b", "c"]}]}, "'parent' must be the name of a label"),
        ({"labels": [{"name": "a", "color": "red"}]}, "'red'"),
        ({"labels": [{"name": 3, "color": [1, 2, 3]}]}, "needs a name"),
    ],
)
def test_wrong_dictionaries_are_refused(data, words):
    with pytest.raises(LabelError) as caught:
        LabelTree.from_dict(data)
    assert words in str(caught.value)


def test_unknown_names_and_levels():
    tree = LabelTree.person()
    with pytest.raises(LabelError, match="did you mean 'person'"):
        tree.index("persn")
    with pytest.raises(LabelError, match="levels run from 0 to 0"):
        tree.level(1)
    with pytest.raises(LabelError, match="no level -1"):
        tree.level(-1)
    with pytest.raises(LabelError, match="expected 1 leaf maps"):
        tree.nodes_from_leaves(np.zeros((2, 3, 3), dtype=np.float32))


YAML = """\
# a comment
labels:
  - {name: body, color: [10, 20, 30]}
  - name: head
    color: [1, 2, 3]
    parent: %s
"""


def test_from_yaml_reads_and_names_the_line(tmp_path):
    path = tmp_path / "tree.yaml"
    path.write_text(YAML % "body")
    assert LabelTree.from_yaml(path).names == ("body", "head")
    path.write_text(YAML % "bod")
    with pytest.raises(LabelError, match=r"tree.yaml' line 4 \('head'\): no label is named 'bod'"):
        LabelTree.from_yaml(path)
    path.write_text((YAML % "body").replace("color: [1, ", "colour: [1, "))
    with pytest.raises(LabelError, match=r"tree\.yaml' line 4: unknown key"):
        LabelTree.from_yaml(str(path))


@pytest.mark.parametrize("text", ["labels: [", "", "- 1", "labels: {a: 1}", "\x00"])
def test_from_yaml_refuses_what_is_not_a_tree(tmp_path, text):
    path = tmp_path / "tree.yaml"
    path.write_text(text)
    with pytest.raises(LabelError, match=r"tree\.yaml"):
        LabelTree.from_yaml(path)


def test_from_yaml_without_a_file_or_pyyaml(tmp_path, monkeypatch):
    with pytest.raises(LabelError, match=r"missing\.yaml"):
        LabelTree.from_yaml(tmp_path / "missing.yaml")
    (tmp_path / "tree.yaml").write_text(YAML % "body")
    (tmp_path / "tree.json").write_text('{"labels": [{"name": "a", "color": [1, 2, 3], "parent": "b"}]}')
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(MissingExtraError, match="pip install pyyaml"):
        LabelTree.from_yaml(tmp_path / "tree.yaml")
    with pytest.raises(LabelError, match=r"tree\.json' label 1 \('a'\): no label is named 'b'"):
        LabelTree.from_yaml(tmp_path / "tree.json")
    assert LabelTree.from_yaml(shipped_trees()["lip"]) == LabelTree.named("lip")
    (tmp_path / "tree.json").write_text("{")
    with pytest.raises(LabelError, match=r"tree\.json"):
        LabelTree.from_yaml(tmp_path / "tree.json")


MALFORMED = """\
labels:
  - {name: body, color: [1, 0, 0]}
  - {name: upper, color: [2, 0, 0], parent: body}
  - {name: lower, color: [3, 0, 0], parent: body}
  - {name: left, color: [4, 0, 0], parent: upper, flip: right}
  - {name: right, color: [5, 0, 0], parent: upper, flip: left}
"""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("{name: body, color: [1, 0, 0]}", "{name: body, color: [1, 0, 0], parent: upper}", ["line 2", "circle"]),
        ("parent: body}\n  - {name: left", "parent: body, parent: upper}\n  - {name: left", ["line 4", "two parents"]),
        ("name: right", "name: lower", ["line 6 ('lower')", "two parents, 'body' and 'upper'"]),
        ("[3, 0, 0], parent: body", "[3, 0, 0], parent: boddy", ["line 4 ('lower')", "did you mean 'body'"]),
        ("[5, 0, 0]", "[2, 0, 0]", ["line 6 ('right')", "colour (2, 0, 0)", "line 3 ('upper')"]),
        ("parent: upper, flip: left", "parent: lower, flip: left", ["line 5 ('left')", "'upper' and 'lower'"]),
        ("flip: left", "flip: upper", ["line 5 ('left')", "'right' does not flip back"]),
    ],
)
def test_malformed_files_are_refused_with_the_line_named(tmp_path, old, new, words):
    assert old in MALFORMED
    path = tmp_path / "tree.yaml"
    path.write_text(MALFORMED)
    assert LabelTree.from_yaml(path).depth == 3
    path.write_text(MALFORMED.replace(old, new))
    with pytest.raises(LabelError) as caught:
        LabelTree.from_yaml(path)
    for word in ("tree.yaml'", *words):
        assert word in str(caught.value)


def test_a_list_from_elsewhere_in_the_file_has_no_lines(tmp_path):
    path = tmp_path / "tree.yaml"
    path.write_text("base: &base\n  labels:\n    - {name: a, color: [1, 2, 3]}\n<<: *base\n")
    assert LabelTree.from_yaml(path).names == ("a",)
    path.write_text("base: &base\n  labels:\n    - {name: a, color: [1, 2, 3], parent: b}\n<<: *base\n")
    with pytest.raises(LabelError, match=r"tree\.yaml' label 1 \('a'\): no label is named 'b'"):
        LabelTree.from_yaml(path)


@settings(max_examples=40, deadline=None)
@given(trees(max_nodes=80))
def test_level_lookup_climbs_to_the_level(labels):
    tree = LabelTree(labels)
    values = tree.mask_values()
    assert sorted(values.values()) == list(range(1, len(tree) + 1))
    assert [values[leaf.name] for leaf in tree.leaves] == list(range(1, len(tree.leaves) + 1))
    for i in range(tree.depth):
        at_level = [node.name for node in tree.level(i)]
        lookup = tree.level_lookup(i)
        assert lookup[0] == 0
        for name, value in values.items():
            found = [k + 1 for k, node in enumerate(at_level) if node in climb(labels, name)]
            assert [lookup[value]] == (found or [-1])


@settings(max_examples=40, deadline=None)
@given(trees(max_nodes=25), st.integers(0, 2**32 - 1))
def test_merged_masks_cover_one_another_in_the_order_of_the_list(labels, seed):
    tree = LabelTree(labels)
    random = np.random.default_rng(seed)
    masks = {label.name: random.random((4, 5)) < 0.3 for label in random.permutation(np.array(labels, object))}
    merged = tree.merge(masks)
    values = tree.mask_values()
    for place in np.ndindex(4, 5):
        here = [label for label in labels if masks[label.name][place]]
        leaves = [label for label in here if label in tree.leaves]
        deepest = max(here, key=lambda label: (len(climb(labels, label.name)), labels.index(label)), default=None)
        top = leaves[-1] if leaves else deepest
        assert merged[place] == (0 if top is None else values[top.name])


def test_masks_that_cannot_be_merged():
    tree = LabelTree.named("pascal-person-part")
    with pytest.raises(LabelError, match="one size"):
        tree.merge({})
    with pytest.raises(LabelError, match="one size"):
        tree.merge({"head": np.zeros((2, 2), bool), "torso": np.zeros((2, 3), bool)})
    with pytest.raises(LabelError, match="did you mean 'head'"):
        tree.merge({"heads": np.zeros((2, 2), bool)})


def test_a_long_chain_needs_no_recursion():
    labels = [Label(f"n{i}", color(i), f"n{i - 1}" if i else None) for i in range(2000)]
    tree = LabelTree(labels)
    assert tree.depth == 2000
    assert tree.leaves == (labels[-1],)
    assert tree.node_leaf_matrix().sum() == 2000


def test_the_tree_of_the_seven_class_task_numbers_its_leaves_as_the_masks_do():
    tree = LabelTree.named("pascal-person-part")
    assert [leaf.name for leaf in tree.leaves] == ["low_hand", "torso", "low_leg", "head", "up_leg", "up_hand"]
    assert [label.name for label in tree.level(1)] == ["upper_body", "lower_body"]
    assert {leaf.name for leaf in tree.leaves_under("upper_body")} == {"low_hand", "torso", "head", "up_hand"}
    assert {leaf.name for leaf in tree.leaves_under("lower_body")} == {"low_leg", "up_leg"}
    assert [root.name for root in tree.roots] == ["body"]


@pytest.mark.parametrize("name", shipped_trees())
def test_shipped_trees_are_sound_and_are_yaml_too(name):
    tree = LabelTree.named(name)
    assert LabelTree.from_yaml(shipped_trees()[name]) == tree
    assert LabelTree.find(name) == LabelTree.find(str(shipped_trees()[name])) == tree
    assert (128, 128, 128) not in [label.color for label in tree.labels], "grey is drawn where the truth is unknown"


def test_an_unknown_tree_names_the_nearest():
    with pytest.raises(LabelError, match="did you mean 'pascal-person-part'"):
        LabelTree.find("pascal-person-parts")
    with pytest.raises(LabelError, match=r"mine\.yaml"):
        LabelTree.find("mine.yaml")


# What the datasets themselves say: leaves, levels, and one number per label (see docs/labels.md for where from).
PUBLISHED = {
    "person": (1, 1, {"person": 1}),
    "pascal-person-part": (6, 3, {"low_hand": 1, "torso": 2, "low_leg": 3, "head": 4, "up_leg": 5, "up_hand": 6}),
    "lip": (19, 3, {"hat": 1, "dress": 6, "jumpsuits": 10, "face": 13, "left_arm": 14, "right_shoe": 19}),
    "cihp": (19, 3, {"hat": 1, "dress": 6, "torso_skin": 10, "face": 13, "left_arm": 14, "right_shoe": 19}),
    "atr": (17, 3, {"hat": 1, "hair": 2, "belt": 8, "left_shoe": 9, "face": 11, "bag": 16, "scarf": 17}),
    "pascal-part": (24, 4, {"face": 1, "hair": 10, "torso": 11, "neck": 12, "left_hand": 15, "right_foot": 24}),
    "easyportrait": (8, 3, {"figure": 1, "skin": 2, "left_brow": 3, "right_eye": 6, "lips": 7, "teeth": 8}),
    "cityscapes": (19, 2, {"road": 1, "pole": 6, "sky": 11, "person": 12, "rider": 13, "bicycle": 19}),
}


@pytest.mark.parametrize("name", shipped_trees())
def test_shipped_trees_number_their_leaves_as_the_datasets_do(name):
    tree = LabelTree.named(name)
    leaves, depth, values = PUBLISHED[name]
    assert (len(tree.leaves), tree.depth) == (leaves, depth)
    assert values.items() <= tree.mask_values().items()
    sides = [label for label in tree.labels if label.name.startswith(("left", "right"))]
    assert sides == [label for label in tree.labels if label.flip]


def test_the_halves_of_the_body_in_lip_are_the_published_ones():
    """The two lists of arXiv:2203.14335's label tree for LIP, by label number."""
    tree = LabelTree.named("lip")
    values = tree.mask_values()
    upper = {values[leaf.name] for leaf in tree.leaves_under("upper_body")}
    assert upper == {*range(1, 8), 10, 11, 13, 14, 15}
    assert {values[leaf.name] for leaf in tree.leaves_under("lower_body")} == set(range(1, 20)) - upper


def test_the_groups_of_cityscapes_are_the_published_ones():
    tree = LabelTree.named("cityscapes")
    assert [len(tree.leaves_under(group.name)) for group in tree.level(0)] == [2, 3, 3, 2, 1, 2, 6]
    assert len(tree) == 26
