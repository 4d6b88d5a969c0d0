"""Points on the disk: in the right place and colour, and lines that are where the logit of a hyperplane is zero."""

from __future__ import annotations

import numpy as np
import pytest

from figureground.checks import ArgumentError
from figureground.draw import poincare_disk
from figureground.draw.disk import _geodesic

RED, BLUE = (255, 0, 0), (0, 0, 255)


def pixel(picture, x, y, curvature=1.0):
    """The pixel at a place of the disk, whose radius is 0.48 of the picture."""
    size = len(picture)
    column = size / 2 + 0.48 * size * x * curvature**0.5
    row = size / 2 - 0.48 * size * y * curvature**0.5
    return tuple(picture[int(row), int(column)].tolist())


@pytest.mark.parametrize("curvature", [0.25, 1.0, 4.0])
def test_points_have_their_place_and_colour(curvature):
    points = np.array([[0.5, 0.0], [0.0, 0.5], [-0.6, -0.6]]) / curvature**0.5
    picture = poincare_disk(points, np.array([0, 1, 1]), [RED, BLUE], curvature=curvature, size=200)
    assert picture.shape == (200, 200, 3)
    assert picture.dtype == np.uint8
    assert [pixel(picture, x, y, curvature) for x, y in points] == [RED, BLUE, BLUE]
    assert pixel(picture, 0.3, 0.3) == (255, 255, 255)


def test_nothing_to_draw_is_an_empty_disk():
    picture = poincare_disk(np.empty((0, 2)), np.empty(0, int), [])
    assert picture.shape == (512, 512, 3)
    assert (picture == 255).all(axis=2).mean() > 0.95


@pytest.mark.parametrize("curvature", [0.5, 1.0])
def test_a_line_is_where_its_hyperplane_is_zero(curvature):
    torch = pytest.importorskip("torch")
    poincare = pytest.importorskip("figureground.networks.blocks.poincare")
    offset, normal = np.array([0.3, -0.4]), np.array([1.0, 0.7])
    line = 0.999 * _geodesic(offset, normal, curvature)
    points = torch.from_numpy(_geodesic(offset, normal, curvature)[60:140].T.copy())[None, :, :, None]
    logits = poincare.hyperplane_logits(
        points, torch.from_numpy(offset)[None], torch.from_numpy(normal)[None], curvature
    )
    assert abs(logits).max() < 1e-6
    assert np.abs(np.linalg.norm(line[[0, -1]], axis=1) * curvature**0.5 - 0.999).max() < 1e-3  # from rim to rim
    picture = poincare_disk(np.empty((0, 2)), np.empty(0, int), [RED], planes=(offset[None], normal[None]), size=300)
    assert pixel(picture, *offset)[0] > 200 > pixel(picture, *offset)[1] if curvature == 1 else True


@pytest.mark.parametrize(
    ("points", "classes", "message"),
    [
        (np.zeros((3, 3)), np.zeros(3, int), r"points must be \(P, 2\)"),
        (np.zeros((3, 2)), np.zeros(2, int), r"classes \(P,\)"),
        (np.array([[1.0, 0.2]]), np.zeros(1, int), "outside of the disk"),
        (np.zeros((1, 2)), np.array([2]), "classes run from 2 to 2, but there are 1 colors"),
    ],
)
def test_wrong_use_is_refused(points, classes, message):
    with pytest.raises(ArgumentError, match=message):
        poincare_disk(points, classes, [RED])


def test_a_curvature_of_zero_is_refused():
    with pytest.raises(ArgumentError, match="curvature"):
        poincare_disk(np.zeros((1, 2)), np.zeros(1, int), [RED], curvature=0)
