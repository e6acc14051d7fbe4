"""Measures a network's footprint, with torch."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from geoseg.core.tiling import round_up
from geoseg.models.footprint import Footprint
from geoseg.models.spec import ModelSpec

_SIDE = 256  # pixels; a reach beyond its half is not seen
_SHARE = 0.5


def measure_footprint(model: nn.Module, spec: ModelSpec) -> Footprint:
    """Run a copy of a network of `spec` forwards and backwards on standardised noise, always the same."""
    network = copy.deepcopy(model).cpu().float().eval().requires_grad_(requires_grad=False)
    side = round_up(_SIDE, spec.stride)
    pixels = torch.randn(1, spec.channels, side, side, generator=torch.Generator().manual_seed(0))
    return Footprint(reach_px=_reach(network, pixels), bytes_per_pixel=_peak_bytes(network, pixels) / side**2)


def _reach(network: nn.Module, pixels: Tensor) -> int:
    pixels = pixels.clone().requires_grad_()
    middle = pixels.shape[-1] // 2
    logits = network(pixels)[0, :, middle, middle]
    (influence,) = torch.autograd.grad((logits**2).sum(), pixels)
    away = (torch.arange(pixels.shape[-1]) - middle).abs()
    rings = torch.maximum(away[:, None], away[None]).flatten()
    within = torch.bincount(rings, weights=influence[0].abs().sum(dim=0).flatten().double()).cumsum(dim=0)
    return int((within < _SHARE * within[-1]).sum().item())


def _peak_bytes(network: nn.Module, pixels: Tensor) -> int:
    with torch.inference_mode(), _Ledger() as ledger:
        network(pixels)
    return int(ledger.peak)


class _Ledger(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the memory of all tensors that are made, until they are gone."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._held: dict[int, int] = {}
        self._users: dict[int, int] = {}

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 (whatever an operation gives)
        """Do what is to be done, and look at what it made."""
        del types
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._enter(tensor)
        return result

    def _enter(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage.data_ptr()
        self._held[key] = storage.nbytes()
        self._users[key] = self._users.get(key, 0) + 1
        self.peak = max(self.peak, sum(self._held.values()))
        weakref.finalize(tensor, self._leave, key)

    def _leave(self, key: int) -> None:
        self._users[key] -= 1
        if not self._users[key]:
            del self._users[key], self._held[key]
