"""The recipe: one typed YAML file that says everything about a training run.

Nothing is on that the recipe does not turn on. An unknown key is refused with the nearest right one. `${NAME}` in a
value is replaced by that environment variable. A recipe may begin with another file (`base`) and change some of it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field, ValidationError, model_validator

from figureground.data.depth_specs import DepthSpec, EstimatorSpec
from figureground.data.specs import Augment, Folds, SourceSpec, Stage, Strict
from figureground.errors import RecipeError, suggest
from figureground.labels import LabelTree
from figureground.runtime.inference import Inference
from figureground.train.predict import Predict
from figureground.train.specs import (
    AuxWeight,
    CriticSpec,
    Data,
    Distill,
    EarlyStop,
    Head,
    Loss,
    Network,
    Optimize,
    Schedule,
    SizingSpec,
)


def _folder_name(name: str) -> str:
    if name in ("", ".", "..") or any(mark in name for mark in "/\\\0"):
        raise ValueError(f"{name!r} cannot be the name of a run folder: give it letters and digits")
    return name


class Recipe(Strict):
    """A whole training run."""

    name: Annotated[str, AfterValidator(_folder_name)]
    description: str = ""
    seed: int = Field(default=0, ge=0, lt=2**32)
    labels: str | dict[str, Any] = "person"
    data: Data
    network: Network
    head: Head = Head()
    losses: tuple[Loss, ...] = Field(min_length=1)
    aux_weight: AuxWeight = 0.0
    """How much the losses of leaf logits count on the network's auxiliary outputs, all or each; 0: not computed."""
    aux_decay: bool = False
    """Let that weight fall in a straight line, to 0 at the end of the training."""
    distill: Distill | None = None
    critic: CriticSpec | None = None
    augment: Augment = Augment()
    optimize: Optimize = Optimize()
    schedule: Schedule = Schedule()
    sizing: SizingSpec = SizingSpec()
    depth: DepthSpec | None = None
    """Depth as a fourth channel."""
    predict: Predict | None = None
    """What stands around the network when it predicts."""
    loggers: tuple[Literal["wandb", "mlflow"], ...] = ()
    """Experiment trackers beside the run folder's own files."""

    @model_validator(mode="after")
    def _trainable(self) -> Recipe:
        names = [source.name for source in self.data.sources]
        if len(set(names)) < len(names):
            raise ValueError(f"two sources have one name: {', '.join(names)}")
        if not any(source.weight for source in self.data.sources):
            raise ValueError("every source has the weight 0")
        if self.augment.paste and all(source.kind != "pairs" for source in self.data.sources):
            raise ValueError("augment.paste takes people from sources of kind 'pairs', and there is none")
        if not (self.distill or any(loss.weight or loss.ramp_from for loss in self.losses)):
            raise ValueError("every loss has the weight 0")
        if self.aux_decay and not self.aux_weight:
            raise ValueError("aux_decay lets aux_weight fall, which is 0: give aux_weight, or leave aux_decay away")
        _check_depth(self.depth, self.data.sources)
        if self.depth is not None and self.augment.paste:
            raise ValueError("augment.paste puts people into photos whose depth knows nothing of them: leave one away")
        if self.depth is not None and self.depth.estimator is None and self.predict and self.predict.hides_depth:
            raise ValueError("predict: views, ensemble, people_first and tiles hand no depth maps on, leave them away")
        if self.data.samples_per_epoch < self.samples_per_step:
            raise ValueError(
                "data.samples_per_epoch is less than one batch (schedule.batch_size), times optimize.accumulate"
            )
        return self

    @property
    def samples_per_step(self) -> int:
        """Crops that one step of the optimiser learns from: those of a batch, or of all batches it accumulates."""
        return self.schedule.batch_size * self.optimize.accumulate

    @classmethod
    def read(cls, path: Path, overrides: list[str] | None = None) -> Recipe:
        """Read a YAML file; `overrides` are `key.of.field=value` with YAML values.

        Raises:
            RecipeError: naming the file, the place in it and what to write instead.
        """
        values = _expand(changed_values(path, overrides or []))
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise RecipeError(f"{path}: {_explain(error)}") from error

    @property
    def inference(self) -> Inference:
        """What `predict` says; nothing around the network where it says nothing."""
        return Inference() if self.predict is None else self.predict.inference

    @property
    def tree(self) -> LabelTree:
        """The label tree: by name, or written out (which a file is, once `read` has read it).

        Raises:
            LabelError: an unknown name, or a tree that contradicts itself.
        """
        return LabelTree.from_dict(self.labels) if isinstance(self.labels, dict) else LabelTree.find(self.labels)

    def dump(self) -> str:
        """The resolved recipe as YAML."""
        return str(yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False))

    def flat(self) -> dict[str, Any]:
        """Every value by its key with dots, places in lists as numbers: `losses.0.name`."""
        return _flat(self.model_dump(mode="json"))

    def difference(self, other: Recipe) -> str | None:
        """The first key in which `other` would train differently; where the photos lie does not matter."""
        ours, theirs = self.flat(), other.flat()
        for key in sorted({*ours, *theirs} - {"description", "data.root", "data.workers", "depth.cache"}):
            if ours.get(key) != theirs.get(key) and not key.startswith(("loggers", "predict")):
                return f"{key} is {ours.get(key)!r}, not {theirs.get(key)!r}"
        return None


