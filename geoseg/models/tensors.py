"""Tensors in files of others: read without running anything that the file may hold."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from geoseg.errors import BundleError, InputError, MissingFileError

SUFFIXES = (".safetensors", ".pt", ".pth")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors by name from a .safetensors, .pt or .pth file, on the CPU.

    A checkpoint that keeps them under "state_dict", as Lightning does, is unwrapped.

    Raises:
        MissingFileError: if no file is there.
        InputError: for another suffix.
        BundleError: if the file is damaged, or holds anything but tensors, for example pickled code.
    """
    if not path.is_file():
        raise MissingFileError(f"{path} is not there; give the path of a {', '.join(SUFFIXES)} file")
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path.name}: weights must be a {', '.join(SUFFIXES)} file, got {path.suffix or 'no suffix'}")
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)


def without_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The same tensors with `prefix` cut off all names, unchanged where not every name has it."""
    if not all(name.startswith(prefix) for name in tensors):
        return dict(tensors)
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return dict(load_file(path, device="cpu"))
    except SafetensorError as error:
        raise BundleError(f"{path.name} is not a whole safetensors file ({error}); get it again") from None


def _read_torch(path: Path) -> dict[str, Tensor]:
    try:
        content: object = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        msg = f"{path.name} holds more than tensors, and code from a file is never run; save its state_dict() alone"
        raise BundleError(msg) from None
    except (RuntimeError, EOFError, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BundleError(f"{path.name} is not a whole torch file ({reason}); get it again") from None
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise BundleError(f"{path.name} holds more than tensors by name; save the model's state_dict() alone")
    return {str(name): tensor for name, tensor in content.items()}


def misfit(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str | None:
    """Why tensors do not fit a state dict, naming the first few missing, unexpected or misshapen; None if they fit."""
    shapes = [
        f"{name} is {tuple(tensors[name].shape)}, needed {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in tensors and tensors[name].shape != tensor.shape
    ]
    missing = [name for name in wanted if name not in tensors]
    unexpected = [name for name in tensors if name not in wanted]
    parts = [("missing", missing), ("unexpected", unexpected), ("of another shape", shapes)]
    return "; ".join(f"{len(names)} {what} ({_few(names)})" for what, names in parts if names) or None


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
