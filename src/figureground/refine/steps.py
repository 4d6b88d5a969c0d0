"""What can be done to the answer of a network, as values: each step has a name and settings, and can be written down.

A step takes the leaves' probabilities, the picture and the threshold, and returns the leaves' probabilities. Steps that
change the figure as a whole change its leaves in proportion. So leaves go on summing to the figure, and no node of the
label tree comes to contradict its parent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from figureground.checks import ArgumentError, require_in_range, require_whole
from figureground.errors import suggest
from figureground.images import resize
from figureground.labels import LabelTree
from figureground.refine.areas import Box, close_holes, keep_areas, keep_largest, keep_touching
from figureground.refine.coarse_crf import COARSE, coarse_crf
from figureground.refine.components import drop_unsure
from figureground.refine.erosion import erosion_kernel, soft_erosion
from figureground.refine.guided import guided_upsample
from figureground.refine.mean_field import DenseCrf, dense_crf
from figureground.refine.smooth_crf import SmoothCrf, smooth_crf

__all__ = ["STEPS", "Step", "as_steps", "number_or_word", "read_call", "read_step", "read_steps", "write_step"]

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Seen:
    """What a step may look at besides the leaves: the picture, the label tree and the threshold."""

    image: NDArray[np.uint8]
    labels: LabelTree
    threshold: float


@dataclass(frozen=True)
class Step:
    """One step with its settings. A subclass says what it does to the figure, or to the leaves."""

    name: ClassVar[str]

    @property
    def enlarges(self) -> float:
        """How many times larger than the network's the sides of the picture should be; 1 for most steps."""
        return 1.0

    def apply(self, leaves: Floats, seen: Seen) -> Floats:
        """Leaf probabilities `(K, h, w)` in and out."""
        figure = np.clip(leaves.sum(axis=0), 0, 1)
        return _in_proportion(leaves, figure, self.figure(figure, seen))

    def figure(self, figure: Floats, seen: Seen) -> Floats:
        """Figure probabilities `(h, w)` in and out."""
        return figure


@dataclass(frozen=True)
class Crf(Step, DenseCrf):
    """The dense CRF, see `DenseCrf`; widths are in pixels of the network's map."""

    name: ClassVar[str] = "crf"

    def apply(self, leaves: Floats, seen: Seen) -> Floats:
        """Leaf probabilities `(K, h, w)` in and out."""
        return np.asarray(dense_crf(leaves, _at_size(seen.image, leaves), self, labels=seen.labels), np.float32)


@dataclass(frozen=True)
class Coarse(Step, DenseCrf):
    """The dense CRF on a small copy of the picture, see `coarse_crf`."""

    name: ClassVar[str] = "coarse"
    width: float = COARSE.width
    weight: float = COARSE.weight
    smooth_weight: float = COARSE.smooth_weight

    def apply(self, leaves: Floats, seen: Seen) -> Floats:
        """Leaf probabilities `(K, h, w)` in and out."""
        return coarse_crf(leaves, _at_size(seen.image, leaves), self, labels=seen.labels)


@dataclass(frozen=True)
class Smooth(Step, SmoothCrf):
    """The smoothing CRF, see `SmoothCrf`."""

    name: ClassVar[str] = "smooth"

    def apply(self, leaves: Floats, seen: Seen) -> Floats:
        """Leaf probabilities `(K, h, w)` in and out."""
        return np.asarray(smooth_crf(leaves, self), np.float32)


