"""What the package pulls in, seen from an interpreter that has loaded nothing yet."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

TRAINING = {"torch", "torchvision", "lightning", "timm", "onnx", "pydantic", "scipy"}


def loaded_after(code: str, root) -> set[str]:
    """The top-level modules that a fresh interpreter holds after running `code`."""
    script = textwrap.dedent(code) + "\nimport sys\nprint('LOADED', *{name.split('.')[0] for name in sys.modules})\n"
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, timeout=120,
        env={"PYTHONPATH": str(root / "src"), "PATH": "", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return set(run.stdout.rpartition("LOADED")[2].split())


def test_import_loads_nothing_heavy(root):
    loaded = loaded_after("import figureground", root)
    assert not loaded & (TRAINING | {"numpy", "PIL", "onnxruntime", "click"})


def test_command_line_loads_nothing_heavy(root):
    loaded = loaded_after("import figureground.cli.app", root)
    assert not loaded & (TRAINING | {"numpy", "PIL", "onnxruntime"})


def test_a_prediction_loads_no_training_library(root, some_bundle):
    loaded = loaded_after(
        f"""
        import figureground as fg
        result = fg.load({str(some_bundle)!r})("src/figureground/demo/astronaut.jpg")
        assert result.mask.shape == (512, 512)
        result.cutout()
        """,
        root,
    )
    assert {"numpy", "PIL", "onnxruntime"} <= loaded
    assert not loaded & TRAINING


def test_the_data_commands_and_a_comparison_load_no_training_library(root, tiny_bundle, tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        demo = (root / "src/figureground/demo/astronaut.jpg").read_bytes()
        (tmp_path / folder / "a.jpg").write_bytes(demo)
    loaded = loaded_after(
        f"""
        from PIL import Image
        from figureground.cli.app import main
        folder = {str(tmp_path)!r}
        Image.open(folder + "/images/a.jpg").convert("1").save(folder + "/masks/a.png")
        assert main(["data", "convert", "--list"]) == 0
        assert main(["data", "check", folder, "--masks", "masks"]) == 2  # the mask that is a JPEG
        import os
        os.remove(folder + "/masks/a.jpg")
        assert main(["data", "check", folder]) == 0
        assert main(["data", "stats", folder]) == 0
        assert main(["data", "show", folder, "-o", folder + "/sheet.png"]) == 0
        assert main(["predict", folder + "/images", "--network", {str(tiny_bundle)!r}, "--csv", folder + "/p.csv"]) == 0
        assert main(["compare", {str(tiny_bundle)!r}, "--data", folder]) == 0
        """,
        root,
    )
    assert {"numpy", "PIL", "onnxruntime"} <= loaded
    assert not loaded & TRAINING


@pytest.fixture
def some_bundle(root, tiny_bundle):
    """A bundle that ships, or, in a tree without weights, a tiny one."""
    shipped = sorted((root / "src" / "figureground" / "weights").glob("*.onnx"))
    return shipped[0] if shipped else tiny_bundle
