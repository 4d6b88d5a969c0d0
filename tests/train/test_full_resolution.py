"""However small the network sees a photo, its scores count the photo's own pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from figureground.metrics import BinaryReport, TreeCounts
from figureground.train import Recipe, build_model
from figureground.train.feed import Feed
from figureground.train.task import SegmentationTask


@pytest.mark.parametrize("area", [32 * 32, 32 * 64])
def test_validation_counts_the_photos_own_pixels(tiny_recipe, area):
    """A network that finds the bright people at any size: what is missing is what small maps lose at the outline."""
    recipe = Recipe.read(tiny_recipe, [f"sizing.area={area}"])
    task = SegmentationTask(recipe, build_model(recipe), None).eval()
    task.model.forward = lambda image: image[:, :1] / 10 - 12
    seen, expected = [], BinaryReport()
    task.on_validation_epoch_start()
    for number, photo in enumerate(Feed(recipe).val_dataloader()):
        seen.append(photo.image.shape[-2:])
        assert photo.target.shape == (40, 56)
        task.validation_step(photo, number)
        if photo.source == "people":
            small = photo.image[:, :1].float() / 10 - 12
            full = torch.nn.functional.interpolate(small.sigmoid(), (40, 56), mode="bilinear", align_corners=False)
            target = photo.target.numpy() > 0
            expected.add(str(number), full[0, 0].numpy() > 0.5, target, np.ones_like(target))
    assert set(seen) == {torch.Size((32, 32) if area == 32 * 32 else (32, 64))}
    found = task.validation_summary()
    assert found["val/people_iou_dataset"] == pytest.approx(expected.summary()["iou_dataset"])
    assert 0.7 < found["val/people_iou_dataset"] < 1


def test_parts_that_are_nowhere_leave_the_score_a_number(tiny_recipe):
    recipe = Recipe.read(tiny_recipe)
    task = SegmentationTask(recipe, build_model(recipe), None)
    nobody = np.zeros((4, 5), bool)
    task.reports["people"] = BinaryReport()
    task.reports["people"].add("0", nobody, nobody, ~nobody)
    task.parts["people"] = TreeCounts(recipe.tree)
    assert task.validation_summary() == {"val/people": 1, "val/score": 1}
