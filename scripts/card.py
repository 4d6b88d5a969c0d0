"""Put measured numbers into a network's card.

    figureground evaluate --network person.onnx --data photos/mil/valid --json mil.json
    python scripts/card.py recipes/cards/person.yaml "mil/valid=mil.json" -o card.yaml
    figureground export runs/person -o person.onnx --card card.yaml

The numbers are those that `evaluate --json` wrote, rounded to four places; nothing is typed by hand.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import yaml

KEPT = ("images", "dice_image_mean", "iou_image_mean", "iou_dataset", "boundary_f", "empty_wrong")


def levels(summary: dict[str, Any]) -> dict[str, Any]:
    """The mean IoU of every level of the label tree, and that of the leaves with background."""
    found = {f"iou_level_{level['level']}": round(level["iou_mean"], 4) for level in summary["levels"]}
    deepest = summary["levels"][-1]
    return {"images": summary["images"], **found, "iou_with_background": round(deepest["iou_mean_with_background"], 4)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("card", type=Path, help="what is known without measuring: description, licences")
    parser.add_argument("measured", nargs="+", metavar="NAME=FILE")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    card = yaml.safe_load(arguments.card.read_text(encoding="utf-8"))
    card["metrics"] = {}
    for entry in arguments.measured:
        name, _, file = entry.partition("=")
        summary = json.loads(Path(file).read_text(encoding="utf-8"))
        if "levels" in summary:
            card["metrics"][name] = levels(summary)
            continue
        # Where nobody is in any photo, overlap says nothing that the share of wrong photos does not say better.
        nobody = summary["empty_images"] == summary["images"]
        wanted = ("images", "empty_wrong") if nobody else KEPT
        kept = {key: summary[key] for key in wanted if summary.get(key) is not None}
        card["metrics"][name] = {k: round(v, 4) if isinstance(v, float) else v for k, v in kept.items()}
    arguments.output.write_text(yaml.safe_dump(card, sort_keys=False, allow_unicode=True), encoding="utf-8")


if __name__ == "__main__":
    main()
