"""A command line to call, photos to call it with, and networks that are broken on purpose."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from figureground.cli.app import main


@dataclass(frozen=True)
class Answer:
    """What a call left behind."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def one_error(self) -> str:
        """The only line on stderr."""
        [line] = self.err.splitlines()
        assert line.startswith("figureground: ")
        assert "Traceback" not in self.out + self.err
        return line


@pytest.fixture
def call(capsys, tmp_path, monkeypatch):
    """Call the command line in a folder of its own: `call("segment", "photo.jpg").code`."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Answer:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    return run


@pytest.fixture
def segment(call, tiny_bundle):
    """`call("segment", ...)` with the tiny network."""
    return lambda *arguments: call("segment", "--network", tiny_bundle, *arguments)


@pytest.fixture
def scene() -> np.ndarray:
    """A bright disk before a dark ground, uint8 (96, 128, 3): the tiny network calls the disk a person."""
    rows, columns = np.ogrid[:96, :128]
    disk = (rows - 48) ** 2 + (columns - 64) ** 2 < 30**2
    return np.where(disk[..., None], np.uint8([250, 220, 200]), np.uint8([10, 20, 40]))


@pytest.fixture
def photo(tmp_path, scene) -> Path:
    path = tmp_path / "photo.jpg"
    Image.fromarray(scene).save(path, quality=95)
    return path


@pytest.fixture
def folder(tmp_path, scene) -> Path:
    """photos/ with two photos, two more below, and a file that is no image."""
    root = tmp_path / "photos"
    (root / "sub").mkdir(parents=True)
    for name in ("a.jpg", "b.png", "sub/a.jpg", "sub/c.webp"):
        Image.fromarray(scene).save(root / name)
    (root / "notes.txt").write_text("not a photo")
    return root
