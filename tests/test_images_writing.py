"""Encoding, and files that are whole or not there."""

import errno
import io
import os
import stat
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp
from PIL import Image

from figureground import images
from figureground.errors import OutputError
from figureground.images import writing

picture = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
pictures = hnp.array_shapes(min_dims=2, max_dims=2, max_side=30).flatmap(
    lambda shape: (
        hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=1, max_side=1).map(lambda _: shape))
        | hnp.arrays(np.uint8, (*shape, 3))
        | hnp.arrays(np.uint8, (*shape, 4))
    )
)


@settings(max_examples=60, deadline=None)
@given(pictures)
def test_png_gives_back_every_byte(array):
    data = images.encode(array, "png")
    opened = Image.open(io.BytesIO(data))
    opened.verify()
    assert (np.asarray(Image.open(io.BytesIO(data))) == array).all()
    assert images.encode(Image.fromarray(array), ".PNG") == data


def test_a_folder_is_made_with_those_above_it(tmp_path):
    for _ in range(2):
        images.make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").write_text("in the way")
    for place in ("file", "file/below"):
        with pytest.raises(OutputError, match=r"cannot make the folder .*file.*: .*; give another place"):
            images.make_folder(tmp_path / place)
    with pytest.raises(OutputError, match="; look elsewhere"):
        images.make_folder(str(tmp_path / "file"), remedy="look elsewhere")


def test_png_of_many_bands():
    tall = np.random.default_rng(0).integers(0, 256, (9000, 150, 3), dtype=np.uint8)
    assert (np.asarray(Image.open(io.BytesIO(images.encode(tall, "png")))) == tall).all()
    assert (np.asarray(Image.open(io.BytesIO(images.encode(tall[::-2, ::3], "png")))) == tall[::-2, ::3]).all()


@pytest.mark.parametrize("suffix", sorted(images.IMAGE_SUFFIXES))
def test_every_suffix_is_written_and_read(tmp_path, suffix):
    if suffix in (".heic", ".heif", ".hif"):
        pytest.importorskip("pillow_heif")
    path = tmp_path / f"out{suffix.upper()}"
    images.write(np.full((16, 24, 3), (200, 100, 50), dtype=np.uint8), path)
    assert os.listdir(tmp_path) == [path.name]
    assert np.abs(images.read(path).astype(int) - (200, 100, 50)).max() <= 6
    assert images.is_image_path(path)


@pytest.mark.parametrize("image_format", ["png", "webp", "tiff", "gif"])
def test_transparency_is_kept_where_the_format_has_it(image_format):
    rgba = np.full((8, 8, 4), 255, dtype=np.uint8)
    rgba[:4, :, 3] = 0
    alpha = np.asarray(Image.open(io.BytesIO(images.encode(rgba, image_format))).convert("RGBA"))[..., 3]
    assert (alpha == rgba[..., 3]).all()


def test_masks_and_alphas_are_written_as_grey():
    mask = np.eye(4, dtype=bool)
    assert (images.read(images.encode(mask, "png"))[..., 0] == mask * 255).all()
    alpha = np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4)
    assert images.read(images.encode(alpha, "png"))[..., 0].ravel().tolist() == list(range(0, 256, 17))
    assert images.read(images.encode(mask[..., None], "bmp")).shape == (4, 4, 3)


def test_pil_images_of_other_modes():
    palette = Image.fromarray(picture).quantize(8)
    assert (images.read(images.encode(palette, "png")) == np.asarray(palette.convert("RGB"))).all()
    assert images.read(images.encode(palette, "jpg")).shape == picture.shape
    assert images.read(images.encode(Image.fromarray(picture).convert("1"), "jpeg")).shape == picture.shape


def test_quality_is_passed_on():
    assert len(images.encode(picture, "jpg", quality=20)) < len(images.encode(picture, "jpg"))


@pytest.mark.parametrize(
    ("image", "image_format", "words"),
    [
        (picture, "pgn", "unknown image format 'pgn'; did you mean 'png'"),
        (picture, "", "no suffix; end it in .png or .jpg"),
        (np.zeros((4, 4, 4), np.uint8), "jpg", "JPEG cannot hold transparency; write a .png"),
        (np.zeros((4, 4, 4), np.uint8), "bmp", "BMP cannot hold transparency"),
        (np.zeros((1, 70000, 3), np.uint8), "jpg", "cannot encode 70000 x 1 RGB as JPEG"),
        (np.zeros((1, 17000, 3), np.uint8), "webp", "cannot encode 17000 x 1 RGB as WEBP"),
        (np.zeros((0, 4, 3), np.uint8), "png", "is not an image"),
        (np.zeros((3, 4, 9), np.uint8), "png", "is not an image"),
        (np.zeros((4, 4), np.int64), "png", "int64"),
    ],
)
def test_what_cannot_be_encoded(image, image_format, words):
    with pytest.raises(OutputError, match=words):
        images.encode(image, image_format)


