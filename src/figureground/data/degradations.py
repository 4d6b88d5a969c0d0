"""What cameras and bad luck do to photos: motion blur, noise, a view from the side, something in front.

Each is called as torchvision's transforms are, with picture, target and perhaps depth, and gives back as many. What it
does is decided by torch's generator alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F
from torchvision import tv_tensors
from torchvision.transforms import v2

from figureground.data.specs import Augment
from figureground.losses import IGNORE

Moving = tuple[torch.Tensor, ...]


def degradations(augment: Augment) -> list[Callable[..., Any]]:
    """Those that are on, in the order in which they happen to a photo."""
    steps: list[Callable[..., Any]] = []
    if augment.perspective > 0:
        fill: dict[Any, Any] = {tv_tensors.Image: 0, tv_tensors.Mask: IGNORE, "others": 0}
        steps.append(v2.RandomPerspective(augment.perspective, augment.perspective_probability, fill=fill))
    if augment.motion_blur > 0:
        steps.append(MotionBlur(augment.motion_blur))
    if augment.noise > 0:
        steps.append(Noise(augment.noise))
    if augment.erase > 0:
        steps.append(Erase(augment.erase))
    return steps


@dataclass(frozen=True)
class MotionBlur:
    """The camera moved in a straight line: by 3 pixels, or up to 6 % of the side of the crop."""

    probability: float
    longest: float = 0.06

    def __call__(self, image: torch.Tensor, *rest: torch.Tensor) -> Moving:
        """(3, H, W) uint8 and what moves with it, which stays as it is."""
        if torch.rand(()) >= self.probability:
            return (image, *rest)
        most = max(1, int(min(image.shape[-2:]) * self.longest) // 2)
        length = 2 * int(torch.randint(1, most + 1, ())) + 1
        kernel = line_kernel(length, math.pi * float(torch.rand(())))
        return (_rounded(_filtered(image, kernel), image), *rest)


def line_kernel(length: int, angle: float) -> torch.Tensor:
    """(length, length) float32 that sums to 1: as many equal points on a line through the centre, `angle` in radians.

    Points between pixels are shared out among the four around them.
    """
    along = torch.arange(length) - (length - 1) / 2
    kernel = torch.zeros(length + 1, length + 1)
    middle = (length - 1) / 2
    rows = (along * math.sin(angle) + middle).clamp(0, length - 1)
    columns = (along * math.cos(angle) + middle).clamp(0, length - 1)
    top, left = rows.floor().long(), columns.floor().long()
    down, right = rows - top, columns - left
    for row, column, share in (
        (top, left, (1 - down) * (1 - right)),
        (top, left + 1, (1 - down) * right),
        (top + 1, left, down * (1 - right)),
        (top + 1, left + 1, down * right),
    ):
        kernel.index_put_((row, column), share, accumulate=True)
    return kernel[:length, :length] / length


def _filtered(image: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """Each channel of (3, H, W) under the kernel, its edges mirrored outwards: float32."""
    reach = len(kernel) // 2
    padded = F.pad(image.as_subclass(torch.Tensor).float().unsqueeze(1), [reach] * 4, mode="reflect")
    return F.conv2d(padded, kernel[None, None]).squeeze(1)


def _rounded(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    wrapped: torch.Tensor = tv_tensors.wrap(values.round().clamp(0, 255).to(torch.uint8), like=like)
    return wrapped


@dataclass(frozen=True)
class Noise:
    """A sensor in the dark: normal noise on every value, of a deviation of 2 to 20 of the 255 steps."""

    probability: float
    deviations: tuple[float, float] = (2.0, 20.0)

    def __call__(self, image: torch.Tensor, *rest: torch.Tensor) -> Moving:
        """(3, H, W) uint8 and what moves with it, which stays as it is."""
        if torch.rand(()) >= self.probability:
            return (image, *rest)
        least, most = self.deviations
        deviation = least + (most - least) * float(torch.rand(()))
        plain = image.as_subclass(torch.Tensor).float()
        return (_rounded(plain + deviation * torch.randn(plain.shape), image), *rest)


@dataclass(frozen=True)
class Erase:
    """A rectangle of random colours (Zhong et al., arXiv:1708.04896), under which nothing is counted or known.

    Args:
        probability: of one.
        area: least and greatest, as a share of the crop's.
        ratio: greatest length of a side divided by the other's.
    """

    probability: float
    area: tuple[float, float] = (0.02, 0.2)
    ratio: float = 3.3

    def __call__(self, image: torch.Tensor, target: torch.Tensor, *rest: torch.Tensor) -> Moving:
        """(3, H, W) uint8, (1, H, W) target and what else moves with it, of 0 where unknown."""
        if torch.rand(()) >= self.probability:
            return (image, target, *rest)
        height, width = image.shape[-2:]
        area = (self.area[0] + (self.area[1] - self.area[0]) * float(torch.rand(()))) * height * width
        ratio = math.exp((2 * float(torch.rand(())) - 1) * math.log(self.ratio))
        tall = min(height, max(1, round(math.sqrt(area * ratio))))
        wide = min(width, max(1, round(math.sqrt(area / ratio))))
        top, left = (int(torch.randint(0, room + 1, ())) for room in (height - tall, width - wide))
        box = (..., slice(top, top + tall), slice(left, left + wide))
        colors = torch.randint(0, 256, (image.shape[0], tall, wide), dtype=torch.uint8)
        return (_painted(image, box, colors), _painted(target, box, IGNORE), *(_painted(one, box, 0) for one in rest))


def _painted(values: torch.Tensor, box: Any, paint: torch.Tensor | int) -> torch.Tensor:
    plain = values.as_subclass(torch.Tensor).clone()
    plain[box] = paint
    wrapped: torch.Tensor = tv_tensors.wrap(plain, like=values)
    return wrapped
