"""What losses over a tree cost beside the focal loss: alone, in a training step, and by the number of nodes.

The losses take turns and medians are compared, so that a neighbour on the same processor slows all of them alike. Freed
memory is kept, as `figureground train` does.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from figureground.labels import Label, LabelTree
from figureground.losses import (
    focal,
    focal_tree_min,
    hierarchical_softmax,
    node_focal,
    tree_cross_entropy,
    tree_dice,
    tree_min,
    tree_triplet,
)
from figureground.networks.heads import HeadedNetwork, with_head
from figureground.train.memory import keep_freed_memory
from table import show

Work = Callable[[], object]
Loss = tuple[Callable[..., torch.Tensor], dict[str, Any]]
Clock = Callable[[], float]
PEOPLE = LabelTree.named("pascal-person-part")
NETWORK = {"encoder": "mobilenetv2_100", "widths": (64, 48, 32, 24, 16)}


def medians(work: Mapping[str, Work], repeats: int, clock: Clock) -> dict[str, float]:
    """Median milliseconds of each, taking turns."""
    milliseconds: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(repeats + 2):
        for name, run in work.items():
            start = clock()
            run()
            if turn >= 2:  # the first runs allocate
                milliseconds[name].append(1000 * (clock() - start))
    return {name: statistics.median(values) for name, values in milliseconds.items()}


def backward(loss: Callable[..., torch.Tensor], output: torch.Tensor, *arguments: object, **options: object) -> Work:
    """A function that computes the loss and its gradient."""

    def run() -> None:
        output.grad = None
        torch.autograd.backward(loss(output, *arguments, **options))

    return run


def random_target(labels: LabelTree, batch: int, side: int) -> torch.Tensor:
    """Blocks of 16 pixels of background and leaves, as parts are areas and not noise."""
    values = torch.randint(0, 1 + len(labels.leaves), (batch, -(-side // 16), -(-side // 16)))
    return values.repeat_interleave(16, 1).repeat_interleave(16, 2)[:, :side, :side].contiguous()


def losses_alone(batch: int, side: int, repeats: int, clock: Clock) -> list[dict[str, Any]]:
    """Forward and backward of each loss over the tree of people."""
    target = random_target(PEOPLE, batch, side)
    leaves = torch.randn(batch, 6, side, side, requires_grad=True)
    nodes = torch.randn(batch, 10, side, side, requires_grad=True)
    embedding = torch.randn(batch, 256, side // 8, side // 8, requires_grad=True)
    work = {
        "focal": backward(focal, leaves, target),
        "tree_cross_entropy": backward(tree_cross_entropy, leaves, target, labels=PEOPLE),
        "tree_dice": backward(tree_dice, leaves, target, labels=PEOPLE),
        "node_focal": backward(node_focal, nodes, target, labels=PEOPLE),
        "tree_min": backward(tree_min, nodes, target, labels=PEOPLE),
        "focal_tree_min": backward(focal_tree_min, nodes, target, labels=PEOPLE),
        "hierarchical_softmax": backward(hierarchical_softmax, nodes, target, labels=PEOPLE),
        "tree_triplet": backward(tree_triplet, embedding, target, labels=PEOPLE),
    }
    return _beside_focal(medians(work, repeats, clock))


def training_steps(batch: int, side: int, repeats: int, clock: Clock) -> list[dict[str, Any]]:
    """A step of the light network (forward, loss, backward) under each head and loss."""
    target = random_target(PEOPLE, batch, side)
    image = torch.randn(batch, 3, side, side).contiguous(memory_format=torch.channels_last)
    node_losses: dict[str, Callable[..., torch.Tensor]] = {
        "node_focal": node_focal,
        "tree_min": tree_min,
        "focal_tree_min": focal_tree_min,
        "hierarchical_softmax": hierarchical_softmax,
    }
    beside = {"at": "refine.1", "size": 64}
    work: dict[str, Work] = {"focal": _step("leaves", None, image, {"logits": (focal, {})}, target)}
    for name, loss in node_losses.items():
        work[name] = _step("nodes", None, image, {"nodes": (loss, {"labels": PEOPLE})}, target)
    both: dict[str, Loss] = {
        "nodes": (focal_tree_min, {"labels": PEOPLE}),
        "embedding": (tree_triplet, {"labels": PEOPLE}),
    }
    work["focal_tree_min + tree_triplet"] = _step("nodes", beside, image, both, target)
    return _beside_focal(medians(work, repeats, clock))


def _step(
    head: str,
    embedding: dict[str, Any] | None,
    image: torch.Tensor,
    losses: Mapping[str, Loss],
    target: torch.Tensor,
) -> Work:
    torch.manual_seed(0)
    network = with_head("pyramid", NETWORK, labels=PEOPLE, head=head, embedding=embedding)
    network = network.to(memory_format=torch.channels_last)

    def run() -> None:
        network.zero_grad()
        outputs = network.outputs(image, losses) if isinstance(network, HeadedNetwork) else {"logits": network(image)}
        total = torch.zeros(())
        for name, (loss, options) in losses.items():
            total = total + loss(outputs[name], target, **options)
        torch.autograd.backward(total)

    return run


def by_nodes(side: int, repeats: int, clock: Clock) -> list[dict[str, Any]]:
    """Losses on random trees of three levels with more and more nodes, one image."""
    rows = []
    for count in (10, 25, 50, 100, 200):
        labels = random_tree(count)
        target = random_target(labels, 1, side)
        leaves = torch.randn(1, len(labels.leaves), side, side, requires_grad=True)
        nodes = torch.randn(1, count + 1, side, side, requires_grad=True)
        found = medians(
            {
                "focal": backward(focal, leaves, target),
                "node_focal": backward(node_focal, nodes, target, labels=labels),
                "focal_tree_min": backward(focal_tree_min, nodes, target, labels=labels),
                "hierarchical_softmax": backward(hierarchical_softmax, nodes, target, labels=labels),
            },
            repeats,
            clock,
        )
        rows.append({"nodes": count, "leaves": len(labels.leaves), **{f"{name}_ms": ms for name, ms in found.items()}})
    return rows


def random_tree(count: int) -> LabelTree:
    """Three levels: about a twentieth of the nodes are roots, a fifth inner nodes of the second level."""
    rng = np.random.default_rng(0)
    roots, middle = max(1, count // 20), max(2, count // 5)
    parents: list[int] = [-1] * roots
    parents += [int(rng.integers(roots)) for _ in range(middle)]
    parents += [roots + int(rng.integers(middle)) for _ in range(count - roots - middle)]
    return LabelTree(
        [
            Label(f"n{i}", (i // 256, i % 256, 0), None if parent < 0 else f"n{parent}")
            for i, parent in enumerate(parents)
        ]
    )


def _beside_focal(found: Mapping[str, float]) -> list[dict[str, Any]]:
    return [{"loss": name, "median_ms": ms, "over_focal": ms / found["focal"]} for name, ms in found.items()]


def main() -> None:
    """Measure and print three tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=480, help="of the square crops  [default: 480]")
    parser.add_argument("--batch", type=int, default=4, help="crops in a batch  [default: 4]")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--cpu-time", action="store_true", help="time of the processor, for a machine that is not idle")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.manual_seed(0)
    keep_freed_memory()
    clock = time.process_time if options.cpu_time else time.perf_counter
    size = f"{options.batch} crops of {options.side}x{options.side}"
    alone = losses_alone(options.batch, options.side, options.repeats, clock)
    show(f"loss and gradient alone, {size}", alone, as_json=options.json)
    steps = training_steps(options.batch, options.side, options.repeats, clock)
    show(f"a training step of the light network, {size}", steps, as_json=options.json)
    rows = by_nodes(options.side // 2, max(3, options.repeats // 3), clock)
    show(f"by the number of nodes, one crop of {options.side // 2}x{options.side // 2}", rows, as_json=options.json)


if __name__ == "__main__":
    main()
