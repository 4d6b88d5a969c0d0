"""What refinements cost and bring: speed and memory of the CRFs, quality on photos with masks, edges of known alpha.

python benchmarks/refine.py speed                 beside crfseg, which `pip install crfseg torch` brings
python benchmarks/refine.py memory
python benchmarks/refine.py quality DATA          DATA holds images/ and masks/ (or parts/)
python benchmarks/refine.py quality DATA --empty  DATA is a folder of photos without people
python benchmarks/refine.py edges DATA            DATA holds people_rgba/ and backgrounds/
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from composites import composite, gradient_error
from figureground import images, load
from figureground.evaluate import find_pairs, find_photos_without_people
from figureground.evaluate.pairs import read_mask
from figureground.metrics import BinaryReport
from figureground.refine import DenseCrf, SmoothCrf, coarse_crf, dense_crf, guided_upsample
from figureground.refine.smooth_crf import smooth_logits
from figureground.refine.steps import Seen, Step, read_steps
from figureground.runtime.photo import Photo
from photos import DEMO
from table import show

STEPS = (
    "",
    "smooth",
    "coarse",
    "crf",
    "crf:weight=3:smooth_weight=1",
    "sure",
    "erode",
    "holes:max_area=0.01",
    "specks:min_area=0.005",
    "guided:zoom=64",
    "holes:max_area=0.01,specks:min_area=0.005",
    "coarse,holes:max_area=0.01,specks:min_area=0.005,guided:zoom=64",
    "crf,holes:max_area=0.01,specks:min_area=0.005,guided:zoom=64",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "memory", "quality", "edges"))
    parser.add_argument("data", nargs="?", type=Path)
    parser.add_argument("--network", default="person", help="shipped name, bundle or predictor file")
    parser.add_argument("--empty", action="store_true", help="photos without people")
    parser.add_argument("--limit", type=int, help="so many photos, evenly spread")
    parser.add_argument("--steps", action="append", help="as for segment --refine; may be repeated")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.what in ("quality", "edges") and options.data is None:
        parser.error(f"{options.what} needs a folder")
    rows = {"speed": speed, "memory": memory, "quality": quality, "edges": edges}[options.what](options)
    show(f"refine {options.what}", rows, as_json=options.json)


def speed(options: argparse.Namespace) -> list[dict[str, Any]]:
    """512 x 512, two classes: processor time, so that other programs do not count; run it with OMP_NUM_THREADS=1."""
    import torch
    from crfseg import CRF

    torch.set_num_threads(1)
    image, probability = _scene(512, 512)
    logits = np.log(probability / (1 - probability))
    both = torch.from_numpy(np.stack([logits[0], 0 * logits[0]])[None])
    layer = CRF(2, requires_grad=False).eval()
    with torch.inference_mode():
        theirs = layer(both)[0].numpy()
        apart = float(np.abs(smooth_logits(logits, SmoothCrf())[0] - (theirs[0] - theirs[1])).max())
        ways: dict[str, Callable[[], Any]] = {
            "crfseg": lambda: layer(both),
            "smooth": lambda: smooth_logits(logits, SmoothCrf()),
            "coarse": lambda: coarse_crf(probability, image),
            "crf": lambda: dense_crf(probability, image),
        }
        # In turns, so that a busy moment slows all of them down.
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(options.repeats):
            for name, way in ways.items():
                start = time.process_time()
                way()
                taken[name].append(1000 * (time.process_time() - start))
    middle = {name: statistics.median(times) for name, times in taken.items()}
    return [
        {
            "way": name,
            "cpu_ms": milliseconds,
            "times_faster": middle["crfseg"] / milliseconds,
            "logits_off_by": apart if name == "smooth" else None,
        }
        for name, milliseconds in middle.items()
    ]


def memory(_: argparse.Namespace) -> list[dict[str, Any]]:
    """The dense CRF at 12 megapixels: highest memory of the process, before and after. More rounds take no more."""
    image, probability = _scene(3000, 4000)
    before, start = _highest_memory(), time.perf_counter()
    dense_crf(probability, image, DenseCrf(iterations=1))
    seconds = time.perf_counter() - start
    return [{"pixels": image.shape[0] * image.shape[1], "mb_before": before, "mb": _highest_memory(), "s": seconds}]


def quality(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Region and boundary after each row of steps; the network runs once for each photo."""
    pairs = (find_photos_without_people if options.empty else find_pairs)(options.data)
    pairs = _spread(pairs, options.limit)
    segmenter = load(options.network)
    chains = {text or "none": read_steps(text) if text else () for text in options.steps or STEPS}
    reports = {name: BinaryReport() for name in chains}
    taken: dict[str, list[float]] = {name: [] for name in chains}
    for pair in pairs:
        photo = Photo(pair.image)
        size = segmenter.network_size(*photo.size)
        leaves = segmenter.probabilities(images.resize(photo.preview(min(size)), size))
        true = np.zeros(photo.size, bool) if pair.mask is None else read_mask(pair.mask)
        seen = Seen(photo.pixels, segmenter.labels, segmenter.threshold)
        for name, chain in chains.items():
            start = time.perf_counter()
            after = _after(chain, leaves, seen)
            taken[name].append(1000 * (time.perf_counter() - start))
            figure = images.resize_map(after.sum(axis=0).clip(0, 1), photo.size)
            reports[name].add(pair.stem, figure >= segmenter.threshold, true)
    return _quality_rows(reports, taken)


