"""`figureground data`: folders of photos and masks checked, counted, shown and converted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from figureground.cli.options import complete_tree, debug_option, echo_json, json_option

if TYPE_CHECKING:
    from figureground.datasets import Findings, Split
    from figureground.errors import FiguregroundError
    from figureground.labels import LabelTree

WRONG_INPUT = 2
_SHOWN = 10
"""Problems of one kind that `check` prints; --json prints them all."""
_FOLDERS = click.argument("folders", nargs=-1, required=True, metavar="DIR...", type=click.Path(path_type=Path))
_IMAGES = click.option(
    "--images", default=None, help="Folder of the photos in DIR.  [default: images, if there is one]"
)
_MASKS = click.option("--masks", default=None, help="Folder of the masks in DIR.  [default: masks, else parts]")
_LABELS = click.option(
    "--labels",
    "tree",
    metavar="TREE|FILE",
    shell_complete=complete_tree,
    help="The tree whose numbers the masks hold.  [default: any value but 0 is a person]",
)
_EXAMPLE = """\b
Example
  figureground data check photos
  figureground data stats photos/train --labels pascal-person-part
  figureground data show photos -o sheet.jpg
  figureground data convert lip LIP photos/lip
"""
_HOW_DIR = """
DIR holds images/ and masks/ (or parts/), or folders that do, which are then compared as splits; a folder of photos
alone will do too.
"""
_LEFT_OUT = """

What cannot be read is named and left out, and the exit code is 2.
"""


@click.group(epilog=_EXAMPLE)
@debug_option
def data() -> None:
    """Check, count, show and convert folders of photos and masks."""


@data.command(
    help="Say what is wrong with photos and masks: exit code 2 where something serious is." + _HOW_DIR,
    epilog="\b\nExample\n  figureground data check photos/train photos/valid --json > findings.json",
)
@_FOLDERS
@_IMAGES
@_MASKS
@_LABELS
@click.option(
    "--distance",
    type=click.IntRange(0, 32),
    default=8,
    show_default=True,
    help="Places of 64 in which the hashes of near-duplicates differ at most.",
)
@json_option
@debug_option
def check(
    folders: tuple[Path, ...], images: str | None, masks: str | None, tree: str | None, distance: int, as_json: bool
) -> int:
    """Read everything, compare all photos, and report."""
    from figureground.cli.progress import Progress
    from figureground.datasets import check as examine

    splits, labels = _splits(folders, images, masks), _tree(tree)
    with Progress(sum(len(split.photo_files()) for split in splits), "photos") as progress:
        findings = examine(splits, labels=labels, distance=distance, progress=progress.advance)
    if as_json:
        echo_json(findings.to_dict())
    else:
        _tell(findings)
    return 0 if findings.ok else WRONG_INPUT


@data.command(
    help="Count photos, sizes, the share of figure and the balance of the labels." + _LEFT_OUT + _HOW_DIR,
    epilog="\b\nExample\n  figureground data stats photos/train --labels pascal-person-part",
)
@_FOLDERS
@_IMAGES
@_MASKS
@_LABELS
@json_option
@debug_option
def stats(folders: tuple[Path, ...], images: str | None, masks: str | None, tree: str | None, as_json: bool) -> int:
    """Measure the splits and print them."""
    from figureground.cli.progress import Progress
    from figureground.datasets import stats as measure

    splits, labels = _splits(folders, images, masks), _tree(tree)
    errors: list[FiguregroundError] = []
    with Progress(sum(len(split.photo_files()) for split in splits), "photos") as progress:
        found = measure(splits, labels=labels, progress=progress.advance, unreadable=errors.append)
        measured = [one.to_dict() for one in found]
    if as_json:
        echo_json({"splits": measured, "failed": _plain(errors)})
    else:
        click.echo("\n\n".join(_page(one) for one in measured))
    return _tell_unread(errors)


@data.command(
    help="Draw photos with their masks on one sheet, or what a recipe's training would see." + _LEFT_OUT + _HOW_DIR,
    epilog="""\b
Example
  figureground data show photos --number 64 -o sheet.jpg
  figureground data show --augmented recipes/person-fast.yaml -o samples.jpg
