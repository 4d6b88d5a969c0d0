"""Paired augmentation: picture and target move together; what happens is decided by torch's generator alone.

Built on torchvision.transforms.v2, whose tv_tensors carry which tensor is the picture and which the target. Only the
resizing of targets is our own: torchvision's "nearest" takes the pixel at the corner of each cell rather than at its
centre, so that every target would lie up to half a pixel beside its picture.
"""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F
from torchvision import tv_tensors
from torchvision.transforms import RandomResizedCrop, v2

from figureground.data.degradations import degradations
from figureground.data.sources import Sample
from figureground.data.specs import Augment
from figureground.labels import LabelTree
from figureground.losses import IGNORE


class Depth(tv_tensors.Mask):  # type: ignore[misc]
    """Normalised depth (1, H, W) float32: it moves with the picture as targets do, and no change of colour is its."""


@lru_cache(maxsize=64)
def _pipeline(augment: Augment) -> v2.Compose:
    steps: list[Any] = [v2.Identity()]
    if augment.rotate > 0:
        fill = {tv_tensors.Image: 0, tv_tensors.Mask: IGNORE, Depth: 0}
        rotation = v2.RandomRotation(augment.rotate, fill=fill, interpolation=v2.InterpolationMode.BILINEAR)
        steps.append(v2.RandomApply([rotation], augment.rotate_probability))
    if augment.color > 0:
        jitter = v2.ColorJitter(augment.color, augment.color, augment.color, augment.hue)
        steps.append(v2.RandomApply([jitter], augment.color_probability))
    if augment.gray > 0:
        steps.append(v2.RandomGrayscale(augment.gray))
    if augment.blur > 0:
        steps.append(v2.RandomApply([v2.GaussianBlur(5, (0.1, 2.0))], augment.blur))
    steps += degradations(augment)
    return v2.Compose(steps)


def _cropped(sample: Sample, augment: Augment, size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """A random crop of picture (3, size, size), target (1, size, size) and depth (1, size, size)."""
    image = torch.from_numpy(sample.image.copy()).permute(2, 0, 1)
    target = torch.from_numpy(sample.target.copy()).unsqueeze(0)
    top, left, height, width = RandomResizedCrop.get_params(image, list(augment.crop_scale), list(augment.crop_ratio))
    rows, columns = slice(top, top + height), slice(left, left + width)
    picture = v2.functional.resize(image[:, rows, columns], [size, size], antialias=True)
    mask = shrunk(target[:, rows, columns], size)
    if sample.depth is None:
        return picture, mask, None
    # A map need not have the picture's size, so the box need not end at its pixels.
    down, right = sample.depth.shape[0] / image.shape[1], sample.depth.shape[1] / image.shape[2]
    box = (left * right, top * down, (left + width) * right, (top + height) * down)
    resized = Image.fromarray(sample.depth).resize((size, size), Image.Resampling.BILINEAR, box=box)
    return picture, mask, torch.from_numpy(np.array(resized)).unsqueeze(0)


def shrunk(target: torch.Tensor, size: int) -> torch.Tensor:
    """(1, H, W) index map -> (1, size, size), each pixel the value that weighs most where the picture's pixel looks.

    Each value's map goes through the picture's own filter, so both keep exactly the same place.
    """
    values = target.flatten().bincount().nonzero().to(target.dtype)
    if len(values) == 1:
        return values[0].expand(1, size, size).clone()
    maps = (target == values[1:].unsqueeze(-1)).float()
    others = F.interpolate(maps.unsqueeze(0), (size, size), mode="bilinear", antialias=True)[0]
    shares = torch.cat((1 - others.sum(0, keepdim=True), others))
    # Not argmax, which is fourteen times slower over so few maps.
    return values.flatten()[shares.max(0, keepdim=True).indices]


def _recompressed(image: torch.Tensor, quality: int) -> torch.Tensor:
    # With Pillow, because torchvision is giving up its JPEG encoder.
    buffer = BytesIO()
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(buffer, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(buffer))).permute(2, 0, 1)


def mirror_table(labels: LabelTree) -> torch.Tensor:
    """(256,) uint8: the target value that each value becomes when the photo is mirrored (left arm, right arm)."""
    table = torch.arange(256, dtype=torch.uint8)
    values = labels.mask_values()
    for label in labels.labels:
        table[values[label.name]] = values[label.flip or label.name]
    return table


def augmented(
    sample: Sample, augment: Augment, size: int, mirror: torch.Tensor, drop: float = 0.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """A square crop of the sample: picture (3, size, size) uint8 and target (size, size) int64.

    With depth the picture is (4, size, size) float32: red, green and blue of 0 to 255, and normalised depth.

    Args:
        sample: picture and target of any size.
        augment: what may happen to them.
        size: side of the crop in pixels.
        mirror: the label tree's `mirror_table`.
        drop: probability of hiding the depth, which makes it 0.
    """
    crop, mask, depth = _cropped(sample, augment, size)
    if torch.rand(()) < augment.flip:
        crop, mask = crop.flip(-1), mirror[mask.flip(-1).long()]
        depth = depth if depth is None else depth.flip(-1)
    moving = [tv_tensors.Image(crop), tv_tensors.Mask(mask), *([] if depth is None else [Depth(depth)])]
    image, target, *moved = _pipeline(augment)(*moving)
    if torch.rand(()) < augment.jpeg:
        image = _recompressed(image, int(torch.randint(30, 91, ())))
    # Plain tensors from here on: a tv_tensor carries a cost on every operation.
    picture, mask = image.as_subclass(torch.Tensor), target.as_subclass(torch.Tensor)[0].long()
    if not moved:
        return picture, mask
    seen = moved[0].as_subclass(torch.Tensor)
    return torch.cat([picture.float(), torch.zeros_like(seen) if torch.rand(()) < drop else seen]), mask
