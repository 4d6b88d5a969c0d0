"""Networks of other libraries through our interface: the same numbers, any size, and errors that say what to type."""

from __future__ import annotations

import io

import numpy as np
import onnxruntime
import pytest
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models.segmentation import lraspp_mobilenet_v3_large
from transformers import SegformerConfig, SegformerForSemanticSegmentation

from figureground.errors import NetworkError, UnknownNetworkError
from figureground.networks import create
from figureground.networks.published import load_published
from figureground.networks.registry import without_weights

SMALL = {"depths": [1, 1, 1, 1], "hidden_sizes": [8, 16, 24, 32], "decoder_hidden_size": 16}
SMP = "import:segmentation_models_pytorch.Unet"
TORCHVISION = "import:torchvision.models.segmentation.lraspp_mobilenet_v3_large"
TRANSFORMERS = "import:transformers.SegformerForSemanticSegmentation"
OPTIONS = {
    SMP: {"encoder_name": "resnet18", "encoder_weights": None},
    TORCHVISION: {"weights_backbone": None},
    TRANSFORMERS: SMALL,
}


def theirs(name: str) -> nn.Module:
    if name == SMP:
        return smp.Unet("resnet18", encoder_weights=None, classes=2)
    if name == TORCHVISION:
        return lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=2)
    return SegformerForSemanticSegmentation(SegformerConfig(num_labels=2, **SMALL))


def logits(name: str, network: nn.Module, x: torch.Tensor) -> torch.Tensor:
    out = network(x)
    if name == TORCHVISION:
        return out["out"]
    if name == TRANSFORMERS:
        return F.interpolate(out.logits, size=x.shape[-2:], mode="bilinear", align_corners=False)
    return out


@pytest.mark.parametrize("name", OPTIONS)
def test_the_same_logits_as_without_the_adapter(name):
    torch.manual_seed(0)
    other, network = theirs(name).eval(), create(name, leaves=2, **OPTIONS[name]).eval()
    network.module.load_state_dict(other.state_dict())
    x = torch.randn(2, 3, 50, 70)
    padded = F.pad(x, (0, 26, 0, 14), mode="replicate")
    with torch.inference_mode():
        found = network(x)
        torch.testing.assert_close(found, logits(name, other, padded)[..., :50, :70])
    assert found.shape == (2, 2, 50, 70)


@pytest.mark.parametrize("name", [SMP, TORCHVISION])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_onnx_at_another_size(name):
    # The older exporter, because it takes a tenth of the time; tests/train/test_foreign.py makes a whole bundle.
    network, file = create(name, leaves=2, **OPTIONS[name]).eval(), io.BytesIO()
    torch.onnx.export(
        network, (torch.randn(2, 3, 50, 70),), file, dynamo=False, opset_version=17, input_names=["image"],
        dynamic_axes={"image": {0: "batch", 2: "height", 3: "width"}},
    )  # fmt: skip
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    x = torch.randn(1, 3, 65, 40)
    with torch.inference_mode():
        expected = network(x).numpy()
    (found,) = session.run(None, {"image": x.numpy()})
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


def test_checkpoints_of_its_library_load(tmp_path):
    name, other = SMP, theirs(SMP)
    other.save_pretrained(tmp_path)
    network = create(name, leaves=2, **OPTIONS[name])
    report = load_published(network, tmp_path)
    assert not report.new
    assert not report.ignored
    assert all(map(torch.equal, network.module.state_dict().values(), other.state_dict().values()))
    again = create(name, leaves=2, **OPTIONS[name])
    assert not again.load_published(network.state_dict()).new
    assert all(map(torch.equal, again.state_dict().values(), network.state_dict().values()))


def test_an_auxiliary_head_is_a_training_output():
    name = "import:torchvision.models.segmentation.fcn_resnet50"
    network = create(name, leaves=2, weights_backbone=None, aux_loss=True).train()
    outputs = network.forward_training(torch.randn(2, 3, 40, 32))
    assert {key: out.shape for key, out in outputs.items()} == dict.fromkeys(("logits", "aux_head"), (2, 2, 40, 32))


