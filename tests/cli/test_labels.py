"""The verb `labels`: what is listed, what is drawn, and that the JSON is a file for a tree of one's own."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from figureground.cli.labels import _walk
from figureground.labels import Label, LabelTree, shipped_trees


def test_trees_are_listed(call):
    answer = call("labels")
    assert answer.code == 0
    assert [line.split()[0] for line in answer.lines] == ["name", *shipped_trees()]
    assert call("labels", "list").out == answer.out
    listed = {row["name"]: row for row in json.loads(call("labels", "list", "--json").out)["trees"]}
    assert listed["pascal-person-part"]["labels"] == 9
    assert listed["cityscapes"]["leaves"] == 19
    assert json.loads(call("labels", "--json").out)["trees"] == list(listed.values())


def test_a_tree_is_drawn(call):
    answer = call("labels", "show", "pascal-person-part")
    assert answer.code == 0
    drawn = [line.rsplit(maxsplit=2) for line in answer.lines[1:5]]
    assert [branch for branch, *_ in drawn] == ["   body", "   ├─ upper_body", "   │  ├─ low_hand", "   │  ├─ torso"]
    assert [rest for _, *rest in drawn] == [["7", "#ff4081"], ["8", "#ffa726"], ["1", "#ffd54f"], ["2", "#ef5350"]]
    assert answer.lines[-1] == "9 labels, 6 of them leaves, on 3 levels"
    assert "right_arm" in next(line for line in call("labels", "show", "lip").lines if " left_arm" in line)


@pytest.mark.parametrize("name", shipped_trees())
def test_the_json_is_a_file_for_a_tree(call, tmp_path, name):
    (tmp_path / "mine.json").write_text(call("labels", "show", name, "--json").out)
    assert LabelTree.find("mine.json") == LabelTree.named(name)
    assert call("labels", "show", "mine.json").out == call("labels", "show", name).out


def test_the_tree_of_a_bundle(call, tiny_parts_bundle):
    assert call("labels", "show", tiny_parts_bundle).out == call("labels", "show", "pascal-person-part").out
    assert call("labels", "show", "none.onnx").code == 3


def test_a_tree_as_a_picture(call, tmp_path):
    answer = call("labels", "show", "pascal-person-part", "-o", "tree.png")
    assert (answer.code, answer.lines) == (0, ["tree.png"])
    with Image.open(tmp_path / "tree.png") as picture:
        colors = {color for _, color in picture.convert("RGB").getcolors(100_000)}
    assert {label.color for label in LabelTree.named("pascal-person-part").labels} <= colors


def test_an_unknown_or_malformed_tree(call, tmp_path):
    answer = call("labels", "show", "pascal-person-prt")
    assert answer.code == 2
    assert "did you mean 'pascal-person-part'?" in answer.one_error
    (tmp_path / "mine.yaml").write_text("labels:\n- {name: a, color: [1, 2, 3]}\n- {name: b, color: [1, 2, 3]}\n")
    assert "mine.yaml' line 3 ('b'): the colour (1, 2, 3) is taken" in call("labels", "show", "mine.yaml").one_error


def test_a_chain_and_a_forest_are_walked_parents_first():
    chain = [Label(f"n{i}", (i % 256, i // 256, 9), f"n{i + 1}" if i < 1500 else None) for i in range(1501)]
    assert [label.name for _, label in _walk(LabelTree(chain), ("a", "b", "c"))] == [
        f"n{i}" for i in range(1500, -1, -1)
    ]
    forest = [Label("b", (1, 0, 0), "a"), Label("a", (2, 0, 0)), Label("c", (3, 0, 0)), Label("d", (4, 0, 0), "a")]
    walked = list(_walk(LabelTree(forest), ("|-", "`-", "| ")))
    assert [branch + label.name for branch, label in walked] == ["a", "|-b", "`-d", "c"]
