"""A predictor file: a few lines of JSON that put bundles together to one segmenter.

    {"figureground": "predictor", "format_version": 1, "name": "both", "threshold": 0.45,
     "predictor": {"kind": "ensemble", "mean": "probability", "weights": [2, 1], "members": [
        {"kind": "network", "network": "person", "sha256": "9d0c..."},
        {"kind": "view", "mirrored": true, "of": {"kind": "network", "network": "mine.onnx"}}]},
     "chosen": {"by": "figureground tune", "data": "..."}}

`network` is a shipped name, or the path of a bundle or of another predictor file, relative to the file. `sha256` ties
the file to one state of that bundle or file and may be left out. `name`, `threshold` and `chosen` may be left out;
`chosen` says how it came about, in any form.
What each kind takes are the arguments of its class: `View`, `Ensemble`, `Tiled`, `PeopleFirst`, `Refined`, and of the
function `augmented`. An unknown key is an error. docs/ensembles.md shows each.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from figureground.checks import ArgumentError
from figureground.errors import PredictorError, suggest
from figureground.runtime.kinds import KINDS, read_settings, settings_of
from figureground.runtime.onnx_segmenter import OnnxSegmenter
from figureground.runtime.segmenter import Segmenter

FORMAT_VERSION = 1
SUFFIX = ".json"
_MARK = {"figureground": "predictor", "format_version": FORMAT_VERSION}
_KEYS = (*_MARK, "name", "threshold", "predictor", "chosen")
_DEEPEST = 32
_LARGEST = 1 << 22
"""Bytes that a predictor file has at most: it holds settings, no weights."""

Open = Callable[[str | Path], Segmenter]
"""The segmenter of a shipped name or of a bundle file."""


def read_document(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What stands in a predictor file, with its keys checked but nothing loaded.

    Raises:
        PredictorError: no such file, no JSON, no predictor, a newer one, or an unknown key.
    """
    try:
        with open(path, "rb") as file:
            text = file.read(_LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PredictorError(f"{path}: cannot be read ({reason})", remedy="give the path of a .json file") from error
    try:
        document = json.loads(text) if len(text) <= _LARGEST else None
    except (ValueError, RecursionError) as error:
        raise PredictorError(
            f"{path}: not a predictor file ({error})", remedy="give a bundle or a predictor"
        ) from error
    if not isinstance(document, dict) or document.get("figureground") != "predictor":
        raise PredictorError(
            f"{path}: not a predictor file", remedy='it needs "figureground": "predictor"; see docs/ensembles.md'
        )
    version = document.get("format_version")
    if version != FORMAT_VERSION:
        newer = isinstance(version, int) and version > FORMAT_VERSION
        remedy = "upgrade with: pip install -U figureground" if newer else f"this figureground reads {FORMAT_VERSION}"
        raise PredictorError(f"{path}: predictor format {version!r}", remedy=remedy)
    _check_keys(document, _KEYS, str(path))
    return document


def read_predictor(
    path: str | os.PathLike[str], open_network: Open, *, within: tuple[str | os.PathLike[str], ...] = ()
) -> Segmenter:
    """The segmenter that a predictor file describes. A network named twice is opened once.

    Args:
        path: the file.
        open_network: gives the segmenter of a shipped name or of a bundle's path.
        within: the predictor files that this one stands in, the outermost first.

    Raises:
        PredictorError: the file is none, or describes what cannot be built; the message says where in it.
        NetworkError: one of its networks cannot be used.
    """
    document = read_document(path)
    _check_nesting(path, within)
    opened: dict[str | Path, Segmenter] = {}

    def once(name: str) -> Segmenter:
        found = Path(path).parent / name
        if found not in opened:
            if found.suffix.lower() == SUFFIX:
                opened[found] = read_predictor(found, open_network, within=(*within, path))
            else:
                opened[found] = open_network(found if found.suffix.lower() == ".onnx" or found.is_file() else name)
        return opened[found]

    segmenter = _built(document.get("predictor"), _Networks(Path(path).parent, once), f"{path}: predictor", 0)
    name, threshold = document.get("name", Path(path).stem), document.get("threshold", segmenter.threshold)
    if not isinstance(name, str) or not name:
        raise PredictorError(f"{path}: name is {name!r}", remedy="it must be a text that is not empty")
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or not 0 < threshold < 1:
        raise PredictorError(f"{path}: threshold is {threshold!r}", remedy="it must lie between 0 and 1")
    return segmenter.renamed(name, float(threshold))


def save_predictor(
    segmenter: Segmenter, path: str | os.PathLike[str], *, chosen: Mapping[str, Any] | None = None
) -> None:
    """Write a segmenter made of bundles as a predictor file, which `load` and `--network` read.

    Args:
        segmenter: one that `load` gave, or views, ensembles, tiled and other segmenters over such.
        path: the file, `.json`. It refers to bundles by shipped name or by their path relative to it.
        chosen: how it was chosen: anything JSON can hold.

    Raises:
        PredictorError: another suffix, an empty name, or a segmenter that a file cannot describe.
        OutputError: the folder cannot be written to.

    >>> import figureground as fg
    >>> fg.save_predictor(fg.augmented(fg.load("person")), "flipped.json")
    >>> fg.load("flipped.json")
    Ensemble('person flip')
    """
    from figureground.images import write_bytes  # listing networks must not wait for Pillow

    target = Path(path)
    check_path(target)
    if not segmenter.name:
        raise PredictorError(f"{target}: the predictor's name is empty", remedy="give it one")
    document = {
        **_MARK,
        "name": segmenter.name,
        "threshold": segmenter.threshold,
        "predictor": describe(segmenter, target.parent.resolve()),
        **({"chosen": dict(chosen)} if chosen is not None else {}),
    }
    try:
        text = json.dumps(document, indent=1, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise PredictorError(f"{target}: 'chosen' cannot be written as JSON ({error})") from error
    write_bytes(f"{text}\n".encode(), target)


def check_path(path: Path) -> None:
    """Raise PredictorError unless a predictor file may be called so."""
    if path.suffix.lower() != SUFFIX:
        raise PredictorError(f"{path}: a predictor file ends in {SUFFIX}", remedy=f"name it {path.stem}{SUFFIX}")


def describe(segmenter: Segmenter, folder: Path) -> dict[str, Any]:
    """`segmenter` as plain values, with paths of bundles relative to `folder`.

    Raises:
        PredictorError: it is, or holds, a segmenter that a file cannot describe.
    """
    if isinstance(segmenter, OnnxSegmenter):
        if segmenter.origin is None:
            raise PredictorError(
                f"network '{segmenter.name}' has no file to refer to", remedy="save its bundle, then load that file"
            )
        origin = segmenter.origin
        where = origin if isinstance(origin, str) else Path(os.path.relpath(origin, folder)).as_posix()
        return {"kind": "network", "network": where, "sha256": segmenter.bundle.sha256}
    for name, kind in KINDS.items():
        if kind.made is not None and type(segmenter) is kind.made:
            settings = settings_of(segmenter, kind)
            if kind.of_many:
                return {"kind": name, **settings, "members": [describe(one, folder) for one in kind.inside(segmenter)]}
            (inner,) = kind.inside(segmenter)
            return {"kind": name, **settings, "of": describe(inner, folder)}
    raise PredictorError(
        f"a predictor file cannot describe {segmenter!r}", remedy="save what is made of bundles by figureground itself"
    )


@dataclass(frozen=True)
class _Networks:
    """What a file names: the folder that paths are relative to, and how a name is opened."""

    folder: Path
    open: Callable[[str], Segmenter]


def _check_nesting(path: str | os.PathLike[str], within: tuple[str | os.PathLike[str], ...]) -> None:
    """Raise PredictorError where a file stands in itself, or too deep in others."""
    real = [os.path.realpath(one) for one in (*within, path)]
    if real[-1] in real[:-1]:
        circle = " -> ".join(map(str, (*within, path)[real.index(real[-1]) :]))
        raise PredictorError(f"a predictor file that stands in itself: {circle}", remedy="name a bundle in one of them")
    if len(within) > _DEEPEST:
        raise PredictorError(
            f"{path}: more than {_DEEPEST} predictor files inside one another", remedy="name the bundles in one file"
        )


def _built(node: Any, networks: _Networks, place: str, depth: int) -> Segmenter:
    if not isinstance(node, dict) or not isinstance(node.get("kind"), str):
        raise PredictorError(f"{place} is {_short(node)}", remedy='it must be an object with a "kind"')
    if depth > _DEEPEST:
        raise PredictorError(f"{place}: more than {_DEEPEST} segmenters inside one another")
    name = node["kind"]
    if name == "network":
        return _network(node, networks, place)
    if name not in KINDS:
        raise PredictorError(f"{place}: no kind '{name}'", remedy=suggest(name, ["network", *KINDS]))
    kind = KINDS[name]
    inside = "members" if kind.of_many else "of"
    _check_keys(node, ["kind", inside, *kind.settings], place)
    if kind.of_many:
        given = node.get("members")
        if not isinstance(given, list) or not given:
            raise PredictorError(f"{place}: members is {_short(given)}", remedy="it must be a list that is not empty")
        inner = [_built(one, networks, f"{place}.members[{i}]", depth + 1) for i, one in enumerate(given)]
    else:
        inner = [_built(node.get("of"), networks, f"{place}.of", depth + 1)]
    try:
        given = {key: value for key, value in node.items() if key in kind.settings}
        return kind.build(inner, read_settings(kind, given))
    except ArgumentError as error:
        raise PredictorError(f"{place}: {error.message}", remedy=error.remedy) from error


def _network(node: dict[str, Any], networks: _Networks, place: str) -> Segmenter:
    _check_keys(node, ["kind", "network", "sha256"], place)
    name, wanted = node.get("network"), node.get("sha256")
    if not isinstance(name, str) or not name:
        raise PredictorError(f"{place}: network is {_short(name)}", remedy="give a shipped name or a bundle's path")
    file = networks.folder / name
    _check_file(file, name, place)
    network = networks.open(name)
    if wanted is not None and wanted != _sha256(network, file):
        raise PredictorError(
            f"{place}: the network '{name}' is not the one that this predictor was made with",
            remedy="get that file, tune anew, or take 'sha256' out of the file to use this one all the same",
        )
    return network


def _check_file(file: Path, name: str, place: str) -> None:
    """Raise PredictorError for what the system takes for no path at all; a file need not be there."""
    try:
        file.lstat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no path"
        raise PredictorError(
            f"{place}: network is {_short(name)} ({reason})", remedy="give a shipped name or a bundle's path"
        ) from error


def _sha256(network: Segmenter, file: Path) -> str:
    """Of a bundle the hash that it has itself, of a predictor file that of its bytes."""
    if file.suffix.lower() != SUFFIX and isinstance(network, OnnxSegmenter):
        return network.bundle.sha256
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _check_keys(node: Mapping[str, Any], known: tuple[str, ...] | list[str], place: str) -> None:
    for key in node:
        if key not in known:
            raise PredictorError(f"{place}: unknown key '{key}'", remedy=suggest(key, known))


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
