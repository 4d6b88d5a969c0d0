"""What a critic is for: on made-up pictures it takes away small artefacts that cross-entropy and Dice leave.

Somebody is a bright ellipse in noise; beside it lie small bright spots, which are nobody. The network sees 9 x 9
pixels and takes some spots for people. Nearly nothing of either loss lies in them.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn

from figureground.losses import cross_entropy, soft_dice
from figureground.train.adversary import Adversary
from figureground.train.specs import CriticSpec

SIDE, STEPS, BATCH = 48, 400, 16
MEAN, STD = torch.full((1, 3, 1, 1), 120.0), torch.full((1, 3, 1, 1), 60.0)
CRITIC = CriticSpec(
    mode="hinge", weight=0.1, classes="leaves", widths=(32, 64, 64), start=0.25, learning_rate=1e-3, clamp=None
)


def scenes(count: int, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """(count, 3, 48, 48) pictures of 0 to 255 and (count, 48, 48) targets."""
    y, x = np.mgrid[:SIDE, :SIDE]
    pictures, targets = [], []
    for _ in range(count):
        cy, cx = rng.uniform(16, 32, 2)
        height, width = rng.uniform(8, 14, 2)
        body = ((y - cy) / height) ** 2 + ((x - cx) / width) ** 2 < 1
        bright = body.copy()
        for _ in range(6):
            sy, sx = rng.uniform(2, SIDE - 2, 2)
            bright |= (y - sy) ** 2 + (x - sx) ** 2 < rng.uniform(2, 3) ** 2
        grey = np.where(bright, 150.0, 100.0) + rng.normal(0, 40, (SIDE, SIDE))
        pictures.append(np.repeat(grey[None], 3, 0))
        targets.append(body)
    return torch.tensor(np.array(pictures), dtype=torch.float32).clamp(0, 255), torch.tensor(np.array(targets)).long()


def trained(seed: int, spec: CriticSpec | None) -> nn.Module:
    """Four convolutions of 3x3 after 400 steps."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    layers: list[nn.Module] = []
    for inputs in (3, 8, 8, 8):
        layers += [nn.Conv2d(inputs, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()]
    network = nn.Sequential(*layers, nn.Conv2d(8, 1, 1))
    optimizer = torch.optim.Adam(network.parameters(), 5e-3)
    adversary = None if spec is None else Adversary(spec, leaves=1, mean=MEAN, std=STD)
    for step in range(STEPS):
        image, target = scenes(BATCH, rng)
        logits = network((image - MEAN) / STD)
        loss = cross_entropy(logits, target) + 0.5 * soft_dice(logits, target)
        if spec is not None and adversary is not None and step >= spec.start * STEPS:
            loss = loss + spec.weight * adversary.loss(image, logits, target)[1]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()


def artefacts(predicted: np.ndarray, true: np.ndarray) -> int:
    """Areas of one colour that lie wholly in the other colour of the truth: specks beside people, holes in them."""
    count = 0
    for found, there in ((predicted, true), (~predicted, ~true)):
        areas, number = ndimage.label(found)
        count += sum(not there[areas == area].any() for area in range(1, number + 1))
    return count


def measured(network: nn.Module) -> tuple[float, float]:
    """Artefacts for each picture, and mean Dice, on 64 pictures that no training saw."""
    image, target = scenes(64, np.random.default_rng(99))
    with torch.no_grad():
        predicted = (network((image - MEAN) / STD)[:, 0] > 0).numpy()
    true = target.numpy() > 0
    dice = 2 * (predicted & true).sum((1, 2)) / (predicted.sum((1, 2)) + true.sum((1, 2)))
    return float(np.mean([artefacts(*pair) for pair in zip(predicted, true, strict=True)])), float(dice.mean())


@pytest.mark.slow
def test_a_critic_removes_small_artefacts_that_the_other_losses_leave():
    plain, critical = (np.mean([measured(trained(seed, spec)) for seed in range(3)], axis=0) for spec in (None, CRITIC))
    print(f"artefacts a picture {plain[0]:.2f} -> {critical[0]:.2f}, mean Dice {plain[1]:.3f} -> {critical[1]:.3f}")
    assert plain[0] > 1.0, "there is nothing to remove"
    assert critical[0] < 0.75 * plain[0]
    assert critical[1] > plain[1] - 0.005
