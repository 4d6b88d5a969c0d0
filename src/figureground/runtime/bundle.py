"""A bundle: one `.onnx` file that knows everything about itself.

The model
    One input `image`: uint8 (N, H, W, 3), RGB, with dynamic N, H, W (H and W multiples of the sizing's `multiple`).
    One output `logits`: float32 (N, K, H, W), K leaves of the label tree in their order; the background's logit is 0
    and not among them. Normalisation lives inside the graph.
    A model that wants a depth map has a second input, `depth`: float32 (N, H, W), as `images.normalised_depth` gives
    it. A model that estimates depth itself does so inside the graph, and nothing differs from outside.

The metadata
    JSON in UTF-8 under the key `figureground` of the model's `metadata_props`. Its schema (all but depth required):

        {"type": "object", "additionalProperties": false, "properties": {
          "format_version": {"const": 1, "description": "2 where there is a depth"},
          "name":      {"type": "string", "minLength": 1},
          "labels":    {"type": "object", "description": "as LabelTree.to_dict() writes it"},
          "sizing":    {"type": "object", "properties": {
                          "area":       {"type": "integer", "description": "height * width the network sees"},
                          "multiple":   {"type": "integer", "description": "both sides are multiples of it"},
                          "max_aspect": {"type": "number",  "description": "longest side / shortest side, at most"}}},
          "threshold": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
          "peak":      {"type": "number", "minimum": 0, "maximum": 1},
          "depth":     {"type": "object", "description": "only with the input depth", "properties": {
                          "values": {"enum": ["inverse", "distance"]}, "needed": {"type": "boolean"}}},
          "card":      {"type": "object", "description": "what people should know, free in form; our exporter writes
                          description, licences (of code, weights, data), metrics, recipe, training_command"},
          "created":   {"type": "string", "description": "UTC, ISO 8601, 2025-01-31T12:00:00Z"},
          "sha256":    {"type": "string", "pattern": "^[0-9a-f]{64}$"}}}

The hash
    `sha256` covers every byte of the file except this one metadata entry, then the entry itself without `sha256`
    (as compact JSON with sorted keys). So a changed weight and a changed threshold are both noticed. A tool that
    rewrites the model must attach the metadata anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from figureground.errors import BundleError, CorruptBundleError, FiguregroundError, NewerBundleError
from figureground.labels import LabelTree
from figureground.runtime import wire
from figureground.runtime.depth_input import DepthInput
from figureground.runtime.sizing import Sizing

FORMAT_VERSION = 1
DEPTH_VERSION = 2
"""Of bundles that want a depth map, which figureground could not give before it knew of them."""
METADATA_KEY = b"figureground"
_FIRST_BYTE = b"\x08"
"""Every writer of ONNX puts `ir_version`, field 1, first: that tells damage from a file of another kind."""

_FIELDS = ("format_version", "name", "labels", "sizing", "threshold", "peak", "card", "created", "sha256")
_FIELDS_OF = {FORMAT_VERSION: set(_FIELDS), DEPTH_VERSION: {*_FIELDS, "depth"}}


@dataclass(frozen=True)
class Bundle:
    """A network with its label tree, sizing rule, threshold, peak and card. Make one with `create` or `read`.

    `model_bytes` is the whole file, metadata included; `sha256` identifies it.
    """

    name: str
    labels: LabelTree
    sizing: Sizing
    threshold: float
    peak: float
    card: dict[str, Any] = field(hash=False)
    created: str
    sha256: str
    model_bytes: bytes = field(repr=False, hash=False)
    format_version: int = FORMAT_VERSION
    depth: DepthInput | None = None

    @classmethod
    def create(
        cls,
        model_bytes: bytes,
        *,
        name: str,
        labels: LabelTree,
        sizing: Sizing,
        threshold: float,
        card: Mapping[str, Any],
        peak: float = 0.0,
        created: str | None = None,
        depth: DepthInput | None = None,
    ) -> Bundle:
        """The bundle of a serialised ONNX model; metadata it already carries under our key is replaced.

        Args:
            model_bytes: a serialised ONNX ModelProto with the interface described at the top of this module.
            name: what people call the network.
            labels: the label tree whose leaves are the model's output channels.
            sizing: from a photo's size to the network's.
            threshold: probability from which a pixel counts as figure, between 0 and 1 (both excluded).
            peak: areas of the figure in which the probability never reaches this are dropped, 0 to 1; 0 keeps all.
            card: description, licences, metrics, recipe, training command: anything JSON can hold.
            created: UTC time as ISO 8601; now, when not given.
            depth: what it wants of a depth map, where the model has the input `depth`.

        Raises:
            BundleError: not an ONNX model, or a value out of range.
        """
        metadata = {
            "format_version": FORMAT_VERSION if depth is None else DEPTH_VERSION,
            "name": name,
            "labels": labels.to_dict(),
            "sizing": sizing.to_dict(),
            "threshold": threshold,
            "peak": peak,
            "card": dict(card),
            "created": created or time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            **({} if depth is None else {"depth": depth.to_dict()}),
        }
        return cls.from_bytes(attach_metadata(model_bytes, metadata), origin=f"bundle '{name}'")

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Bundle:
        """The bundle in the file `path`. Needs neither the `onnx` package nor a session.

        Raises:
            BundleError: no such file, or an ONNX file without our metadata.
            CorruptBundleError: damaged, cut off, or not an ONNX file.
            NewerBundleError: written by a newer figureground.
        """
        try:
            data = Path(path).read_bytes()
        except FileNotFoundError:
            raise BundleError(f"{path}: no such file", remedy="give the path of a .onnx bundle") from None
        except (OSError, ValueError) as error:
            raise BundleError(f"{path}: cannot be read ({_reason(error)})") from error
        return cls.from_bytes(data, origin=os.fspath(path))

    @classmethod
    def from_bytes(cls, data: bytes, *, origin: str = "bundle") -> Bundle:
        """The bundle in `data`; `origin` names it in errors, which are those of `read`."""
        model, entry = _split(data, origin)
        if entry is None:
            raise BundleError(
                f"{origin}: an ONNX model, but no bundle (it has no '{METADATA_KEY.decode()}' metadata)",
                remedy="attach labels, sizing and threshold with Bundle.create",
            )
        metadata = _parse(entry, origin)
        if metadata["sha256"] != _digest(model, metadata):
            raise CorruptBundleError(f"{origin}: damaged (its sha256 does not match)", remedy="get the file again")
        return cls._from_metadata(metadata, data, origin)

    @classmethod
    def _from_metadata(cls, metadata: Mapping[str, Any], data: bytes, origin: str) -> Bundle:
        name, created = metadata["name"], metadata["created"]
        threshold, peak = metadata["threshold"], metadata["peak"]
        if not isinstance(name, str) or not name or not isinstance(created, str):
            raise BundleError(f"{origin}: name and created must be strings, the name not empty")
        if not _is_number(threshold) or not 0 < threshold < 1:
            raise BundleError(f"{origin}: threshold is {threshold!r}", remedy="it must lie between 0 and 1")
        if not _is_number(peak) or not 0 <= peak <= 1:
            raise BundleError(f"{origin}: peak is {peak!r}", remedy="it must be a number from 0 to 1")
        if not all(isinstance(metadata.get(part, {}), dict) for part in ("labels", "sizing", "card", "depth")):
            raise BundleError(f"{origin}: labels, sizing, card and depth must be objects")
        try:
            labels, sizing = LabelTree.from_dict(metadata["labels"]), Sizing.from_dict(metadata["sizing"])
            depth = DepthInput.from_dict(metadata["depth"]) if "depth" in metadata else None
        except FiguregroundError as error:
            raise BundleError(f"{origin}: {error}") from error
        card, digest, version = metadata["card"], metadata["sha256"], metadata["format_version"]
        return cls(name, labels, sizing, float(threshold), float(peak), card, created, digest, data, version, depth)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the bundle to `path`, whole or not at all (a temporary file beside it is moved into place).

        Raises:
            OutputError: the folder cannot be written to, or the disk is full.
        """
        from figureground.images import write_bytes  # listing bundles must not wait for Pillow

        write_bytes(self.model_bytes, path)