def test_nothing_is_fetched_where_weights_are_not_wanted():
    assert without_weights(SMP, {"encoder_name": "resnet18"}) == {"encoder_name": "resnet18", "encoder_weights": None}
    assert without_weights(TORCHVISION, {}) == {"weights": None, "weights_backbone": None}
    assert without_weights("unet_timm", {"encoder": "x", "encoder_weights": "y"}) == {"encoder": "x"}


class Named(nn.Module):
    """Gives what it is told to, with `maps` channels."""

    def __init__(self, *, maps: int, form: str = "tensor") -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, maps, 1)
        self.form = form

    def forward(self, x: torch.Tensor) -> object:
        out = self.layer(x)
        forms = {"tensor": out, "pair": (out.mean(), out), "masks": {"masks": out, "boxes": x.mean()}, "number": 3}
        return forms[self.form]


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The path of a module of the user's own, whose classes are the ones here."""
    (tmp_path / "own_networks.py").write_text(
        "from torch import nn\n"
        "class Plain(nn.Conv2d):\n"
        "    def __init__(self, maps: int): super().__init__(3, maps, 1)\n"
        "def unannotated(): raise SystemExit\n"
        "def broken(*, classes: int = 1) -> nn.Module: raise KeyError('no such thing')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return "import:own_networks"


def test_the_option_that_takes_the_leaves_can_be_named(module):
    assert create(f"{module}.Plain", leaves=3, maps="leaves")(torch.zeros(1, 3, 8, 9)).shape == (1, 3, 8, 9)
    with pytest.raises(NetworkError, match="as in outputs: leaves"):
        create(f"{module}.Plain", leaves=3)


@pytest.mark.parametrize(("form", "output"), [("pair", 1), ("masks", "masks")])
def test_the_output_can_be_named(monkeypatch, form, output):
    import torchvision

    monkeypatch.setattr(torchvision, "Named", Named, raising=False)
    options = {"leaves": 2, "maps": "leaves", "form": form}
    x = torch.zeros(1, 3, 8, 8)
    assert create("import:torchvision.Named", adapter={"output": output}, **options)(x).shape == (1, 2, 8, 8)
    with pytest.raises(NetworkError, match=r"torchvision\.Named gives a .*adapter: \{output: "):
        create("import:torchvision.Named", **options)(x)


@pytest.mark.parametrize("form", ["number", "tensor"])
def test_a_wrong_output_is_described(monkeypatch, form):
    import torchvision

    monkeypatch.setattr(torchvision, "Named", Named, raising=False)
    network = create("import:torchvision.Named", leaves=2, form=form, maps="leaves")
    network.leaves = 5
    described = {"number": "a int", "tensor": r"a tensor \(1, 2, 32, 32\)"}[form]
    with pytest.raises(NetworkError, match=f"gives {described}, not logits \\(N, 5, H, W\\)"):
        network(torch.zeros(1, 3, 20, 20))


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("import:no_such_package.Net", {}, "No module named 'no_such_package'; install its package"),
        ("import:segmentation_models_pytorch.Unnet", {}, "no 'Unnet' in segmentation_models_pytorch; did you mean"),
        ("import:torchvision.models.segmentaton.fcn", {}, "no 'segmentaton' in torchvision.models; did you mean"),
        ("import:torchvision.models.segmentation.fcn.FCNN", {}, "did you mean 'FCN'"),
        ("import:", {}, "cannot be imported"),
        ("import:torch.zeros", {}, "not known to make a torch.nn.Module; name a class"),
        (SMP, {"encoder_nme": "resnet18"}, "has no option 'encoder_nme'; did you mean 'encoder_name'"),
        (SMP, {"encoder_name": "resnt18"}, "cannot be built: KeyError"),
        (SMP, {"classes": 7}, "comes from 'labels'.*leave classes away"),
        (TRANSFORMERS, {"depth": [1]}, "has no option 'depth'; did you mean 'depths'"),
        (
            TORCHVISION,
            {"weights_backbone": None, "num_clases": 2},
            "no option 'num_clases'; did you mean 'num_classes'",
        ),
        (SMP, {"adapter": {"multple": 3}}, "no option 'multple'; did you mean 'multiple'"),
        (SMP, {"encoder_weights": None, "adapter": {"multiple": 0}}, "multiple of 0"),
        (SMP, {"encoder_weights": None, "adapter": {"multiple": True}}, "multiple of True; give 1 or more"),
        (SMP, {"encoder_weights": None, "adapter": {"multiple": "32"}}, "multiple of '32'"),
        (SMP, {"encoder_weights": None, "adapter": {"output": 1.5}}, "no output is called 1.5"),
        (SMP, {"encoder_weights": None, "adapter": 3}, "the adapter cannot be 3; give its options, as in"),
    ],
)
def test_wrong_use_is_told(name, options, said):
    with pytest.raises(NetworkError, match=said):
        create(name, leaves=1, **options)


