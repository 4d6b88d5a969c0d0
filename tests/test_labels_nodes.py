"""The tables of a tree's channels against walks through the tree, over random trees."""

from __future__ import annotations

from collections import deque
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from figureground.errors import LabelError
from figureground.labels import LabelTree
from figureground.labels.nodes import node_layout

PEOPLE = LabelTree.named("pascal-person-part")
BACKGROUNDS = ["none", "node", "chain"]
quickly = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
any_tree = st.tuples(st.integers(0, 2**31), st.sampled_from([1, 2, 3, 8, 40, 200]), st.integers(1, 6))


def channels(labels):
    return {name: value - 1 for name, value in labels.mask_values().items()}


def walk(parents, node):
    way = []
    while node >= 0:
        way.append(node)
        node = parents[node]
    return way


def test_the_numbers_of_channels_are_those_of_the_papers():
    """10 of the seven-class task, 12 of PASCAL-Person-Part with a background for each level, 25 of LIP."""
    assert [len(node_layout(PEOPLE, background)) for background in BACKGROUNDS] == [9, 10, 12]
    lip = LabelTree.named("lip")
    assert len(node_layout(lip, "chain")) == len(lip) + lip.depth


@quickly
@given(any_tree, st.sampled_from(BACKGROUNDS))
def test_parents_depths_and_ancestors(random_tree, tree, background):
    seed, nodes, depth = tree
    labels = random_tree(seed, nodes=nodes, depth=depth)
    layout, channel = node_layout(labels, background), channels(labels)
    parents = layout.parents.tolist()
    for label in labels.labels:
        assert parents[channel[label.name]] == (-1 if label.parent is None else channel[label.parent])
    if layout.background_path:
        assert walk(parents, len(layout) - 1) == list(layout.background_path[::-1])
    for node in range(len(layout)):
        way = walk(parents, node)
        assert layout.depths[node] == len(way) - 1
        assert np.flatnonzero(layout.ancestors[node]).tolist() == sorted(way)


@quickly
@given(any_tree, st.sampled_from(BACKGROUNDS))
def test_places_by_depth_lead_to_parents_and_children(random_tree, tree, background):
    seed, nodes, depth = tree
    layout = node_layout(random_tree(seed, nodes=nodes, depth=depth), background)
    assert sorted(np.concatenate(layout.by_depth).tolist()) == list(range(len(layout)))
    for level, (above, below) in enumerate(zip(layout.by_depth[:-1], layout.by_depth[1:], strict=True)):
        assert (above[layout.parent_places[level]] == layout.parents[below]).all()
        inner, children = layout.child_places[level]
        for place, row in zip(inner, children, strict=True):
            assert set(below[row]) == set(np.flatnonzero(layout.parents == above[place]))


@quickly
@given(any_tree, st.sampled_from(BACKGROUNDS))
def test_groups_are_siblings(random_tree, tree, background):
    seed, nodes, depth = tree
    layout = node_layout(random_tree(seed, nodes=nodes, depth=depth), background)
    for group, row in enumerate(layout.groups):
        assert set(row) == set(np.flatnonzero(layout.siblings == group))
        assert len(set(layout.parents[row])) == 1
    assert (layout.parents[layout.groups[0]] == -1).all()


@quickly
@given(any_tree)
def test_paths_have_one_node_for_each_level(random_tree, tree):
    seed, nodes, depth = tree
    labels = random_tree(seed, nodes=nodes, depth=depth)
    layout = node_layout(labels)
    for leaf, path in enumerate(layout.paths.tolist()):
        way = walk(layout.parents.tolist(), leaf)[::-1]
        assert path == way + [leaf] * (labels.depth - len(way))


@quickly
@given(any_tree)
def test_distances_are_the_fewest_edges(random_tree, tree):
    seed, nodes, depth = tree
    labels = random_tree(seed, nodes=min(nodes, 40), depth=depth)
    layout, nodes = node_layout(labels), len(labels)
    # Nodes 1..n, the top n + 1, and from it a chain down to the background, 0, as deep as the deepest leaf.
    edges = [(1 + node, 1 + parent if parent >= 0 else nodes + 1) for node, parent in enumerate(layout.parents)]
    chain = [nodes + 1, *range(nodes + 2, nodes + 1 + labels.depth), 0]
    edges += list(pairwise(chain))
    beside = {}
    for a, b in edges:
        beside.setdefault(a, set()).add(b)
        beside.setdefault(b, set()).add(a)
    for start in range(nodes + 1):
        steps, queue = {start: 0}, deque([start])
        while queue:
            here = queue.popleft()
            for there in beside[here] - steps.keys():
                steps[there] = steps[here] + 1
                queue.append(there)
        assert layout.distances[start].tolist() == [steps[end] for end in range(nodes + 1)]


@quickly
@given(any_tree, st.sampled_from(BACKGROUNDS))
def test_what_a_value_tells_of_a_node(random_tree, tree, background):
    seed, nodes, depth = tree
    labels = random_tree(seed, nodes=min(nodes, 40), depth=depth)
    layout, channel = node_layout(labels, background), channels(labels)
    leaves = {name: {leaf.name for leaf in labels.leaves_under(name)} for name in labels.names}
    for value, name in [(0, None), *((channel[name] + 1, name) for name in labels.names)]:
        possible = leaves.get(name, set())
        for other in labels.names:
            known = not possible & leaves[other] or possible <= leaves[other]
            assert layout.known[value, channel[other]] == known
            assert layout.inside[value, channel[other]] == (bool(possible) and possible <= leaves[other])
        assert (layout.inside[value, len(labels) :] == (value == 0)).all()
        assert layout.known[value, len(labels) :].all()
    assert not layout.known[1 + len(labels) :].any()
    assert not layout.inside[1 + len(labels) :].any()


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_levels_are_those_of_the_tree_and_the_background(background):
    layout, channel = node_layout(PEOPLE, background), channels(PEOPLE)
    for level in range(3):
        members, place = layout.level(level)
        names = [label.name for label in PEOPLE.level(level)]
        assert members[: len(names)].tolist() == [channel[name] for name in names]
        assert len(members) == len(names) + (background != "none")
        assert place[0] == len(names)
        for leaf in PEOPLE.leaves:
            above = {leaf.name, *(label.name for label in PEOPLE.ancestors(leaf.name))}
            assert names[place[channel[leaf.name] + 1]] in above
        assert place[255] == -1
    assert place[channel["body"] + 1] == -1


def test_wrong_use_is_refused(random_tree):
    with pytest.raises(LabelError, match=r"no background is called 'nod'; did you mean 'node'\?"):
        node_layout(PEOPLE, "nod")
    with pytest.raises(LabelError, match="255 nodes does not fit in an index map; at most 254"):
        node_layout(random_tree(0, nodes=255, depth=3))
    assert node_layout(PEOPLE, "node") is node_layout(PEOPLE, "node")
