"""Predictor files: what is written is read back, and what is wrong is named."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

import figureground as fg
from figureground.errors import CorruptBundleError, NetworkError, PredictorError, UnknownNetworkError
from figureground.runtime.predictor import read_document


@pytest.fixture
def photo():
    return np.random.default_rng(3).integers(0, 256, (50, 70, 3), np.uint8)


@pytest.fixture
def write(tmp_path, bundle_file):
    """Write a predictor file next to bright.onnx; `write(node, **top)` gives its path."""

    def make(node, **top):
        path = tmp_path / "made.json"
        document = {"figureground": "predictor", "format_version": 1, "predictor": node, **top}
        path.write_text(json.dumps({key: value for key, value in document.items() if value is not None}))
        return path

    return make


NETWORK = {"kind": "network", "network": "bright.onnx"}


def test_every_kind_is_read_back_as_it_was(tmp_path, bundle_file, photo):
    bright = fg.load(bundle_file)
    made = fg.Ensemble(
        [
            bright,
            fg.View(bright, scale=1.5, mirrored=True),
            fg.Tiled(bright, zoom=3, tile=64, overlap=0.125, trust="tiles"),
            fg.Ensemble([bright, fg.PeopleFirst(bright, find=0.4, margin=0.5, zoom=(1.5, 8.0), crops=3)], mean="logit"),
            fg.Refined(fg.Ensemble([bright, bright], threshold=0.25), "holes:max_area=0.25,largest"),
        ],
        [3, 2, 1, 1, 1],
        name="all of it",
        threshold=0.375,
    )
    (tmp_path / "sub").mkdir()
    path = tmp_path / "sub" / "all.json"
    fg.save_predictor(made, path, chosen={"by": "hand"})
    again = fg.load(path)
    assert (again.name, again.threshold) == ("all of it", 0.375)
    np.testing.assert_array_equal(again(photo).probabilities, made(photo).probabilities)
    fg.save_predictor(again, tmp_path / "sub" / "again.json", chosen={"by": "hand"})
    assert (tmp_path / "sub" / "again.json").read_bytes() == path.read_bytes()
    assert read_document(path)["chosen"] == {"by": "hand"}
    assert '"network": "../bright.onnx"' in path.read_text()


def test_a_network_named_twice_is_opened_once(write):
    node = {"kind": "ensemble", "members": [NETWORK, {"kind": "view", "mirrored": True, "of": NETWORK}]}
    made = fg.load(write(node))
    assert made.members[0] is made.members[1].inner


def test_the_short_form_of_augmentation(write, bundle_file, photo):
    made = fg.load(write({"kind": "augmented", "scales": [1, 1.5], "of": NETWORK}))
    wanted = fg.augmented(fg.load(bundle_file), scales=(1, 1.5))
    np.testing.assert_array_equal(made(photo).probabilities, wanted(photo).probabilities)


def test_name_and_threshold_may_be_left_out(write, bundle_file):
    made = fg.load(write(NETWORK))
    assert (made.name, made.threshold) == ("made", 0.5)
    named = fg.load(write(NETWORK, name="mine", threshold=0.25))
    assert (named.name, named.threshold) == ("mine", 0.25)
    assert fg.load(bundle_file).name == "bright"


def test_the_hash_is_held_against_the_bundle(write, bundle):
    assert fg.load(write({**NETWORK, "sha256": bundle.sha256})).name == "made"
    with pytest.raises(PredictorError, match=r"predictor: the network 'bright\.onnx' is not the one"):
        fg.load(write({**NETWORK, "sha256": "0" * 64}))


def test_a_predictor_may_stand_in_another(write, tmp_path, photo):
    path = write({"kind": "view", "mirrored": True, "of": NETWORK})
    inner = path.rename(tmp_path / "inner.json")
    outer = write({"kind": "network", "network": "inner.json"})
    np.testing.assert_array_equal(fg.load(outer)(photo).probabilities, fg.load(inner)(photo).probabilities)


@pytest.mark.parametrize(
    ("node", "said"),
    [
        (None, "predictor is null"),
        ("bright", 'predictor is "bright"; it must be an object with a "kind"'),
        ({"kind": "ensembel"}, "no kind 'ensembel'; did you mean 'ensemble'"),
        ({"kind": "ensemble"}, "members is null"),
        ({"kind": "ensemble", "members": []}, "members is []"),
        ({"kind": "ensemble", "members": [NETWORK], "weight": [1]}, "unknown key 'weight'; did you mean 'weights'"),
        ({"kind": "ensemble", "members": [NETWORK], "weights": "1"}, "weights is '1'; it must be a list of numbers"),
        ({"kind": "ensemble", "members": [NETWORK], "weights": [0]}, "one number per member"),
        ({"kind": "ensemble", "members": [NETWORK], "mean": "harmonic"}, "no mean 'harmonic'"),
        ({"kind": "ensemble", "members": [NETWORK, {"kind": "view"}]}, "members[1].of is null"),
        ({"kind": "view", "of": NETWORK, "scale": True}, "scale is True; it must be a number"),
        ({"kind": "view", "of": NETWORK, "scale": -1}, "scale must be from 0.1 to 10"),
        ({"kind": "view", "of": NETWORK, "mirrored": 1}, "mirrored is 1; it must be true or false"),
        ({"kind": "ensemble", "members": [NETWORK], "weights": [10**400]}, "weights is [1000"),
        ({"kind": "refined", "of": NETWORK, "steps": [{"name": ["crf"]}]}, "no refinement '['crf']'"),
        ({"kind": "network", "network": "a\0b"}, 'network is "a\\u0000b" (no path)'),
        ({"kind": "network", "network": "\ud800.onnx"}, 'network is "\\ud800.onnx" (no path)'),
        ({"kind": "network", "network": "a" * 5000}, "File name too long"),
        ({"kind": "tiled", "of": NETWORK, "tile": 64.5}, "tile is 64.5"),
        ({"kind": "tiled", "of": NETWORK, "tile": 1}, "tile must be"),
        ({"kind": "people_first", "of": NETWORK, "zoom": [1]}, "zoom is [1]; it must be a list of two numbers"),
        ({"kind": "network"}, "network is null"),
        ({"kind": "network", "network": "bright.onnx", "file": 1}, "unknown key 'file'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_is_named(write, node, said):
    path = write(node)
    with pytest.raises(PredictorError) as caught:
        fg.load(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("top", "said"),
    [
        ({"format_version": 2}, "predictor format 2; upgrade"),
        ({"format_version": "1"}, "predictor format '1'"),
        ({"figureground": "recipe"}, "not a predictor file"),
        ({"treshold": 0.5}, "did you mean 'threshold'"),
        ({"threshold": 1.5}, "threshold is 1.5"),
        ({"threshold": True}, "threshold is True"),
        ({"name": ""}, "name is ''"),
    ],
    ids=str,
)
def test_what_is_wrong_at_the_top(write, top, said):
    with pytest.raises(PredictorError) as caught:
        fg.load(write(NETWORK, **top))
    assert said in str(caught.value)


def test_files_that_are_none(tmp_path, write):
    with pytest.raises(PredictorError, match="cannot be read"):
        fg.load(tmp_path / "none.json")
    for name in ("a\0.json", "\ud800.json", "a" * 5000 + ".json"):
        with pytest.raises(PredictorError, match="cannot be read"):
            fg.load(name)
    for text in ("", "{", "[" * 100_000, "[]", "\xff"):
        (tmp_path / "bad.json").write_text(text, encoding="latin-1")
        with pytest.raises(PredictorError, match="not a predictor file"):
            fg.load(tmp_path / "bad.json")
    with pytest.raises(UnknownNetworkError, match="did you mean 'person'"):
        fg.load(write({"kind": "network", "network": "persn"}))
    (tmp_path / "text.onnx").write_text("no")
    with pytest.raises(CorruptBundleError, match=r"text\.onnx"):
        fg.load(write({"kind": "network", "network": "text.onnx"}))
    node = NETWORK
    for _ in range(40):
        node = {"kind": "view", "of": node}
    with pytest.raises(PredictorError, match="more than 32"):
        fg.load(write(node))


def test_what_cannot_be_written(tmp_path, segmenter, bundle_file):
    class Own(fg.Segmenter):
        def network_size(self, height, width):
            return 8, 8

        def probabilities(self, image):
            return np.zeros((1, 8, 8), np.float32)

    with pytest.raises(PredictorError, match="no file to refer to"):
        fg.save_predictor(segmenter, tmp_path / "a.json")
    with pytest.raises(PredictorError, match=r"cannot describe Own\('own'\)"):
        fg.save_predictor(fg.Ensemble([Own("own", fg.LabelTree.person(), 0.5)]), tmp_path / "a.json")
    with pytest.raises(PredictorError, match="name is empty"):
        fg.save_predictor(fg.load(bundle_file).renamed("", 0.5), tmp_path / "a.json")
    with pytest.raises(PredictorError, match=r"name it a\.json"):
        fg.save_predictor(fg.load(bundle_file), tmp_path / "a.yaml")
    with pytest.raises(PredictorError, match="'chosen'"):
        fg.save_predictor(fg.load(bundle_file), tmp_path / "a.json", chosen={"x": object()})
    assert not list(tmp_path.glob("a.*"))


def test_a_bundle_inside_a_predictor_keeps_its_errors(write, bundle_file):
    bundle_file.unlink()
    with pytest.raises(NetworkError, match=r"bright\.onnx"):
        fg.load(write(NETWORK))


def test_a_hash_beside_a_predictor_file_is_that_of_its_bytes(write, tmp_path):
    inner = write(NETWORK).rename(tmp_path / "inner.json")
    node = {"kind": "network", "network": "inner.json", "sha256": hashlib.sha256(inner.read_bytes()).hexdigest()}
    assert fg.load(write(node)).name == "made"
    inner.write_text(inner.read_text() + " ")
    with pytest.raises(PredictorError, match=r"the network 'inner\.json' is not the one"):
        fg.load(write(node))


def test_files_that_stand_in_themselves(write, tmp_path):
    write({"kind": "view", "of": {"kind": "network", "network": "sub/b.json"}}).rename(tmp_path / "a.json")
    (tmp_path / "sub").mkdir()
    write({"kind": "network", "network": "../a.json"}).rename(tmp_path / "sub" / "b.json")
    with pytest.raises(PredictorError, match=r"stands in itself: .*a\.json -> .*sub/b\.json -> .*sub/\.\./a\.json;"):
        fg.load(tmp_path / "a.json")
    for number in range(40):
        write({"kind": "network", "network": f"{number + 1}.json"}).rename(tmp_path / f"{number}.json")
    with pytest.raises(PredictorError, match="more than 32 predictor files"):
        fg.load(tmp_path / "0.json")


def test_a_nested_file_is_looked_for_beside_the_outer_one_alone(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(NETWORK).rename(tmp_path / "inner.json")
    (tmp_path / "sub").mkdir()
    outer = write({"kind": "network", "network": "inner.json"}).rename(tmp_path / "sub" / "outer.json")
    with pytest.raises(PredictorError, match=r"sub/inner\.json: cannot be read"):
        fg.load(outer)


def test_a_folder_that_is_a_link(tmp_path, bundle_file):
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "far" / "away")
    fg.save_predictor(fg.load(bundle_file), tmp_path / "link" / "made.json")
    assert '"network": "../../bright.onnx"' in (tmp_path / "far" / "away" / "made.json").read_text()
    for folder in ("link", "far/away"):
        assert fg.load(tmp_path / folder / "made.json").name == "bright"
