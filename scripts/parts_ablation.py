"""Train and compare the recipes of recipes/parts-ablation: what do the hierarchical losses change at each level?

Same network, photos and steps for all, three seeds each. A finished run is not made again, an interrupted one goes on.

    FIGUREGROUND_DATA=/your/photos python scripts/parts_ablation.py runs/parts-ablation

writes `table.md` and `results.json` there; they are written anew after each run, so a look at them is always possible.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from figureground import images
from figureground.data.sources import match_pairs, read_index_map
from figureground.metrics import TreeCounts
from figureground.runtime.sizing import Sizing
from figureground.train import load_run
from figureground.train.run import run

RECIPES = Path(__file__).resolve().parents[1] / "recipes" / "parts-ablation"
ORDER = ("cross_entropy", "focal", "tree_min", "focal_tree_min_triplet", "hyperbolic")
LONG_SIDE = 256
COLUMNS = {
    "body": "body",
    "middle": "upper and lower",
    "leaves": "leaves",
    "leaves_with_background": "leaves and background",
    "error_distance": "tree distance of errors",
}


def shrink(data: Path, small: Path) -> None:
    """Copy parts/train with a long side of 256 pixels: crops of 128 need no more, and decoding costs a third."""
    if (small / "done").exists():
        return
    for folder in ("images", "parts"):
        (small / "parts/train" / folder).mkdir(parents=True, exist_ok=True)
    for image_path, mask_path in match_pairs(data / "parts/train/images", data / "parts/train/parts"):
        picture = Image.fromarray(images.read(image_path))
        scale = min(1.0, LONG_SIDE / max(picture.size))
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        target = small / "parts/train"
        picture.resize(size, Image.Resampling.LANCZOS).save(target / f"images/{image_path.stem}.jpg", quality=95)
        mask = Image.fromarray(read_index_map(mask_path)).resize(size, Image.Resampling.NEAREST)
        mask.save(target / f"parts/{mask_path.stem}.png")
    (small / "done").touch()


def predict(model: torch.nn.Module, photo: np.ndarray, sizing: Sizing) -> np.ndarray:
    """(H, W, 3) uint8 -> (H, W) uint8: first whether somebody is there, then which leaf, at the photo's size."""
    small = images.resize(photo, sizing.network_size(*photo.shape[:2]))
    with torch.inference_mode():
        logits = model(torch.from_numpy(small.copy()).permute(2, 0, 1)[None].float())
        full = torch.nn.functional.interpolate(logits, size=photo.shape[:2], mode="bilinear", align_corners=False)[0]
        leaf = 1 + full.argmax(0)
        return torch.where(full.logsumexp(0) > 0, leaf, 0).to(torch.uint8).numpy()


def evaluate(folder: Path, data: Path, most: int | None) -> dict[str, float]:
    """The run's best weights on parts/val at the photos' own size; IoU over the data set."""
    recipe, model = load_run(folder)
    model = model.to(memory_format=torch.channels_last)
    sizing = Sizing(area=recipe.sizing.area, multiple=recipe.sizing.multiple)
    counts = TreeCounts(recipe.tree)
    for image_path, mask_path in match_pairs(data / "parts/val/images", data / "parts/val/parts")[:most]:
        counts.add(predict(model, images.read(image_path), sizing), read_index_map(mask_path))
    body, middle, leaves = counts.level_iou()
    return {
        "body": body,
        "middle": middle,
        "leaves": leaves,
        "leaves_with_background": counts.level_iou(background=True)[-1],
        "error_distance": counts.error_distance(),
        **{f"iou_{name}": value for name, value in counts.node_iou().items()},
    }


def table(results: Mapping[str, Mapping[str, Any]], arms: Iterable[str]) -> str:
    """A row for each recipe: mean and standard deviation over the seeds, and the difference from the first recipe."""
    lines = ["| recipe | seeds | " + " | ".join(COLUMNS.values()) + " |", "| --- " * (2 + len(COLUMNS)) + "|"]
    for arm in arms:
        found = [result for result in results.values() if result["recipe"] == arm]
        if not found:
            continue
        cells = []
        for key in COLUMNS:
            values = [result[key] for result in found]
            spread = statistics.stdev(values) if len(values) > 1 else float("nan")
            cells.append(f"{statistics.mean(values):.4f} ± {spread:.4f}")
        lines.append(f"| {arm} | {len(found)} | " + " | ".join(cells) + " |")
    seconds = [result["seconds"] for result in results.values()]
    lines += ["", f"{len(results)} runs, {statistics.mean(seconds):.0f} s each on average with evaluation."]
    return "\n".join(lines) + "\n"


def make(arm: str, seed: int, folder: Path, small: Path, data: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Train one recipe with one seed, or go on with it, and evaluate it."""
    start = time.perf_counter()
    os.environ["FIGUREGROUND_DATA"] = str(small)
    run(
        RECIPES / f"{arm}.yaml", [f"seed={seed}", *options.set], output=folder, resume=(folder / "recipe.yaml").exists()
    )
    scores = evaluate(folder, data, options.photos)
    return {"recipe": arm, "seed": seed, "seconds": time.perf_counter() - start, **scores}


def main() -> None:
    """Run what is not there yet, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="folder for runs, results and table")
    parser.add_argument("--recipe", action="append", choices=ORDER, help="may be repeated  [default: all]")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--photos", type=int, help="evaluate on the first photos of parts/val only")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change all recipes")
    options = parser.parse_args()
    data = Path(os.environ["FIGUREGROUND_DATA"])
    options.output.mkdir(parents=True, exist_ok=True)
    small = (options.output / "photos").resolve()
    shrink(data, small)
    arms = options.recipe or list(ORDER)
    results: dict[str, dict[str, Any]] = {}
    # Seeds outside, so that after a third of the time all recipes can be compared.
    for seed in options.seeds:
        for arm in arms:
            folder = options.output / f"{arm}-seed{seed}"
            stored = folder / "result.json"
            if not stored.exists():
                result = make(arm, seed, folder, small, data, options)
                images.write_bytes(json.dumps(result, indent=1).encode(), stored)
            results[folder.name] = json.loads(stored.read_text(encoding="utf-8"))
            images.write_bytes(json.dumps(results, indent=1).encode(), options.output / "results.json")
            images.write_bytes(table(results, arms).encode(), options.output / "table.md")
            print(folder.name, json.dumps(results[folder.name]), flush=True)
    print(table(results, arms))


if __name__ == "__main__":
    main()