def changed_values(path: Path, overrides: list[str]) -> dict[str, Any]:
    """What a recipe file says, with changes to it, as plain values; neither checked nor are `${NAME}`s replaced.

    The recipe that it starts from and a label tree in a file of its own become part of the values.

    Raises:
        RecipeError: the file is no recipe, or an override names no place in it.
    """
    values = _with_base(path)
    for override in overrides:
        _override(values, override)
    _write_out_labels(values, path.parent)
    return values


def _with_base(path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """What a recipe says and what the file that it names as its `base` does, by the same rule."""
    if path.resolve() in above:
        raise RecipeError(f"{path} starts from itself by its 'base'", remedy="name another file")
    values = _load(path)
    _write_out_labels(values, path.parent)
    base = values.pop("base", None)
    if base is None:
        return values
    if not isinstance(base, str):
        raise RecipeError(
            f"{path}: 'base' is {base!r}", remedy="write the path of another recipe, relative to this one"
        )
    other = path.parent / _expand(base)
    if not other.is_file():
        raise RecipeError(f"{path} starts from {other}, which is not there", remedy="correct its 'base'")
    return _merged(_with_base(other, (*above, path.resolve())), values)


def _merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """`old` with the values of `new`; sections are merged key by key, everything else, lists too, is replaced.

    Options belong to what is named beside them: under another `name` they are not taken over.
    """
    merged = dict(old)
    if "options" in old and new.get("name", old.get("name")) != old.get("name"):
        del merged["options"]
    for key, value in new.items():
        before = merged.get(key)
        merged[key] = _merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return merged


def _check_depth(depth: DepthSpec | None, sources: tuple[SourceSpec, ...]) -> None:
    for source in sources:
        place = f"source '{source.name}'"
        if depth is None and source.depth is not None:
            raise ValueError(f"{place} says where its depth is: add a section 'depth', '{{}}' for maps in files")
        if depth is not None and depth.estimator is not None and isinstance(source.depth, str):
            raise ValueError(f"{place} has depth maps in files: leave them or depth.estimator away")
        if depth is not None and depth.estimator is None and source.depth is None:
            raise ValueError(f"{place} has no 'depth': name its folder of maps, or write false where they are unknown")
        if source.kind == "composite" and isinstance(source.depth, str):
            raise ValueError(f"{place} is made up anew each time: write 'depth: false', or give an estimator")


class _OnceLoader(yaml.SafeLoader):
    """YAML in which no section has a key twice; the plain loader takes the last and says nothing."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The section that a node stands for."""
        merge = "tag:yaml.org,2002:merge"
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.tag != merge]
        for number, key in enumerate(keys):
            if key in keys[:number]:
                raise yaml.constructor.ConstructorError(
                    "in a section", node.start_mark, f"'{key}' stands there twice", node.start_mark
                )
        return super().construct_mapping(node, deep)


