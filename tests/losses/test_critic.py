"""The critic against SegAN's published sizes, and what reaches whom in each of the two steps."""

from __future__ import annotations

import pytest
import torch

from figureground.errors import RecipeError
from figureground.losses import IGNORE
from figureground.losses.critic import (
    Critic,
    class_shares,
    critic_loss,
    feature_distance,
    masked,
    segmenter_loss,
)

MODES = ["multiscale_l1", "hinge", "bce"]


@pytest.fixture
def critic():
    torch.manual_seed(0)
    return Critic(6, (8, 8), judges=True)


@pytest.fixture
def batch():
    rng = torch.Generator().manual_seed(1)
    image = torch.randn(2, 3, 32, 32, generator=rng)
    logits = torch.randn(2, 1, 32, 32, generator=rng, requires_grad=True)
    target = (torch.rand(2, 32, 32, generator=rng) > 0.5).long()
    return image, logits, target


def pair(image, logits, target):
    predicted, true = class_shares(logits, target)
    return masked(image, predicted), masked(image, true)


def test_segans_critic_has_its_published_size():
    with torch.device("meta"):
        critic = Critic(3)
        assert sum(weights.numel() for weights in critic.parameters()) == 17_782_720
        sizes = [features.shape[-1] for features in critic(torch.zeros(1, 3, 128, 128))]
    assert sizes == [128, 64, 32, 16, 8, 4, 2]


def test_masked_pictures_of_all_classes_add_up_to_the_picture(batch):
    image, logits, target = batch
    predicted, true = pair(*batch)
    assert predicted.shape == true.shape == (2, 6, 32, 32)
    torch.testing.assert_close(predicted[:, :3] + predicted[:, 3:], image)
    torch.testing.assert_close(true[:, 3:], image * target.unsqueeze(1))
    assert masked(image, class_shares(logits, target)[0], "leaves").shape == (2, 3, 32, 32)


def test_pixels_that_do_not_count_are_black_in_both(batch):
    image, logits, target = batch
    target[:, :8] = IGNORE
    for picture in pair(image, logits, target):
        assert not picture[:, :, :8].any()


@pytest.mark.parametrize("per_level", [True, False])
def test_a_perfect_mask_is_no_distance_away(critic, batch, per_level):
    _, true = pair(*batch)
    assert float(feature_distance(critic, true, true, per_level=per_level)) == 0


def test_the_published_weights_of_the_levels(critic, batch):
    predicted, true = pair(*batch)
    long = [
        torch.cat([(w * f).flatten(1) for w, f in zip((1, 1, 2), critic(picture), strict=True)], 1)
        for picture in (predicted, true)
    ]
    expected = (long[0] - long[1]).abs().mean()
    torch.testing.assert_close(feature_distance(critic, predicted, true, per_level=False), expected)


@pytest.mark.parametrize("mode", MODES)
def test_the_critics_step_leaves_the_segmenter_alone(critic, batch, mode):
    critic_loss(critic, *pair(*batch), mode).backward()
    assert batch[1].grad is None
    used = [name for name, weights in critic.named_parameters() if weights.grad is not None and weights.grad.any()]
    assert any(name.startswith("levels.0") for name in used)


@pytest.mark.parametrize("mode", MODES)
def test_the_segmenters_step_leaves_a_frozen_critic_alone(critic, batch, mode):
    critic.requires_grad_(False)
    segmenter_loss(critic, *pair(*batch), mode).backward()
    assert batch[1].grad.any()
    assert all(weights.grad is None for weights in critic.parameters())


@pytest.mark.parametrize("mode", MODES)
def test_a_critic_learns_to_tell_two_kinds_of_mask_apart(critic, batch, mode):
    predicted, true = pair(*batch)
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-3, betas=(0.5, 0.999))
    losses = []
    for _ in range(12):
        loss = critic_loss(critic, predicted, true, mode)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_wrong_use_is_refused(batch):
    with pytest.raises(RecipeError, match="1 to 6 widths"):
        Critic(3, ())
    with pytest.raises(RecipeError, match="judges=True"):
        Critic(6, (4,)).score(torch.zeros(1, 6, 8, 8))
