"""Just enough of the protobuf wire format to read and write the metadata of an ONNX file.

An ONNX file is one `ModelProto`: a row of top-level fields. Two of them matter here: `graph` (field 7), and
`metadata_props` (field 14), a repeated pair of strings (key = 1, value = 2). Everything else is passed over by its
length, so reading a bundle's metadata needs neither the `onnx` package nor a session.
Format: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

GRAPH = 7
METADATA_PROPS = 14
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


class WireError(ValueError):
    """The bytes are not a complete row of protobuf fields."""


@dataclass(frozen=True)
class Field:
    """One field: its number and wire type, and where it and its payload lie in the bytes it was read from."""

    number: int
    wire_type: int
    start: int
    payload: int
    end: int


def fields(data: bytes) -> Iterator[Field]:
    """Every top-level field of `data`, in order.

    Raises:
        WireError: an unknown wire type, field number 0, or a field that reaches past the end.
    """
    at = 0
    while at < len(data):
        start = at
        tag, at = _read_varint(data, at)
        number, wire_type = tag >> 3, tag & 7
        if number == 0:
            raise WireError(f"field number 0 at byte {start}")
        payload = at
        if wire_type == _VARINT:
            _, at = _read_varint(data, at)
        elif wire_type == _LENGTH:
            length, payload = _read_varint(data, at)
            at = payload + length
        elif wire_type in (_FIXED32, _FIXED64):
            at += 4 if wire_type == _FIXED32 else 8
        else:
            raise WireError(f"wire type {wire_type} at byte {start}")
        if at > len(data):
            raise WireError(f"a field ends at byte {at}, the data at byte {len(data)}")
        yield Field(number, wire_type, start, payload, at)


def read_entry(data: bytes, field: Field) -> tuple[bytes, bytes]:
    """(key, value) of one `metadata_props` field.

    Raises:
        WireError: the payload is not a pair of strings.
    """
    if field.wire_type != _LENGTH:
        raise WireError("metadata is not a length-delimited field")
    payload = data[field.payload : field.end]
    parts = {1: b"", 2: b""}
    for part in fields(payload):
        if part.number in parts and part.wire_type == _LENGTH:
            parts[part.number] = payload[part.payload : part.end]
    return parts[1], parts[2]


def write_entry(key: bytes, value: bytes) -> bytes:
    """One `metadata_props` field holding `key` and `value`."""
    return _write_bytes(METADATA_PROPS, _write_bytes(1, key) + _write_bytes(2, value))


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at `at` and the position after it: 7 bits a byte, low bits first, at most 10 bytes."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise WireError(f"a number is cut off at byte {len(data)}")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise WireError(f"a number longer than 10 bytes before byte {at}")


def _write_varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _write_bytes(number: int, payload: bytes) -> bytes:
    return _write_varint(number << 3 | _LENGTH) + _write_varint(len(payload)) + payload
