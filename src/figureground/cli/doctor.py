"""`figureground doctor`: what is installed, what gets in its way, and what will run where."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Collection
from typing import Any

import click

from figureground.cli.options import debug_option, echo_json, json_option
from figureground.errors import FiguregroundError

CORE = ("numpy", "pillow", "onnxruntime", "click")
OPTIONAL = {
    "train": ("torch", "torchvision", "lightning", "timm", "pydantic", "pyyaml", "safetensors", "tensorboard"),
    "export": ("onnx", "onnxscript"),
    "heic": ("pillow-heif",),
    "serve": ("fastapi", "uvicorn"),
    "video": ("av",),
    "batch": ("ray",),
    "search": ("optuna",),
}
RIVALS = (
    ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino", "onnxruntime-silicon"),
    ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless"),
    ("pillow", "pillow-simd"),
)
"""Distributions that install the same files over one another: at most one of each row works."""


@click.command(
    epilog="""\b
Example
  figureground doctor --json
"""
)
@json_option
@debug_option
def doctor(as_json: bool) -> int:
    """Say what is installed, what gets in its way, and what will run where.

    The exit code is 3 when the shipped networks cannot be run here, else 0.
    """
    facts = examine()
    if as_json:
        echo_json(facts)
    else:
        click.echo("\n".join(_lines(facts)))
    return 0 if facts["ok"] else 3


def examine() -> dict[str, Any]:
    """All findings as plain values. `problems` is a list of sentences, `ok` whether the shipped networks run."""
    runtime, torch = _onnxruntime(), _torch()
    networks, broken = _networks()
    doubles = double_installs({name for group in RIVALS for name in group if _version(name)})
    problems = [f"{' and '.join(names)} are both installed: uninstall them all, then install one" for names in doubles]
    problems += [found["error"] for found in (runtime, torch) if found.get("error")] + broken
    if not networks:
        problems.append("there is no network in this installation: give --network FILE, or install figureground again")
    return {
        "ok": not runtime.get("error") and not broken and bool(networks),
        "figureground": _version("figureground") or _own_version(),
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "core": {name: _version(name) for name in CORE},
        "extras": {extra: {name: _version(name) for name in names} for extra, names in OPTIONAL.items()},
        "onnxruntime": runtime,
        "torch": torch,
        "networks": networks,
        "double_installs": doubles,
        "runs": {
            "segment and evaluate": "the CPU, by onnxruntime" if not runtime.get("error") else "nowhere",
            "train and export": torch["device"] or "nowhere: torch is not installed",
        },
        "problems": problems,
    }


def double_installs(installed: Collection[str]) -> list[list[str]]:
    """The groups of `RIVALS` of which more than one is among the `installed` distributions."""
    groups = [[name for name in group if name in installed] for group in RIVALS]
    return [group for group in groups if len(group) > 1]


def _version(distribution: str) -> str | None:
    from importlib import metadata  # it drags in email and zipfile, which no other verb needs

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _own_version() -> str:
    """From a source tree that is on the path but not installed."""
    import figureground

    return figureground.__version__


def _onnxruntime() -> dict[str, Any]:
    """Version and providers of onnxruntime; `error` where it cannot be imported, which is what people run this for."""
    try:
        import onnxruntime
    except Exception as error:  # noqa: BLE001  a broken installation can raise anything
        return {
            "version": _version("onnxruntime"),
            "providers": [],
            "error": f"onnxruntime cannot be imported: {error}",
        }
    return {"version": onnxruntime.__version__, "providers": list(onnxruntime.get_available_providers())}


def _torch() -> dict[str, Any]:
    """Version and device of torch. It is optional: not being there is no error, being broken is."""
    if _version("torch") is None:
        return {"version": None, "device": None}
    try:
        import torch

        device = torch.cuda.get_device_name() if torch.cuda.is_available() else "the CPU"
    except Exception as error:  # noqa: BLE001  a broken installation can raise anything
        return {"version": _version("torch"), "device": None, "error": f"torch cannot be imported: {error}"}
    return {"version": torch.__version__, "device": device}


def _networks() -> tuple[list[str], list[str]]:
    """The shipped networks that can be read, and a sentence for each that cannot."""
    try:
        from figureground.runtime.bundle import Bundle
        from figureground.runtime.catalogue import shipped
    except ImportError as error:
        return [], [f"the runtime cannot be imported: {error}"]
    good, broken = [], []
    for name, path in shipped().items():
        try:
            Bundle.read(path)
            good.append(name)
        except FiguregroundError as error:
            broken.append(str(error))
    return good, broken


def _lines(facts: dict[str, Any]) -> list[str]:
    from figureground.cli.tables import table

    rows = [
        ("figureground", facts["figureground"]),
        ("python", f"{facts['python']} ({facts['executable']})"),
        ("platform", f"{facts['platform']}, {facts['cores']} cores"),
        *((name, version or "not installed") for name, version in facts["core"].items()),
        ("providers", ", ".join(facts["onnxruntime"]["providers"]) or "none"),
        ("networks", ", ".join(facts["networks"]) or "none"),
    ]
    for extra, versions in facts["extras"].items():
        missing = [name for name, version in versions.items() if version is None]
        rows.append((f"[{extra}]", f"missing: {', '.join(missing)}" if missing else "complete"))
    rows += [(f"{verb} run on", where) for verb, where in facts["runs"].items()]
    problems = [f"problem: {problem}" for problem in facts["problems"]] or ["no problems found"]
    return [table([list(row) for row in rows]), "", *problems]
