"""Our networks against other people's of the same architecture with the same weights: time and memory of a step.

Each pair is first shown to compute the same. Then ours and theirs take turns, so that a busy machine slows both, and
the ratio is the median over the turns. A training step is forward and backward of a mean square. `--control` measures
theirs against a copy of theirs: how far from 1 its ratios are is what the machine makes of equal networks.
"""

from __future__ import annotations

import argparse
import copy
import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import timm
import torch
from torch import Tensor, nn

from figureground.networks import create
from figureground.networks.encoders import TimmEncoder
from figureground.networks.encoders.hrnet import hrnet_encoder
from figureground.networks.encoders.swin import swin_encoder
from figureground.networks.maskformer import MaskFormer
from figureground.networks.published.swin_names import our_tensors
from figureground.networks.transfer import transfer
from table import show

SMP, TRANSFORMERS = "import:segmentation_models_pytorch", "import:transformers"
MODES = ("inference", "training")
DROP_PATH = 0.1


@dataclass(frozen=True)
class Pair:
    """One architecture twice. `share` gives ours the weights of theirs."""

    ours: Callable[[], nn.Module]
    theirs: Callable[[], nn.Module]
    share: Callable[[nn.Module, nn.Module], None]


def in_order(ours: nn.Module, theirs: nn.Module) -> None:
    """Copy tensor by tensor; that the order is right is proven by the outputs."""
    mine, other = ours.state_dict(), theirs.state_dict()
    ours.load_state_dict(dict(zip(mine, other.values(), strict=True)))


def published(ours: nn.Module, theirs: nn.Module) -> None:
    """Take theirs for a published checkpoint."""
    network: Any = getattr(ours, "network", ours)
    network.load_published(cast("nn.Module", theirs.module).state_dict())


def without_classifier(ours: nn.Module, theirs: nn.Module) -> None:
    """Copy a ResNet, whose layers timm and torchvision name alike."""
    cast("TimmEncoder", ours).body.load_state_dict(theirs.state_dict())


def torchvision_maps() -> nn.Module:
    """A ResNet-50 of torchvision as an encoder: its maps at strides 2 to 32."""
    from torchvision.models import resnet50
    from torchvision.models.feature_extraction import create_feature_extractor

    maps = create_feature_extractor(resnet50(weights=None), ["relu", "layer1", "layer2", "layer3", "layer4"])
    return cast("nn.Module", maps)


class Queries(nn.Module):
    """Our MaskFormer as far as transformers' goes: classes and masks of the queries."""

    def __init__(self) -> None:
        super().__init__()
        self.network = cast("MaskFormer", create("maskformer", background_class=False))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 3, H, W) -> class logits and mask logits after the last layer, the only ones that theirs computes."""
        network = self.network
        states, pixels = network._decoded(network.encode(x))
        return [network.classify(states[-1]), network._masks(states[-1:], pixels)[0]]


class TheirQueries(nn.Module):
    """The MaskFormer of transformers over a ResNet-50, told to drop out where the authors' and ours do.

    That is in the attention and inside of the MLPs too.
    """

    def __init__(self) -> None:
        super().__init__()
        from transformers import DetrConfig, MaskFormerConfig, MaskFormerForInstanceSegmentation, ResNetConfig

        # Their configurations take keywords that their types do not tell.
        sizes: dict[str, Any] = {"out_features": ["stage1", "stage2", "stage3", "stage4"]}
        drops: dict[str, Any] = {"attention_dropout": 0.1, "activation_dropout": 0.1}
        options: dict[str, Any] = {
            "backbone_config": ResNetConfig(**sizes), "decoder_config": DetrConfig(**drops), "num_labels": 1
        }  # fmt: skip
        self.module = MaskFormerForInstanceSegmentation(MaskFormerConfig(**options))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 3, H, W) -> class logits and mask logits after the last layer."""
        found = self.module(x)
        return [found.class_queries_logits, found.masks_queries_logits]


