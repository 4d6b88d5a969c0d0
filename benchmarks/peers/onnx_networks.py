"""Person and matting networks of others that are ONNX files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from figureground.labels import LabelTree
from figureground.runtime.segmenter import Segmenter

IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)


class _OnnxPeer(Segmenter):
    """An ONNX file of somebody else, on the CPU."""

    def __init__(self, name: str, file: Path, threads: int) -> None:
        super().__init__(name, LabelTree.person(), 0.5)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name

    def _first_output(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """The first output for an image (h, w, 3): (h, w)."""
        output = self._session.run(None, {self._input: image.transpose(2, 0, 1)[None]})[0]
        return np.asarray(output[0, 0], np.float32)


class RobustVideoMatting(_OnnxPeer):
    """Robust Video Matting (arXiv:2108.11515) on single images: long side 512, no memory of other frames."""

    def network_size(self, height: int, width: int) -> tuple[int, int]:
        """The photo's shape with a long side of 512 pixels."""
        scale = 512 / max(height, width)
        return max(16, round(height * scale)), max(16, round(width * scale))

    def probabilities(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Alpha: float32 (1, h, w)."""
        pixels = image.astype(np.float32).transpose(2, 0, 1)[None] / np.float32(255)
        nothing = np.zeros((1, 1, 1, 1), np.float32)
        feeds = {"src": pixels, "downsample_ratio": np.ones(1, np.float32)}
        feeds |= {f"r{number}i": nothing for number in (1, 2, 3, 4)}
        (alpha,) = self._session.run(["pha"], feeds)
        return np.asarray(np.clip(alpha[0], 0, 1), np.float32)


class MODNet(_OnnxPeer):
    """MODNet (arXiv:2011.11961): short side 512, both sides multiples of 32."""

    def network_size(self, height: int, width: int) -> tuple[int, int]:
        """The photo's shape with a short side of 512 pixels."""
        scale = 512 / min(height, width)
        return max(32, round(height * scale / 32) * 32), max(32, round(width * scale / 32) * 32)

    def probabilities(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Alpha: float32 (1, h, w)."""
        alpha = self._first_output(image.astype(np.float32) / np.float32(127.5) - np.float32(1))
        return np.clip(alpha, 0, 1)[None]


class U2Net(_OnnxPeer):
    """U2-Net (arXiv:2005.09007), the small one that rembg calls u2netp: salient objects, not people."""

    def network_size(self, height: int, width: int) -> tuple[int, int]:
        """320 x 320; the photo's shape is not kept."""
        return 320, 320

    def probabilities(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Saliency stretched to the whole range, as rembg does: float32 (1, h, w)."""
        pixels = image.astype(np.float32) / np.float32(max(int(image.max()), 1))
        saliency = self._first_output((pixels - IMAGENET_MEAN) / IMAGENET_STD)
        lowest, highest = float(saliency.min()), float(saliency.max())
        return ((saliency - lowest) / max(highest - lowest, 1e-6))[None]
