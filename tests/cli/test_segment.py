"""The verb `segment`: what is written where, and what is said about it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]


def pictures(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_photo_gives_a_cutout_beside_it(segment, photo):
    answer = segment("photo.jpg")
    assert (answer.code, answer.lines, answer.err) == (0, ["photo-cutout.png"], "")
    cutout = np.asarray(Image.open(photo.with_name("photo-cutout.png")))
    assert cutout.shape == (96, 128, 4)
    assert cutout[48, 64, 3] > 250
    assert cutout[2, 2, 3] < 5


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("cutout", "RGBA"), ("mask", "L"), ("alpha", "L"), ("overlay", "RGB"), ("blur", "RGB"), ("side-by-side", "RGB")],
)
def test_every_kind(segment, photo, kind, mode):
    assert segment("photo.jpg", "--as", kind).code == 0
    assert Image.open(photo.with_name(f"photo-{kind}.png")).mode == mode


def test_a_mask_is_0_and_255_and_follows_the_threshold(segment, photo):
    shares = []
    for threshold in ("0.01", "0.5", "0.9999"):
        assert segment("photo.jpg", "--as", "mask", "--threshold", threshold).code == 0
        mask = np.asarray(Image.open(photo.with_name("photo-mask.png")))
        assert set(np.unique(mask)) <= {0, 255}
        shares.append(mask.mean())
    assert shares[0] > shares[1] > shares[2]


@pytest.mark.parametrize("background", ["red", "#ff0000", "rgb(255, 0, 0)", "red.png"])
def test_a_background_replaces_the_ground(segment, photo, background):
    Image.new("RGB", (7, 5), "red").save(photo.with_name("red.png"))
    assert segment("photo.jpg", "--background", background).code == 0
    picture = np.asarray(Image.open(photo.with_name("photo-cutout.png")))
    assert picture.shape == (96, 128, 3)
    assert abs(picture[2, 2].astype(int) - [255, 0, 0]).max() < 8


def test_a_blurred_background_is_a_blur(segment, photo):
    assert segment("photo.jpg", "--background", "blur:9").lines == ["photo-blur.png"]
    assert segment("photo.jpg", "--as", "blur", "--background", "blur", "-o", "b.png").lines == ["b.png"]


def test_several_files_and_an_output_folder(segment, folder):
    answer = segment("photos/a.jpg", "photos/b.png", "photos/a.jpg", "-o", "out")
    assert answer.lines == ["out/a.png", "out/b.png"]


def test_a_folder_keeps_its_structure(segment, folder):
    before = pictures(folder)
    answer = segment("photos")
    assert answer.code == 0
    assert answer.lines[0].startswith("4 pictures written to photos-cutout")
    assert pictures(folder.with_name("photos-cutout")) == {"a.png", "b.png", "sub/a.png", "sub/c.png"}
    assert pictures(folder) == before


def test_a_folder_written_into_itself_keeps_its_photos(segment, folder):
    before = {name: (folder / name).read_bytes() for name in pictures(folder)}
    assert segment("photos", "-o", "photos").code == 0
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert {"a.png", "b-cutout.png", "sub/a.png", "sub/c.png"} <= pictures(folder)


def test_an_output_folder_inside_the_input_is_no_input(segment, folder):
    for _ in range(2):
        assert segment("photos", "-o", "photos/out").lines[0].startswith("4 pictures")


def test_photos_that_differ_in_suffix_only_both_get_a_picture(segment, folder, scene):
    Image.fromarray(scene).save(folder / "a.webp")
    assert segment("photos", "-o", "out").code == 0
    assert {"a-jpg.png", "a-webp.png"} <= pictures(folder.with_name("out"))


def test_resume_does_what_is_left(segment, folder):
    segment("photos", "-o", "out")
    out = folder.with_name("out")
    (out / "a.png").write_bytes(b"mine")
    (out / "sub" / "c.png").unlink()
    answer = segment("photos", "-o", "out", "--resume")
    assert answer.lines[0].startswith("1 pictures written to out, 3 were there already")
    assert (out / "a.png").read_bytes() == b"mine"
    assert (out / "sub" / "c.png").stat().st_size > 100
    assert segment("photos", "-o", "out", "--resume").lines == ["0 pictures written to out, 4 were there already"]


def test_a_pattern(segment, folder):
    assert segment("photos/**/*.jpg", "-o", "out", "--as", "mask").lines == ["out/a-jpg.png", "out/a-jpg-2.png"]


def test_the_format_follows_the_name_or_the_option(segment, photo):
    assert segment("photo.jpg", "-o", "me.webp").code == 0
    assert Image.open(photo.with_name("me.webp")).format == "WEBP"
    assert segment("photo.jpg", "--as", "blur", "--format", "jpg").lines == ["photo-blur.jpg"]
    assert Image.open(photo.with_name("photo-blur.jpg")).format == "JPEG"


def test_json_is_one_object_a_line(segment, folder):
    (folder / "broken.jpg").write_bytes(b"text")
    answer = segment("photos", "-o", "out", "--json")
    facts = [json.loads(line) for line in answer.lines]
    assert answer.code == 2
    assert [fact["source"] for fact in facts] == [
        "photos/a.jpg", "photos/b.png", "photos/broken.jpg", "photos/sub/a.jpg", "photos/sub/c.webp",
    ]  # fmt: skip
    assert set(facts[2]) == {"source", "output", "error"}
    good = facts[0]
    assert (good["output"], good["width"], good["height"], good["is_empty"]) == ("out/a.png", 128, 96, False)
    assert good["person_share"] == pytest.approx(np.pi * 30**2 / (96 * 128), abs=0.03)
    again = [json.loads(line) for line in segment("photos", "-o", "out", "--json", "--resume").lines]
    assert [fact.get("skipped", False) for fact in again] == [True, True, True, True, False]


def test_stdin_to_stdout(photo, tiny_bundle):
    command = [sys.executable, "-m", "figureground", "segment", "-", "--as", "mask", "--network", tiny_bundle]
    run = subprocess.run(command, input=photo.read_bytes(), capture_output=True, cwd=ROOT / "src", timeout=120)
    assert (run.returncode, run.stderr) == (0, b"")
    assert Image.open(io.BytesIO(run.stdout)).size == (128, 96)


def test_an_address(segment, photo, tmp_path):
    class Server(BaseHTTPRequestHandler):
        def do_GET(self):
            found = self.path.startswith("/album/me.jpg")
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(photo.read_bytes() if found else b"")

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Server)
    Thread(target=server.serve_forever, daemon=True).start()
    host = f"http://127.0.0.1:{server.server_port}"
    try:
        good = segment(f"{host}/album/me.jpg?key=secret")
        bad = segment(f"{host}/none.jpg?key=secret", photo)
    finally:
        server.shutdown()
        server.server_close()
    assert good.lines == ["me-cutout.png"]
    assert (tmp_path / "me-cutout.png").is_file()
    assert bad.code == 2
    assert "404" in bad.one_error
    assert "secret" not in bad.one_error
    assert bad.lines == [str(photo.with_name("photo-cutout.png"))]


def test_a_name_that_is_not_utf_8(photo, tiny_bundle, tmp_path):
    odd = bytes(tmp_path) + b"/ph\xffoto.jpg"
    try:
        Path(odd.decode(errors="surrogateescape")).write_bytes(photo.read_bytes())
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    command = [sys.executable, "-m", "figureground", "segment", odd, "--as", "mask", "--network", tiny_bundle]
    run = subprocess.run(command, capture_output=True, cwd=ROOT / "src", timeout=120)
    assert (run.returncode, run.stderr) == (0, b"")
    assert run.stdout.strip() == odd.replace(b".jpg", b"-mask.png")


def test_folders_of_one_name_do_not_meet(segment, folder, tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "photos").symlink_to(folder)  # the same photos: done once
    other = tmp_path / "other" / "photos"
    other.mkdir(parents=True)
    (other / "a.jpg").write_bytes((folder / "a.jpg").read_bytes())
    assert segment("photos", "other/photos", "more/photos", "-o", "out").code == 0
    assert pictures(tmp_path / "out") == {
        f"photos/{name}" for name in ("a-jpg.png", "a-jpg-2.png", "b.png", "sub/a.png", "sub/c.png")
    }


def test_where_the_pictures_of_two_folders_are(segment, folder, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.jpg").write_bytes((folder / "a.jpg").read_bytes())
    assert segment("photos", "other", "-o", "out").lines[0].startswith("5 pictures written to out")
    assert segment("photos", "other").lines[0].startswith("5 pictures written to 2 folders")
    answer = segment("photos", tmp_path / "other")
    assert (answer.code, answer.err) == (0, "")
    assert answer.lines[0].startswith("5 pictures written to 2 folders")
    assert segment("photos", "-o", ".").lines[0].startswith("4 pictures written to .")


def test_the_mask_is_refined(segment, photo):
    shares = []
    for steps in (
        [],
        ["--refine", "erode:kernel=31:level=1"],
        ["--refine", "touching:right=0.02:left=0:top=0:bottom=0.02"],
    ):
        assert segment("photo.jpg", "--as", "mask", *steps).code == 0
        shares.append(np.asarray(Image.open(photo.with_name("photo-mask.png"))).mean())
    assert shares[0] > shares[1] > shares[2] == 0


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("larges", "no refinement 'larges'; did you mean 'largest'?"),
        ("crf:width=-1", "width must be from 0.1 to 10000, not -1"),
    ],
)
def test_a_wrong_refinement_is_refused_before_any_photo(segment, photo, steps, message):
    answer = segment("photo.jpg", "--refine", steps)
    assert (answer.code, answer.err.strip()) == (2, f"figureground: {message}")
    assert not photo.with_name("photo-cutout.png").exists()
