"""What the training loop costs beside its network, in waiting for photos too, and what two tricks save.

The loop is that of `figureground train`, with its losses, numbers, checkpoint and one validation, which is not timed;
the moving average of weights is off. The bare loop takes the same batches through the same network, losses and
optimiser, and does nothing else. Both take turns. The steps with and without the quick backward of depthwise
convolutions and with and without kept memory run in processes of their own, which take turns too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import lightning as L
import torch
import yaml
from PIL import Image
from torch import nn

import figureground
from figureground.networks.blocks.depthwise import DepthwiseConv2d
from figureground.train import Recipe, build_model, run
from figureground.train.feed import Feed
from figureground.train.memory import KEEP_MEMORY, keep_freed_memory
from figureground.train.optimizers import build_optimizer
from figureground.train.terms import build_terms
from table import machine, show

WARM = 4
"""Steps before the clock starts: they allocate, and the first photos are only being read."""


class Clock(L.Callback):
    """When the steps of a training began and ended, and how long it had waited for photos by then."""

    def __init__(self) -> None:
        self.seconds = self.waited = 0.0
        self.began = self.waited_before = 0.0

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the time after each step."""
        number = int(trainer.global_step)
        if number == WARM:
            self.began, self.waited_before = time.perf_counter(), TimedFeed.waited
        self.seconds = time.perf_counter() - self.began
        self.waited = TimedFeed.waited - self.waited_before


class Timed:
    """A loader that adds up how long it was waited for."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        batches = iter(self.loader)
        while True:
            start = time.perf_counter()
            batch = next(batches, None)
            TimedFeed.waited += time.perf_counter() - start
            if batch is None:
                return
            yield batch


class TimedFeed(Feed):
    """A feed that knows how long it was waited for, over all of its loaders."""

    waited = 0.0

    def train_dataloader(self) -> Any:
        """The recipe's loader, timed."""
        return Timed(super().train_dataloader())


def our_loop(recipe_path: Path, steps: int) -> dict[str, float]:
    """Seconds for a step of `figureground train`, and the share of them spent waiting for photos."""
    clock = Clock()
    module = sys.modules["figureground.train.run"]  # the package has a function of that name
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(module, "Feed", TimedFeed):
        run(recipe_path, output=Path(folder) / "run", callbacks=[clock])
    return {"seconds": clock.seconds / steps, "waiting": clock.waited / clock.seconds}


def bare_loop(recipe_path: Path, steps: int) -> float:
    """Seconds for a step of the shortest loop that trains the same."""
    recipe = Recipe.read(recipe_path)
    model, terms, optimizer, layout = parts(recipe)
    began = 0.0
    for number, (image, target) in enumerate(Feed(recipe).train_dataloader()):
        if number == WARM:
            began = time.perf_counter()
        one_step(recipe, model, terms, optimizer, image.float().contiguous(memory_format=layout), target)
    return (time.perf_counter() - began) / steps


def parts(recipe: Recipe) -> tuple[Any, list[Any], torch.optim.Optimizer, torch.memory_format]:
    """Network, losses, optimiser and memory layout of a recipe."""
    torch.manual_seed(recipe.seed)
    model = build_model(recipe).train()
    layout = torch.channels_last if recipe.schedule.channels_last else torch.contiguous_format
    return model, build_terms(recipe.losses, recipe.tree, model.gives), build_optimizer(model, recipe.optimize), layout


def one_step(
    recipe: Recipe,
    model: Any,
    terms: list[Any],
    optimizer: torch.optim.Optimizer,
    image: torch.Tensor,
    target: torch.Tensor,
) -> None:
    """Forward, losses, backward and the optimiser's step."""
    with torch.autocast("cpu", torch.bfloat16, enabled=recipe.schedule.precision == "bf16-mixed"):
        outputs = model.outputs(image, {"logits"})
        total = torch.stack([term.spec.weight * term(outputs, target, image) for term in terms]).sum()
    optimizer.zero_grad()
    torch.autograd.backward(total)
    if recipe.optimize.clip_norm:
        nn.utils.clip_grad_norm_(model.parameters(), recipe.optimize.clip_norm)
    optimizer.step()


def step_alone(recipe_path: Path, steps: int, *, quick: bool) -> float:
    """Median seconds of a step on one batch that stays in memory; kept memory is as the environment says."""
    keep_freed_memory()
    recipe = Recipe.read(recipe_path)
    model, terms, optimizer, layout = parts(recipe)
    if not quick:
        for module in model.modules():
            if isinstance(module, DepthwiseConv2d):
                plain: Any = module
                plain.__class__ = nn.Conv2d
    side = recipe.schedule.stages[0].sizes[0]
    image = (255 * torch.rand(recipe.schedule.batch_size, 3, side, side)).contiguous(memory_format=layout)
    target = (torch.rand(recipe.schedule.batch_size, side, side) < 0.4).long()
    spent = []
    for number in range(WARM + steps):
        start = time.perf_counter()
        one_step(recipe, model, terms, optimizer, image, target)
        if number >= WARM:
            spent.append(time.perf_counter() - start)
    return statistics.median(spent)


def in_a_process(recipe_path: Path, steps: int, *, quick: bool, kept: bool) -> float:
    """`step_alone` in a fresh interpreter."""
    command = [sys.executable, __file__, "--step-alone", str(recipe_path), "--steps", str(steps)]
    surroundings = {**os.environ, KEEP_MEMORY: str(int(kept))}
    done = subprocess.run(
        [*command, *([] if quick else ["--plain"])], env=surroundings, check=True, capture_output=True, text=True
    )
    return float(done.stdout.split()[-1])


