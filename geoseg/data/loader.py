"""Batches of chips, read ahead by other processes on request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, get_worker_info

from geoseg.data.stack import Chip, Stack, stack

_AHEAD = 2  # batches that each process reads ahead
_SLOTS = _AHEAD + 2  # besides those: one that is being copied, and one to spare


class Chips(Protocol):
    """Chips by number."""

    def __len__(self) -> int: ...

    def __getitem__(self, i: int, /) -> Chip: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderOptions:
    """`workers` are processes that read, 0 = this one; `drop_last` leaves out a last batch that is not full.

    `shard` (i, n) gives every n-th chip from the i-th on: the part of one of n processes that train together. With
    `drop_last` all parts are of one length, without it no chip is left out.
    """

    batch_size: int = 8
    workers: int = 0
    drop_last: bool = False
    shard: tuple[int, int] = (0, 1)


class Loader:
    """Stacks of chips in their order, the same for any number of workers.

    Workers hand them over in shared memory that is used again and again, since fresh shared memory costs more time than
    reading a chip.
    """

    def __init__(self, chips: Chips, classes: int, options: LoaderOptions = LoaderOptions()) -> None:
        self._chips = chips
        self._join = partial(stack, classes=classes)
        self._options = options

    def __len__(self) -> int:
        size, count = self._options.batch_size, len(self._numbers())
        return count // size if self._options.drop_last else -(-count // size)

    def __iter__(self) -> Iterator[Stack]:
        if not self._options.workers or not len(self):
            yield from self._loader(self._join, 0)
            return
        ring = _Ring.of(self._chips[0], self._options)
        for parcel in self._loader(partial(_post, ring, self._join), self._options.workers):
            yield parcel if isinstance(parcel, Stack) else _unpack(ring, parcel)

    def _numbers(self) -> range:
        """The chips of the shard, by number."""
        part, parts = self._options.shard
        count = len(self._chips)
        return range(part, count - count % parts if self._options.drop_last else count, parts)

    def _loader(self, join: Any, workers: int) -> DataLoader[Any]:  # noqa: ANN401 (torch takes any chips to anything)
        return DataLoader(
            self._chips,  # type: ignore[arg-type]  # a map-style dataset in all but name
            batch_size=self._options.batch_size,
            sampler=self._numbers(),
            drop_last=self._options.drop_last,
            num_workers=workers,
            prefetch_factor=_AHEAD if workers else None,
            collate_fn=join,
        )


class _Ring:
    """Shared bytes, shape (worker, slot, byte); each process has a count of its own."""

    def __init__(self, memory: Tensor) -> None:
        self.memory = memory
        self._count = 0

    @classmethod
    def of(cls, chip: Chip, options: LoaderOptions) -> _Ring:
        """Room for batches of chips like this one."""
        planes = [chip.data, chip.valid, chip.labels, *(() if chip.shares is None else (chip.shares,))]
        size = options.batch_size * sum(plane.nbytes for plane in planes)
        memory = torch.empty((options.workers, _SLOTS, size), dtype=torch.uint8)
        return cls(memory.share_memory_())  # type: ignore[no-untyped-call]

    def next_slot(self, worker: int) -> tuple[int, int]:
        """The slot that a worker filled the longest time ago."""
        self._count += 1
        return worker, self._count % _SLOTS

    def part(self, slot: tuple[int, int], first: int, size: int) -> NDArray[np.uint8]:
        """Bytes of a slot, not copied."""
        numbers: NDArray[np.uint8] = self.memory[slot].numpy()[first : first + size]
        return numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parcel:
    """A stack whose large tensors, named with their shape, kind and first byte, lie in a slot of the ring."""

    slot: tuple[int, int]
    large: dict[str, tuple[tuple[int, ...], np.dtype[Any], int]]
    small: dict[str, NDArray[Any] | None]


def _post(ring: _Ring, join: partial[Stack], chips: Sequence[Chip]) -> _Parcel | Stack:
    """Put chips into the ring; a stack that is larger than its slots goes the slow way."""
    made = join(chips)
    arrays = {field.name: _array(getattr(made, field.name)) for field in fields(Stack)}
    large = {name: array for name, array in arrays.items() if array is not None and array.ndim > 2}
    if sum(array.nbytes for array in large.values()) > ring.memory.shape[2]:
        return made
    info = get_worker_info()
    slot = ring.next_slot(0 if info is None else info.id)
    places, first = {}, 0
    for name, array in large.items():
        ring.part(slot, first, array.nbytes)[:] = array.reshape(-1).view(np.uint8)
        places[name] = (array.shape, array.dtype, first)
        first += array.nbytes
    return _Parcel(slot=slot, large=places, small={name: arrays[name] for name in arrays if name not in large})


def _unpack(ring: _Ring, parcel: _Parcel) -> Stack:
    """The stack in memory of its own: the slot is filled anew soon."""
    found: dict[str, Any] = {
        name: None if array is None else torch.from_numpy(array) for name, array in parcel.small.items()
    }
    for name, (shape, dtype, first) in parcel.large.items():
        size = int(np.prod(shape)) * dtype.itemsize
        found[name] = torch.from_numpy(ring.part(parcel.slot, first, size).copy().view(dtype).reshape(shape))
    return Stack(**{**found, "cells": parcel.small["cells"], "places": parcel.small["places"]})


def _array(part: Tensor | NDArray[Any] | None) -> NDArray[Any] | None:
    return part.numpy() if isinstance(part, Tensor) else part
