"""The network alone: milliseconds for one image by network, input size and threads, without reading or resizing."""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import numpy as np
import onnxruntime

from figureground.runtime.bundle import Bundle
from figureground.runtime.catalogue import shipped
from table import show


def bundle_of(name_or_file: str) -> Bundle:
    """The bundle of a shipped network or of a file."""
    return Bundle.read(shipped().get(name_or_file, name_or_file))


def measure(bundle: Bundle, photo: tuple[int, int], threads: int, repeats: int) -> dict[str, Any]:
    """Time one network on noise of the size it would see for a photo of (height, width), as a row of the table."""
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(bundle.model_bytes, settings, providers=["CPUExecutionProvider"])
    height, width = bundle.sizing.network_size(*photo)
    image = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), dtype=np.uint8)
    milliseconds = []
    for turn in range(repeats + 3):
        start = time.perf_counter()
        session.run(None, {"image": image})
        if turn >= 3:  # the first runs allocate
            milliseconds.append(1000 * (time.perf_counter() - start))
    return {
        "network": bundle.name,
        "photo": f"{photo[1]}x{photo[0]}",
        "input": f"{width}x{height}",
        "threads": threads,
        "median_ms": statistics.median(milliseconds),
        "fastest_ms": min(milliseconds),
        "slowest_ms": max(milliseconds),
    }


def photo_size(text: str) -> tuple[int, int]:
    """(height, width) from `WIDTHxHEIGHT`."""
    width, height = text.lower().split("x")
    return int(height), int(width)


def main() -> None:
    """Time every combination and print a row each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--network", action="append", metavar="NAME|FILE", help="may be repeated  [default: all shipped]"
    )
    parser.add_argument(
        "--photo", action="append", type=photo_size, metavar="WxH", help="photo shapes to fit the input to"
    )
    parser.add_argument("--threads", action="append", type=int, help="may be repeated  [default: 1, 2]")
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = [
        measure(bundle_of(network), photo, threads, options.repeats)
        for network in options.network or sorted(shipped())
        for photo in options.photo or [(512, 512), (480, 640), (1280, 720)]
        for threads in options.threads or [1, 2]
    ]
    show("network latency", rows, as_json=options.json)


if __name__ == "__main__":
    main()
