"""What a closer look brings: people first on photos with small people, and tiles of several sizes beside one another.

    python benchmarks/close_up.py people DATA --every 2
    python benchmarks/close_up.py tiles DATA --every 100 --limit 8

DATA holds `images/` and `masks/` (or `parts/`). `people` takes the photos in which people cover less than `--share`.
`tiles` needs no masks that are right: it enlarges the photos twice and compares the answers of tile sizes with one
another, the mean over the photos of each comparison.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from figureground import Ensemble, PeopleFirst, Segmenter, Tiled, augmented, images, load
from figureground.evaluate import Pair, evaluate, find_pairs, read_mask
from figureground.runtime.tiled import Trust
from table import show

TILES = (256, 384, 512)
ZOOM = 2.0
TRUSTS: tuple[Trust, ...] = ("whole", "tiles")


def people(network: Segmenter, pairs: Sequence[Pair], share: float, every: int) -> list[dict[str, Any]]:
    """A row for the network alone and for each closer look, on the photos with small people."""
    small = [pair for pair in pairs if pair.mask is not None and 0 < read_mask(pair.mask).mean() < share][::every]
    closer = PeopleFirst(network)
    looks = {
        "whole photo": network,
        "mirror image": augmented(network),
        "people first": closer,
        "mean of whole and people first": Ensemble([network, closer]),
    }
    keys = ("images", "iou_dataset", "iou_image_mean", "dice_image_mean", "boundary_f")
    rows = []
    for look, segmenter in looks.items():
        summary = evaluate(segmenter, small).summary
        rows.append({"look": look, **{key: summary[key] for key in keys}, "ms": 1000 / summary["images_per_second"]})
    return rows


def tiles(network: Segmenter, pairs: Sequence[Pair], every: int) -> list[dict[str, Any]]:
    """A row for each two tile sizes and each way to trust them."""
    rows = []
    for trust in TRUSTS:
        made = {side: Tiled(network, zoom=ZOOM, tile=side, trust=trust) for side in TILES}
        found: dict[tuple[int, int], list[tuple[float, float]]] = {two: [] for two in combinations(TILES, 2)}
        for pair in pairs[::every]:
            photo = images.read(pair.image)
            photo = images.resize(photo, (2 * photo.shape[0], 2 * photo.shape[1]))
            said = {}
            for side, segmenter in made.items():
                size = segmenter.network_size(*photo.shape[:2])
                said[side] = segmenter.probabilities(images.resize(photo, size)).sum(axis=0)
            for (one, other), values in found.items():
                apart = np.abs(said[one] - said[other])
                changed = (said[one] >= network.threshold) != (said[other] >= network.threshold)
                values.append((float(apart.mean()), float(changed.mean())))
        for (one, other), values in found.items():
            apart_mean, changed_mean = np.mean(values, axis=0).tolist()
            rows.append(
                {
                    "trust": trust,
                    "tiles": f"{one} and {other}",
                    "difference": apart_mean,
                    "pixels_changed": changed_mean,
                }
            )
    return rows


def main() -> None:
    """Measure one of the two and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("people", "tiles"))
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--network", default="person", metavar="NAME|FILE")
    parser.add_argument("--share", type=float, default=0.1, help="photos in which people cover less than this")
    parser.add_argument("--every", type=int, default=1, help="take every n-th of the photos")
    parser.add_argument("--limit", type=int, help="take so many of the photos at most")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    network = load(options.network, threads=options.threads)
    pairs = find_pairs(options.data)
    if options.what == "people":
        rows = people(network, pairs, options.share, options.every)
    else:
        rows = tiles(network, pairs[: options.limit and options.limit * options.every], options.every)
    show(f"{options.what}, network {network.name}", rows, as_json=options.json)


if __name__ == "__main__":
    main()
