"""Photos that are the same picture: a perceptual hash finds candidates, small grey pictures confirm them.

The hash is the signs of the 64 lowest frequencies of a discrete cosine transform around their median. It survives
another size, another JPEG quality and other brightness, not a crop. A mirrored picture has the same frequencies, every
second one with its sign turned, so its hash comes at no cost.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from figureground.checks import ArgumentError, require_image

__all__ = ["Looks", "look_at", "perceptual_hash", "similar"]

BITS = 64
_SIDE, _KEPT = 32, 8
_LEAST_CORRELATION = 0.9
"""Of two grey pictures of 32 x 32: below it, two photos of one hash are two photos."""
_FLAT = 2.0
"""Standard deviation of grey levels under which a picture has nothing to be recognised by."""
_ROWS = 512


@dataclass(frozen=True)
class Looks:
    """What a photo looks like from afar: its hash, its mirror image's, both bool (64,), and itself, float32 (1024,).

    `small` has the mean 0 and the length 1; it is 0 everywhere for a picture of one colour.
    """

    hash: NDArray[np.bool_]
    mirrored: NDArray[np.bool_]
    small: NDArray[np.float32]


def look_at(image: NDArray[np.uint8]) -> Looks:
    """The looks of a picture, uint8 (H, W, 3)."""
    require_image("image", image)
    grey = np.asarray(
        Image.fromarray(image).convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS), dtype=np.float64
    )
    rows = _cosines()
    low = rows @ grey @ rows.T
    centred = (grey - grey.mean()).astype(np.float32).ravel()
    small = centred / np.linalg.norm(centred) if grey.std() >= _FLAT else np.zeros_like(centred)
    turned = low * np.where(np.arange(_KEPT) % 2, -1, 1)
    return Looks(_signs(low), _signs(turned), small)


def perceptual_hash(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The hash of a picture, uint8 (H, W, 3): bool (64,). Alike pictures differ in few places."""
    return look_at(image).hash


def similar(looks: Sequence[Looks], *, distance: int = 8) -> list[list[int]]:
    """Groups of photos that are one picture, as their positions; each group has two or more.

    Args:
        looks: of each photo.
        distance: places in which two hashes differ at most, 0 to 32.

    Raises:
        ArgumentError: the distance is out of range.
    """
    if not 0 <= distance <= BITS // 2:
        raise ArgumentError(f"distance must be from 0 to {BITS // 2}, not {distance!r}")
    if len(looks) < 2:
        return []
    # Bits as +1 and -1: then a product of matrices counts the places in which all pairs agree.
    hashes = np.stack([look.hash for look in looks]).astype(np.float32) * 2 - 1
    turned = np.stack([look.mirrored for look in looks]).astype(np.float32) * 2 - 1
    small = np.stack([look.small for look in looks]).reshape(-1, _SIDE, _SIDE)
    pairs = [
        *_alike(hashes, hashes, small, small, distance),
        *_alike(hashes, turned, small, small[:, :, ::-1], distance),
    ]
    return groups(len(looks), pairs)


def groups(number: int, pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """The connected groups of two or more among `number` things, each sorted, in the order of their first."""
    leader = list(range(number))

    def found(thing: int) -> int:
        while leader[thing] != thing:
            leader[thing] = leader[leader[thing]]
            thing = leader[thing]
        return thing

    for one, other in pairs:
        first, second = sorted((found(one), found(other)))
        leader[second] = first
    members: dict[int, list[int]] = {}
    for thing in range(number):
        members.setdefault(found(thing), []).append(thing)
    return [group for group in members.values() if len(group) > 1]


def _alike(
    ours: NDArray[np.float32],
    theirs: NDArray[np.float32],
    our_small: NDArray[np.float32],
    their_small: NDArray[np.float32],
    distance: int,
) -> Iterator[tuple[int, int]]:
    for start in range(0, len(ours), _ROWS):
        agreeing = ours[start : start + _ROWS] @ theirs.T
        rows, columns = np.nonzero(agreeing >= BITS - 2 * distance)
        rows = rows + start
        later = columns > rows
        for row, column in zip(rows[later].tolist(), columns[later].tolist(), strict=True):
            if float((our_small[row] * their_small[column]).sum()) >= _LEAST_CORRELATION:
                yield row, column


def _signs(low: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray(low > np.median(low)).ravel()


@cache
def _cosines() -> NDArray[np.float64]:
    """The lowest rows of the discrete cosine transform (the second kind): (8, 32)."""
    frequency, place = np.arange(_KEPT)[:, None], np.arange(_SIDE)[None, :]
    return np.asarray(2 * np.cos(math.pi * frequency * (2 * place + 1) / (2 * _SIDE)))