def read_yaml(path: Path, kind: str) -> Any:
    """What a YAML file says; `kind` is what messages call it.

    Raises:
        RecipeError: it cannot be read, or is not YAML.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _OnceLoader)  # noqa: S506 - it is a safe loader
    except OSError as error:
        raise RecipeError(f"cannot read the {kind} {path}: {error.strerror}", remedy="check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not YAML: {error}", remedy="mend that line") from error


def _load(path: Path) -> dict[str, Any]:
    values = read_yaml(path, "recipe")
    if not isinstance(values, dict):
        raise RecipeError(f"{path} holds no recipe", remedy="start from a file in recipes/")
    return values


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, list):
        value = dict(enumerate(value))
    if not isinstance(value, dict) or not value:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, item in value.items():
        flat |= _flat(item, f"{prefix}.{key}" if prefix else str(key))
    return flat


def _override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals:
        raise RecipeError(f"--set {override!r} has no '='", remedy="write --set schedule.epochs=3")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"--set {key}: {text!r} is not YAML", remedy="quote what has brackets or colons") from error
    *folders, last = key.split(".")
    place: Any = values
    for folder in folders:
        if isinstance(place, list) and folder.isdigit() and int(folder) < len(place):
            place = place[int(folder)]
        elif isinstance(place, dict):
            if place.get(folder) is None:  # not there, or switched off: a section to be
                place[folder] = {}
            place = place[folder]
        else:
            raise RecipeError(f"--set {key}: {folder!r} is not a place in the recipe", remedy="check the key")
    if isinstance(place, list) and last.isdigit() and int(last) < len(place):
        place[int(last)] = value
    elif isinstance(place, dict):
        place[last] = value
    else:
        raise RecipeError(f"--set {key}: {last!r} is not a place in the recipe", remedy="check the key")


def _write_out_labels(values: dict[str, Any], folder: Path) -> None:
    """Put a tree that is in a file of the user's (relative to the recipe's `folder`) into the recipe itself."""
    labels = values.get("labels")
    if isinstance(labels, str) and Path(labels).suffix:
        values["labels"] = LabelTree.from_yaml(folder / _expand(labels)).to_dict()


def _expand(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _expand(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item) for item in value]
    return re.sub(r"\$\{(\w+)\}", _variable, value) if isinstance(value, str) else value


def _variable(match: re.Match[str]) -> str:
    name = match.group(1)
    if name not in os.environ:
        raise RecipeError(f"the recipe needs the environment variable {name}", remedy=f"export {name}=/your/folder")
    return os.environ[name]


_PLAIN = {
    "tuple_type": "write a list, [a, b]",
    "list_type": "write a list, [a, b]",
    "dict_type": "write a section, key: value",
    "model_type": "write a section, key: value",
    "model_attributes_type": "write a section, key: value",
    "finite_number": "it should be a finite number",
}
"""What pydantic says in the words of Python, in those of YAML."""


def _explain(error: ValidationError) -> str:
    # A key that is misspelt first: what is missing may be what it was meant to be.
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    # Where a value may be of several kinds, pydantic puts their names into the place.
    place = ".".join(str(part) for part in first["loc"] if str(part).isidentifier() or isinstance(part, int))
    place = place.removesuffix(".str").removesuffix(".float")
    if first["type"] == "extra_forbidden":
        *parents, key = first["loc"]
        known = _fields_at(tuple(part for part in parents if isinstance(part, str)))
        return f"unknown key '{place}'; {suggest(str(key), known)}"
    if first["type"] == "missing":
        return f"'{place}' is missing; add it"
    if first["type"] == "value_error":
        # Our own checks; what pydantic holds as their input is the whole section.
        return f"{place}: {first['ctx']['error']}" if place else str(first["ctx"]["error"])
    said = _PLAIN.get(first["type"], first["msg"].replace("Input should be", "it should be"))
    return f"'{place}': {said} (got {first['input']!r})"


def _fields_at(parents: tuple[str, ...]) -> list[str]:
    places: dict[str, type[Strict]] = {
        "data": Data,
        "sources": SourceSpec,
        "folds": Folds,
        "network": Network,
        "head": Head,
        "losses": Loss,
        "distill": Distill,
        "critic": CriticSpec,
        "augment": Augment,
        "optimize": Optimize,
        "schedule": Schedule,
        "early_stopping": EarlyStop,
        "stages": Stage,
        "sizing": SizingSpec,
        "depth": DepthSpec,
        "predict": Predict,
        "estimator": EstimatorSpec,
    }
    return list(places[parents[-1]].model_fields) if parents else ["base", *Recipe.model_fields]