@dataclass(frozen=True)
class Guided(Step):
    """Enlarge along the photo's edges, see `guided_upsample`; `zoom`, 1 to 64, times the network's size at most."""

    name: ClassVar[str] = "guided"
    radius: int = 1
    eps: float = 1e-4
    zoom: float = 4.0

    def __post_init__(self) -> None:
        require_whole("radius", self.radius, 1, 1000)
        require_in_range("eps", self.eps, 1e-8, 1)
        require_in_range("zoom", self.zoom, 1, 64)

    @property
    def enlarges(self) -> float:
        """`zoom`."""
        return self.zoom

    def apply(self, leaves: Floats, seen: Seen) -> Floats:
        """Leaf probabilities `(K, h, w)` to `(K, H, W)`, the size of the picture."""
        if leaves.shape[1] > seen.image.shape[0] or leaves.shape[2] > seen.image.shape[1]:
            return leaves
        large = np.stack([guided_upsample(leaf, seen.image, radius=self.radius, eps=self.eps) for leaf in leaves])
        # Each leaf follows the edges by itself, so that together they can pass 1.
        large /= np.maximum(large.sum(axis=0), 1)
        return np.asarray(large, np.float32)


@dataclass(frozen=True)
class Erode(Step):
    """Erode softly, see `soft_erosion`."""

    name: ClassVar[str] = "erode"
    kernel: int = 15
    level: float = 0.6
    iterations: int = 1

    def __post_init__(self) -> None:
        erosion_kernel(self.kernel)
        require_whole("kernel", self.kernel, 3, 511)
        require_in_range("level", self.level, 1e-6, 1)
        require_whole("iterations", self.iterations, 1, 100)

    def figure(self, figure: Floats, seen: Seen) -> Floats:
        """Figure probabilities `(h, w)` in and out."""
        return soft_erosion(figure, kernel=self.kernel, threshold=self.level, iterations=self.iterations)


@dataclass(frozen=True)
class Sure(Step):
    """Take away areas that are nowhere sure, see `drop_unsure`."""

    name: ClassVar[str] = "sure"
    support: float = 0.25
    peak: float = 0.9

    def __post_init__(self) -> None:
        require_in_range("support", self.support, 0, 1)
        require_in_range("peak", self.peak, 0, 1)

    def figure(self, figure: Floats, seen: Seen) -> Floats:
        """Figure probabilities `(h, w)` in and out."""
        return drop_unsure(figure, self.support, self.peak)


@dataclass(frozen=True)
class Specks(Step):
    """Take away areas smaller than `min_area`, a fraction of the picture."""

    name: ClassVar[str] = "specks"
    min_area: float = 1e-3

    def __post_init__(self) -> None:
        require_in_range("min_area", self.min_area, 0, 1)

    def figure(self, figure: Floats, seen: Seen) -> Floats:
        """Figure probabilities `(h, w)` in and out."""
        return keep_areas(figure, seen.threshold, min_area=self.min_area)


@dataclass(frozen=True)
class Holes(Step):
    """Fill holes of at most `max_area`, a fraction of the picture."""

    name: ClassVar[str] = "holes"
    max_area: float = 1e-3

    def __post_init__(self) -> None:
        require_in_range("max_area", self.max_area, 0, 1)

    def figure(self, figure: Floats, seen: Seen) -> Floats:
        """Figure probabilities `(h, w)` in and out."""
        return close_holes(figure, seen.threshold, max_area=self.max_area)


@dataclass(frozen=True)
class Largest(Step):
    """Keep the largest area alone."""

    name: ClassVar[str] = "largest"

    def figure(self, figure: Floats, seen: Seen) -> Floats:
        """Figure probabilities `(h, w)` in and out."""
        return keep_largest(figure, seen.threshold)


@dataclass(frozen=True)
class Touching(Step):
    """Keep the areas with a pixel inside of a box given in fractions of the picture."""

    name: ClassVar[str] = "touching"
    left: float = 0.25
    top: float = 0.25
    right: float = 0.75
    bottom: float = 0.75

    def __post_init__(self) -> None:
        for name, low in (("left", 0), ("top", 0), ("right", self.left), ("bottom", self.top)):
            require_in_range(name, getattr(self, name), low, 1)

    def figure(self, figure: Floats, seen: Seen) -> Floats:
        """Figure probabilities `(h, w)` in and out."""
        box: Box = (self.left, self.top, self.right, self.bottom)
        return keep_touching(figure, seen.threshold, box=box)


