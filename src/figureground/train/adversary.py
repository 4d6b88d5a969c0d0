"""The critic in training: its own optimiser, its step before each of the segmenter's, its place in checkpoints."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from figureground.losses.critic import SEGAN_WIDTHS, Critic, class_shares, critic_loss, masked, segmenter_loss
from figureground.train.specs import CriticSpec


class Adversary:
    """A critic and its optimiser. Kept outside the task's modules: it is neither averaged nor shipped.

    Args:
        spec: what the recipe says about it.
        leaves: of the label tree.
        mean: of the network's input, (1, 3, 1, 1); the critic sees the same normalised picture.
        std: likewise.
    """

    def __init__(self, spec: CriticSpec, *, leaves: int, mean: Tensor, std: Tensor) -> None:
        self.spec = spec
        self.mean, self.std = mean, std
        classes = 1 + leaves if spec.classes == "all" else leaves
        judges = spec.mode != "multiscale_l1"
        self.channels = 3 * classes
        self.critic = Critic(self.channels, spec.widths or SEGAN_WIDTHS, judges=judges)
        self.optimizer = torch.optim.Adam(self.critic.parameters(), lr=spec.learning_rate, betas=(0.5, 0.999))

    def loss(self, image: Tensor, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Let the critic take a step on this batch, then say what it costs the segmenter: (critic's, segmenter's).

        Args:
            image: (N, 3, H, W) of 0 to 255.
            logits: (N, K, H, W).
            target: (N, H, W) of leaf numbers.
        """
        self.critic.to(image.device)
        picture = (image - self.mean.to(image.device)) / self.std.to(image.device)
        predicted_shares, true_shares = class_shares(logits, target)
        predicted = masked(picture, predicted_shares, self.spec.classes)
        true = masked(picture, true_shares, self.spec.classes)
        own = self._step(predicted, true)
        self.critic.requires_grad_(False)
        value = segmenter_loss(self.critic, predicted, true, self.spec.mode, per_level=self.spec.per_level)
        return own, value

    def _step(self, predicted: Tensor, true: Tensor) -> Tensor:
        self.critic.requires_grad_(True)
        own = critic_loss(self.critic, predicted, true, self.spec.mode, per_level=self.spec.per_level)
        self.optimizer.zero_grad(set_to_none=True)
        own.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.spec.clamp is not None:
            with torch.no_grad():
                for weight in self.critic.parameters():
                    weight.clamp_(-self.spec.clamp, self.spec.clamp)
        return own.detach()

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs."""
        return {"critic": self.critic.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.critic.load_state_dict(state["critic"])
        self.optimizer.load_state_dict(state["optimizer"])
