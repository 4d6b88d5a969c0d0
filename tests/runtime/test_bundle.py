import contextlib
import errno
import json
import os

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from figureground.errors import BundleError, CorruptBundleError, FiguregroundError, NewerBundleError, OutputError
from figureground.labels import LabelTree
from figureground.runtime.bundle import Bundle, attach_metadata
from figureground.runtime.onnx_segmenter import OnnxSegmenter
from figureground.runtime.sizing import Sizing


def metadata_of(data):
    props = onnx.ModelProto.FromString(data).metadata_props
    return json.loads(next(p.value for p in props if p.key == "figureground"))


def test_save_and_read_give_the_same_bundle(bundle, bundle_file):
    assert Bundle.read(bundle_file) == bundle
    assert bundle.labels == LabelTree.person()
    assert bundle.sizing == Sizing(4096, 16)
    assert bundle.card["description"] == "bright pixels"


def test_the_file_is_an_onnx_model_that_carries_its_metadata(bundle, bundle_file):
    model = onnx.load(bundle_file)
    onnx.checker.check_model(model)
    session = ort.InferenceSession(bundle_file, providers=["CPUExecutionProvider"])
    written = json.loads(session.get_modelmeta().custom_metadata_map["figureground"])
    assert written == metadata_of(bundle.model_bytes)
    assert written["name"] == "bright"
    assert written["sha256"] == bundle.sha256


def test_attaching_again_replaces(bundle):
    fields = {**metadata_of(bundle.model_bytes), "name": "other", "threshold": 0.25}
    again = Bundle.from_bytes(attach_metadata(bundle.model_bytes, fields))
    assert (again.name, again.threshold) == ("other", 0.25)
    assert len(onnx.ModelProto.FromString(again.model_bytes).metadata_props) == 1
    assert again.sha256 != bundle.sha256


def test_other_peoples_metadata_is_kept_and_hashed(brightness_model):
    model = onnx.ModelProto.FromString(brightness_model)
    model.metadata_props.add(key="author", value="someone")
    made = Bundle.create(
        model.SerializeToString(), name="n", labels=LabelTree.person(), sizing=Sizing(4096), threshold=0.5, card={}
    )
    assert {p.key for p in onnx.ModelProto.FromString(made.model_bytes).metadata_props} == {"author", "figureground"}
    with pytest.raises(CorruptBundleError):
        Bundle.from_bytes(made.model_bytes.replace(b"someone", b"another"))


@given(
    st.dictionaries(
        st.text() | st.integers(),
        st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(), st.lists),
        max_size=4,
    )
)
def test_any_card_that_json_holds_survives(brightness_model, card):
    try:
        expected = json.loads(json.dumps(card, allow_nan=False))
        json.dumps(card, ensure_ascii=False).encode()
    except ValueError:
        return  # infinities and lone surrogates cannot be written
    made = Bundle.create(
        brightness_model, name="n", labels=LabelTree.person(), sizing=Sizing(4096), threshold=0.5, card=card
    )
    assert made.card == expected


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"threshold": 0}, "threshold"),
        ({"threshold": "half"}, "threshold"),
        ({"peak": 1.5}, "peak"),
        ({"peak": True}, "peak"),
        ({"name": ""}, "name"),
        ({"card": {"x": float("inf")}}, "JSON"),
        ({"card": {"x": object()}}, "JSON"),
    ],
)
def test_wrong_values_are_refused(brightness_model, change, problem):
    fields = {"name": "n", "labels": LabelTree.person(), "sizing": Sizing(4096), "threshold": 0.5, "card": {}}
    with pytest.raises(BundleError, match=problem):
        Bundle.create(brightness_model, **{**fields, **change})


def one_line(caught, *wanted):
    text = str(caught.value)
    assert "\n" not in text
    for part in wanted:
        assert part in text


def test_each_damage_has_its_own_error(bundle, brightness_model, tmp_path):
    good = bundle.model_bytes
    newer = attach_metadata(brightness_model, {**metadata_of(good), "format_version": 3, "moonlight": True})
    cases = {
        "empty": (b"", CorruptBundleError, "not an ONNX file"),
        "text": (b"I am not a network, really.", CorruptBundleError, "not an ONNX file"),
        "no graph": (good[:2], CorruptBundleError, "no graph"),
        "truncated": (good[:-7], CorruptBundleError, "cut off"),
        "half": (good[: len(good) // 2], CorruptBundleError, "cut off"),
        "flipped": (good.replace(b"pixelwise", b"pixelWise"), CorruptBundleError, "sha256"),
        "threshold": (good.replace(b'"threshold": 0.5', b'"threshold": 0.6'), CorruptBundleError, "sha256"),
        "field": (good.replace(b'"threshold"', b'"thresholt"'), CorruptBundleError, "damaged metadata (field"),
        "json": (good.replace(b'{"format', b'["format'), CorruptBundleError, "metadata"),
        "foreign": (brightness_model, BundleError, "no bundle"),
        "newer": (newer, NewerBundleError, "pip install -U"),
    }
    for name, (data, kind, words) in cases.items():
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(data)
        with pytest.raises(kind) as caught:
            Bundle.read(path)
        assert type(caught.value) is kind, name
        assert caught.value.exit_code == 3
        one_line(caught, path.name, words)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(BundleError) as caught:
        Bundle.read(tmp_path / "nothing.onnx")
    one_line(caught, "no such file")
    with pytest.raises(BundleError) as caught:
        Bundle.read(tmp_path)
    one_line(caught, "cannot be read")
    with pytest.raises(BundleError):
        Bundle.read("zero\0byte.onnx")


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_mutated_bundle_raises_our_errors_or_is_the_same(bundle, data):
    mutated = bytearray(bundle.model_bytes)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(mutated)))
        stop = data.draw(st.integers(start, min(start + 40, len(mutated))))
        mutated[start:stop] = data.draw(st.binary(max_size=12))
    with contextlib.suppress(FiguregroundError):
        assert Bundle.from_bytes(bytes(mutated)).sha256 == bundle.sha256


@settings(max_examples=200)
@given(data=st.data())
def test_a_mutated_model_under_a_right_hash_raises_our_errors_or_runs(bundle, brightness_model, data):
    """Whoever makes a bundle of nonsense gets an error from the session, not a traceback of onnxruntime."""
    mutated = bytearray(brightness_model)
    at = data.draw(st.integers(0, len(mutated) - 1))
    mutated[at] = data.draw(st.integers(0, 255))
    with contextlib.suppress(FiguregroundError):
        made = Bundle.from_bytes(attach_metadata(bytes(mutated), metadata_of(bundle.model_bytes)))
        OnnxSegmenter(made, threads=1)(np.zeros((16, 16, 3), np.uint8))


def test_saving_is_whole_or_not_at_all(bundle, bundle_file, tmp_path, monkeypatch):
    before = bundle_file.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OutputError, match="No space left"):
        bundle.save(bundle_file)
    assert bundle_file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [bundle_file]


def test_saving_where_there_is_no_folder(bundle, tmp_path):
    with pytest.raises(OutputError, match="none"):
        bundle.save(tmp_path / "none" / "b.onnx")