def _quality_rows(reports: dict[str, BinaryReport], taken: dict[str, list[float]]) -> list[dict[str, Any]]:
    first = next(iter(reports.values()))
    rows = []
    for name, report in reports.items():
        summary = report.summary()
        rows.append(
            {
                "steps": name,
                **{key: summary[key] for key in ("images", "iou_image_mean", "iou_dataset", "boundary_f")},
                "empty_wrong": summary["empty_wrong"],
                "iou_gain_95": _gain([r.iou for r in report.per_image], [r.iou for r in first.per_image]),
                "boundary_gain_95": _gain(
                    [r.boundary_f for r in report.per_image], [r.boundary_f for r in first.per_image]
                ),
                "ms": statistics.median(taken[name]),
            }
        )
    return rows


def edges(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Alpha enlarged from 1/4, 1/8, 1/16 of the picture, over composites; `first` half was there to choose settings."""
    rows = []
    number = len(list((options.data / "people_rgba").iterdir()))
    for half, chosen in (("first", range(number // 2)), ("second", range(number // 2, number))):
        for ratio in (4, 8, 16):
            found: dict[str, list[tuple[float, float]]] = {"bilinear": [], "guided": []}
            for index in _spread(list(chosen), options.limit):
                image, alpha = composite(options.data, index)
                small = images.resize_map(alpha, (alpha.shape[0] // ratio, alpha.shape[1] // ratio))
                for name, large in (
                    ("bilinear", images.resize_map(small, (alpha.shape[0], alpha.shape[1]))),
                    ("guided", guided_upsample(small, image)),
                ):
                    found[name].append((1000 * float(np.abs(large - alpha).mean()), gradient_error(large, alpha)))
            (mad, gradient), (guided_mad, guided_gradient) = (np.mean(found[name], axis=0) for name in found)
            rows.append(
                {
                    "half": half,
                    "ratio": ratio,
                    "images": len(found["guided"]),
                    "mad_bilinear": float(mad),
                    "mad_guided": float(guided_mad),
                    "mad_lower_by": float(1 - guided_mad / mad),
                    "gradient_bilinear": float(gradient),
                    "gradient_guided": float(guided_gradient),
                    "gradient_lower_by": float(1 - guided_gradient / gradient),
                }
            )
    return rows


def _after(chain: Sequence[Step], leaves: NDArray[np.float32], seen: Seen) -> NDArray[np.float32]:
    for step in chain:
        leaves = step.apply(leaves, seen)
    return leaves


def _gain(values: list[float], before: list[float]) -> str:
    """Mean gain with its 95 % interval, by drawing the photos anew."""
    gains = np.subtract(values, before)
    drawn = np.random.default_rng(0).integers(0, len(gains), (2000, len(gains)))
    low, high = np.quantile(gains[drawn].mean(axis=1), (0.025, 0.975))
    return f"{gains.mean():+.5f} [{low:+.5f}, {high:+.5f}]"


def _scene(height: int, width: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The demo photo with noise, and a blurred disc as its figure's probability (1, H, W)."""
    rng = np.random.default_rng(0)
    with Image.open(DEMO) as demo:
        pixels = np.asarray(demo.convert("RGB").resize((width, height), Image.Resampling.BICUBIC), np.int16)
    pixels = pixels + rng.integers(-4, 5, (height, width, 1), dtype=np.int16)
    rows, columns = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    logits = 12 * (0.6 - np.hypot(rows, columns)) + rng.normal(0, 1, (height, width)).astype(np.float32)
    return np.clip(pixels, 0, 255).astype(np.uint8), (1 / (1 + np.exp(-logits))).astype(np.float32)[None]


def _highest_memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def _spread(values: list[Any], limit: int | None) -> list[Any]:
    if limit is None or limit >= len(values):
        return values
    return [values[round(i * (len(values) - 1) / max(1, limit - 1))] for i in range(limit)]


if __name__ == "__main__":
    main()