class TimmHRNet(nn.Module):
    """The body of timm's HRNet-W18, told to upsample between its branches as the segmentation network and ours do."""

    def __init__(self) -> None:
        super().__init__()
        self.module: Any = timm.create_model("hrnet_w18")
        for part in self.module.modules():
            if isinstance(part, nn.Upsample):
                part.mode, part.align_corners = "bilinear", False

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 3, H, W) -> maps at strides 4 to 32."""
        body = self.module
        stem = body.act2(body.bn2(body.conv2(body.act1(body.bn1(body.conv1(x))))))
        return list(body.stages(stem))


class TheirSwin(nn.Module):
    """The Swin-T under the MaskFormer of transformers."""

    def __init__(self) -> None:
        super().__init__()
        from transformers.models.maskformer.configuration_maskformer_swin import MaskFormerSwinConfig
        from transformers.models.maskformer.modeling_maskformer_swin import MaskFormerSwinBackbone

        stages: dict[str, Any] = {"out_features": ["stage1", "stage2", "stage3", "stage4"], "drop_path_rate": DROP_PATH}
        self.module = MaskFormerSwinBackbone(MaskFormerSwinConfig(**stages))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 3, H, W) -> maps at strides 4 to 32."""
        return list(self.module(x).feature_maps)


def body_of_hrnet(ours: nn.Module, theirs: nn.Module) -> None:
    """Copy the tensors that a classifier and a segmentation network have in common."""
    transfer(cast("TimmEncoder", ours).body, cast("TimmHRNet", theirs).module.state_dict())


def renamed_swin(ours: nn.Module, theirs: nn.Module) -> None:
    """Take theirs for a published checkpoint."""
    transfer(ours, our_tensors(cast("TheirSwin", theirs).module.state_dict()))


def smp(name: str, encoder: str) -> Callable[[], nn.Module]:
    """A network of segmentation-models-pytorch with random weights."""
    return lambda: create(f"{SMP}.{name}", encoder_name=encoder, encoder_weights=None)


def smp_segformer() -> nn.Module:
    """SegFormer-B0 of segmentation-models-pytorch; its last upsampling is told to use half-pixel centres, as ours."""
    network: Any = smp("Segformer", "mit_b0")()
    network.module.segmentation_head[1].align_corners = False
    return cast("nn.Module", network)


PAIRS = {
    "segformer B0, transformers": Pair(
        lambda: create("segformer"), lambda: create(f"{TRANSFORMERS}.SegformerForSemanticSegmentation"), published
    ),
    "segformer B0, smp": Pair(lambda: create("segformer"), smp_segformer, published),
    "unet_timm resnet34, smp": Pair(lambda: create("unet_timm"), smp("Unet", "resnet34"), in_order),
    "linknet_timm resnet34, smp": Pair(lambda: create("linknet_timm"), smp("Linknet", "resnet34"), in_order),
    "deeplabv3plus_smp resnet50, smp": Pair(
        lambda: create("deeplabv3plus_smp"), smp("DeepLabV3Plus", "resnet50"), in_order
    ),
    "maskformer resnet50, transformers": Pair(Queries, TheirQueries, published),
    "resnet50 encoder, torchvision": Pair(lambda: TimmEncoder("resnet50"), torchvision_maps, without_classifier),
    "hrnet W18 encoder, timm": Pair(
        lambda: hrnet_encoder("hrnet_w18", in_channels=3, weights=None), TimmHRNet, body_of_hrnet
    ),
    "swin T encoder, transformers": Pair(
        lambda: swin_encoder("swin_tiny", in_channels=3, weights=None, drop_path=DROP_PATH), TheirSwin, renamed_swin
    ),
}


def outputs(network: nn.Module, image: Tensor) -> list[Tensor]:
    """What a network gives, as a list."""
    given = network(image)
    return list(given.values()) if isinstance(given, dict) else list(given) if isinstance(given, list) else [given]


