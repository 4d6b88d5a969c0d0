"""The names of segmentation-models-pytorch's U-Net, LinkNet and DeepLabV3+.

Over its encoders that timm has as well: timm's own, the ResNets and ResNeXts, the squeeze-and-excitation ones (timm's
legacy_seresnet50, legacy_seresnext50_32x4d, legacy_senet154 and so on) and MobileOne. Its other encoders hand out other
maps than timm's of the same name: after a normalisation (DenseNet, DPN), with wider ones (EfficientNet, MobileNetV2).
"""

from __future__ import annotations

from figureground.networks.published.renaming import Renaming, Rule

_MOBILEONE = {
    "rbr_conv": "conv_kxk",
    "rbr_scale": "conv_scale",
    "rbr_skip": "identity",
    r"se\.reduce": "attn.fc1",
    r"se\.expand": "attn.fc2",
}


def _mobileone() -> list[Rule]:
    """The authors' names of a MobileOne -> timm's."""
    rules = []
    for theirs, ours in _MOBILEONE.items():
        rules.append((rf"encoder\.stage0\.{theirs}", f"encoder.body.stem.{ours}"))
        for stage in range(4):
            block = rf"encoder\.stage{stage + 1}\.(\d+)\.{theirs}"
            rules.append((block, rf"encoder.body.stages_{stage}.\1.{ours}"))
    return rules


_ENCODER: list[Rule] = [
    *_mobileone(),
    (r"encoder\.model", "encoder.body"),
    (r"encoder(?!\.body)", "encoder.body"),
]
_HEAD: list[Rule] = [(r"segmentation_head\.0", "classify")]

UNET = Renaming(
    [
        *_ENCODER,
        *_HEAD,
        (r"decoder\.blocks\.(\d)\.conv1", r"blocks.\1.0"),
        (r"decoder\.blocks\.(\d)\.conv2", r"blocks.\1.1"),
    ]
)

LINKNET = Renaming([*_ENCODER, *_HEAD, (r"decoder\.blocks\.(\d)\.block", r"blocks.\1")])

DEEPLABV3PLUS = Renaming(
    [
        *_ENCODER,
        *_HEAD,
        (r"decoder\.aspp\.0\.convs\.0", "aspp.branches.0"),
        (r"decoder\.aspp\.0\.convs\.([123])\.0\.0", r"aspp.branches.\1.0"),
        (r"decoder\.aspp\.0\.convs\.([123])\.0\.1", r"aspp.branches.\1.1.0"),
        (r"decoder\.aspp\.0\.convs\.([123])\.1", r"aspp.branches.\1.1.1"),
        (r"decoder\.aspp\.0\.convs\.4\.1", "aspp.branches.4.layers.0"),
        (r"decoder\.aspp\.0\.convs\.4\.2", "aspp.branches.4.layers.1"),
        (r"decoder\.aspp\.0\.project", "aspp.project.0"),
        (r"decoder\.aspp\.1\.0", "settle.0"),
        (r"decoder\.aspp\.1\.1", "settle.1.0"),
        (r"decoder\.aspp\.2", "settle.1.1"),
        (r"decoder\.block1", "low"),
        (r"decoder\.block2\.0\.0", "refine.0"),
        (r"decoder\.block2\.0\.1", "refine.1.0"),
        (r"decoder\.block2\.1", "refine.1.1"),
    ]
)