""",
)
@click.argument("folders", nargs=-1, metavar="[DIR...]", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", metavar="FILE", required=True, type=click.Path(path_type=Path), help="The picture to write."
)
@click.option(
    "--augmented",
    "recipe",
    metavar="RECIPE",
    type=click.Path(path_type=Path),
    help="Show the first augmented samples of a recipe (needs figureground[train]).",
)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change one value of that recipe.")
@click.option("--number", type=click.IntRange(1, 400), default=36, show_default=True, help="Photos on the sheet.")
@click.option("--cell", type=click.IntRange(32, 1000), default=200, show_default=True, help="Pixels for a photo.")
@click.option("--seed", type=int, default=0, show_default=True, help="Decides which photos of DIR.")
@_IMAGES
@_MASKS
@_LABELS
@json_option
@debug_option
def show(
    folders: tuple[Path, ...],
    output: Path,
    recipe: Path | None,
    overrides: tuple[str, ...],
    number: int,
    cell: int,
    seed: int,
    images: str | None,
    masks: str | None,
    tree: str | None,
    as_json: bool,
) -> int:
    """Draw one sheet and print its path."""
    if (recipe is None) == (not folders) or (overrides and recipe is None):
        raise click.UsageError("give DIR, or --augmented RECIPE with its --set")

    from figureground import images as pictures

    errors: list[FiguregroundError] = []
    pictures.make_folder(output.parent)
    if recipe is not None:
        from figureground.cli.extras import extra

        with extra("train", "A recipe"):
            from figureground.train.preview import augmented_sheet

            picture = augmented_sheet(recipe, overrides, number=number, cell=cell)
    else:
        from figureground.datasets import contact_sheet

        splits, labels = _splits(folders, images, masks), _tree(tree)
        picture = contact_sheet(splits, labels=labels, number=number, seed=seed, cell=cell, unreadable=errors.append)
    pictures.write(picture, output)
    if as_json:
        height, width = picture.shape[:2]
        echo_json({"output": str(output), "height": height, "width": width, "failed": _plain(errors)})
    else:
        click.echo(str(output))
    return _tell_unread(errors)


def _complete_layout(_context: click.Context, _option: click.Parameter, incomplete: str) -> list[str]:
    from figureground.datasets import LAYOUTS

    return [name for name in LAYOUTS if name.startswith(incomplete)]


@data.command(
    epilog="""\b
Example
  figureground data convert coco coco photos/coco
  figureground data convert rle-csv predictions.csv photos/mine --photos photos/images
  figureground data convert --list
