"""A finished run as a segmenter: its network in torch, where no bundle was made of it yet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from figureground.errors import NetworkError
from figureground.runtime.cost import Cost, cost
from figureground.runtime.depth_input import DepthInput
from figureground.runtime.probability import leaf_probabilities
from figureground.runtime.segmenter import Segmenter
from figureground.runtime.sizing import Sizing
from figureground.train.depth import EstimatesDepth, input_of, kept_estimator
from figureground.train.run import load_run

__all__ = ["RunSegmenter"]


class RunSegmenter(Segmenter):
    """The network of a run folder with its best weights, on the CPU.

    It sees photos as the exported bundle will: the recipe's sizing, and the same way from logits to probabilities.
    `as_recipe_says` has what the recipe's `predict` puts around it.

    Args:
        folder: what training made.
        name: what people call it; the recipe's name when not given.
        threads: cores that torch may use, which holds for everything that torch does in this process; as many as it
            uses already, when not given.

    Raises:
        RecipeError: the folder holds no recipe, or a broken one.
        NetworkError: it holds no weights yet, or others.
    """

    def __init__(self, folder: Path, *, name: str | None = None, threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise NetworkError(f"{threads} threads", remedy="give at least 1")
        recipe, network = load_run(folder)
        self._depth_input = None if recipe.depth is None else input_of(recipe.depth)
        estimates = recipe.depth is not None and self._depth_input is None
        self.model: nn.Module = EstimatesDepth(network, kept_estimator(folder)).eval() if estimates else network
        super().__init__(name or recipe.name, recipe.tree, recipe.inference.threshold or 0.5)
        self._inference = recipe.inference
        self.sizing = Sizing(area=recipe.sizing.area, multiple=recipe.sizing.multiple)
        if threads is not None:
            torch.set_num_threads(threads)

    def network_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of the network's input, by the recipe's sizing."""
        return self.sizing.network_size(height, width)

    def fitting_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) rounded to multiples of the recipe's `multiple`, at least one of each."""
        multiple = self.sizing.multiple
        return max(1, round(height / multiple)) * multiple, max(1, round(width / multiple)) * multiple

    @property
    def depth_input(self) -> DepthInput | None:
        """What the recipe says about depth maps; None where there are none, or an estimator makes them."""
        return self._depth_input

    def probabilities(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probability of every leaf: float32 (leaves, h, w)."""
        return leaf_probabilities(self.logits(image))

    def probabilities_with_depth(self, image: NDArray[np.uint8], depth: NDArray[np.float32]) -> NDArray[np.float32]:
        """As `probabilities`, with normalised depth (h, w); ArgumentError where the network looks at none."""
        if self._depth_input is None:
            return super().probabilities_with_depth(image, depth)
        return leaf_probabilities(self.logits(image, depth))

    def logits(self, image: NDArray[np.uint8], depth: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """The network's own logits: float32 (leaves, h, w)."""
        with torch.inference_mode():
            pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).unsqueeze(0)
            if self._depth_input is not None:
                if depth is None and self._depth_input.needed:
                    raise NetworkError(f"'{self.name}' needs a depth map", remedy="call it with depth=...")
                beside = np.zeros(image.shape[:2], np.float32) if depth is None else depth
                pixels = torch.cat([pixels.float(), torch.from_numpy(beside)[None, None]], dim=1)
            return np.asarray(self.model(pixels)[0].numpy(), dtype=np.float32)

    def as_recipe_says(self) -> Segmenter:
        """This network with what the recipe's `predict` puts around it, under the same name."""
        whole = self._inference.around([self])
        return whole.renamed(self.name, whole.threshold)

    def cost(self, segmenter: Segmenter, photo: NDArray[np.uint8]) -> Cost:
        """Parameters, and multiply-adds for `photo`, uint8 (H, W, 3), as torch counts them.

        `segmenter` is this network, or what is made of it; bundles beside it are counted as `runtime.cost` counts them.
        """
        depth = None if self._depth_input is None else np.ones(photo.shape[:2], np.float32)
        with FlopCounterMode(display=False) as counter:
            segmenter(photo, depth=depth)
        parameters = sum(parameter.numel() for parameter in self.model.parameters())
        own = Cost(parameters, counter.get_total_flops() // 2)
        return own if self._inference.ensemble is None or segmenter is self else _both(own, cost(segmenter, photo))


def _both(one: Cost, other: Cost) -> Cost:
    return Cost(_sum(one.parameters, other.parameters), _sum(one.multiply_adds, other.multiply_adds))


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other