def attach_metadata(model_bytes: bytes, metadata: Mapping[str, Any]) -> bytes:
    """`model_bytes` with `metadata` (the schema above, `sha256` is computed here) in place of any it had under our key.

    Raises:
        BundleError: not an ONNX model, or metadata that JSON cannot hold.
    """
    model, _ = _split(model_bytes, "model")
    try:
        # Through JSON and back: the digest is taken of what a reader will see (string keys, lists for tuples).
        stamped = json.loads(json.dumps(dict(metadata), allow_nan=False))
        stamped["sha256"] = _digest(model, stamped)
        text = json.dumps(stamped, ensure_ascii=False)
        return model + wire.write_entry(METADATA_KEY, text.encode())
    except (TypeError, ValueError) as error:
        raise BundleError(f"metadata cannot be written as JSON: {error}") from error


def _split(data: bytes, origin: str) -> tuple[bytes, bytes | None]:
    """The file without our metadata entry, and that entry's JSON (None where there is none)."""
    if not data.startswith(_FIRST_BYTE):
        raise CorruptBundleError(f"{origin}: not an ONNX file", remedy="give the path of a .onnx bundle")
    kept, entry, has_graph = [], None, False
    try:
        for item in wire.fields(data):
            has_graph = has_graph or item.number == wire.GRAPH
            if item.number == wire.METADATA_PROPS:
                key, value = wire.read_entry(data, item)
                if key == METADATA_KEY:
                    entry = value
                    continue
            kept.append(data[item.start : item.end])
    except wire.WireError as error:
        raise CorruptBundleError(f"{origin}: cut off or damaged ({error})", remedy="get the file again") from error
    if not has_graph:
        raise CorruptBundleError(f"{origin}: not an ONNX model (no graph in it)", remedy="get the file again")
    return b"".join(kept), entry


def _parse(entry: bytes, origin: str) -> dict[str, Any]:
    """The metadata as a dict with exactly the fields of this format version."""
    try:
        metadata = json.loads(entry)
    except (ValueError, RecursionError) as error:
        raise CorruptBundleError(f"{origin}: damaged metadata ({error})", remedy="get the file again") from error
    if not isinstance(metadata, dict):
        raise CorruptBundleError(f"{origin}: damaged metadata (not an object)", remedy="get the file again")
    version = metadata.get("format_version")
    # The version comes first: a newer file may have other fields and another hash.
    if isinstance(version, int) and version > DEPTH_VERSION:
        raise NewerBundleError(
            f"{origin}: bundle format {version}, this figureground reads up to {DEPTH_VERSION}",
            remedy="upgrade with: pip install -U figureground",
        )
    known = _FIELDS_OF.get(version) if isinstance(version, int) else None
    if known is None or set(metadata) != known:
        wrong = sorted(set(metadata) ^ (known or set(_FIELDS))) or ["format_version"]
        raise CorruptBundleError(f"{origin}: damaged metadata (field '{wrong[0]}')", remedy="get the file again")
    return metadata


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _digest(model: bytes, metadata: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in metadata.items() if key != "sha256"}
    digest = hashlib.sha256(model)
    digest.update(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode())
    return digest.hexdigest()


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)
