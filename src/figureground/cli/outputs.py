"""Where each picture goes: next to its photo, into a folder that mirrors the input, to a file, or to stdout.

The rules, in the order they are tried:

1. `-o -`, or stdin as the source and no -o: stdout. One image only.
2. No -o, a file: next to it, `photo.jpg` -> `photo-cutout.png`. From an address: the same in the current folder.
3. No -o, a folder: a folder next to it, `photos/a/b.jpg` -> `photos-cutout/a/b.png`.
4. -o names a folder (it is one, ends in a slash, or has no suffix and is no file): `OUT/a/b.png`, made when missing.
5. -o names a picture, `OUT.webp`: that file, in that format. One image only.

No output is an input of the same call, and no two outputs are the same file: where rule 4 would write over an input the
kind is added to the name, and photos that differ only in suffix keep it in the name (`b-jpg.png`, `b-webp.png`).
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from figureground.cli.sources import STDIN, Source
from figureground.errors import OutputError

STDOUT = "-"
SUFFIXES: Mapping[str, str] = {
    ".png": "png",
    ".webp": "webp",
    ".jpg": "jpg",
    ".jpeg": "jpg",
    ".tif": "tif",
    ".tiff": "tif",
    ".bmp": "bmp",
}
"""The suffixes of pictures that can be written, and the format of each."""
JSON_SUFFIXES: Mapping[str, str] = {".json": "json"}
"""The same, for numbers in place of pictures."""
FORMATS = tuple(dict.fromkeys(SUFFIXES.values()))
"""Formats of pictures."""


def names_folder(output: str, suffixes: Mapping[str, str] = SUFFIXES) -> bool:
    """Whether `-o output` means a folder (rule 4) rather than a picture or stdout.

    Raises:
        OutputError: it looks like a file, but not like one that can be written.
    """
    if output == STDOUT:
        return False
    if os.path.exists(output):
        return os.path.isdir(output)
    suffix = Path(output).suffix.lower()
    if not suffix or output.endswith(("/", os.sep)):
        return True
    if suffix not in suffixes:
        raise OutputError(
            f"cannot write a {suffix} file: {output}",
            remedy=f"name it {', '.join(suffixes)}; a folder's name ends in a slash",
        )
    return False


def output_format(output: str | None, chosen: str | None, suffixes: Mapping[str, str] = SUFFIXES) -> str:
    """The format of the files: of the one that -o names, else the chosen one, else the first of `suffixes` (png).

    Raises:
        OutputError: the file's suffix and the chosen format contradict each other.
    """
    first = next(iter(suffixes.values()))
    if output is None or output == STDOUT or names_folder(output, suffixes):
        return chosen or first
    named = suffixes.get(Path(output).suffix.lower())
    if named is None:  # a device or a pipe, which may be called anything
        return chosen or first
    if chosen is not None and chosen != named:
        raise OutputError(f"-o {output} is not a {chosen} file", remedy="leave --format out, or change the suffix")
    return named


def plan(
    sources: Sequence[Source],
    output: str | None,
    kind: str,
    file_format: str,
    suffixes: Mapping[str, str] = SUFFIXES,
) -> list[Path | None]:
    """The target of each source, in order; None is stdout. See the module's text for the rules.

    Raises:
        OutputError: several images and one output file, or an output that would overwrite its own input.
    """
    if output == STDOUT or (output is None and any(source.shown == STDIN for source in sources)):
        _one_only(sources, "stdout")
        return [None]
    inputs = {os.path.realpath(source.path) for source in sources if source.path is not None}
    if output is not None and not names_folder(output, suffixes):
        _one_only(sources, output)
        if os.path.realpath(output) in inputs:
            raise OutputError(f"{output} would overwrite its input", remedy="give another -o")
        return [Path(output)]
    wanted = [_target(source, output, kind, file_format) for source in sources]
    return list(_apart(sources, wanted, kind, inputs))


def check_stdout(targets: Sequence[Path | None], as_json: bool) -> None:
    """Raise OutputError when stdout is to carry a file and cannot."""
    if None not in targets:
        return
    if as_json:
        raise OutputError("stdout cannot carry both the picture and --json", remedy="give a file: -o cutout.png")
    if sys.stdout.isatty():
        raise OutputError("stdout is a terminal, not a place for a picture", remedy="give a file: -o cutout.png")


def _target(source: Source, output: str | None, kind: str, file_format: str) -> Path:
    """Rules 2 to 4 for one source, before clashes are looked at."""
    if output is not None:
        return (Path(output) / source.relative).with_suffix(f".{file_format}")
    if source.root is not None:
        # "." and ".." have no name of their own to put the kind behind.
        root = source.root if source.root.name not in ("", "..") else source.root.resolve()
        inside = source.path.relative_to(source.root) if source.path is not None else source.relative
        return root.with_name(f"{root.name}-{kind}") / inside.with_suffix(f".{file_format}")
    folder = source.path.parent if source.path is not None else Path()
    return folder / f"{source.relative.stem}-{kind}.{file_format}"


def _apart(sources: Sequence[Source], wanted: Sequence[Path], kind: str, inputs: set[str]) -> list[Path | None]:
    """`wanted`, changed where two targets are one file or a target is an input."""
    keys = [os.path.realpath(target) for target in wanted]
    often = Counter(keys)
    taken = set(inputs)
    targets: list[Path | None] = []
    for source, target, key in zip(sources, wanted, keys, strict=True):
        if often[key] > 1 and source.relative.suffix:
            target = target.with_stem(f"{target.stem}-{source.relative.suffix[1:].lower()}")
        if os.path.realpath(target) in inputs:
            target = target.with_stem(f"{target.stem}-{kind}")
        target = _first_free(target, taken)
        taken.add(os.path.realpath(target))
        targets.append(target)
    return targets


def _first_free(target: Path, taken: set[str]) -> Path:
    """`target`, or the first of target-2, target-3, ... that is not taken yet in this call."""
    candidate, number = target, 1
    while os.path.realpath(candidate) in taken:
        number += 1
        candidate = target.with_stem(f"{target.stem}-{number}")
    return candidate


def _one_only(sources: Sequence[Source], where: str) -> None:
    if len(sources) > 1:
        raise OutputError(f"{len(sources)} images cannot all go to {where}", remedy="give a folder: -o pictures/")
