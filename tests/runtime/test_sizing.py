import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from figureground.errors import BundleError
from figureground.runtime.sizing import Sizing

sides = st.integers(1, 100_000)


@given(sides, sides, st.integers(1, 20), st.sampled_from([8, 16, 32]), st.floats(1.0, 8.0))
def test_multiples_near_the_area_within_the_aspect(height, width, blocks, multiple, max_aspect):
    sizing = Sizing((blocks * multiple) ** 2, multiple, max_aspect)
    h, w = sizing.network_size(height, width)
    assert h % multiple == w % multiple == 0
    assert h >= multiple
    assert w >= multiple
    aspect = min(max(width / height, 1 / max_aspect), max_aspect)
    ideal_h = math.sqrt(sizing.area / aspect)
    for side, ideal in ((h, ideal_h), (w, ideal_h * aspect)):
        assert abs(side - ideal) <= multiple / 2 + 1e-6 or side == multiple


@given(sides, sides)
def test_turning_the_photo_turns_the_size(height, width):
    sizing = Sizing(320 * 320)
    assert sizing.network_size(height, width) == sizing.network_size(width, height)[::-1]


@pytest.mark.parametrize(
    ("photo", "expected"),
    [
        ((1, 1), (256, 256)),
        ((3000, 4000), (224, 288)),
        ((4000, 3000), (288, 224)),
        ((1, 10_000), (128, 512)),
        ((10_000, 1), (512, 128)),
    ],
)
def test_known_sizes(photo, expected):
    assert Sizing(256 * 256).network_size(*photo) == expected


def test_round_trip():
    sizing = Sizing(90_000, 32, 3.5)
    assert Sizing.from_dict(sizing.to_dict()) == sizing
    assert Sizing.from_dict({"area": 4096}) == Sizing(4096)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"area": "big"},
        {"area": True},
        {"area": 4096.0},
        {"area": 0},
        {"area": 10**12},
        {"area": 4096, "multiple": 0},
        {"area": 4096, "max_aspect": 0.5},
        {"area": 4096, "max_aspect": float("nan")},
        {"area": 4096, "stride": 32},
    ],
)
def test_wrong_numbers_are_named(fields):
    with pytest.raises(BundleError, match="sizing"):
        Sizing.from_dict(fields)