def test_write_names_the_file(tmp_path):
    with pytest.raises(OutputError, match=r"cannot write '.*out.jpg': JPEG cannot hold transparency; write"):
        images.write(np.zeros((4, 4, 4), np.uint8), tmp_path / "out.jpg")
    with pytest.raises(OutputError, match=r"out': the file name has no suffix"):
        images.write(picture, tmp_path / "out")
    assert os.listdir(tmp_path) == []


def test_unwritable_places(tmp_path):
    with pytest.raises(OutputError, match=r"missing.*No such file or directory; make the folder"):
        images.write(picture, tmp_path / "missing" / "out.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(OutputError, match="it is a folder"):
        images.write(picture, tmp_path / "folder.png")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="Not a directory"):
        images.write(picture, tmp_path / "file" / "out.png")
    with pytest.raises(OutputError):
        images.write(picture, tmp_path / "a\0b.png")
    with pytest.raises(OutputError, match="name too long"):
        images.write(picture, tmp_path / ("x" * 300 + ".png"))
    assert sorted(os.listdir(tmp_path)) == ["file", "folder.png"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        images.write(picture, tmp_path / "out.png")
    tmp_path.chmod(0o700)


class FullDisk(io.FileIO):
    """A file on a disk with room for a hundred bytes."""

    def write(self, data):
        if self.tell() + len(data) > 100:
            super().write(data[:50])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


@pytest.mark.parametrize(
    ("fail", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (PermissionError(errno.EACCES, "Permission denied"), "Permission denied"),
    ],
)
@pytest.mark.parametrize("step", ["open", "replace"])
def test_failures_leave_the_old_file_and_nothing_else(tmp_path, monkeypatch, step, fail, words):
    def refuse(*_args, **_options):
        raise fail

    path = tmp_path / "out.png"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, step, refuse)
    with pytest.raises(OutputError, match=rf"cannot write '{path}': {words}"):
        images.write(picture, path)
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["out.png"]


def test_a_disk_that_fills_while_writing(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "open", lambda file, *_args, **_options: FullDisk(file, "wb"), raising=False)
    with pytest.raises(OutputError, match="No space left on device"):
        images.write(picture, tmp_path / "out.png")
    assert os.listdir(tmp_path) == []


def test_an_interruption_cleans_up(tmp_path, monkeypatch):
    def interrupt(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        images.write(picture, tmp_path / "out.png")
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_a_full_device():
    with pytest.raises(OutputError, match="cannot write '/dev/full': No space left on device"):
        images.write_bytes(b"data", "/dev/full")
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


def test_a_device_or_pipe_is_written_straight(tmp_path):
    images.write_bytes(b"data", "/dev/null")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    fifo = tmp_path / "fifo.png"
    os.mkfifo(fifo)
    received = []
    reader = threading.Thread(target=lambda: received.append(fifo.read_bytes()))
    reader.start()
    images.write(picture, fifo)
    reader.join()
    assert (images.read(received[0]) == picture).all()


def test_links_are_followed_and_files_get_the_usual_permissions(tmp_path):
    target = tmp_path / "real.png"
    link = tmp_path / "link.png"
    link.symlink_to(target)
    previous = os.umask(0o027)
    try:
        images.write(picture, link)
    finally:
        os.umask(previous)
    assert link.is_symlink()
    assert (images.read(target) == picture).all()
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_a_path_without_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images.write(picture, "out.png")
    assert (images.read("out.png") == picture).all()


def test_a_name_as_long_as_the_system_allows(tmp_path):
    path = tmp_path / ("x" * 251 + ".png")
    images.write(picture, path)
    assert os.listdir(tmp_path) == [path.name]


def test_is_image_path():
    assert images.is_image_path("a/b.JPG")
    assert not images.is_image_path("a/b.txt")
    assert not images.is_image_path("png")
    assert not images.is_image_path("a/._photo.jpg")
