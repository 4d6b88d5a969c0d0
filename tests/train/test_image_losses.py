"""Losses that see the picture, as a recipe names them."""

from __future__ import annotations

import pytest
import torch

from figureground.errors import RecipeError
from figureground.labels import LabelTree
from figureground.losses import gated_potts
from figureground.train.specs import Loss
from figureground.train.terms import build_terms


def test_a_loss_with_an_image_argument_is_given_the_picture():
    specs = (Loss(name="gated_potts", options={"radius": 2}), Loss(name="smooth_crf"))
    potts, smooth = build_terms(specs, LabelTree.person(), {"logits"})
    assert (potts.sees_image, smooth.sees_image) == (True, False)
    noise = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 1, 16, 20, generator=noise)
    image, target = torch.rand(2, 3, 16, 20, generator=noise) * 255, torch.zeros(2, 16, 20, dtype=torch.int64)
    assert potts({"logits": logits}, target, image) == gated_potts(logits, target, image=image, radius=2)
    assert float(smooth({"logits": logits}, target, image)) > 0


def test_the_picture_is_no_option():
    with pytest.raises(RecipeError, match="loss 'dense_potts' has no option 'image'"):
        build_terms((Loss(name="dense_potts", options={"image": 1}),), LabelTree.person(), {"logits"})
