"""Write the table of all architectures into docs/networks.md.

    python scripts/networks_table.py

counts parameters and multiply-adds of every network and of every variant that its file lists, on the meta device, for
an image of 512x512. `--check` writes nothing and ends with 1 when the document is not what it would write.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from figureground.networks import create, list_networks, spec

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "networks.md"
SIZE = 512
BEGIN, END = "<!-- made by scripts/networks_table.py -->\n", "<!-- end -->\n"
HEADING = """\
| network | parameters | multiply-adds | stride | least side | depth | |
| --- | ---: | ---: | ---: | ---: | --- | --- |
"""
VARIANTS = """
| variant | options | parameters | multiply-adds |
| --- | --- | ---: | ---: |
"""


def counted(name: str, options: Mapping[str, Any]) -> tuple[int, int]:
    """Parameters, and multiply-adds for an image of SIZE x SIZE."""
    counter = FlopCounterMode(display=False)
    with torch.device("meta"), torch.no_grad():
        network = create(name, **options).eval()
        with counter:
            network(torch.empty(1, options.get("in_channels", 3), SIZE, SIZE))
    return sum(parameter.numel() for parameter in network.parameters()), counter.get_total_flops() // 2


def network_row(name: str) -> str:
    """The row of a network with its default options."""
    known = spec(name)
    parameters, multiply_adds = counted(name, {})
    depth = "yes" if known.depth else ""
    return (
        f"| `{name}` | {parameters:,} | {multiply_adds / 1e9:.2f} G | {known.stride} | {known.min_size} | {depth} "
        f"| {known.summary} |\n"
    )


def variant_rows(name: str) -> list[str]:
    """The rows of the variants whose number of parameters is known."""
    rows = []
    for variant, (options, _) in spec(name).counts.items():
        parameters, multiply_adds = counted(name, options)
        shown = ", ".join(
            f"{key}: {list(value) if isinstance(value, tuple) else value}" for key, value in options.items()
        )
        rows.append(f"| `{name}`, {variant} | `{shown}` | {parameters:,} | {multiply_adds / 1e9:.2f} G |\n")
    return rows


def tables() -> str:
    """Both tables as Markdown."""
    names = list_networks()
    networks = [network_row(name) for name in names]
    return HEADING + "".join(networks) + VARIANTS + "".join(row for name in names for row in variant_rows(name))


def written(document: str) -> str:
    """The document with the tables of today between its marks."""
    before, _, rest = document.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise SystemExit(f"{DOCUMENT.name} lacks the lines {BEGIN.strip()} and {END.strip()}")
    return f"{before}{BEGIN}{tables()}{END}{after}"


def main() -> None:
    """Write the document, or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, end with 1 when something would change")
    options = parser.parse_args()
    document = DOCUMENT.read_text(encoding="utf-8")
    new = written(document)
    if options.check:
        sys.exit(0 if new == document else f"{DOCUMENT.name} is out of date; run python scripts/networks_table.py")
    DOCUMENT.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
