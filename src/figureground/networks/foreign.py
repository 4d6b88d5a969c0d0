"""Networks of other libraries by import path, behind the interface of ours.

    network:
      name: import:segmentation_models_pytorch.Unet
      options: {encoder_name: resnet18, encoder_weights: null}

The name is a class of modules, or a function that is annotated to return one; the options are its arguments. Models of
transformers are built from their configuration, whose entries the options then are. The number of leaves is given to
the argument that is known to take it (`classes`, `num_classes`, `num_labels`, ...) or to the one whose value is the
word `leaves`.

A recipe may come from somebody else, so nothing is called that is not known beforehand to make a module.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from figureground.errors import NetworkError, suggest
from figureground.networks.blocks.frame import SegmentationNetwork, is_of_a_single_value, is_recorded, resize_logits
from figureground.networks.transfer import TransferReport, transfer

_LEAVES = "leaves"
_TAKES_LEAVES = ("classes", "num_classes", "num_labels", "n_classes", "nclass", "out_channels")
_TAKES_CHANNELS = ("in_channels", "num_channels", "in_chans")
_LOGITS = ("logits", "out")
_SLIP = 0.85
_PRETRAINED: dict[str, Any] = {
    "encoder_weights": None, "weights": None, "weights_backbone": None, "pretrained": False,
    "pretrained_backbone": False, "use_pretrained_backbone": False,
}  # fmt: skip


@dataclass(frozen=True)
class Adapter:
    """The option `adapter`: what has to be said where a network's sizes or outputs are unusual.

    multiple: the image is padded until both sides are multiples of it.
    output: key or index of the logits, where the network gives several outputs and none is called logits or out.
    """

    multiple: int = 32
    output: str | int | None = None


class ForeignNetwork(SegmentationNetwork):
    """A module of another library: pads the image, picks the logits and brings them to the image's size.

    name: for errors.
    leaves: channels that the module's logits have.
    takes_channels: the option that takes the number of the image's channels, for errors; None where it is not known.
    """

    def __init__(
        self, module: nn.Module, *, name: str, leaves: int, adapter: Adapter, takes_channels: str | None = None
    ) -> None:
        super().__init__(multiple=adapter.multiple, least=1)
        self.module = module
        self.name = name
        self.leaves = leaves
        self.output = adapter.output
        self.takes_channels = takes_channels
        # Where the pretrained part lies: torchvision and transformers do not call it encoder.
        self.encoders = [f".module.{part}." for part in {"backbone", getattr(module, "base_model_prefix", "backbone")}]

    def compute_training(self, x: Tensor) -> dict[str, Tensor]:
        """'logits', and 'aux_...' for other maps of as many channels, each (N, leaves, H, W)."""
        given = self._called(x)
        outputs = _named(given, self.output)
        if not self._fits(outputs.get("logits")):
            raise NetworkError(
                f"{self.name} gives {_described(given)}, not logits (N, {self.leaves}, H, W) for the leaves",
                remedy="name the option that takes their number, as in num_classes: leaves, "
                "or the output that is meant, as in adapter: {output: masks}",
            )
        return {key: resize_logits(out, x.shape[-2:]) for key, out in outputs.items() if self._fits(out)}

    def load_published(self, state: Mapping[str, Tensor]) -> TransferReport:
        """Take over what fits of a checkpoint under the module's names, in place; other classes stay new.

        Raises NetworkError when nothing fits.
        """
        mine = self.state_dict()
        return transfer(self, {name if name in mine else f"module.{name}": tensor for name, tensor in state.items()})

    def _called(self, x: Tensor) -> Any:
        if is_recorded():
            return self.module(x)
        try:
            return self.module(x)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            if is_of_a_single_value(error):  # which the base class tells
                raise
            raise NetworkError(
                f"{self.name} fails on a tensor {tuple(x.shape)}: {type(error).__name__}: {error}",
                remedy=self._remedy(error, x.shape[1]),
            ) from error

    def _remedy(self, error: Exception, channels: int) -> str:
        if "channel" not in str(error).casefold():
            return "check its options, and the adapter's multiple"
        example = f"{self.takes_channels or 'num_channels'}: {channels}"
        return f"name the option that takes the channels, if it has one, e.g. {example}"

    def _fits(self, output: Any) -> bool:
        return isinstance(output, Tensor) and output.ndim == 4 and output.shape[1] == self.leaves


def foreign(
    path: str, /, *, leaves: int = 1, adapter: Mapping[str, Any] | None = None, **options: Any
) -> ForeignNetwork:
    """Build the network at `path`; `options` are its own arguments, `adapter` holds those of `Adapter`.

    Raises NetworkError when it cannot be imported or makes no `torch.nn.Module`, for an option that it does not have,
    and for whatever it raises itself.
    """
    target = _imported(path)
    _check_makes_a_module(path, target)
    configuration = _configuration(target)
    known = _known(configuration or target)
    arguments = _with_leaves(path, options, known, leaves)
    _check_options(path, arguments, configuration or target)
    fitted = _adapter({} if adapter is None else adapter)
    try:
        module = target(configuration(**arguments)) if configuration else target(**arguments)
    except Exception as error:
        raise NetworkError(
            f"{path} cannot be built: {type(error).__name__}: {error}", remedy="check the options of the network"
        ) from error
    takes_channels = next((option for option in _TAKES_CHANNELS if option in known), None)
    return ForeignNetwork(module, name=path, leaves=leaves, adapter=fitted, takes_channels=takes_channels)


def without_pretrained(path: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a network with all off that fetches weights, also where the library would do so unasked."""
    target = _imported(path)
    known = _known(_configuration(target) or target)
    return {**options, **{option: off for option, off in _PRETRAINED.items() if option in known}}


