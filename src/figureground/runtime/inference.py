"""What is done around networks at inference, as plain values: what `combine` and the `predict` of a recipe ask for.

The values are those of predictor files, and the segmenters are built and checked by the same kinds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.checks import ArgumentError
from figureground.errors import suggest, within
from figureground.labels import LabelTree
from figureground.refine.steps import as_steps, number_or_word, read_call, write_step
from figureground.runtime.ensemble import Ensemble, Mean
from figureground.runtime.kinds import KINDS, read_settings
from figureground.runtime.segmentation import checked_threshold
from figureground.runtime.segmenter import Segmenter


@dataclass(frozen=True)
class Inference:
    """How networks are asked about a photo and what is done to their answer, in the order of the attributes.

    Attributes:
        views: test-time augmentation: the settings of `augmented`, {} for the mirror image; None for the photo alone.
        ensemble: other networks beside the own one: `with`, a list of shipped names and of paths of bundles and of
            predictor files, and the settings of `Ensemble`, with the own network's weight first; None for none.
        people_first: a closer look at each person: the settings of `PeopleFirst`, {} for its defaults; None for none.
        tiles: a closer look tile by tile: the settings of `Tiled`, {} for its defaults; None for none.
        refine: steps after the network, as text or as names and settings; see docs/refine.md.
        threshold: probability from which a pixel is figure; the networks' when None.

    Raises:
        ArgumentError: an unknown setting, one of another type or out of its range, or both closer looks at once.
    """

    views: Mapping[str, Any] | None = None
    ensemble: Mapping[str, Any] | None = None
    people_first: Mapping[str, Any] | None = None
    tiles: Mapping[str, Any] | None = None
    refine: str | Sequence[Mapping[str, Any]] = ()
    threshold: float | None = None

    def __post_init__(self) -> None:
        if self.people_first is not None and self.tiles is not None:
            raise ArgumentError("people_first and tiles both look closer", remedy="give one of them")
        if self.threshold is not None:
            checked_threshold(self.threshold)
        self._around([_Anything() for _ in range(1 + len(self.others))], *self._shares())

    @property
    def others(self) -> tuple[str, ...]:
        """The networks beside the own one: shipped names and paths.

        Raises:
            ArgumentError: `ensemble` names none, or what is no text.
        """
        if self.ensemble is None:
            return ()
        given = self.ensemble.get("with")
        if not isinstance(given, (list, tuple)) or not given or not all(isinstance(one, str) and one for one in given):
            raise ArgumentError(
                f"with is {given!r}", remedy="it must be a list of shipped names and of bundle or predictor files"
            )
        return tuple(given)

    def check(self, labels: LabelTree) -> None:
        """Open the networks beside the own one, whose label tree is given.

        Raises:
            FiguregroundError: one of them cannot be opened, or has other labels.
        """
        if self.ensemble is not None:
            with within("predict.ensemble"):
                Ensemble([_Anything(labels), *self._opened()])

    @property
    def steps(self) -> tuple[dict[str, Any], ...]:
        """`refine` as names with all of their settings."""
        return tuple(write_step(step) for step in as_steps(self.refine))

    @property
    def changes_answers(self) -> bool:
        """Whether anything stands around the networks; a threshold alone does not."""
        return bool(self.steps) or any(
            one is not None for one in (self.views, self.ensemble, self.people_first, self.tiles)
        )

    def around(
        self, networks: Sequence[Segmenter], weights: Sequence[float] | None = None, mean: Mean = "probability"
    ) -> Segmenter:
        """The segmenter: views of each network, the mean of all networks, the closer look, the refinement.

        Args:
            networks: one, the own one, where there is an `ensemble`, which brings the others.
            weights: of the networks, where there is no `ensemble`.
            mean: of the networks, where there is no `ensemble`.

        Raises:
            ArgumentError: networks or weights that do not fit together, or that cannot be asked in this way.
            FiguregroundError: a network of `ensemble` that cannot be opened.
        """
        if self.ensemble is None:
            return self._around(networks, weights, mean)
        with within("predict.ensemble"):
            everyone = [*networks, *self._opened()]
        return self._around(everyone, *self._shares())

    def _opened(self) -> list[Segmenter]:
        from figureground.runtime.catalogue import load

        return [load(name) for name in self.others]

    def _shares(self) -> tuple[Sequence[float] | None, Mean]:
        """Weights and mean of `ensemble`."""
        given = {key: value for key, value in (self.ensemble or {}).items() if key != "with"}
        settings = read_settings(KINDS["ensemble"], given)
        return settings.get("weights"), settings.get("mean", "probability")

    def _around(
        self, networks: Sequence[Segmenter], weights: Sequence[float] | None = None, mean: Mean = "probability"
    ) -> Segmenter:
        made = [_built("augmented", network, self.views) for network in networks]
        whole = Ensemble(made, weights=weights, mean=mean) if len(made) > 1 or weights is not None else made[0]
        if self.threshold is not None:
            whole = whole.renamed(whole.name, self.threshold)
        whole = _built("people_first", whole, self.people_first)
        whole = _built("tiled", whole, self.tiles)
        steps = list(self.steps)
        return _built("refined", whole, {"steps": steps} if steps else None)


_CLOSER = {"people-first": "people_first", "tiles": "tiles"}


def read_closer(text: str) -> dict[str, Any]:
    """A closer look from text, `people-first:margin=0.4:crops=4` or `tiles:zoom=2`, as an argument of `Inference`.

    Commas part several numbers, as in `zoom=1.5,8`.

    Raises:
        ArgumentError: an unknown name, or a setting without a value. `Inference` checks the settings themselves.
    """
    name, settings = read_call(text, "closer look")
    if name not in _CLOSER:
        raise ArgumentError(f"no closer look '{name}'", remedy=suggest(name, _CLOSER))
    return {_CLOSER[name]: {key: _value(value) for key, value in settings.items()}}


def _value(text: str) -> Any:
    return [number_or_word(part) for part in text.split(",")] if "," in text else number_or_word(text)


def _built(kind: str, inner: Segmenter, settings: Mapping[str, Any] | None) -> Segmenter:
    return inner if settings is None else KINDS[kind].build([inner], read_settings(KINDS[kind], settings))


class _Anything(Segmenter):
    """Stands where a network will be, so that settings are checked before there is one."""

    def __init__(self, labels: LabelTree | None = None) -> None:
        super().__init__("network", labels or LabelTree.person(), 0.5)

    def network_size(self, height: int, width: int) -> tuple[int, int]:
        return height, width

    def fitting_size(self, height: int, width: int) -> tuple[int, int]:
        return height, width

    def probabilities(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.zeros((1, *image.shape[:2]), np.float32)
