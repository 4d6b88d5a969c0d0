"""The card of a bundle and the content of a predictor file as pages that fit a terminal; the recipe stays behind."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from figureground.cli.tables import table

if TYPE_CHECKING:
    from figureground.runtime.bundle import Bundle

_WIDTH = 100
# The head of the page says these in words; the recipe has an option of its own.
_TOLD_ELSEWHERE = {"description", "architecture", "parameters", "storage", "parity", "metrics", "recipe"}


def page(bundle: Bundle) -> str:
    """The whole page."""
    card = bundle.card
    lines = [*_entries(_head(bundle))]
    if isinstance(card.get("metrics"), Mapping):
        lines += ["metrics:", *_indented(_measured(card["metrics"]))]
    lines += _entries({key: value for key, value in card.items() if key not in _TOLD_ELSEWHERE})
    if "recipe" in card:
        lines.append("recipe: add --recipe")
    return "\n".join(lines)


def predictor_page(facts: Mapping[str, Any]) -> str:
    """The page of a predictor file: `name`, `labels`, `threshold`, `predictor` as it is described, and `chosen`."""
    head = {key: facts[key] for key in ("name", "labels", "threshold")}
    lines = [*_entries({**head, "labels": ", ".join(head["labels"])}), "predictor:"]
    lines += _indented(_described(facts["predictor"]))
    chosen = facts["chosen"]
    if isinstance(chosen, Mapping):
        lines += ["chosen:", *_entries(chosen, 1)]
    elif chosen is not None:
        lines += _entries({"chosen": chosen})
    return "\n".join(lines)


def _described(node: Mapping[str, Any], share: str = "") -> list[str]:
    """A described segmenter, those inside it two spaces deeper."""
    kind = node["kind"]
    if kind == "network":
        return [f"{share}{node['network']}  (sha256 {node['sha256'][:12]})"]
    told = [_set(key, value) for key, value in node.items() if key not in ("kind", "of", "members", "weights", "steps")]
    told += [
        " ".join([step["name"], *(_set(*one) for one in step.items() if one[0] != "name")])
        for step in node.get("steps", ())
    ]
    lines = [f"{share}{kind.replace('_', ' ')}: {', '.join(told)}"]
    for weight, member in zip(node.get("weights", ()), node.get("members", ()), strict=True):
        lines += _indented(_described(member, f"{weight:.4g}  "))
    return lines + (_indented(_described(node["of"])) if "of" in node else [])


def _set(key: str, value: Any) -> str:
    return f"{key}={_plain(value)}"


def _head(bundle: Bundle) -> dict[str, Any]:
    card, sizing = bundle.card, bundle.sizing
    head = {
        "name": bundle.name,
        "description": card.get("description", ""),
        "labels": ", ".join(bundle.labels.names),
        "sees": f"a photo at about {sizing.area} pixels, both sides multiples of {sizing.multiple}",
        "threshold": bundle.threshold,
        "file": f"{len(bundle.model_bytes) / 1e6:.1f} MB, format {bundle.format_version}, made {bundle.created}",
        "sha256": bundle.sha256,
    }
    if "architecture" in card:
        network, *options = (f"{key} {_plain(value)}" for key, value in card["architecture"].items())
        head["architecture"] = ", ".join([network.removeprefix("network "), *options])
    if "parameters" in card:
        head["parameters"] = f"{card['parameters']}, stored as {card.get('storage', 'they are')}"
    if isinstance(card.get("parity"), Mapping):
        largest = {kind: found.get("probability_max", 0.0) for kind, found in card["parity"].items()}
        head["parity"] = "largest difference of a probability from torch: " + ", ".join(
            f"{value:.1e} ({kind})" for kind, value in largest.items()
        )
    return head


def _measured(metrics: Mapping[str, Any]) -> list[str]:
    """Photos as rows and numbers as columns; a number that some photos lack is a dash there."""
    if not all(isinstance(numbers, Mapping) for numbers in metrics.values()):
        return list(_entries(metrics))
    names = list(dict.fromkeys(name for numbers in metrics.values() for name in numbers))
    rows = [[photos, *(_plain(numbers.get(name, "-")) for name in names)] for photos, numbers in metrics.items()]
    return table([["photos", *(name.replace("_", " ") for name in names)], *rows]).splitlines()


def _entries(values: Mapping[str, Any], depth: int = 0) -> Iterator[str]:
    """A nested mapping as wrapped lines, two spaces deeper at each level."""
    indent = "  " * depth
    for key, item in values.items():
        label = f"{indent}{str(key).replace('_', ' ')}:"
        if isinstance(item, Mapping):
            yield label
            yield from _entries(item, depth + 1)
        elif isinstance(item, (list, tuple)):
            yield label
            for part in item:
                yield from _wrapped(f"{indent}  - {_plain(part)}", f"{indent}    ")
        else:
            yield from _wrapped(f"{label} {_plain(item)}", f"{indent}  ")


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _indented(lines: list[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return " ".join(_plain(part) for part in value)
    return str(value)