STEPS: dict[str, type[Step]] = {
    step.name: step for step in (Crf, Coarse, Smooth, Guided, Erode, Sure, Specks, Holes, Largest, Touching)
}
"""The steps by name."""


def as_steps(given: str | Sequence[Step | Mapping[str, Any]]) -> tuple[Step, ...]:
    """Steps from text, or from steps and what `write_step` makes of them.

    Raises:
        ArgumentError: what `read_steps` raises, or what is none of these.
    """
    if isinstance(given, str):
        return read_steps(given)
    listed: list[Any] = list(given) if isinstance(given, Sequence) else [None]
    if all(isinstance(one, (Step, Mapping)) for one in listed):
        return tuple(one if isinstance(one, Step) else read_step(one) for one in listed)
    raise ArgumentError(
        f"refinements are {given!r}", remedy="give a text such as 'holes,largest', or a list of steps or their settings"
    )


def read_steps(text: str) -> tuple[Step, ...]:
    """Steps from text: names behind commas, each with its settings behind colons.

    >>> read_steps("crf:width=40:iterations=3,holes,largest")[2]
    Largest()

    Raises:
        ArgumentError: an unknown name or setting, or a setting out of its range.
    """
    steps = []
    for part in text.split(","):
        name, settings = read_call(part, "step")
        steps.append(read_step({"name": name, **{key: number_or_word(value) for key, value in settings.items()}}))
    return tuple(steps)


def read_call(text: str, what: str) -> tuple[str, dict[str, str]]:
    """A name and its settings, `name:key=value:key=value`.

    Raises:
        ArgumentError: a setting without a value; `what` is what the text calls.
    """
    name, *given = text.strip().split(":")
    settings = {}
    for setting in given:
        key, equals, value = setting.partition("=")
        if not equals:
            raise ArgumentError(f"{what} '{text.strip()}': '{setting}' has no value", remedy=f"write {setting}=...")
        settings[key.strip()] = value.strip()
    return name, settings


def read_step(values: Mapping[str, Any]) -> Step:
    """A step from its name and settings, as `write_step` gives them. Raises ArgumentError as `read_steps` does."""
    settings = dict(values)
    name = settings.pop("name", None)
    if not isinstance(name, str) or name not in STEPS:
        raise ArgumentError(f"no refinement '{name}'", remedy=suggest(str(name), STEPS))
    known = {field.name: field.default for field in fields(STEPS[name])}
    for key, value in settings.items():
        if key not in known:
            raise ArgumentError(f"refinement '{name}' has no setting '{key}'", remedy=suggest(key, known))
        wanted = type(known[key])
        fits = isinstance(value, (int, float) if wanted is float else wanted) and not isinstance(value, bool)
        if not fits:
            kind = {int: "a whole number", float: "a number", str: "a word"}[wanted]
            raise ArgumentError(f"refinement '{name}': {key} is {value!r}", remedy=f"it must be {kind}")
    return STEPS[name](**settings)


def write_step(step: Step) -> dict[str, Any]:
    """The step's name and all its settings, ready for JSON."""
    return {"name": step.name, **asdict(step)}


def number_or_word(text: str) -> Any:
    """A whole number, another number, or the text itself."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _at_size(image: NDArray[np.uint8], leaves: Floats) -> NDArray[np.uint8]:
    return resize(image, (leaves.shape[1], leaves.shape[2]))


def _in_proportion(leaves: Floats, figure: Floats, changed: Floats) -> Floats:
    """Leaves that sum to `changed`, in the proportions in which they summed to `figure`; equal ones where that is 0."""
    if len(leaves) == 1:
        return changed[None]
    share = np.divide(leaves, figure, out=np.full_like(leaves, 1 / len(leaves)), where=figure > 1e-6)
    return np.asarray(share * changed, np.float32)
