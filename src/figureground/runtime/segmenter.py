"""What everything that predicts looks like from outside: an image in, a `Segmentation` out."""

from __future__ import annotations

import copy
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Literal, Self, overload

import numpy as np
from numpy.typing import NDArray

from figureground import images
from figureground.checks import ArgumentError
from figureground.errors import FiguregroundError, ImageError, NetworkError
from figureground.images import DepthMap, Source
from figureground.labels import LabelTree
from figureground.runtime.depth_input import DepthInput, WithDepth
from figureground.runtime.photo import Photo
from figureground.runtime.probability import leaf_logits
from figureground.runtime.segmentation import Segmentation, checked_threshold


@dataclass(frozen=True)
class _Fitted:
    """A photo with its picture, and perhaps its depth, at the network's size, and the seconds that took."""

    photo: Photo
    image: NDArray[np.uint8]
    seconds: float
    depth: NDArray[np.float32] | None = None


class Segmenter(ABC):
    """Anything that finds figures: one network, several, one behind a wire. A subclass says how to do one image.

    Args:
        name: what people call it.
        labels: the label tree of its results.
        threshold: probability from which a pixel counts as figure, where a call does not say otherwise.

    >>> import figureground as fg
    >>> segmenter = fg.load("person")
    >>> segmenter.name, segmenter.labels.names
    ('person', ('person',))
    >>> result = segmenter(demo_photo)
    >>> [r.is_empty for r in segmenter.batch([demo_photo, demo_photo])]
    [False, False]
    """

    def __init__(self, name: str, labels: LabelTree, threshold: float) -> None:
        self.name = name
        self.labels = labels
        self.threshold = checked_threshold(threshold)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    @abstractmethod
    def network_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) at which `probabilities` wants to see a photo of `height` x `width` pixels."""

    @abstractmethod
    def probabilities(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probability of every leaf of the label tree; what is missing to 1 is the background's.

        Called from several threads at once.

        Args:
            image: uint8 (h, w, 3), RGB, at a size that `network_size` gives.

        Returns:
            float32 (leaves, h', w'); h', w' may differ from h, w.
        """

    @property
    def depth_input(self) -> DepthInput | None:
        """What it wants of a depth map beside the photo; None where it looks at none."""
        return None

    def probabilities_with_depth(self, image: NDArray[np.uint8], depth: NDArray[np.float32]) -> NDArray[np.float32]:
        """As `probabilities`, for a picture with its depth: float32 (h, w), as `images.normalised_depth` makes it.

        Raises:
            ArgumentError: it looks at no depth.
        """
        raise _no_depth(self.name)

    def fitting_size(self, height: int, width: int) -> tuple[int, int] | None:
        """The size nearest to `height` x `width` that `probabilities` takes as well.

        What asks for other sizes than `network_size` gives (tiles, a second scale) asks here. None, unless a subclass
        says otherwise: there are no other sizes.
        """
        return None

    @property
    def peak(self) -> float:
        """What the figure must reach somewhere in an area of `logits`, or `probabilities` has dropped the area.

        0, unless a subclass says otherwise: both say the same.
        """
        return 0.0

    def logits(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Log of each leaf's probability over the background's: float32 (leaves, h', w').

        From `probabilities`, whose float32 ends it at 16 either way, unless a subclass has the logits themselves.
        Then `probability.sure_leaves(logits, peak)` are the probabilities.
        """
        return leaf_logits(self.probabilities(image))

    def renamed(self, name: str, threshold: float) -> Self:
        """The same segmenter under another name and with another threshold; this one stays as it is."""
        other = copy.copy(self)
        other.name, other.threshold = name, checked_threshold(threshold)
        return other

    def __call__(
        self, source: Source | WithDepth, *, threshold: float | None = None, depth: DepthMap | None = None
    ) -> Segmentation:
        """Segment one image: a path, a PIL image, a uint8 array (H, W, 3), the bytes of a file, or a binary stream.

        `depth` is its depth map, where the network wants one: a grey picture, a .npy file or an array (H, W).

        Raises:
            SourceError: no such file.
            ImageError: not an image, a damaged one, or one with too many pixels; or a depth map is missing.
            ArgumentError: a depth map for a network that looks at none.
        """
        chosen = self.threshold if threshold is None else checked_threshold(threshold)
        if depth is not None:
            source = WithDepth(source.photo if isinstance(source, WithDepth) else source, depth)
        return self._run(self._fit(source), chosen)

    @overload
    def batch(
        self,
        sources: Iterable[Source | WithDepth],
        *,
        threshold: float | None = None,
        workers: int = 2,
        ahead: int = 4,
        on_error: Literal["raise"] = "raise",
    ) -> Iterator[Segmentation]: ...

    @overload
    def batch(
        self,
        sources: Iterable[Source | WithDepth],
        *,
        threshold: float | None = None,
        workers: int = 2,
        ahead: int = 4,
        on_error: Literal["yield"],
    ) -> Iterator[Segmentation | FiguregroundError]: ...

    def batch(
        self,
        sources: Iterable[Source | WithDepth],
        *,
        threshold: float | None = None,
        workers: int = 2,
        ahead: int = 4,
        on_error: Literal["raise", "yield"] = "raise",
    ) -> Iterator[Segmentation | FiguregroundError]:
        """Segment many images, in order, one result per source, while the next ones are being decoded.

        A photo with its depth map is a `WithDepth`.

        Lazy: nothing is read before the first result is asked for, and never more than `ahead` images beyond the
        result in hand. Closing the iterator, or dropping it, stops the threads.

        Args:
            sources: any iterable, an endless one too. It is read from the thread that asks for results.
            threshold: as in a call.
            workers: threads that decode.
            ahead: images decoded but not yet segmented, at most.
            on_error: "raise" ends the iteration with the first image that cannot be used; "yield" gives its
                `FiguregroundError` in the place of its result and goes on. A `NetworkError` is always raised: it says
                nothing about the image.

        Raises:
            ArgumentError: an option out of range.
        """
        if workers < 1 or ahead < 1 or on_error not in ("raise", "yield"):
            raise ArgumentError(
                f"batch with workers={workers}, ahead={ahead}, on_error={on_error!r}",
                remedy="workers and ahead are at least 1, on_error is 'raise' or 'yield'",
            )
        chosen = self.threshold if threshold is None else checked_threshold(threshold)
        return self._batch(iter(sources), chosen, workers, ahead, on_error == "yield")

    def _batch(
        self, sources: Iterator[Source | WithDepth], threshold: float, workers: int, ahead: int, yield_errors: bool
    ) -> Iterator[Segmentation | FiguregroundError]:
        pool = ThreadPoolExecutor(workers, thread_name_prefix="figureground-decode")
        waiting: deque[Future[_Fitted]] = deque()
        try:
            waiting.extend(pool.submit(self._fit, source) for source in islice(sources, ahead))
            while waiting:
                fitted = waiting.popleft()
                waiting.extend(pool.submit(self._fit, source) for source in islice(sources, 1))
                result: Segmentation | FiguregroundError
                try:
                    result = self._run(fitted.result(), threshold)
                except FiguregroundError as error:
                    if isinstance(error, NetworkError) or not yield_errors:
                        raise
                    result = error
                yield result
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _fit(self, source: Source | WithDepth) -> _Fitted:
        started = time.perf_counter()
        given = source.depth if isinstance(source, WithDepth) else None
        photo = Photo(source.photo if isinstance(source, WithDepth) else source)
        size = self.network_size(*photo.size)
        depth = self._fit_depth(given, photo, size)
        image = images.resize(photo.preview(min(size)), size)
        return _Fitted(photo, image, time.perf_counter() - started, depth)

    def _fit_depth(self, given: DepthMap | None, photo: Photo, size: tuple[int, int]) -> NDArray[np.float32] | None:
        wanted = self.depth_input
        if given is None:
            if wanted is not None and wanted.needed:
                raise ImageError(
                    f"the network '{self.name}' needs a depth map beside the photo",
                    remedy="give depth=FILE in Python, --depth FILE on the command line",
                )
            return None
        if wanted is None:
            raise _no_depth(self.name)
        return wanted.fitted(given, photo.size, size)

    def _run(self, fitted: _Fitted, threshold: float) -> Segmentation:
        started = time.perf_counter()
        if fitted.depth is None:
            leaves = self.probabilities(fitted.image)
        else:
            leaves = self.probabilities_with_depth(fitted.image, fitted.depth)
        elapsed = fitted.seconds + time.perf_counter() - started
        return Segmentation(fitted.photo, leaves, self.labels, threshold=threshold, elapsed=elapsed)


def _no_depth(name: str) -> ArgumentError:
    return ArgumentError(
        f"the network '{name}' looks at no depth map", remedy="leave depth away, or use a network that wants it"
    )
