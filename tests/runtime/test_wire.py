"""Checked against the onnx package, which speaks protobuf through Google's own library."""

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from figureground.runtime import wire


@given(st.lists(st.tuples(st.text(), st.text()), max_size=4))
def test_onnx_reads_what_we_write(entries):
    data = b"".join(wire.write_entry(key.encode(), value.encode()) for key, value in entries)
    model = onnx.ModelProto.FromString(data)
    assert [(p.key, p.value) for p in model.metadata_props] == entries


@given(st.lists(st.tuples(st.text(), st.text()), max_size=4), st.integers(0, 2**63 - 1))
def test_we_read_what_onnx_writes(entries, number):
    model = onnx.ModelProto(ir_version=8, model_version=number, producer_name="someone")
    model.graph.name = "graph"
    for key, value in entries:
        model.metadata_props.add(key=key, value=value)
    data = model.SerializeToString()
    found = [field for field in wire.fields(data) if field.number == wire.METADATA_PROPS]
    assert [wire.read_entry(data, field) for field in found] == [(k.encode(), v.encode()) for k, v in entries]


@given(st.binary(max_size=200))
def test_any_bytes_are_fields_or_an_error(data):
    try:
        found = list(wire.fields(data))
    except wire.WireError:
        return
    assert b"".join(data[field.start : field.end] for field in found) == data


@pytest.mark.parametrize("data", [b"\x00\x01", b"\x08", b"\x0a\x05abc", b"\x0b", b"\x08" + b"\xff" * 11, b"\x0d\x01"])
def test_damage_is_an_error(data):
    with pytest.raises(wire.WireError):
        list(wire.fields(data))
