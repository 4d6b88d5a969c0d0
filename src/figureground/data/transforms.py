"""Paired augmentation: picture and target move together; what happens is decided by torch's generator alone.

Built on torchvision.transforms.v2, whose tv_tensors carry which tensor is the picture and which the target.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from figureground.data.sources import Sample
from figureground.losses import IGNORE
from figureground.data.specs import Augment


@lru_cache(maxsize=64)
def _pipeline(augment: Augment, size: int) -> v2.Compose:
    steps: list[Any] = [
        v2.RandomResizedCrop(size, scale=augment.crop_scale, ratio=augment.crop_ratio, antialias=True),
    ]
    if augment.flip > 0:
        steps.append(v2.RandomHorizontalFlip(augment.flip))
    if augment.rotate > 0:
        fill = {tv_tensors.Image: 0, tv_tensors.Mask: IGNORE}
        rotation = v2.RandomRotation(augment.rotate, fill=fill, interpolation=v2.InterpolationMode.BILINEAR)
        steps.append(v2.RandomApply([rotation], augment.rotate_probability))
    if augment.color > 0:
        jitter = v2.ColorJitter(augment.color, augment.color, augment.color, augment.hue)
        steps.append(v2.RandomApply([jitter], augment.color_probability))
    if augment.gray > 0:
        steps.append(v2.RandomGrayscale(augment.gray))
    if augment.blur > 0:
        steps.append(v2.RandomApply([v2.GaussianBlur(5, (0.1, 2.0))], augment.blur))
    if augment.jpeg > 0:
        steps.append(v2.RandomApply([v2.JPEG((30, 90))], augment.jpeg))
    return v2.Compose(steps)


def augmented(sample: Sample, augment: Augment, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A square crop of the sample: picture (3, size, size) uint8 and target (size, size) int64."""
    image = tv_tensors.Image(torch.from_numpy(sample.image.copy()).permute(2, 0, 1))
    target = tv_tensors.Mask(torch.from_numpy(sample.target.copy()).unsqueeze(0))
    image, target = _pipeline(augment, size)(image, target)
    # Plain tensors from here on: a tv_tensor carries a cost on every operation.
    return image.as_subclass(torch.Tensor), target.as_subclass(torch.Tensor)[0].long()
