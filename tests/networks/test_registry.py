"""The registry: names, options and the errors that name the nearest right one."""

from __future__ import annotations

import pytest
import torch

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


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (None, "None is no name of a network"),
        (3, "3 is no name of a network"),
        ("Import:torch.nn.Conv2d", "write 'import:torch.nn.Conv2d'"),
        ("Import:x", "write 'import:x'"),
    ],
)
def test_what_is_no_name(name, said):
    with pytest.raises(UnknownNetworkError, match=said):
        create(name)


@pytest.mark.parametrize("leaves", [0, -1, 1.5, True])
def test_leaves_must_be_a_count(leaves):
    with pytest.raises(NetworkError, match="leaves"):
        create("unet", leaves=leaves)


def test_options_and_summary_come_from_the_builder():
    assert spec("unet").options == {
        "leaves": 1, "in_channels": 3, "width": 64, "padding": "same", "normalised": True, "gates": None,
        "dual_attention": False, "auxiliary": False,
    }  # fmt: skip
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


COUNT = "give a whole number of at least 1"
KERNEL = "give an odd whole number"
RATES = "give a list of whole numbers of at least 1"
WRONG = [
    ("hourglass", {"stacks": 0}, COUNT),
    ("hourglass", {"width": 2}, "use a multiple of 4"),
    ("deeplabv3plus", {"channels": 0}, COUNT),
    ("deeplabv3plus", {"project_kernel": 2}, KERNEL),
    ("deeplabv3plus", {"rates": [0, 6]}, RATES),
    ("deeplabv3plus", {"rates": []}, RATES),
    ("deeplabv3plus", {"rates": "6"}, RATES),
    ("deeplabv3plus", {"convolutions": 0}, COUNT),
    ("deeplabv3plus", {"convolutions": -1}, COUNT),
    ("unet", {"in_channels": 0}, COUNT),
    ("unet", {"width": 2.5}, COUNT),
    ("unet", {"width": True}, COUNT),
    ("sernet_former", {"kernel": 2}, KERNEL),
    ("sernet_former", {"encoder": "resnet10t", "width": 1}, "has no channels; give a larger width"),
    ("ocrnet", {"key_channels": 0}, COUNT),
    ("segformer", {"drop_path": 3}, "at least 0 and under 1"),
    ("segformer", {"drop_path": -1}, "at least 0 and under 1"),
    ("segformer", {"drop_path": float("nan")}, "at least 0 and under 1"),
    ("segformer", {"decoder_width": 0}, f"{COUNT} as decoder_width, or leave it away"),
    ("segformer", {"gates": True}, "there is no gate 'True'; known: pixel"),
    ("segformer", {"encoder": ""}, "give text"),
    ("fcn8s", {"pool3_scale": "much"}, "give a number"),
    ("sdunet_humanseg", {"width": 0}, COUNT),
    ("linknet_humanseg", {"width": 2}, "has no channels"),
    ("sersegformer", {"dilation": True, "dilation_rates": [-1]}, RATES),
    ("unet_timm", {"dual_attention": "off"}, "give true or false"),
    ("unet_timm", {"dual_attention": 1}, "give true or false"),
    ("unet_timm", {"encoder_weights": True}, "give text as encoder_weights, or leave it away"),
    ("pyramid", {"widths": [16]}, "one width makes no pyramid"),
    ("pyramid", {"widths": 16}, RATES),
]


@pytest.mark.parametrize(("name", "options", "said"), WRONG)
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_values_that_no_network_can_have(name, options, said):
    with pytest.raises(NetworkError, match=said), torch.device("meta"):
        create(name, **options)


@pytest.mark.parametrize("off", [None, False, "off"])
def test_gates_can_be_switched_off_in_words(off):
    with torch.device("meta"):
        assert not create("segformer", gates=off, encoder_weights=off).attend.state_dict()
        assert not [key for key in create("sernet_former_compact", gates=off).state_dict() if ".gate." in key]


def test_every_option_has_a_type_that_is_checked():
    """Else a value that no network can have would come through."""
    for name in list_networks():
        for option in spec(name).options:
            with pytest.raises(NetworkError, match=f"{option}|there is no (cross )?gate"):
                create(name, **{option: object()})
