"""How long a fresh interpreter takes: to import figureground, and to cut one 12-megapixel photo out.

The yardstick is a bare `import numpy, PIL.Image, onnxruntime`: what any tool on the same runtime has to pay first.
All commands take turns, so that a machine that slows down slows all of them.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from photos import large_photo
from table import show

BARE = "import numpy, PIL.Image, onnxruntime"


def commands(photo: Path, out: Path, network: str) -> dict[str, list[str]]:
    """The commands to time, by the name that the table gives them."""
    python, figureground = [sys.executable, "-c"], [sys.executable, "-m", "figureground"]
    segment = [*figureground, "segment", str(photo), "--network", network]
    return {
        "python, doing nothing": [*python, "pass"],
        "import figureground": [*python, "import figureground"],
        "bare import of numpy, Pillow, onnxruntime": [*python, BARE],
        "segment --as mask": [*segment, "--as", "mask", "-o", str(out / "mask.png")],
        "segment --as cutout": [*segment, "--as", "cutout", "-o", str(out / "cutout.png")],
    }


def measure(all_commands: dict[str, list[str]], repeats: int) -> dict[str, list[float]]:
    """Seconds of wall time of each command, `repeats` times, after one round that only warms the disk cache."""
    seconds: dict[str, list[float]] = {name: [] for name in all_commands}
    for turn in range(repeats + 1):
        for name, command in all_commands.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def main() -> None:
    """Time the commands and print one row for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--width", type=int, default=4000)
    parser.add_argument("--height", type=int, default=3000)
    parser.add_argument("--network", default="person")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photo = large_photo(Path(folder) / "photo.jpg", options.width, options.height)
        megabytes = photo.stat().st_size / 1e6
        seconds = measure(commands(photo, Path(folder), options.network), options.repeats)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    nothing, *_, bare = (medians[name] for name in list(medians)[:3])
    rows = [
        {
            "command": name,
            "median_s": medians[name],
            "fastest_s": min(values),
            "over_python_s": medians[name] - nothing,
            "over_bare_import_s": medians[name] - bare,
        }
        for name, values in seconds.items()
    ]
    title = f"start-up, {options.width}x{options.height} JPEG of {megabytes:.1f} MB, network {options.network}"
    show(title, rows, as_json=options.json)


if __name__ == "__main__":
    main()
