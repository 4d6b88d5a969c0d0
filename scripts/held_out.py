"""Lay out the photos that a recipe keeps away from training, so that `figureground evaluate` can measure them.

    FIGUREGROUND_DATA=/your/photos python scripts/held_out.py recipes/person.yaml held-out/

makes held-out/<source>/images and held-out/<source>/masks of links to the files; a source without people gets
black masks, and the photos of `wild` are also laid out by where they come from (COCO, pedestrians).
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from PIL import Image

from figureground.data import EmptySource, PairSource, Source, build_source
from figureground.train import Recipe

KINDS = {"coco": r"^\d{12}$", "street": r"^(FudanPed|PennPed)"}


def link(source: Path, target: Path) -> None:
    """Make `target` a link to `source`, in place of what may be there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    target.symlink_to(source.resolve())


def lay_out(source: Source, folder: Path) -> int:
    """Links for one source; how many photos it has."""
    if isinstance(source, PairSource):
        for image, mask in source.pairs:
            link(image, folder / "images" / image.name)
            link(mask, folder / "masks" / mask.name)
            for kind, pattern in KINDS.items():
                if re.match(pattern, image.stem):
                    link(image, folder.parent / f"{folder.name}-{kind}" / "images" / image.name)
                    link(mask, folder.parent / f"{folder.name}-{kind}" / "masks" / mask.name)
    elif isinstance(source, EmptySource):
        for image in source.paths:
            link(image, folder / "images" / image.name)
            with Image.open(image) as opened:
                black = Image.new("L", opened.size)
            (folder / "masks").mkdir(exist_ok=True)
            black.save(folder / "masks" / f"{image.stem}.png")
    return len(source)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    recipe = Recipe.read(arguments.recipe)
    for spec in recipe.data.sources:
        options = {"held": True, "labels": recipe.tree, "folds": recipe.data.folds}
        if spec.hold_out > 0 and (source := build_source(spec, recipe.data.root, **options)):
            print(f"{spec.name}: {lay_out(source, arguments.folder / spec.name)} photos")


if __name__ == "__main__":
    main()
