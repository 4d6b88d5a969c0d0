"""Where published checkpoints lie: a safetensors file, a folder as ``save_pretrained`` writes it, or the hub.

A pickle is never read: it may run code. Where there is nothing else, the error says how to convert one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from torch import Tensor

from figureground.errors import NetworkError
from figureground.networks.transfer import read_tensors

HUB = "hub:"
"""What a source on the hub starts with: hub:owner/name, or hub:owner/name@revision."""

PICKLES = (".bin", ".pth", ".pt", ".ckpt", ".pkl")
"""How files end that are not read."""

_WHOLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_CONVERT = (
    "convert it once, where you trust it: safetensors.torch.save_file(torch.load(path, weights_only=True), "
    "'model.safetensors')"
)


def read_source(source: str | Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint, under the names that they have there.

    source: a .safetensors file, a folder with ``model.safetensors`` or its parts and their index, or
        "hub:owner/name", which is downloaded once and kept in the cache of huggingface_hub.

    Raises NetworkError when there is none, it cannot be fetched, or it is no safetensors.
    """
    if str(source).startswith(HUB):
        repository, _, revision = str(source).removeprefix(HUB).partition("@")
        return _read(lambda name: _from_hub(repository, revision or None, name), str(source))
    path = Path(source)
    if path.is_dir():
        return _read(lambda name: _from_folder(path, name), str(path))
    if path.suffix in PICKLES:
        raise NetworkError(f"{path} is a pickle, which is never read", remedy=_CONVERT)
    return read_tensors(path)


def _read(find: Callable[[str], Path | None], source: str) -> dict[str, Tensor]:
    """The whole file, or the parts that its index names."""
    whole = find(_WHOLE)
    if whole is not None:
        return read_tensors(whole)
    index = find(_INDEX)
    if index is None:
        raise NetworkError(f"{source} has no {_WHOLE}", remedy=f"if it holds a pickle only, {_CONVERT}")
    state: dict[str, Tensor] = {}
    for part in _parts(index):
        path = find(part)
        if path is None:
            raise NetworkError(f"{source} lacks {part}, which its index names", remedy="download the whole repository")
        state |= read_tensors(path)
    return state


def _parts(index: Path) -> list[str]:
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NetworkError(f"{index} is no index of safetensors", remedy="download it again") from error
    if any(Path(name).name != name for name in names):
        raise NetworkError(f"{index} names files outside its folder", remedy="use a checkpoint that you trust")
    return sorted(names)


def _from_folder(folder: Path, name: str) -> Path | None:
    return folder / name if (folder / name).is_file() else None


def _from_hub(repository: str, revision: str | None, name: str) -> Path | None:
    """A file of a repository in the local cache, downloaded if it is not there; None when the repository lacks it."""
    try:
        return Path(huggingface_hub.hf_hub_download(repository, name, revision=revision))
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        raise NetworkError(
            f"{repository} is not in the local cache, and the hub cannot be reached",
            remedy=f"on a machine with internet run 'hf download {repository} --local-dir FOLDER', copy the folder and "
            "give its path",
        ) from error
    except EntryNotFoundError:
        return None
    except GatedRepoError as error:
        raise NetworkError(
            f"{repository} is gated", remedy="accept its terms on the hub, then 'hf auth login'"
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        where = f"{repository}@{revision}" if revision else repository
        raise NetworkError(f"the hub has no '{where}'", remedy="check the name: hub:owner/name@revision") from error
    except (HfHubHTTPError, OSError) as error:
        raise NetworkError(f"{repository} could not be fetched: {error}", remedy="try again later") from error