def test_what_makes_no_module_is_not_called(tmp_path, module):
    for name, options in (("os.mkdir", {"path": str(tmp_path / "made")}), ("own_networks.unannotated", {})):
        with pytest.raises(NetworkError, match="not known to make"):
            create(f"import:{name}", classes="leaves", **options)
    assert not (tmp_path / "made").exists()
    with pytest.raises(NetworkError, match=r"own_networks.broken cannot be built: KeyError: 'no such thing'"):
        create(f"{module}.broken")


def test_a_dotted_name_is_told_how_to_be_imported():
    with pytest.raises(UnknownNetworkError, match=r"write 'import:torchvision\.models\.resnet18'"):
        create("torchvision.models.resnet18")


@pytest.mark.parametrize(
    ("name", "option"), [(SMP, "in_channels"), (TORCHVISION, "num_channels"), (TRANSFORMERS, "num_channels")]
)
def test_another_number_of_channels_names_the_option(name, option):
    network = create(name, **OPTIONS[name]).eval()
    said = rf"{name.removeprefix('import:')} fails on a tensor \(1, 4, 64, 64\): .*option that takes .* {option}: 4"
    with pytest.raises(NetworkError, match=said):
        network(torch.zeros(1, 4, 64, 64))


def test_a_failing_network_is_named():
    network = create(SMP, **OPTIONS[SMP]).eval()
    network.module.encoder.conv1 = nn.Conv2d(3, 5, 3)
    with pytest.raises(
        NetworkError, match=r"Unet fails on a tensor \(1, 3, 64, 64\): RuntimeError: .*adapter's multiple"
    ):
        network(torch.zeros(1, 3, 60, 64))


def test_a_single_value_per_channel_is_told_as_everywhere():
    with pytest.raises(NetworkError, match="batch of at least 2"):
        create(SMP, **OPTIONS[SMP]).train()(torch.zeros(1, 3, 32, 32))


@pytest.mark.parametrize(
    ("name", "options", "mean", "std", "most", "first"),
    [
        ("fcn_resnet50", {}, 0.068966, 1.017559, 3.735103, None),
        ("deeplabv3_resnet50", {"aux_loss": True}, -0.019570, 0.252724, 0.716853, -0.25614),
    ],
)
def test_torchvision_golden(name, options, mean, std, most, first, fill_by_hash, hashed_input):
    network = create(f"import:torchvision.models.segmentation.{name}", leaves=21, weights_backbone=None, **options)
    fill_by_hash(network.eval().module)
    with torch.inference_mode():
        outputs = network.forward_training(hashed_input("input", 1, 3, 96, 96).float())
    check_golden(outputs["logits"], mean, std, most)
    if first is not None:
        assert float(outputs["logits"][0, 0, 0, 0]) == pytest.approx(first, abs=1e-5)
        check_golden(outputs["aux_head"], 0.295241, 0.528688, 2.177162)


def check_golden(out: torch.Tensor, mean: float, std: float, most: float) -> None:
    assert float(out.mean()) == pytest.approx(mean, abs=5e-6)
    assert float(out.std()) == pytest.approx(std, abs=5e-6)
    assert float(out.abs().max()) == pytest.approx(most, abs=1e-5)
