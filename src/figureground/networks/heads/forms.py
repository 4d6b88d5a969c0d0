"""The forms of a head: leaves, all nodes, or places on a Poincare ball."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from figureground.errors import NetworkError, suggest
from figureground.labels import LabelTree
from figureground.labels.nodes import Background, node_layout
from figureground.networks.blocks import poincare
from figureground.networks.heads.inference import PathInference, SiblingSoftmax


class Head(nn.Module):
    """What a head is: `forward` gives leaf logits; `output` gives what a loss asks for by name.

    Attributes:
        channels: how many maps it needs from the network.
        gives: the names that `output` knows, `logits` among them.
    """

    channels: int
    gives: tuple[str, ...] = ("logits",)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, channels, H, W) -> (N, leaves, H, W)."""
        return maps

    def output(self, name: str, maps: Tensor) -> Tensor:
        """What `gives` calls `name`, (N, ..., H, W)."""
        del name
        leaf_logits: Tensor = self(maps)
        return leaf_logits


class Leaves(Head):
    """One logit for each leaf, as the network gives it."""

    def __init__(self, labels: LabelTree) -> None:
        super().__init__()
        self.channels = len(labels.leaves)


class Nodes(Head):
    """One logit for each node, inner nodes included (HSSN, arXiv:2203.14335).

    Args:
        labels: the label tree.
        background: how the background is scored: `none`, `node` beside the roots, or a `chain` with one for each level.
        inference: how leaves are found: the best path by summed sigmoids (`prob`) or logits (`logit`), or the product
            of softmaxes over siblings (`softmax`), which goes with the loss `hierarchical_softmax`.

    Raises:
        NetworkError: an unknown inference.
        LabelError: an unknown background.
    """

    gives = ("logits", "nodes")

    def __init__(
        self,
        labels: LabelTree,
        *,
        background: Background = "node",
        inference: Literal["prob", "logit", "softmax"] = "prob",
    ) -> None:
        super().__init__()
        layout = node_layout(labels, background)
        self.channels = len(layout)
        self.inference: nn.Module
        if inference == "softmax":
            self.inference = SiblingSoftmax(layout)
        elif inference in ("prob", "logit"):
            self.inference = PathInference(layout, inference)
        else:
            raise NetworkError(
                f"head 'nodes' has no inference {inference!r}", remedy=suggest(inference, ["prob", "logit", "softmax"])
            )

    def forward(self, maps: Tensor) -> Tensor:
        """(N, nodes, H, W) -> (N, leaves, H, W)."""
        leaf_logits: Tensor = self.inference(maps)
        return leaf_logits

    def output(self, name: str, maps: Tensor) -> Tensor:
        """`nodes` are the maps themselves."""
        return maps if name == "nodes" else super().output(name, maps)


class Hyperbolic(Head):
    """Places on the Poincare ball, told apart by one hyperplane for each leaf or node and one for the background.

    Atigh et al., Hyperbolic image segmentation, arXiv:2203.05898 (`tree: true`), and Weber et al., arXiv:2404.03778
    (`tree: false`). The offsets of the hyperplanes are learnt as tangent vectors at the origin, so that any optimiser
    keeps them in the ball; the authors step along the ball instead.

    Args:
        labels: the label tree.
        dim: of the ball; 2 can be drawn.
        curvature: c of |x| < 1 / sqrt(c).
        tree: score every node, siblings by a softmax, for the loss `hierarchical_softmax`; else the leaves alone.
        clip: largest sqrt(c) |v| of a network's vector v before it is mapped to the ball, so that the border, where
            nothing moves any more, is not reached (arXiv:2107.11472); None does not limit it.
        conformal: the factor of `poincare.hyperplane_logits`.

    Raises:
        NetworkError: a dimension under 1, or a curvature or clip that is not above 0.
    """

    def __init__(
        self,
        labels: LabelTree,
        *,
        dim: int = 16,
        curvature: float = 1.0,
        tree: bool = False,
        clip: float | None = 2.3,
        conformal: bool = False,
    ) -> None:
        super().__init__()
        if dim < 1 or not curvature > 0 or not (clip is None or clip > 0):
            raise NetworkError(
                f"head 'hyperbolic' with dim {dim}, curvature {curvature} and clip {clip}",
                remedy="give a dim of at least 1, and a curvature and a clip above 0",
            )
        self.channels, self.curvature, self.clip, self.conformal = dim, curvature, clip, conformal
        self.gives = ("logits", "points", "nodes") if tree else ("logits", "points")
        layout = node_layout(labels, "node")
        self.inference = SiblingSoftmax(layout) if tree else None
        classes = len(layout) if tree else 1 + len(labels.leaves)
        self.offsets = nn.Parameter(torch.zeros(classes, dim))
        self.normals = nn.Parameter(0.05 * torch.randn(classes, dim))

    def points(self, maps: Tensor) -> Tensor:
        """(N, dim, H, W) vectors of the network -> points of the ball, in float32 or more."""
        with torch.autocast(maps.device.type, enabled=False):
            vectors = poincare.wide(maps)
            if self.clip is not None:
                most = self.clip / self.curvature**0.5
                vectors = vectors * (most / poincare.norm(vectors, 1)).clamp(max=1)
            return poincare.project(poincare.expmap0(vectors, self.curvature, 1), self.curvature, 1)

    def hyperplanes(self) -> tuple[Tensor, Tensor]:
        """Offsets (classes, dim), points of the ball, and normals (classes, dim); the background's are the last."""
        offsets = poincare.project(poincare.expmap0(poincare.wide(self.offsets), self.curvature), self.curvature)
        return offsets, poincare.wide(self.normals)

    def scores(self, maps: Tensor) -> Tensor:
        """(N, dim, H, W) -> (N, classes, H, W), the logit of each hyperplane."""
        points = self.points(maps)
        with torch.autocast(maps.device.type, enabled=False):
            offsets, normals = self.hyperplanes()
            return poincare.hyperplane_logits(points, offsets, normals, self.curvature, conformal=self.conformal)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, dim, H, W) -> (N, leaves, H, W)."""
        scores = self.scores(maps)
        if self.inference is None:
            return scores[:, :-1] - scores[:, -1:]
        leaf_logits: Tensor = self.inference(scores)
        return leaf_logits

    def output(self, name: str, maps: Tensor) -> Tensor:
        """`nodes` are the logits of all nodes and the background, `points` the places on the ball."""
        if name == "points":
            return self.points(maps)
        return self.scores(maps) if name == "nodes" else super().output(name, maps)