def built(pair: Pair, image: Tensor) -> tuple[nn.Module, nn.Module]:
    """Both networks with the same weights on the image's device; SystemExit when they do not compute the same."""
    torch.manual_seed(0)
    theirs = pair.theirs().to(image.device).eval()
    ours = pair.ours().to(image.device).eval()
    pair.share(ours, theirs)
    with torch.inference_mode():
        for mine, other in zip(outputs(ours, image), outputs(theirs, image), strict=True):
            difference = float((mine - other).abs().max() / other.abs().max())
            if not difference <= 1e-3:
                raise SystemExit(f"ours differs from theirs by {difference:.1e}: there is nothing to compare")
    return ours, theirs


def inference(network: nn.Module, image: Tensor) -> None:
    """One prediction."""
    with torch.inference_mode():
        outputs(network, image)


def training(network: nn.Module, image: Tensor) -> None:
    """One step without the optimizer, which is the same for all."""
    loss = torch.stack([out.square().mean() for out in outputs(network, image)]).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    for parameter in network.parameters():
        parameter.grad = None


STEPS = {"inference": inference, "training": training}


def seconds(step: Callable[[], None], options: argparse.Namespace) -> float:
    """How long one step takes by the clock, or how much of the processor."""
    clock = time.process_time if options.cpu_time else time.perf_counter
    start = clock()
    step()
    if options.device == "cuda":
        torch.cuda.synchronize()
    return clock() - start


def peak_megabytes(step: Callable[[], None], device: str) -> float:
    """The most memory of tensors that a step takes beyond what is held before it.

    Counted by PyTorch's allocator, so that it is the same at every run; not the memory that libraries take beside it.
    """
    gc.collect()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated()
        step()
        return (torch.cuda.max_memory_allocated() - held) / 1e6
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        step()
    recorded: Any = profile.profiler
    held, most = 0, 0
    for event in recorded.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return most / 1e6


def measure(name: str, mode: str, compiled: bool, options: argparse.Namespace) -> dict[str, Any]:
    """One row of the table."""
    image = torch.randn(options.batch, 3, options.size, options.size, device=options.device)
    networks = built(PAIRS[name], image)
    if options.control:
        networks = (copy.deepcopy(networks[1]), networks[1])
    for network in networks:
        network.train(mode == "training")
    called = [cast("nn.Module", torch.compile(network)) if compiled else network for network in networks]
    steps = [partial(STEPS[mode], network, image) for network in called]
    for step in steps:  # the first runs allocate and compile
        step()
        step()
    times: list[tuple[float, ...]] = []
    gc.collect()
    gc.disable()  # or it would strike whoever's turn it is
    for turn in range(options.repeats):
        order = (0, 1) if turn % 2 else (1, 0)
        taken = {index: seconds(steps[index], options) for index in order}
        times.append((taken[0], taken[1]))
    gc.enable()
    memory = [peak_megabytes(step, options.device) for step in steps]
    ours, theirs = (statistics.median(1000 * one[index] for one in times) for index in (0, 1))
    return {
        "network": f"{name}, theirs twice" if options.control else name,
        "step": f"{mode}, {'compiled' if compiled else 'eager'}",
        "ours_ms": ours,
        "theirs_ms": theirs,
        "ratio": statistics.median(mine / other for mine, other in times),
        "ours_peak_mb": memory[0],
        "theirs_peak_mb": memory[1],
    }


def main() -> None:
    """Measure every pair in every mode and print a row each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pair", action="append", choices=list(PAIRS), help="may be repeated  [default: all]")
    parser.add_argument("--mode", action="append", choices=MODES, help="may be repeated  [default: both]")
    parser.add_argument("--size", type=int, default=256, help="side of the image")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cpu-time", action="store_true", help="time of the processor, for a machine that is not idle")
    parser.add_argument("--compiled", action="store_true", help="compile both networks with torch.compile")
    parser.add_argument("--control", action="store_true", help="theirs against a copy of theirs")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=("cpu", "cuda"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = [
        measure(name, mode, options.compiled, options)
        for name in options.pair or PAIRS
        for mode in options.mode or MODES
    ]
    title = f"ours against theirs, {options.batch} images of {options.size}x{options.size}, {options.device}"
    show(f"{title}, {options.threads} threads", rows, as_json=options.json)


if __name__ == "__main__":
    main()
