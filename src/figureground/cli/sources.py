"""What the user typed as SOURCE, turned into a list of images: files, folders, globs, addresses, stdin."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from figureground.errors import SourceError, suggest

if TYPE_CHECKING:
    from figureground.runtime.depth_input import WithDepth

STDIN = "-"


@dataclass(frozen=True)
class Source:
    """One image to be read.

    Args:
        shown: how messages and JSON name it: the path, the address, or "-".
        path: the file; None for stdin and addresses.
        relative: its place below an output folder, still with its own suffix.
        root: the folder it was found in when a folder was given; None otherwise.
        depth: the file of its depth map, where one was given.
    """

    shown: str
    path: Path | None
    relative: Path
    root: Path | None = None
    depth: Path | None = None

    def open(self) -> Path | bytes | WithDepth:
        """What a segmenter takes: the path, or the bytes from stdin or the address, with the depth map if there is one.

        Raises:
            SourceError: stdin is empty, the address cannot be fetched, or it is a folder that cannot be searched.
        """
        photo = self._open()
        if self.depth is None:
            return photo
        from figureground.runtime.depth_input import WithDepth

        return WithDepth(photo, self.depth)

    def _open(self) -> Path | bytes:
        if self.path is not None:
            if self.root is not None and self.path.is_dir():
                raise _closed(self.path)
            return self.path
        if self.shown == STDIN:
            return _read_stdin()
        from figureground.images import fetch

        return fetch(self.shown)


def find(arguments: Sequence[str], *, leave_out: Path | None = None) -> list[Source]:
    """All images that `arguments` name, each once, in the order given (folders and globs sorted by name).

    Folders are searched below too; hidden files and folders are passed over, and so is the folder `leave_out` (the
    output, which may lie inside the input). A file that is named outright is taken whatever its suffix.

    Raises:
        SourceError: no such file, a folder or glob without images, or "-" given more than once.
    """
    if list(arguments).count(STDIN) > 1:
        raise SourceError("'-' (stdin) is given more than once", remedy="stdin holds one image")
    several = len(arguments) > 1
    found: dict[str, Source] = {}
    for argument in arguments:
        for source in _find_one(argument, several, leave_out):
            key = os.path.realpath(source.path) if source.path is not None else source.shown
            found.setdefault(key, source)
    return list(found.values())


def with_depth(sources: Sequence[Source], depth: Path | None) -> list[Source]:
    """The sources with their depth maps: one file for one image, or a folder of files with the images' stems.

    Images in a folder have their maps in the same places below the folder of maps.

    Raises:
        SourceError: a file for several images, or an image without a map in the folder.
    """
    if depth is None:
        return list(sources)
    if depth.is_dir():
        return [replace(source, depth=_map_of(source, depth)) for source in sources]
    if len(sources) > 1:
        raise SourceError(
            f"one depth map for {len(sources)} images", remedy="give the folder of their maps: --depth FOLDER"
        )
    return [replace(source, depth=depth) for source in sources]


def _map_of(source: Source, folder: Path) -> Path:
    from figureground.images import DEPTH_SUFFIXES, find_depth_map

    place = source.relative if source.root is None else Path(os.path.relpath(source.shown, source.root))
    found = find_depth_map(folder, place.with_suffix("").as_posix())
    if found is not None:
        return found
    raise SourceError(
        f"no depth map for {source.shown}: there is no {folder / place.with_suffix('.png')}",
        remedy=f"maps have the image's name and end in {', '.join(sorted(DEPTH_SUFFIXES))}",
    )


def _find_one(argument: str, several: bool, leave_out: Path | None) -> Iterator[Source]:
    from figureground.images import is_url

    if argument == STDIN:
        yield Source(STDIN, None, Path("stdin"))
    elif is_url(argument):
        yield Source(argument, None, Path(_name_in_address(argument)))
    elif os.path.isdir(argument):
        yield from _in_folder(Path(argument), several, leave_out)
    elif os.path.exists(argument):
        path = Path(argument)
        yield Source(argument, path, Path(path.name))
    elif glob.has_magic(argument):
        yield from _in_glob(argument)
    else:
        raise SourceError(f"no such file: {argument}", remedy=_nearest_file(Path(argument)))


def _in_folder(root: Path, several: bool, leave_out: Path | None) -> Iterator[Source]:
    """The images in `root` and below. With several sources their folders stay apart in the output."""
    from figureground.images import is_image_path

    if not os.access(root, os.R_OK | os.X_OK):
        raise _closed(root)
    prefix = Path(root.resolve().name) if several else Path()
    forbidden = leave_out.resolve() if leave_out is not None else None
    empty = True
    closed: list[Path] = []
    for folder, below, names in os.walk(root, onerror=lambda error: closed.append(Path(error.filename))):
        # Changing the list in place is how os.walk is told where not to go.
        below[:] = sorted(name for name in below if name[0] != "." and Path(folder, name).resolve() != forbidden)
        for name in sorted(names):
            path = Path(folder, name)
            if name[0] != "." and is_image_path(path):
                empty = False
                yield Source(str(path), path, prefix / path.relative_to(root), root)
    for path in closed:  # to be told of when its turn comes, while the rest goes on
        yield Source(str(path), path, prefix / path.relative_to(root), root)
    if empty and not closed:
        raise SourceError(
            f"no images in the folder: {root}", remedy="give a folder that holds .jpg, .png or .webp files"
        )


def _closed(folder: Path) -> SourceError:
    return SourceError(f"the folder cannot be read: {folder}", remedy="check its permissions")


def _in_glob(pattern: str) -> Iterator[Source]:
    """The images that a pattern matches (`**` reaches into folders); a shell usually expands these before us."""
    from figureground.images import is_image_path

    matches = [Path(match) for match in sorted(glob.glob(pattern, recursive=True))]
    images = [match for match in matches if match.is_file() and is_image_path(match)]
    if not images:
        raise SourceError(f"no image matches: {pattern}", remedy="check the pattern, or give the folder")
    for image in images:
        yield Source(str(image), image, Path(image.name))


def _name_in_address(address: str) -> str:
    from urllib.parse import unquote, urlsplit

    name = PurePosixPath(unquote(urlsplit(address).path)).name
    # What a server calls its file must not lead out of the folder we write to, nor name no file at all.
    return name.replace("\\", "_").strip(". ") or "download"


def _nearest_file(path: Path) -> str:
    """A remedy: the file in the same folder whose name is nearest, if the folder is there."""
    try:
        neighbours = os.listdir(path.parent)
    except OSError:
        return f"there is no folder {path.parent}" if not path.parent.exists() else ""
    remedy = suggest(path.name, neighbours)
    return remedy if remedy.startswith("did you mean") else ""


def _read_stdin() -> bytes:
    if sys.stdin.isatty():
        raise SourceError("stdin is a terminal", remedy="pipe an image in: figureground segment - < photo.jpg")
    data = sys.stdin.buffer.read()
    if not data:
        raise SourceError("stdin is empty", remedy="pipe an image in: figureground segment - < photo.jpg")
    return data