def made_up_photos(folder: Path, count: int) -> None:
    """JPEGs of 640x480 cut out of the demo photo, and masks; as long to read as other photos."""
    demo = Image.open(Path(str(figureground.__file__)).parent / "demo" / "astronaut.jpg").convert("RGB")
    for name in ("images", "masks"):
        (folder / name).mkdir()
    for number in range(count):
        left, top = number % 16, 3 * (number % 32)
        box = (left, top, left + 480, top + 360)
        demo.resize((512, 512)).crop(box).resize((640, 480)).save(folder / f"images/{number}.jpg", quality=90)
        mask = Image.new("L", (640, 480))
        mask.paste(255, (160 + number, 100, 400 + number, 480))
        mask.save(folder / f"masks/{number}.png")


def made_up_recipe(folder: Path, options: argparse.Namespace) -> Path:
    """A recipe like that of `person-fast`, of one stage, on made-up photos."""
    made_up_photos(folder, 64)
    recipe = {
        "name": "loop",
        "data": {
            "root": str(folder),
            "samples_per_epoch": options.batch * (WARM + options.steps),
            "workers": options.workers,
            "sources": [{"name": "made up", "images": "images", "masks": "masks", "hold_out": 0.1}],
        },
        "network": {"name": "pyramid", "options": {"encoder": options.encoder, "widths": [64, 48, 32, 24, 16]}},
        "losses": [
            {"name": "cross_entropy", "options": {"boundary_weight": 1.0}},
            {"name": "soft_dice", "weight": 0.5},
        ],
        "augment": {"crop_scale": [0.3, 1.0], "crop_ratio": [0.65, 1.5], "flip": 0.5, "color": 0.4, "jpeg": 0.2},
        "optimize": {"clip_norm": 5.0},
        "schedule": {
            "epochs": 1,
            "batch_size": options.batch,
            "precision": "bf16-mixed",
            "channels_last": True,
            "stages": [{"sizes": [options.side]}],
        },
        "sizing": {"area": 128 * 128},
    }
    path = folder / "loop.yaml"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return path


def compare_loops(recipe_path: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Both loops in turns: medians, and the median of the ratios of neighbours."""
    keep_freed_memory()
    ours, bare = [], []
    for _ in range(options.rounds):
        ours.append(our_loop(recipe_path, options.steps))
        bare.append(bare_loop(recipe_path, options.steps))
    ratio = statistics.median(other / one["seconds"] for one, other in zip(ours, bare, strict=True))
    spent = statistics.median(one["seconds"] for one in ours), statistics.median(bare)
    waiting = statistics.median(one["waiting"] for one in ours)
    return [
        {"loop": "figureground train", "images_s": options.batch / spent[0], "ratio": ratio, "waiting": waiting},
        {"loop": "bare", "images_s": options.batch / spent[1], "ratio": 1.0, "waiting": None},
    ]


def compare_steps(recipe_path: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """A step with and without each trick, in turns."""
    found: dict[tuple[bool, bool], list[float]] = {}
    for _ in range(options.rounds):
        for quick in (False, True):
            for kept in (False, True):
                seconds = in_a_process(recipe_path, options.steps, quick=quick, kept=kept)
                found.setdefault((quick, kept), []).append(seconds)
    medians = {variant: statistics.median(seconds) for variant, seconds in found.items()}
    return [
        {"quick depthwise": quick, "kept memory": kept, "step_s": seconds, "speedup": medians[False, False] / seconds}
        for (quick, kept), seconds in medians.items()
    ]


def markdown(title: str, rows: list[dict[str, Any]]) -> str:
    """A table for docs/benchmarks.md."""
    heads = list(rows[0])
    cells = [[_cell(row[head]) for head in heads] for row in rows]
    lines = [heads, ["---"] * len(heads), *cells]
    return "\n".join([title, "", *(f"| {' | '.join(line)} |" for line in lines), ""])


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


def main() -> None:
    """Measure and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=256, help="of the square crops  [default: 256]")
    parser.add_argument("--batch", type=int, default=16, help="crops in a batch  [default: 16]")
    parser.add_argument("--steps", type=int, default=30, help="that are timed  [default: 30]")
    parser.add_argument("--rounds", type=int, default=5, help="turns  [default: 5]")
    parser.add_argument("--workers", type=int, default=1, help="processes that read photos  [default: 1]")
    parser.add_argument("--encoder", default="efficientnet_lite2", help="of the pyramid  [default: efficientnet_lite2]")
    parser.add_argument("--only", choices=["loop", "step"], help="one of the two tables")
    parser.add_argument("--markdown", action="store_true", help="tables for docs/benchmarks.md")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--step-alone", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--plain", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step_alone:
        print(step_alone(options.step_alone, options.steps, quick=not options.plain))
        return
    size = (
        f"{options.batch} crops of {options.side}x{options.side}, {options.encoder}, {torch.get_num_threads()} threads"
    )
    with tempfile.TemporaryDirectory() as folder:
        recipe_path = made_up_recipe(Path(folder), options)
        tables = {}
        if options.only != "step":
            tables[f"the loop beside a bare one, {size}"] = compare_loops(recipe_path, options)
        if options.only != "loop":
            tables[f"a step alone, {size}"] = compare_steps(recipe_path, options)
    for title, rows in tables.items():
        if options.markdown:
            print(markdown(f"{title} ({json.dumps(machine())})", rows))
        else:
            show(title, rows, as_json=options.json)


if __name__ == "__main__":
    main()
