"""A network of parts seen as one of whole figures, so that one training serves both."""

from __future__ import annotations

import torch
from torch import nn

from figureground.errors import NetworkError
from figureground.labels import Label, LabelTree


class WholeFigure(nn.Module):
    """One logit map for all leaves together: its probability is the sum of theirs, exactly.

    With the background's logit at 0, the leaves together have p = S / (1 + S), S the sum of exp of their logits: the
    sigmoid of log S.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) -> (N, 1, H, W)."""
        return torch.as_tensor(self.model(image)).logsumexp(1, keepdim=True)


def whole_tree(labels: LabelTree, name: str) -> LabelTree:
    """The tree of one label `name`, in the colour of the only root.

    Raises:
        NetworkError: several roots, which are not one figure.
        LabelError: an empty name.
    """
    if len(labels.roots) != 1:
        names = ", ".join(root.name for root in labels.roots)
        raise NetworkError(f"the label tree has {len(labels.roots)} roots ({names})", remedy="export it with its parts")
    return LabelTree([Label(name, labels.roots[0].color)])
