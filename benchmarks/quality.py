"""Quality and speed of our networks and of others', over the same photos, by the same code, in one run.

DATA is a folder that holds `images/` and `masks/` (or `parts/`). With `--empty`, DATA is a folder of photos without
people. Each network runs over all photos before the next one starts: two that share the processor slow each other down.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground import load
from figureground.evaluate import Pair, evaluate, find_pairs, find_photos_without_people
from figureground.runtime.catalogue import find, shipped
from figureground.runtime.segmenter import Segmenter
from peers import PEERS
from table import show


class Clocked(Segmenter):
    """Another segmenter with a clock around its network."""

    def __init__(self, inner: Segmenter) -> None:
        super().__init__(inner.name, inner.labels, inner.threshold)
        self._inner = inner
        self.milliseconds: list[float] = []

    def network_size(self, height: int, width: int) -> tuple[int, int]:
        """The inner segmenter's."""
        return self._inner.network_size(height, width)

    def probabilities(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The inner segmenter's, timed."""
        start = time.perf_counter()
        result = self._inner.probabilities(image)
        self.milliseconds.append(1000 * (time.perf_counter() - start))
        return result


def measure(segmenter: Segmenter, file: Path, pairs: list[Pair], threshold: float | None) -> dict[str, Any]:
    """One network over all photos, as a row of the table."""
    clocked = Clocked(segmenter)
    summary = evaluate(clocked, pairs, threshold=threshold).summary
    keys = ("images", "dice_image_mean", "iou_image_mean", "iou_dataset", "boundary_f", "precision", "recall")
    return {
        "network": segmenter.name,
        **{key: summary[key] for key in keys},
        "empty_wrong": summary["empty_wrong"],
        "network_ms": statistics.median(clocked.milliseconds),
        "images_per_s": summary["images_per_second"],
        "mb": file.stat().st_size / 1e6,
    }


def main() -> None:
    """Measure every network asked for and print a row each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--empty", action="store_true", help="DATA holds photos without people, and no masks")
    parser.add_argument(
        "--network", action="append", metavar="NAME|FILE", help="may be repeated  [default: all shipped]"
    )
    parser.add_argument(
        "--peer", action="append", choices=sorted(PEERS), help="may be repeated  [default: all fetched]"
    )
    parser.add_argument("--peer-files", type=Path, metavar="DIR", help="where fetch_peers.py put them")
    parser.add_argument("--limit", type=int, help="take only every n-th photo, this many in all")
    parser.add_argument("--threshold", type=float, default=None, help="for all networks  [default: each one's own]")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    pairs = find_photos_without_people(options.data) if options.empty else find_pairs(options.data)
    if options.limit:
        pairs = pairs[:: max(1, len(pairs) // options.limit)][: options.limit]
    rows = [
        measure(load(name, threads=options.threads), find(name), pairs, options.threshold)
        for name in (shipped() if options.network is None else options.network)
    ]
    for peer in PEERS.values():
        file = options.peer_files / peer.file if options.peer_files else None
        if file and (peer.name in (options.peer or ()) or (options.peer is None and file.exists())):
            rows.append(measure(peer.make(file, options.threads), file, pairs, options.threshold))
    show(f"{len(pairs)} photos, {options.threads} threads", rows, as_json=options.json)


if __name__ == "__main__":
    main()
