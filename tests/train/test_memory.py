"""Freed memory stays with the process, as the kernel counts it."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys

import pytest

from figureground.train import memory
from figureground.train.run import run

# The file alone, because the package takes seconds to import.
PAGES = f"""
import runpy, resource
print(runpy.run_path({memory.__file__!r})["keep_freed_memory"]())
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        bytearray(b"x") * 48_000_000
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


def kept(**environment: str) -> tuple[str, int]:
    """What the function says, and the page faults of 20 blocks of 48 MB in turn, in a fresh interpreter."""
    command = [sys.executable, "-S", "-c", PAGES]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"PATH": "", **environment})
    answer, faults = done.stdout.split()
    return answer, int(faults)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps its own house")
def test_no_page_is_asked_for_twice():
    answer, faults = kept()
    assert answer == "True"
    assert faults < 100
    answer, faults = kept(**{memory.KEEP_MEMORY: "0"})
    assert answer == "False"
    assert faults > 100


@pytest.mark.parametrize("library", [object(), None], ids=["no mallopt", "no library"])
def test_without_glibc_nothing_happens(monkeypatch, library):
    def load(name):
        if library is None:
            raise OSError("not found")
        return library

    monkeypatch.setattr(ctypes, "CDLL", load)
    assert memory.keep_freed_memory() is False


@pytest.mark.parametrize(("gpu", "calls"), [(False, 1), (True, 0)])
def test_a_run_on_a_cpu_keeps_its_memory(monkeypatch, tiny_recipe, tmp_path, gpu, calls):
    called = []

    def stop(*_):
        raise KeyError("far enough")

    module = sys.modules["figureground.train.run"]  # the package has a function of that name
    monkeypatch.setattr(module, "keep_freed_memory", lambda: called.append(True))
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpu)
    monkeypatch.setattr(module, "Feed", stop)
    with pytest.raises(KeyError, match="far enough"):
        run(tiny_recipe, output=tmp_path / "run")
    assert len(called) == calls
