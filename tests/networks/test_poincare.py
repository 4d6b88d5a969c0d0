"""The Poincare ball against geoopt, golden values and the definitions."""

from __future__ import annotations

import math

import pytest
import torch

from figureground.networks.blocks import poincare

CURVATURES = [0.1, 1.0, 2.5]


def points(c, count=40, dim=5, seed=0):
    """Points all over the ball, some near its border, and the origin."""
    rng = torch.Generator().manual_seed(seed)
    directions = torch.nn.functional.normalize(torch.randn(count, dim, generator=rng, dtype=torch.float64), dim=1)
    lengths = torch.linspace(0, 0.998, count, dtype=torch.float64)[torch.randperm(count, generator=rng)]
    return directions * lengths[:, None] / math.sqrt(c)


@pytest.fixture(params=CURVATURES)
def c(request):
    return request.param


@pytest.fixture
def ball(c):
    geoopt = pytest.importorskip("geoopt")
    return geoopt.PoincareBall(torch.tensor(c, dtype=torch.float64))


def test_the_ball_is_that_of_geoopt(ball, c):
    x, y = points(c), points(c, seed=1)
    v = torch.randn(x.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    for ours, theirs in (
        (poincare.expmap0(v, c), ball.expmap0(v)),
        (poincare.logmap0(x, c), ball.logmap0(x)),
        (poincare.mobius_add(x, y, c), ball.mobius_add(x, y)),
        (poincare.distance(x, y, c), ball.dist(x, y)),
        (poincare.expmap(x, v / 10, c), ball.expmap(x, v / 10)),
    ):
        # geoopt guards with larger numbers than we do, which shows in the sixth digit next to the border.
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_hyperplanes_are_those_of_geoopt(ball, c):
    """Its signed and scaled distance is Ganea's without the factor, up to the border that m is brought back from."""
    x, p = 0.7 * points(c), 0.5 * points(c, count=3, seed=1)
    a = torch.randn(p.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    theirs = ball.dist2plane(x[:, None], p, a, signed=True, scaled=True)
    ours = 0.5 * poincare.hyperplane_logits(x.T[None, :, :, None], p, a, c)[0, :, :, 0].T
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("c", "expected"), [(1.0, (4.60385744, -1.59138591, 2.73683177)), (0.1, (2.95772294, -1.63227208, 1.35992267))]
)
def test_golden_values(hashed_input, c, expected):
    x = poincare.project(poincare.expmap0(1.5 * hashed_input("hyp", 5, 4), c), c)
    p = poincare.expmap0(0.4 * hashed_input("off", 3, 4), c)
    a = 0.5 * hashed_input("nrm", 3, 4)
    z = poincare.hyperplane_logits(x.T[None, :, :, None], p, a, c)[0, :, :, 0].T
    assert (z[0, 0].item(), z[4, 2].item(), z.mean().item()) == pytest.approx(expected, abs=5e-9)


@pytest.mark.parametrize("conformal", [False, True])
def test_the_expanded_form_is_the_definition(c, conformal):
    """With every m made, brought back from the border and measured."""
    x, p = points(c), points(c, count=4, seed=1)
    a = torch.randn(p.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    m = poincare.project(poincare.mobius_add(-p, x[:, None], c), c)
    length = a.norm(dim=1)
    conformal_m = 2 / (1 - c * m.square().sum(-1))
    factor = 2 / (1 - c * p.square().sum(1)) if conformal else 2.0
    expected = (
        factor * length / math.sqrt(c) * torch.asinh(math.sqrt(c) * conformal_m * (m * a / length[:, None]).sum(-1))
    )
    ours = poincare.hyperplane_logits(x.T[None, :, :, None], p, a, c, conformal=conformal)[0, :, :, 0].T
    torch.testing.assert_close(ours, expected, rtol=1e-7, atol=1e-8)


def test_without_curvature_it_is_linear():
    x, p = points(1.0), points(1.0, count=3, seed=1)
    a = torch.randn(p.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    flat = 4 * ((x[:, None] - p) * a).sum(-1)
    ours = poincare.hyperplane_logits(x.T[None, :, :, None], p, a, 1e-6)[0, :, :, 0].T
    torch.testing.assert_close(ours, flat, atol=1e-4, rtol=0)


def test_there_and_back(c):
    v = torch.randn(30, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(poincare.logmap0(poincare.expmap0(v, c), c), v, rtol=1e-6, atol=1e-9)


def test_distances_are_symmetric_and_obey_the_triangle(c):
    x, y, z = points(c), points(c, seed=1), points(c, seed=2)
    torch.testing.assert_close(poincare.distance(x, y, c), poincare.distance(y, x, c), rtol=1e-6, atol=1e-6)
    assert (poincare.distance(x, z, c) <= poincare.distance(x, y, c) + poincare.distance(y, z, c) + 1e-6).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("length", [0.0, 1e-8, 1.0, 20.0, 1e4])
def test_low_precision_stays_finite_and_inside(c, dtype, length):
    """At the origin, where |v| has no slope, and far out, where the border is reached."""
    direction = torch.tensor([0.6, -0.8, 0.0]).view(1, 3, 1, 1)
    v = (length * direction).to(dtype).requires_grad_()
    x = poincare.project(poincare.expmap0(poincare.wide(v), c, 1), c, 1)
    assert x.dtype == torch.float32
    assert c * x.square().sum() < 1
    offsets = torch.tensor([[0.0, 0.0, 0.0], [0.5, 0.1, 0.0], [0.9, -0.4, 0.1]]) / math.sqrt(c)
    offsets = poincare.project(offsets, c).requires_grad_()
    normals = torch.tensor([[1.0, 0.0, 0.0], [-2.0, 1.0, 0.5], [0.0, 0.0, 0.0]]).requires_grad_()
    z = poincare.hyperplane_logits(x, offsets, normals, c)
    z.square().sum().backward()
    assert torch.isfinite(z).all()
    assert all(torch.isfinite(leaf.grad).all() for leaf in (v, offsets, normals))


def test_float32_is_close_to_float64_up_to_the_border(c):
    x, p = poincare.project(points(c), c), points(c, count=4, seed=1)
    a = torch.randn(p.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    exact = poincare.hyperplane_logits(x.T[None, :, :, None], p, a, c)
    ours = poincare.hyperplane_logits(x.T[None, :, :, None].float(), p.float(), a.float(), c)
    torch.testing.assert_close(ours.double(), exact, rtol=2e-3, atol=2e-3)


def test_gradient(c):
    x, p = 0.8 * points(c, count=6), 0.5 * points(c, count=3, seed=1)
    a = torch.randn(p.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    inputs = (x.T[None, :, :, None].clone().requires_grad_(), p.requires_grad_(), a.requires_grad_())
    assert torch.autograd.gradcheck(lambda x, p, a: poincare.hyperplane_logits(x, p, a, c), inputs)
    v = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3)).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: poincare.expmap0(v, c), v)