def _imported(path: str) -> Any:
    """What the dotted path names, modules imported on the way."""
    found: Any = None
    done = ""
    for part in path.split("."):
        whole = f"{done}.{part}" if done else part
        if not hasattr(found, part):
            try:
                importlib.import_module(whole)
            except (ImportError, ValueError) as error:
                if done and getattr(error, "name", None) in (whole, done, None):
                    known = [name for name in dir(found) if not name.startswith("_")]
                    raise NetworkError(f"there is no '{part}' in {done}", remedy=suggest(part, known)) from error
                raise NetworkError(
                    f"{path or 'nothing'} cannot be imported: {error}",
                    remedy="install its package, or name the folder of the module in PYTHONPATH",
                ) from error
        found = getattr(found, part) if done else importlib.import_module(part)
        done = whole
    return found


def _check_makes_a_module(path: str, target: Any) -> None:
    made = target
    if not isinstance(target, type):
        owner = getattr(target, "__self__", None)  # of a class method, such as from_pretrained
        made = owner if isinstance(owner, type) else _returned(target)
    if not (isinstance(made, type) and issubclass(made, nn.Module)):
        raise NetworkError(
            f"{path} is not known to make a torch.nn.Module",
            remedy="name a class of modules, or a function that is annotated to return one",
        )


def _returned(function: Any) -> Any:
    try:
        return typing.get_type_hints(function).get("return")
    except (TypeError, NameError, AttributeError):
        return None


def _configuration(target: Any) -> Any:
    """The configuration class from which transformers builds a model class; None for everything else."""
    return getattr(target, "config_class", None) if isinstance(target, type) else None


def _known(callee: Any) -> list[str]:
    known = list(inspect.signature(callee).parameters)
    # A property of every configuration, so it is no argument in the signature.
    return [*known, "num_labels"] if hasattr(callee, "num_labels") else known


def _check_options(path: str, options: Iterable[str], callee: Any) -> None:
    known = _known(callee)
    takes_any = any(one.kind is one.VAR_KEYWORD for one in inspect.signature(callee).parameters.values())
    for option in options:
        # Where everything is taken, and what is not known often ignored, a slip of the pen can still be told.
        if option not in known and (not takes_any or difflib.get_close_matches(option, known, 1, _SLIP)):
            raise NetworkError(f"{path} has no option '{option}'", remedy=suggest(option, sorted(known)))


def _with_leaves(path: str, options: Mapping[str, Any], known: list[str], leaves: int) -> dict[str, Any]:
    named = [option for option, value in options.items() if value == _LEAVES]
    usual = [option for option in _TAKES_LEAVES if option in known]
    if not named and not usual:
        raise NetworkError(
            f"none of the options of {path} is known to take the number of leaves",
            remedy=f"give the word {_LEAVES} to the one that does, as in outputs: {_LEAVES}",
        )
    if not named and usual[0] in options:
        raise NetworkError(
            f"the number of leaves comes from 'labels', so {path} cannot be given {usual[0]}={options[usual[0]]!r}",
            remedy=f"leave {usual[0]} away",
        )
    return {**options, **dict.fromkeys(named or usual[:1], leaves)}


def _adapter(given: object) -> Adapter:
    if not isinstance(given, Mapping):
        raise NetworkError(f"the adapter cannot be {given!r}", remedy="give its options, as in {multiple: 64}")
    known = [field.name for field in fields(Adapter)]
    for key in given:
        if key not in known:
            raise NetworkError(f"the adapter has no option '{key}'", remedy=suggest(str(key), known))
    adapter = Adapter(**given)
    multiple, output = adapter.multiple, adapter.output
    if not isinstance(multiple, int) or isinstance(multiple, bool) or multiple < 1:
        raise NetworkError(f"an image cannot be padded to a multiple of {multiple!r}", remedy="give 1 or more")
    if isinstance(output, bool) or not isinstance(output, str | int | None):
        raise NetworkError(f"no output is called {output!r}", remedy="give its key or its index, as in output: masks")
    return adapter


def _named(given: Any, output: str | int | None) -> dict[str, Any]:
    """Outputs by our names; empty when it cannot be told which of them are the logits."""
    if isinstance(given, Tensor):
        return {"logits": given} if output is None else {}
    if not isinstance(given, Mapping):
        given = dict(enumerate(given)) if isinstance(given, (list, tuple)) else {}
    key = next((key for key in _LOGITS if key in given), None) if output is None else output
    if key not in given:
        return {}
    others = {f"aux_{str(name).removeprefix('aux').strip('_') or 'head'}": given[name] for name in given if name != key}
    return {"logits": given[key], **others}


def _described(given: Any) -> str:
    if isinstance(given, Tensor):
        return f"a tensor {tuple(given.shape)}"
    if isinstance(given, Mapping):
        return "a mapping of " + ", ".join(f"{key}: {_described(value)}" for key, value in given.items())
    if isinstance(given, (list, tuple)):
        return f"a {type(given).__name__} of {len(given)}"
    return f"a {type(given).__name__}"
