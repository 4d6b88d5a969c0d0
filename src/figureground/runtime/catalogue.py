"""The networks that come with the package, and how to load one of them, any bundle file or any predictor file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from figureground.errors import NetworkError, UnknownNetworkError, suggest

# Listing what is shipped, as shell completion does, must not wait for numpy and Pillow.
if TYPE_CHECKING:
    from figureground.images import Source
    from figureground.runtime.segmentation import Segmentation
    from figureground.runtime.segmenter import Segmenter

DEFAULT, DEFAULT_PARTS = "person", "parts"
WEIGHTS = Path(__file__).resolve().parent.parent / "weights"


def shipped() -> dict[str, Path]:
    """The networks inside the package: name -> bundle file, sorted by name.

    >>> import figureground as fg
    >>> "person" in fg.shipped()
    True
    """
    return {path.stem: path for path in sorted(WEIGHTS.glob("*.onnx"))}


def find(name_or_file: str | os.PathLike[str]) -> Path:
    """The bundle file of a shipped network's name, or the path of a file as it came.

    A string is a file when it ends in `.onnx` or `.json`, or exists; a shipped name wins over a file of the same name.

    Raises:
        UnknownNetworkError: neither a shipped network nor a file.
    """
    known = shipped()
    if isinstance(name_or_file, str) and name_or_file in known:
        return known[name_or_file]
    path = Path(name_or_file)
    if not isinstance(name_or_file, str) or path.suffix.lower() in (".onnx", ".json") or os.path.isfile(path):
        return path
    if os.path.isdir(path):
        raise UnknownNetworkError(
            f"'{name_or_file}' is a folder, not a network",
            remedy=f"of a training run make a bundle first: figureground export {path} -o {path.name}.onnx",
        )
    raise UnknownNetworkError(f"no network '{name_or_file}'", remedy=suggest(name_or_file, known))


def load(
    name_or_file: str | os.PathLike[str] = DEFAULT,
    *,
    threads: int | None = None,
    providers: Sequence[str] = ("CPUExecutionProvider",),
) -> Segmenter:
    """The segmenter of a shipped network, of a bundle file or of a predictor file.

    Args:
        name_or_file: a name that `shipped` lists, or the path of an `.onnx` bundle or of a `.json` predictor.
        threads: cores that one run of the network may use; at most 4 and no more than there are, when not given.
        providers: ONNX Runtime execution providers, the preferred one first.

    Raises:
        UnknownNetworkError: no shipped network of that name, and no such file.
        BundleError: a file that is no bundle, damaged, or of a newer version.
        PredictorError: a predictor file that cannot be used; the message says where in it.
        NetworkError: a provider this onnxruntime does not have.

    >>> import figureground as fg
    >>> fg.load("person")
    OnnxSegmenter('person')
    """
    from figureground.runtime.bundle import Bundle
    from figureground.runtime.onnx_segmenter import OnnxSegmenter

    file = find(name_or_file)
    if file.suffix.lower() == ".json":
        from figureground.runtime.predictor import read_predictor

        return read_predictor(file, lambda network: load(network, threads=threads, providers=providers))
    bundle = Bundle.read(file)
    origin = file.resolve() if file.parent != WEIGHTS else file.stem
    return OnnxSegmenter(bundle, threads=threads, providers=providers, origin=origin)


def segment(source: Source, *, network: str = DEFAULT, threshold: float | None = None) -> Segmentation:
    """Find the people in one image with a shipped network, which is loaded once and kept.

    Args:
        source: a path, a PIL image, a uint8 array (H, W, 3), the bytes of an image file, or a binary stream.
        network: a name that `shipped` lists. For a bundle file, `load` it and call that.
        threshold: probability from which a pixel counts as a person; the network's own when not given.

    Raises:
        UnknownNetworkError: no shipped network of that name.
        SourceError: no such file.
        ImageError: not an image, a damaged one, or one with too many pixels.

    >>> import figureground as fg
    >>> result = fg.segment(demo_photo)
    >>> bool(0.2 < result.mask.mean() < 0.9)
    True
    """
    return _kept(network)(source, threshold=threshold)


def parse(source: Source, *, network: str = DEFAULT_PARTS, threshold: float | None = None) -> Segmentation:
    """Find the parts of the people in one image: `segment` with a network that has parts.

    Args:
        source: as `segment` takes it.
        network: a name that `shipped` lists. For a bundle file, `load` it and call that.
        threshold: probability from which a pixel counts as a person; the network's own when not given.

    Raises:
        NetworkError: a network without parts.
        UnknownNetworkError, SourceError, ImageError: as `segment`.
    """
    return require_parts(_kept(network))(source, threshold=threshold)


def require_parts(segmenter: Segmenter) -> Segmenter:
    """Return `segmenter` if it tells parts from one another.

    Raises:
        NetworkError: its tree has only one label.
    """
    if len(segmenter.labels) > 1:
        return segmenter
    [name] = segmenter.labels.names
    raise NetworkError(f"the network '{segmenter.name}' has no parts, it only finds '{name}'", remedy=_with_parts())


def _with_parts() -> str:
    shipped_ones = ", ".join(name for name in shipped() if name.startswith(DEFAULT_PARTS))
    return f"take a network of parts: {shipped_ones or 'a bundle file with a larger label tree'}"


@lru_cache(maxsize=4)
def _kept(name: str) -> Segmenter:
    known = shipped()
    if name not in known:
        raise UnknownNetworkError(f"no network '{name}'", remedy=suggest(name, known))
    return load(known[name])
