"""From what a recipe names, an ONNX file or a model of `transformers`, to an estimator."""

from __future__ import annotations

import hashlib
from pathlib import Path

import onnx

from figureground.depth.estimator import NAME, SHA256, Estimator
from figureground.depth.graph import Look, Triple, depth_graph
from figureground.depth.published import published
from figureground.errors import NetworkError
from figureground.images import DepthValues


def open_onnx(path: Path, look: Look | None = None, *, threads: int = 1) -> Estimator:
    """The estimator of an ONNX depth network.

    Args:
        path: float (N, 3, h, w) -> (N, h, w) or (N, 1, h, w).
        look: how it looks at a picture; as MiDaS does, at the network's own size, when not given.
        threads: cores that one run may use.

    Raises:
        NetworkError: no such file, no ONNX model, or one of another interface.
    """
    try:
        data = path.read_bytes()
        model = onnx.load(str(path))
    except OSError as error:
        raise NetworkError(f"no depth network at {path}: {error.strerror}", remedy="check the path") from error
    except Exception as error:  # protobuf's errors share no base class with ours
        raise NetworkError(f"{path} is no ONNX model: {_first_line(error)}", remedy="give an .onnx file") from error
    facts = {NAME: path.name, SHA256: hashlib.sha256(data).hexdigest()}
    return Estimator(depth_graph(model, look or Look(), facts=facts), threads=threads)


def open_transformers(
    name: str,
    *,
    size: tuple[int, int] | None = None,
    normalisation: tuple[Triple, Triple] | None = None,
    values: DepthValues | None = None,
    kept: Path | None = None,
    threads: int = 1,
) -> Estimator:
    """The estimator of a depth-estimation model of `transformers`, exported to ONNX on the way.

    Args:
        name: a folder of `save_pretrained`, or a name on the hub, which is fetched.
        size: (height, width) that it is shown; that of its own image processor when not given.
        normalisation: mean and std, as of `Look`; what its image processor says when not given.
        values: what its answer grows with; what its configuration says when not given.
        kept: a folder where the exported model is kept, so that it is exported once.
        threads: cores that one run may use.

    Raises:
        NetworkError: no such model, or one that cannot be exported.
        MissingExtraError: transformers is not installed.
    """
    found = published(name, size, kept)
    mean, std = normalisation or (found.look.mean, found.look.std)
    look = Look(mean=mean, std=std, size=found.look.size, values=values or found.look.values)
    facts = {NAME: found.name, SHA256: found.sha256}
    return Estimator(depth_graph(onnx.load_model_from_string(found.model), look, facts=facts), threads=threads)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
