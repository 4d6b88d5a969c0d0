"""A depth estimator that runs: pictures in, normalised depth out."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.errors import NetworkError

NAME, SHA256 = "name", "sha256"


class Estimator:
    """A graph of `depth_graph`, run by ONNX Runtime.

    It may be sent to other processes, and a process that was forked starts a session of its own: a session's threads do
    not survive a fork.

    Args:
        graph: the serialised graph.
        threads: cores that one run may use.

    Raises:
        NetworkError: the graph cannot be loaded.
    """

    def __init__(self, graph: bytes, *, threads: int = 1) -> None:
        self.graph = graph
        self.threads = threads
        self.fingerprint = hashlib.sha256(graph).hexdigest()
        """Of the whole graph: what is cached under it was computed in exactly this way."""
        self._running: tuple[int, Any] | None = None
        facts = self._session.get_modelmeta().custom_metadata_map
        self.name: str = facts.get(NAME, "")
        """The file or the model that it was made of."""
        self.sha256: str = facts.get(SHA256, "")
        """The hash of that file, or of that model's weights."""

    @classmethod
    def read(cls, path: Path, *, threads: int = 1) -> Estimator:
        """The estimator in a file that training wrote; NetworkError where there is none."""
        try:
            return cls(path.read_bytes(), threads=threads)
        except OSError as error:
            raise NetworkError(
                f"no depth estimator at {path}: {error.strerror}", remedy="give a run folder whose depth.onnx is there"
            ) from error

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_running": None}

    def __call__(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Normalised nearness of a picture, uint8 (H, W, 3): float32 (H, W), from -3 to 3.

        Raises:
            NetworkError: the network fails on a picture of that size.
        """
        try:
            (depth,) = self._session.run(["depth"], {"image": picture[None]})
        except Exception as error:  # onnxruntime's errors share no base class
            raise self._failed(error, picture.shape[:2]) from error
        if depth.shape != (1, *picture.shape[:2]):
            raise self._failed(ValueError(f"it gives {depth.shape}"), picture.shape[:2])
        return np.asarray(depth[0], dtype=np.float32)

    def _failed(self, error: Exception, size: tuple[int, ...]) -> NetworkError:
        return NetworkError(
            f"the depth network '{self.name}' failed on a picture of {size[0]}x{size[1]} (height x width): {error}",
            remedy="set estimator.size to a size that it takes",
        )

    @property
    def _session(self) -> Any:
        if self._running is None or self._running[0] != os.getpid():
            self._running = (os.getpid(), self._start())
        return self._running[1]

    def _start(self) -> Any:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.enable_mem_pattern = False  # photos come in many sizes
        options.log_severity_level = 4  # its errors reach us as exceptions already
        try:
            return ort.InferenceSession(self.graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors share no base class
            raise NetworkError(
                f"the depth network cannot be loaded by onnxruntime {ort.__version__}: {error}",
                remedy="upgrade onnxruntime, or export the network again",
            ) from error