"""
)
@click.argument("layout", metavar="LAYOUT", required=False, shell_complete=_complete_layout)
@click.argument("source", metavar="SOURCE", required=False, type=click.Path(path_type=Path))
@click.argument("dest", metavar="DEST", required=False, type=click.Path(path_type=Path))
@click.option("--list", "list_layouts", is_flag=True, help="List the layouts and what they look like.")
@click.option("--link", is_flag=True, help="Link to the photos instead of copying them.")
@click.option("--photos", metavar="DIR", type=click.Path(path_type=Path), help="Folder of the photos, for rle-csv.")
@click.option(
    "--crowd",
    type=click.Choice(["person", "ignore"]),
    default="person",
    show_default=True,
    help="What the crowds of coco become.",
)
@json_option
@debug_option
def convert(
    layout: str | None,
    source: Path | None,
    dest: Path | None,
    list_layouts: bool,
    link: bool,
    photos: Path | None,
    crowd: Literal["person", "ignore"],
    as_json: bool,
) -> None:
    """Write a data set as DEST/SPLIT/images and DEST/SPLIT/masks, or parts.

    LAYOUT says how SOURCE is laid out; --list shows all. DEST must be empty. Index maps of parts go to parts/, numbered
    as in the label tree that is printed; masks of people have 0 and 255.
    """
    if list_layouts:
        _list_layouts(as_json)
        return
    if layout is None or source is None or dest is None:
        raise click.UsageError("give LAYOUT SOURCE DEST, or --list")
    from figureground.cli.counted import counted
    from figureground.datasets import convert as write

    with counted("photos") as tell:
        written = write(layout, source, dest, link=link, photos=photos, crowd=crowd, progress=tell)
    if as_json:
        echo_json({**written.to_dict(), "output": str(dest)})
        return
    for split, number in written.splits.items():
        click.echo(f"{dest / split}: {number} photos")
    if written.tree is not None:
        click.echo(f"parts/ holds the numbers of the label tree '{written.tree}' (--labels {written.tree})")
    click.echo(f"licence of '{written.layout}', as far as known: {written.licence}")


def _list_layouts(as_json: bool) -> None:
    from figureground.cli.tables import table
    from figureground.datasets import LAYOUTS

    found = list(LAYOUTS.values())
    if as_json:
        echo_json({"layouts": [{"name": one.name, "tree": one.tree, "summary": one.summary} for one in found]})
        return
    rows = [[one.name, one.tree or "-", one.summary] for one in found]
    click.echo(table([["layout", "label tree", "what SOURCE holds"], *rows]))


def _splits(folders: tuple[Path, ...], images: str | None, masks: str | None) -> list[Split]:
    from figureground.datasets import find_splits

    return find_splits(folders, images=images, masks=masks)


def _tree(name: str | None) -> LabelTree | None:
    from figureground.labels import LabelTree

    return None if name is None else LabelTree.find(name)


def _plain(errors: Sequence[FiguregroundError]) -> list[str]:
    return [str(error) for error in errors]


def _tell_unread(errors: Sequence[FiguregroundError]) -> int:
    """Say on stderr what could not be read, a line a file, and give the exit code."""
    for error in errors:
        click.echo(f"figureground: {error}; see: figureground data check", err=True)
    return WRONG_INPUT if errors else 0


def _tell(findings: Findings) -> None:
    from figureground.cli.tables import table

    rows = [[name, str(count["photos"]), str(count["masks"])] for name, count in findings.splits.items()]
    click.echo(table([["split", "photos", "masks"], *rows], right=["photos", "masks"]))
    for kind, number in findings.counts().items():
        found = sorted((one for one in findings.problems if one.kind == kind), key=lambda one: not one.serious)
        for problem in found[:_SHOWN]:
            click.echo(f"{'!' if problem.serious else ' '} {kind}: {problem.message}")
        if number > _SHOWN:
            click.echo(f"  {kind}: and {number - _SHOWN} more (--json prints all)")
    counts = ", ".join(f"{number} {kind}" for kind, number in findings.counts().items())
    click.echo(f"found: {counts}" if counts else "nothing wrong")


def _page(one: dict[str, Any]) -> str:
    from figureground.cli.tables import table

    lines = [f"{one['name']}: {one['photos']} photos of {one['sizes']} sizes, {one['masks']} masks"]
    spreads = [(key, one[key]) for key in ("height", "width", "figure") if one[key]]
    points = ("min", "quarter", "median", "three_quarters", "max", "mean")
    rows = [[key, *(_number(spread[point], key) for point in points)] for key, spread in spreads]
    heading = ["", *(point.replace("_", " ") for point in points)]
    lines.append(table([heading, *rows], right=heading[1:]))
    if one["masks"]:
        lines.append(f"{one['empty']} masks without a figure, {one['ignored']:.2%} of the pixels not counted")
        lines.append(_balance(one))
    return "\n".join(lines)


def _balance(one: dict[str, Any]) -> str:
    """Labels with their share of the pixels; background and leaves with the weight that balances them."""
    from figureground.cli.tables import table

    weights = iter(one["class_weights"])
    inner = one["inner"]
    rows = []
    for name, found in one["labels"].items():
        weight = "" if name in inner else next(weights)
        shown = weight if isinstance(weight, str) else "-" if weight is None else f"{weight:.3g}"
        rows.append([name, f"{found['share']:.3%}", str(found["masks"]), shown])
    heading = ["label", "share", "masks", "class weight"]
    return table([heading, *rows], right=heading[1:])


def _number(value: float, key: str) -> str:
    return f"{value:.1%}" if key == "figure" else f"{value:.0f}"
