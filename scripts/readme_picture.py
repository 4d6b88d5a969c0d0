"""Make the picture at the top of README.md from the photo that comes with the package.

    python scripts/readme_picture.py docs/pictures/astronaut.jpg

From left to right: the photo, the cut-out, a blurred background, another background, the parts.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

import figureground as fg
from figureground.draw.layout import checkerboard

HEIGHT = 240
PHOTO = Path(fg.__file__).parent / "demo" / "astronaut.jpg"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    found = fg.segment(PHOTO)
    cutout = found.cutout()
    ground = Image.fromarray(checkerboard(found.size[0], found.size[1])).convert("RGBA")
    pictures = [
        Image.open(PHOTO),
        Image.alpha_composite(ground, cutout),
        found.blur_background(12),
        found.replace_background((112, 128, 200)),
        fg.parse(PHOTO).part_picture("overlay"),
    ]
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    strip = np.concatenate([as_high_as_the_strip(picture) for picture in pictures], axis=1)
    Image.fromarray(strip).save(arguments.output, quality=85)


def as_high_as_the_strip(picture: Image.Image) -> np.ndarray:
    width = round(picture.width * HEIGHT / picture.height)
    return np.asarray(picture.convert("RGB").resize((width, HEIGHT), Image.Resampling.LANCZOS))


if __name__ == "__main__":
    main()
