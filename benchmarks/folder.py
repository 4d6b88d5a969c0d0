"""Folder mode: which share of the wall time is the network, and does the memory stay flat?

Runs the real command line in this process, with a clock around the network and a thread that reads this process's
resident memory. A share near 1 says that reading, resizing and writing hide behind the network.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from contextlib import AbstractContextManager, redirect_stdout
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from figureground.cli.app import main as figureground
from figureground.runtime.onnx_segmenter import OnnxSegmenter
from photos import folder_of_photos
from table import show


class NetworkClock:
    """Adds up the seconds spent inside OnnxSegmenter.probabilities, from however many threads it is called."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.calls = 0
        self._lock = threading.Lock()

    def running(self) -> AbstractContextManager[Any]:
        """While this context lasts, every network is timed."""
        original = OnnxSegmenter.probabilities

        def timed(segmenter: OnnxSegmenter, image: NDArray[np.uint8]) -> NDArray[np.float32]:
            start = time.perf_counter()
            result = original(segmenter, image)
            with self._lock:
                self.seconds += time.perf_counter() - start
                self.calls += 1
            return result

        return mock.patch.object(OnnxSegmenter, "probabilities", timed)


class MemoryWatch(threading.Thread):
    """Reads the resident memory in MB every tenth of a second (Linux; elsewhere it reads nothing)."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.samples: list[float] = []
        self._done = threading.Event()

    def run(self) -> None:
        """Sample until `finish`."""
        status = Path("/proc/self/status")
        while status.exists() and not self._done.wait(0.1):
            line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
            self.samples.append(int(line.split()[1]) / 1000)

    def finish(self) -> None:
        """Stop sampling."""
        self._done.set()
        self.join()


def measure(source: Path, out: Path, picture: str, network: str) -> dict[str, Any]:
    """One run over the folder `source`, as a row of the table."""
    memory = MemoryWatch()
    memory.start()
    start = time.perf_counter()
    clock = NetworkClock()
    # What the command says on stdout is not part of the table.
    with clock.running(), redirect_stdout(sys.stderr):
        code = figureground(["segment", str(source), "-o", str(out), "--as", picture, "--network", network])
    seconds = time.perf_counter() - start
    memory.finish()
    if code:
        raise SystemExit(f"figureground segment ended with exit code {code}")
    return {
        "as": picture,
        "images": clock.calls,
        "images_per_s": clock.calls / seconds,
        "network_share": clock.seconds / seconds,
        "network_ms": 1000 * clock.seconds / max(clock.calls, 1),
        **_memory_by_fifths(memory.samples),
    }


def _memory_by_fifths(samples: list[float]) -> dict[str, float | None]:
    """The median memory in the second and in the last fifth of the run (the first one still loads), and the most."""
    if len(samples) < 5:
        return {"second_fifth_mb": None, "last_fifth_mb": None, "most_mb": max(samples, default=None)}
    fifth = len(samples) // 5
    return {
        "second_fifth_mb": statistics.median(samples[fifth : 2 * fifth]),
        "last_fifth_mb": statistics.median(samples[-fifth:]),
        "most_mb": max(samples),
    }


def main() -> None:
    """Make the photos, run over them once per kind of picture, print a row each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000, help="10000 shows whether memory stays flat")
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--as", dest="pictures", action="append", help="may be repeated  [default: mask, cutout]")
    parser.add_argument("--network", default="person")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = folder_of_photos(Path(folder) / "photos", options.images, options.width, options.height)
        rows = [
            measure(source, Path(folder) / picture, picture, options.network)
            for picture in options.pictures or ["mask", "cutout"]
        ]
    show(f"folder of {options.width}x{options.height} JPEGs, network {options.network}", rows, as_json=options.json)


if __name__ == "__main__":
    main()
