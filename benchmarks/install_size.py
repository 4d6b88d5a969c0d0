"""What an installation weighs: the wheels that are downloaded, and what they unpack to.

Measures this project's core, and any other requirement beside it (`--against "rembg[cpu]"`), in the same way.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from table import show

PROJECT = Path(__file__).resolve().parents[1]


def size(folder: Path) -> float:
    """The bytes of all files below `folder`, in MB (a million bytes)."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def pip(*arguments: str) -> None:
    """Run this interpreter's pip, quietly; its errors pass through."""
    subprocess.run([sys.executable, "-m", "pip", *arguments, "--quiet"], check=True)


def measure(name: str, requirement: str, *, constraints: Path | None) -> dict[str, Any]:
    """Wheels and unpacked size of `requirement` with everything it needs, as a row of the table."""
    pinned = ["--constraint", str(constraints)] if constraints else []
    with tempfile.TemporaryDirectory() as folder:
        wheels, unpacked = Path(folder) / "wheels", Path(folder) / "unpacked"
        pip("wheel", "--wheel-dir", str(wheels), *pinned, requirement)
        files = sorted(wheels.glob("*.whl"))
        # Without --no-compile pip would write byte code, which depends on the interpreter and not on the packages.
        pip("install", "--no-deps", "--no-compile", "--target", str(unpacked), *map(str, files))
        heaviest = max(files, key=lambda path: path.stat().st_size)
        return {
            "requirement": name,
            "wheels": len(files),
            "wheels_mb": size(wheels),
            "unpacked_mb": size(unpacked),
            "heaviest": f"{heaviest.name.partition('-')[0]} {heaviest.stat().st_size / 1e6:.1f} MB",
        }


def main() -> None:
    """Measure the core and whatever it is to be compared with; print a row each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", action="append", default=[], metavar="REQUIREMENT")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = [measure("figureground (core)", str(PROJECT), constraints=PROJECT / "constraints.txt")]
    rows += [measure(requirement, requirement, constraints=None) for requirement in options.against]
    show("install size", rows, as_json=options.json)


if __name__ == "__main__":
    main()
