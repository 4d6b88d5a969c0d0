from __future__ import annotations

import numpy as np
import pytest

from figureground.checks import ArgumentError
from figureground.labels import LabelTree
from figureground.refine import (
    coarse_crf,
    dense_crf,
    drop_unsure,
    guided_upsample,
    keep_largest,
    smooth_crf,
    soft_erosion,
)
from figureground.refine.steps import STEPS, Seen, as_steps, read_step, read_steps, write_step

PARTS = LabelTree.named("pascal-person-part")


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)


def test_steps_are_read_from_text():
    crf, holes, largest = read_steps("crf:width=40.5:iterations=3, holes:max_area=1 ,largest")
    assert (crf.name, crf.width, crf.iterations, crf.color) == ("crf", 40.5, 3, 13.0)
    assert (holes.name, holes.max_area) == ("holes", 1)
    assert largest == STEPS["largest"]()


@pytest.mark.parametrize("name", STEPS)
def test_a_step_can_be_written_down(name):
    assert read_step(write_step(STEPS[name]())) == STEPS[name]()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("crff", "no refinement 'crff'; did you mean 'crf'"),
        ("", "no refinement ''; known: crf, coarse, smooth"),
        ("crf:widht=3", "refinement 'crf' has no setting 'widht'; did you mean 'width'"),
        ("crf:width", "step 'crf:width': 'width' has no value; write width="),
        ("crf:width=wide", "refinement 'crf': width is 'wide'; it must be a number"),
        ("crf:iterations=2.5", "iterations is 2.5; it must be a whole number"),
        ("crf:iterations=0", "iterations must be from 1 to 100, not 0"),
        ("crf:width=-3", "width must be from 0.1 to 10000, not -3"),
        ("crf:color=nan", "color must be from 0.1 to 1000, not nan"),
        ("guided:zoom=0.5", "zoom must be from 1 to 64, not 0.5"),
        ("erode:kernel=4", "kernel must be odd, not 4"),
        ("specks:min_area=2", "min_area must be from 0 to 1, not 2"),
        ("touching:left=0.8", "right must be from 0.8 to 1, not 0.75"),
    ],
)
def test_wrong_steps_are_refused_by_name(text, message):
    with pytest.raises(ArgumentError, match=message):
        read_steps(text)


def test_steps_do_what_the_functions_do(picture, person):
    p = person((30, 40)).astype(np.float32)
    seen = Seen(picture, LabelTree.person(), 0.5)
    for text, expected in (
        ("crf:width=20", dense_crf(p, picture, STEPS["crf"](width=20))),
        ("coarse:width=20", coarse_crf(p, picture, STEPS["coarse"](width=20))),
        ("smooth", smooth_crf(p)),
        ("erode:kernel=5", soft_erosion(p[0], kernel=5)[None]),
        ("sure:peak=0.99", drop_unsure(p[0], peak=0.99)[None]),
        ("largest", keep_largest(p[0], 0.5)[None]),
    ):
        assert np.array_equal(read_steps(text)[0].apply(p, seen), expected)
    small = np.ascontiguousarray(p[:, ::2, ::2])
    assert np.array_equal(read_steps("guided")[0].apply(small, seen)[0], guided_upsample(small[0], picture))


@pytest.mark.parametrize("name", STEPS)
def test_no_part_comes_to_contradict_the_tree(name, picture, person):
    leaves = person((15, 20), leaves=len(PARTS.leaves)).astype(np.float32)
    after = STEPS[name]().apply(leaves, Seen(picture, PARTS, 0.5))
    assert after.dtype == np.float32
    assert after.min() >= 0
    assert after.sum(0).max() <= 1 + 1e-5
    nodes = PARTS.nodes_from_leaves(after)
    for child in PARTS.labels:
        if child.parent is not None:
            assert (nodes[PARTS.index(child.name)] <= nodes[PARTS.index(child.parent)] + 1e-6).all()


def test_parts_keep_their_shares_where_the_figure_changes(picture):
    leaves = np.zeros((len(PARTS.leaves), 30, 40), np.float32)
    leaves[:2, 5:20, 5:20] = [[[0.6]], [[0.3]]]
    leaves[:2, 25:28, 30:34] = [[[0.1]], [[0.8]]]
    kept = STEPS["largest"]().apply(leaves, Seen(picture, PARTS, 0.5))
    assert np.allclose(kept[:, 5:20, 5:20], leaves[:, 5:20, 5:20])
    assert kept[:, 22:].max() == 0


@pytest.mark.parametrize("name", [["crf"], None, 3])
def test_a_name_that_is_no_text(name):
    with pytest.raises(ArgumentError, match="no refinement '"):
        read_step({"name": name})


def test_steps_are_given_as_text_or_one_by_one():
    wanted = read_steps("holes:max_area=0.5,largest")
    assert (
        as_steps("holes:max_area=0.5,largest")
        == as_steps(wanted)
        == as_steps([write_step(one) for one in wanted])
        == wanted
    )
    for given in (None, 5, ["holes"], {"name": "crf"}, [None]):
        with pytest.raises(ArgumentError, match=r"refinements are .*; give a text such as 'holes,largest'"):
            as_steps(given)
