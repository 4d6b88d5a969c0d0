"""The registry: names, options and the errors that name the nearest right one."""

from __future__ import annotations

import pytest

from figureground.errors import NetworkError, UnknownNetworkError
from figureground.networks import create, list_networks, register, spec


def test_names_are_sorted_and_known():
    assert list_networks() == sorted(list_networks())
    assert "unet" in list_networks()


def test_unknown_network_names_the_nearest():
    with pytest.raises(UnknownNetworkError, match="did you mean 'unet'"):
        create("unnet")


def test_unknown_option_names_the_nearest():
    with pytest.raises(NetworkError, match="did you mean 'width'"):
        create("unet", widht=8)


@pytest.mark.parametrize("leaves", [0, -1, 1.5])
def test_leaves_must_be_a_count(leaves):
    with pytest.raises(NetworkError, match="leaves"):
        create("unet", leaves=leaves)


def test_options_and_summary_come_from_the_builder():
    assert spec("unet").options == {"leaves": 1, "in_channels": 3, "width": 64}
    assert spec("unet").summary.startswith("U-Net")


def test_a_taken_name_is_refused():
    with pytest.raises(NetworkError, match="two networks are named 'unet'"):

        @register("unet", parameters=0, source="none", stride=1, min_size=1)
        def another(*, leaves: int = 1) -> None: ...


def test_options_must_be_keywords_with_defaults():
    with pytest.raises(NetworkError, match="keyword-only"):

        @register("positional", parameters=0, source="none", stride=1, min_size=1)
        def positional(leaves: int = 1) -> None: ...


def test_depth_needs_the_option():
    with pytest.raises(NetworkError, match="in_channels"):

        @register("flat", parameters=0, source="none", stride=1, min_size=1, depth=True)
        def flat(*, leaves: int = 1) -> None: ...
