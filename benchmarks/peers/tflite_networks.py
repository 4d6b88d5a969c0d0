"""MediaPipe's person networks, which are TensorFlow Lite files; run with the package `ai-edge-litert`."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from figureground.labels import LabelTree
from figureground.runtime.segmenter import Segmenter


class TFLiteSegmenter(Segmenter):
    """A `.tflite` file with one image in and one map out, at one fixed size (height, width)."""

    def __init__(self, name: str, file: Path, size: tuple[int, int], threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        super().__init__(name, LabelTree.person(), 0.5)
        self._size = size
        self._interpreter = Interpreter(model_path=str(file), num_threads=threads)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]
        self._one_at_a_time = Lock()

    def network_size(self, height: int, width: int) -> tuple[int, int]:
        """The fixed size; the photo's shape is not kept."""
        return self._size

    def probabilities(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probability of a person: float32 (1, h, w)."""
        pixels = self.normalised(image)[None]
        with self._one_at_a_time:
            self._interpreter.set_tensor(self._input, pixels)
            self._interpreter.invoke()
            output = self._interpreter.get_tensor(self._output)[0]
        return self.person(output)[None]

    @abstractmethod
    def normalised(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What the network expects for an image (h, w, 3)."""

    @abstractmethod
    def person(self, output: NDArray[np.float32]) -> NDArray[np.float32]:
        """The probability of a person (h, w) from the network's output (h, w, channels)."""


class Selfie(TFLiteSegmenter):
    """MediaPipe selfie segmentation, general (256 x 256) or landscape (144 x 256): one probability."""

    def normalised(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Pixels between 0 and 1."""
        return image.astype(np.float32) / np.float32(255)

    def person(self, output: NDArray[np.float32]) -> NDArray[np.float32]:
        """The only channel."""
        return np.asarray(output[..., 0], np.float32)


class Multiclass(TFLiteSegmenter):
    """MediaPipe selfie multiclass: background, hair, body skin, face skin, clothes, other."""

    def normalised(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Pixels between -1 and 1."""
        return image.astype(np.float32) / np.float32(127.5) - np.float32(1)

    def person(self, output: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the softmax leaves beside the background."""
        exponentials = np.exp(output - output.max(axis=-1, keepdims=True))
        return np.asarray(1 - exponentials[..., 0] / exponentials.sum(axis=-1), np.float32)
