"""Every kind of bad input: one clear line, the documented exit code, no traceback, nothing half written."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
READS_EVERYTHING = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and has almost no data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def no_such_file(_folder):
    return "missing.jpg", "missing.jpg"


def empty_folder(folder):
    (folder / "empty").mkdir()
    return "empty", "no images"


def text_as_jpg(folder):
    (folder / "text.jpg").write_text("I am a letter")
    return "text.jpg", "text.jpg"


def truncated_jpg(folder):
    data = (folder / "photo.jpg").read_bytes()
    (folder / "short.jpg").write_bytes(data[: len(data) // 2])
    return "short.jpg", "short.jpg"


def empty_file(folder):
    (folder / "empty.png").touch()
    return "empty.png", "empty"


def bomb(folder):
    (folder / "bomb.png").write_bytes(png_header(60_000, 60_000))
    return "bomb.png", "megapixels"


def large_png(folder):
    (folder / "large.png").write_bytes(png_header(20_000, 20_000))
    return "large.png", "megapixels"


def pattern_without_match(_folder):
    return "*.tiff", "no image matches"


def dead_address(_folder):
    return "http://127.0.0.1:9/a.jpg", "cannot fetch"


BAD_SOURCES = [
    no_such_file, empty_folder, text_as_jpg, truncated_jpg, empty_file, bomb, large_png, pattern_without_match,
    dead_address,
]  # fmt: skip


@pytest.mark.parametrize("make", BAD_SOURCES, ids=lambda make: make.__name__)
@pytest.mark.parametrize("kind", ["cutout", "mask"])
def test_a_bad_source(segment, photo, tmp_path, make, kind):
    source, said = make(tmp_path)
    before = set(tmp_path.rglob("*"))
    answer = segment(source, "--as", kind)
    assert answer.code == 2
    assert said in answer.one_error
    assert answer.out == ""
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("size", [(1, 1), (10_000, 1), (1, 10_000)], ids=str)
def test_extreme_shapes_work(segment, tmp_path, size):
    Image.new("RGB", size, "white").save(tmp_path / "odd.png")
    for kind in ("mask", "cutout", "overlay", "side-by-side", "blur"):
        answer = segment("odd.png", "--as", kind)
        assert (answer.code, answer.err) == (0, "")
    assert Image.open(tmp_path / "odd-mask.png").size == size


def test_the_rest_of_a_folder_goes_on(segment, folder, photo, tmp_path):
    for make in (text_as_jpg, truncated_jpg, bomb):
        source, _ = make(tmp_path)
        (folder / f"a-{source}").write_bytes((tmp_path / source).read_bytes())
    answer = segment("photos", "-o", "out")
    assert answer.code == 2
    assert [line.split("'")[1] for line in answer.err.splitlines()] == [
        "photos/a-bomb.png", "photos/a-short.jpg", "photos/a-text.jpg",
    ]  # fmt: skip
    assert answer.lines[0].startswith("4 pictures written to out, 3 failed")
    assert len(list((tmp_path / "out").rglob("*.png"))) == 4


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["photo.jpg", "-o", "photo.jpg", "--as", "overlay"], 4, "overwrite its input"),
        (["photo.jpg", "-o", "me.gif"], 4, ".gif"),
        (["photo.jpg", "-o", "me.jpg"], 4, "transparency"),
        (["photo.jpg", "-o", "me.png", "--format", "jpg"], 4, "not a jpg"),
        (["photo.jpg", "b.jpg", "-o", "me.png"], 4, "2 images cannot all go to me.png"),
        (["photo.jpg", "b.jpg", "-o", "-"], 4, "2 images cannot all go to stdout"),
        (["photo.jpg", "-o", "-", "--json"], 4, "--json"),
        (["photo.jpg", "-o", "photo.jpg/out/"], 4, "photo.jpg"),
        (["photo.jpg", "--background", "nocolour"], 2, "nocolour"),
        (["photo.jpg", "--background", "none.png"], 2, "none.png"),
        (["photo.jpg", "--background", "blur:much"], 2, "radius"),
        (["photo.jpg", "--background", "blur:-3"], 2, "radius"),
        (["photo.jpg", "--background", "red", "--as", "mask"], 2, "--as mask"),
        (["photo.jpg", "--background", "red", "--as", "blur"], 2, "--as blur"),
        (["photo.jpg", "--threshold", "1.5"], 2, "1.5"),
        (["photo.jpg", "--threshold", "nan"], 2, "nan"),
        (["photo.jpg", "--as", "cutuot"], 2, "cutuot"),
        (["photo.jpg", "--nonsense"], 2, "--nonsense"),
        (["-", "-"], 2, "more than once"),
        ([], 2, "SOURCE"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_arguments(segment, photo, scene, arguments, code, said):
    Image.fromarray(scene).save(photo.with_name("b.jpg"))
    before = photo.read_bytes()
    answer = segment(*arguments)
    assert answer.code == code
    assert said in answer.one_error
    assert photo.read_bytes() == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk(segment, photo, tiny_bundle):
    answer = segment("photo.jpg", "-o", "/dev/full")
    assert answer.code == 4
    assert "No space left" in answer.one_error
    command = [sys.executable, "-m", "figureground", "segment", photo, "-o", "-", "--network", tiny_bundle]
    with open("/dev/full", "wb") as full:
        run = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT / "src", timeout=120)
    assert run.returncode == 4
    assert run.stderr == "figureground: cannot write to stdout: No space left on device\n"


@READS_EVERYTHING
def test_an_unwritable_folder(segment, photo, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    answer = segment("photo.jpg", "-o", "locked/me.png")
    assert answer.code == 4
    assert "locked" in answer.one_error


def test_an_unwritable_output_ends_a_folder_at_once(segment, folder, tmp_path):
    (tmp_path / "out").mkdir()
    for name in ("a", "b"):
        (tmp_path / "out" / f"{name}.png").mkdir()
    answer = segment("photos", "-o", "out")
    assert answer.code == 4
    assert "a.png" in answer.one_error


def test_a_folder_below_that_cannot_be_read_is_told_of(segment, folder, monkeypatch):
    def scandir(path):
        if Path(path).name == "sub":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    scan = os.scandir
    monkeypatch.setattr(os, "scandir", scandir)
    answer = segment("photos", "-o", "out")
    assert answer.code == 2
    assert "the folder cannot be read: photos/sub; check its permissions" in answer.one_error
    assert answer.lines[0].startswith("2 pictures written to out, 1 failed")


def test_an_unknown_network_names_the_nearest(call, photo, tiny_bundle, monkeypatch):
    from figureground.runtime import catalogue

    monkeypatch.setattr(catalogue, "shipped", lambda: {"person": tiny_bundle, "person-fast": tiny_bundle})
    answer = call("segment", "photo.jpg", "--network", "persom-fast")
    assert answer.code == 3
    assert "did you mean 'person-fast'?" in answer.one_error


@pytest.mark.parametrize("damage", ["cut", "flipped", "text", "newer", "missing"])
def test_a_bad_bundle(call, photo, tiny_bundle, tmp_path, damage):
    data = tiny_bundle.read_bytes()
    at = data.index(b"scaled")
    damaged = {
        "cut": data[: len(data) // 2],
        "flipped": data[:at] + b"sKaled" + data[at + 6 :],
        "text": b"hello",
        "newer": data.replace(b'"format_version": 1', b'"format_version": 9'),
    }
    if damage in damaged:
        (tmp_path / "bad.onnx").write_bytes(damaged[damage])
    answer = call("segment", "photo.jpg", "--network", "bad.onnx")
    assert answer.code == 3
    assert "bad.onnx" in answer.one_error
    if damage == "newer":
        assert "upgrade" in answer.one_error


def test_debug_shows_where_it_came_from(photo, tiny_bundle, tmp_path):
    (tmp_path / "text.jpg").write_text("no")
    command = [sys.executable, "-m", "figureground", "segment", "photo.jpg", "--network", "none.onnx", "--debug"]
    run = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    assert run.returncode != 0
    assert "Traceback" in run.stderr
    assert "none.onnx" in run.stderr.splitlines()[-1]


def test_a_picture_too_large_for_its_format_is_one_bad_image(segment, folder, tmp_path):
    Image.fromarray(np.full((1, 17_000, 3), 255, np.uint8)).save(folder / "wide.png")
    answer = segment("photos", "-o", "out", "--format", "webp")
    assert answer.code == 2
    assert "wide.png" in answer.one_error
    assert len(list((tmp_path / "out").rglob("*.webp"))) == 4
