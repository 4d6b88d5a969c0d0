"""A critic: a network that learns to tell predicted masks from true ones, and what the segmenter learns from it.

SegAN (Xue et al., arXiv:1706.01805) compares the critic's features of the picture under the predicted and under the
true mask at several scales; the classic form (Luc et al., arXiv:1611.08408) has it say "true" or "predicted".

Where we differ: the picture is masked by every class, the background too, where SegAN masks it by the object alone
(`classes` of `masked`); features are averaged level by level, where SegAN's one long vector lets the largest maps
decide (`per_level`); and the classic critic judges patches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from figureground.errors import RecipeError
from figureground.losses.background import one_hot, with_background

Mode = Literal["multiscale_l1", "hinge", "bce"]

SEGAN_WIDTHS = (64, 128, 256, 512, 512, 1024)
_KERNELS = ((7, 3), (5, 2), (4, 1), (4, 1), (5, 2), (4, 1))
"""Side and padding of each convolution; all of them halve the map."""
_LEVEL_WEIGHTS = (1, 1, 2, 2, 2, 2, 4)
"""Of the masked picture and of each level, in the published code."""


class Critic(nn.Module):
    """The critic of SegAN, exactly, with `widths` unchanged and three channels; lighter ones have fewer widths.

    Args:
        channels: of the masked picture, 3 for each class.
        widths: channels of each level, at most six.
        judges: whether a last convolution gives a map of scores, for the modes that need one.
    """

    def __init__(self, channels: int, widths: Sequence[int] = SEGAN_WIDTHS, *, judges: bool = False) -> None:
        super().__init__()
        if not 1 <= len(widths) <= len(_KERNELS):
            raise RecipeError(f"a critic of {len(widths)} levels", remedy=f"give 1 to {len(_KERNELS)} widths")
        self.levels = nn.ModuleList()
        for level, (width, (kernel, padding)) in enumerate(zip(widths, _KERNELS, strict=False)):
            steps: list[nn.Module] = [nn.Conv2d(channels, width, kernel, 2, padding, bias=False)]
            if level > 0:
                steps.append(nn.BatchNorm2d(width))
            self.levels.append(nn.Sequential(*steps, nn.LeakyReLU(0.2)))
            channels = width
        self.judge = nn.Conv2d(channels, 1, 1) if judges else None

    def forward(self, masked: Tensor) -> list[Tensor]:
        """(N, channels, H, W) -> the masked picture itself and the features of every level."""
        features = [masked]
        for level in self.levels:
            features.append(level(features[-1]))
        return features

    def score(self, masked: Tensor) -> Tensor:
        """(N, channels, H, W) -> (N, 1, h, w), high where the mask looks true."""
        if self.judge is None:
            raise RecipeError("this critic gives no scores", remedy="make it with judges=True")
        return torch.as_tensor(self.judge(self.forward(masked)[-1]))


def masked(image: Tensor, shares: Tensor, classes: Literal["all", "leaves"] = "all") -> Tensor:
    """The picture under each class: (N, C, H, W) and class shares (N, 1 + K, H, W) -> (N, C * classes, H, W)."""
    kept = shares if classes == "all" else shares[:, 1:]
    return (image.unsqueeze(1) * kept.unsqueeze(2)).flatten(1, 2)


def class_shares(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Predicted and true class shares, both (N, 1 + K, H, W) float; zero in both where pixels do not count."""
    scores = with_background(logits)
    truth, counted = one_hot(target, scores.shape[1])
    return scores.softmax(1) * counted, truth


def feature_distance(critic: Critic, predicted: Tensor, true: Tensor, *, per_level: bool = True) -> Tensor:
    """Mean absolute difference of the critic's features of two masked pictures (N, C, H, W).

    With `per_level` every level counts the same; otherwise all levels are one long vector with the published weights.
    """
    pairs = list(zip(critic(predicted), critic(true), strict=True))
    if per_level:
        return torch.stack([(p - t).abs().mean() for p, t in pairs]).mean()
    weighted = [w * (p - t).abs().flatten(1) for w, (p, t) in zip(_LEVEL_WEIGHTS, pairs, strict=False)]
    return torch.cat(weighted, 1).mean()


def critic_loss(critic: Critic, predicted: Tensor, true: Tensor, mode: Mode, *, per_level: bool = True) -> Tensor:
    """What the critic lowers: it wants to tell the two apart. `predicted` is cut off from the segmenter here."""
    predicted = predicted.detach()
    if mode == "multiscale_l1":
        return -feature_distance(critic, predicted, true, per_level=per_level)
    real, fake = critic.score(true), critic.score(predicted)
    if mode == "hinge":
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def segmenter_loss(critic: Critic, predicted: Tensor, true: Tensor, mode: Mode, *, per_level: bool = True) -> Tensor:
    """What the segmenter lowers: it wants its masks to look true. The gradient reaches `predicted` alone if frozen."""
    if mode == "multiscale_l1":
        return feature_distance(critic, predicted, true, per_level=per_level)
    score = critic.score(predicted)
    return -score.mean() if mode == "hinge" else F.softplus(-score).mean()
