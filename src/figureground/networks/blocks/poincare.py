"""The Poincare ball: points x of R^n with c |x|^2 < 1, a space of curvature -c (Ganea et al., arXiv:1805.09112).

Vectors lie along `dim`. Everything is computed in float32 or more, because next to the border a point's distance from
it decides, which half precision does not hold; nothing divides by zero or has an infinite slope at the origin.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

BORDER = 1e-3
"""Points are kept this far inside the ball, as a share of its radius."""
_TINY = 1e-15


def wide(x: Tensor) -> Tensor:
    """`x` in float32, or float64 where it is."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def norm(x: Tensor, dim: int = -1) -> Tensor:
    """Length along `dim`, kept as an axis of one; with a finite slope at zero."""
    return (x.square().sum(dim, keepdim=True) + _TINY).sqrt()


def project(x: Tensor, c: float, dim: int = -1) -> Tensor:
    """Bring points back that are at the border or beyond it."""
    most = (1 - BORDER) / math.sqrt(c)
    length = norm(x, dim)
    return torch.where(length > most, x / length * most, x)


def expmap0(v: Tensor, c: float, dim: int = -1) -> Tensor:
    """The point where one arrives from the origin in the direction and over the length of `v`."""
    reach = math.sqrt(c) * norm(v, dim)
    return v * (torch.tanh(reach.clamp(max=15)) / reach)


def logmap0(x: Tensor, c: float, dim: int = -1) -> Tensor:
    """The inverse of `expmap0`."""
    reach = math.sqrt(c) * norm(x, dim)
    return x * (torch.atanh(reach.clamp(max=1 - 1e-7)) / reach)


def mobius_add(x: Tensor, y: Tensor, c: float, dim: int = -1) -> Tensor:
    """The ball's addition; neither commutative nor associative."""
    xy = (x * y).sum(dim, keepdim=True)
    xx, yy = x.square().sum(dim, keepdim=True), y.square().sum(dim, keepdim=True)
    top = (1 + 2 * c * xy + c * yy) * x + (1 - c * xx) * y
    return top / (1 + 2 * c * xy + c**2 * xx * yy).clamp(min=_TINY)


def distance(x: Tensor, y: Tensor, c: float, dim: int = -1) -> Tensor:
    """Length of the shortest way between points; the axis `dim` is gone."""
    between = math.sqrt(c) * norm(mobius_add(-x, y, c, dim), dim)
    return 2 / math.sqrt(c) * torch.atanh(between.clamp(max=1 - 1e-7)).squeeze(dim)


def expmap(x: Tensor, v: Tensor, c: float, dim: int = -1) -> Tensor:
    """The point where one arrives from `x` in the direction and over the length of `v`, a tangent vector there."""
    length = norm(v, dim)
    factor = 2 / (1 - c * x.square().sum(dim, keepdim=True))
    reach = math.sqrt(c) * factor * length / 2
    return mobius_add(x, torch.tanh(reach.clamp(max=15)) * v / (math.sqrt(c) * length), c, dim)


def hyperplane_logits(x: Tensor, offsets: Tensor, normals: Tensor, c: float, *, conformal: bool = False) -> Tensor:
    """Signed, scaled distances of pixels from one hyperplane for each class: multinomial logistic regression.

    z = s |a| / sqrt(c) asinh(sqrt(c) lambda_m <m, a / |a|>) with m = (-p) + x brought back from the border. The factor
    s is 2, as in the code of arXiv:2203.05898 and arXiv:2404.03778, or lambda_p of arXiv:1805.09112. For c to 0 it
    becomes 4 <x - p, a>. What is divided is expanded into inner products, so m, one vector for each pixel and class, is
    never made; and 1 - c |m|^2 is (1 - c |p|^2) (1 - c |x|^2) over a denominator that cancels, so it stays exact near
    the border.

    Args:
        x: (N, D, H, W), points of the ball.
        offsets: (K, D), points of the ball.
        normals: (K, D).
        c: curvature, above 0.
        conformal: take lambda_p as the factor.

    Returns:
        (N, K, H, W).
    """
    length = norm(normals)
    units = normals / length
    pp, pa = (_per_class(values) for values in (offsets.square().sum(1), (offsets * units).sum(1)))
    px, xa = (torch.einsum("kd,ndhw->nkhw", rows, x) for rows in (offsets, units))
    xx = x.square().sum(1, keepdim=True)
    along = (1 - c * pp) * xa - (1 - 2 * c * px + c * xx) * pa
    below = 1 - 2 * c * px + c**2 * pp * xx
    gap = (1 - c * pp) * (1 - c * xx)
    inside = 2 * math.sqrt(c) * along / gap
    # c |m|^2, and what m is shortened to where that is beyond the border.
    reach, most = 1 - gap / below, (1 - BORDER) ** 2
    shortened = 2 * math.sqrt(c) * along / below * (most / reach.clamp(min=most)).sqrt() / (1 - most)
    factor = 2 / (1 - c * pp) if conformal else 2.0
    return (
        factor
        * _per_class(length.squeeze(1))
        / math.sqrt(c)
        * torch.asinh(torch.where(reach > most, shortened, inside))
    )


def _per_class(values: Tensor) -> Tensor:
    return values.view(1, -1, 1, 1)
