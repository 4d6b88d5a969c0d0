"""A bundle run by ONNX Runtime."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.errors import BundleError, ImageError, NetworkError, suggest
from figureground.runtime.bundle import Bundle
from figureground.runtime.depth_input import DepthInput
from figureground.runtime.probability import sure_leaves
from figureground.runtime.segmenter import Segmenter

_CPU = "CPUExecutionProvider"


class OnnxSegmenter(Segmenter):
    """A `Segmenter` over one bundle. The session starts with the first image; any number of threads may share it.

    Args:
        bundle: the network and what belongs to it.
        threads: cores that one run of the network may use; at most 4 and no more than there are, when not given.
        providers: ONNX Runtime execution providers, the preferred one first.
        origin: the shipped name or the file that the bundle came from, where predictor files can refer to it.

    Raises:
        NetworkError: a provider this onnxruntime does not have, or fewer than one thread.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        threads: int | None = None,
        providers: Sequence[str] = (_CPU,),
        origin: str | Path | None = None,
    ) -> None:
        super().__init__(bundle.name, bundle.labels, bundle.threshold)
        if threads is not None and threads < 1:
            raise NetworkError(f"{threads} threads", remedy="give at least 1")
        self.bundle = bundle
        self.origin = origin
        self._threads = threads or min(4, _cores())
        self._providers = _available(providers)
        self._starting = Lock()

    def network_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of the network's input for a photo of `height` x `width` pixels: the bundle's sizing rule."""
        return self.bundle.sizing.network_size(height, width)

    def fitting_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) rounded to multiples of the sizing's `multiple`, at least one of each."""
        multiple = self.bundle.sizing.multiple
        return max(1, round(height / multiple)) * multiple, max(1, round(width / multiple)) * multiple

    @property
    def peak(self) -> float:
        """What the bundle says."""
        return self.bundle.peak

    @property
    def depth_input(self) -> DepthInput | None:
        """What the bundle says about it."""
        return self.bundle.depth

    def probabilities(self, image: NDArray[np.uint8], depth: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Probability of every leaf: float32 (leaves, h', w'). Takes and raises what `logits` does.

        Areas in which the figure never reaches the bundle's `peak` are dropped.
        """
        return sure_leaves(self.logits(image, depth), self.peak)

    def probabilities_with_depth(self, image: NDArray[np.uint8], depth: NDArray[np.float32]) -> NDArray[np.float32]:
        """As `probabilities`, with depth; ArgumentError where the bundle wants none."""
        if self.bundle.depth is None:
            return super().probabilities_with_depth(image, depth)
        return self.probabilities(image, depth)

    def logits(self, image: NDArray[np.uint8], depth: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """The network's own logits: float32 (leaves, h', w').

        Args:
            image: uint8 (h, w, 3), RGB, both sides multiples of the sizing's `multiple`.
            depth: normalised, float32 (h, w), where the bundle wants it; unknown all over when not given.

        Raises:
            ImageError: sides that are no multiples.
            BundleError: the model cannot be loaded or run, or does not fit its label tree; or it needs a depth map
                that is not given, as what is made of several segmenters does not hand one on.
        """
        multiple = self.bundle.sizing.multiple
        if image.shape[0] % multiple or image.shape[1] % multiple:
            raise ImageError(
                f"{image.shape[1]}x{image.shape[0]} image for a network with sides in multiples of {multiple}",
                remedy="call the segmenter itself, which fits any image, or resize to network_size(height, width)",
            )
        try:
            (logits,) = self._session.run(["logits"], {"image": image[None], **self._depth_fed(image, depth)})
        except Exception as error:  # onnxruntime's errors share no base class
            if isinstance(error, BundleError):
                raise
            raise BundleError(f"network '{self.name}' failed: {error}") from error
        if logits.ndim != 4 or logits.shape[1] != len(self.labels.leaves):
            raise BundleError(
                f"network '{self.name}' gives logits {logits.shape} for {len(self.labels.leaves)} leaves",
                remedy="export it with as many channels as the label tree has leaves",
            )
        return np.asarray(logits[0], dtype=np.float32)

    def _depth_fed(self, image: NDArray[np.uint8], depth: NDArray[np.float32] | None) -> dict[str, NDArray[np.float32]]:
        """What the model's input `depth` is given, where it has one."""
        wanted = self.bundle.depth
        if wanted is None:
            return {}
        if depth is None and wanted.needed:
            raise BundleError(
                f"network '{self.name}' needs a depth map, which ensembles, views, tiles and crops do not hand on",
                remedy="call the network itself with depth=..., or train with depth.drop, or with an estimator",
            )
        return {"depth": np.zeros((1, *image.shape[:2]), np.float32) if depth is None else depth[None]}

    @property
    def _session(self) -> Any:
        with self._starting:
            return self._started

    @cached_property
    def _started(self) -> Any:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        # Photos come in many sizes. A memory pattern is kept for each input shape ever seen, and an arena keeps the
        # largest sum of all of them; without the first and with the second growing no more than asked, memory is flat.
        options.enable_mem_pattern = False
        options.log_severity_level = 4  # its errors reach us as exceptions already
        providers = [
            (name, {"arena_extend_strategy": "kSameAsRequested"}) if name == _CPU else name for name in self._providers
        ]
        try:
            return ort.InferenceSession(self.bundle.model_bytes, options, providers=providers)
        except Exception as error:  # onnxruntime's errors share no base class
            raise BundleError(
                f"network '{self.name}' cannot be loaded by onnxruntime {ort.__version__}: {error}",
                remedy="upgrade onnxruntime, or export the bundle again",
            ) from error


def _cores() -> int:
    """Cores this process may use: a container or taskset often allows fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _available(providers: Sequence[str]) -> tuple[str, ...]:
    # The CPU is always there, and asking would import onnxruntime before the first image needs it.
    if any(name != _CPU for name in providers):
        import onnxruntime as ort

        for name in providers:
            if name not in ort.get_available_providers():
                raise NetworkError(
                    f"no provider '{name}' in this onnxruntime", remedy=suggest(name, ort.get_available_providers())
                )
    return tuple(providers)
