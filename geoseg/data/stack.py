"""Chips as they are stored, and stacks of them: what a loader's workers hand over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geoseg.core.bands import BandSet
from geoseg.data.augment.batch import Batch

UNKNOWN_SUN = (float("nan"), float("nan"))

Cells: TypeAlias = NDArray[np.int64]
"""For every chip of a batch the number of the cell that it was drawn for, shape (chip,); -1 for none."""

NOWHERE = (-1, 0, 0)
"""The place of a chip that is of no scene."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chip:
    """A window of a scene as it is stored.

    `data` are numbers (band, row, col) of `bands`; `valid` (row, col) is True where all are valid; `labels` (row, col)
    are class indices, 255 = unlabelled; `shares` (class, row, col) are there where labels are soft; `sun` is in
    degrees; for `cell` see `Cells`; `place` is the number of its scene and its first row and column there.
    """

    data: NDArray[Any]
    bands: BandSet
    valid: NDArray[np.bool_]
    labels: NDArray[np.uint8]
    shares: NDArray[np.float32] | None = None
    sun: tuple[float, float] = UNKNOWN_SUN
    cell: int = -1
    place: tuple[int, int, int] = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stack:
    """Chips of one size side by side, as they are stored: what a loader's workers hand over.

    `data` are numbers, shape (chip, band, row, col); value = number * `scale` + `offset`, both of shape (chip, band).
    For the others see `Batch`, and for `cells`, `Cells`; `places`, shape (chip, 3), are those of the chips.
    """

    data: Tensor
    scale: Tensor
    offset: Tensor
    valid: Tensor
    labels: Tensor
    soft: Tensor | None
    sun: Tensor
    cells: Cells
    places: NDArray[np.int64]

    def to(self, device: torch.device | str) -> Stack:
        """The stack on another device."""
        return Stack(
            data=self.data.to(device),
            scale=self.scale.to(device),
            offset=self.offset.to(device),
            valid=self.valid.to(device),
            labels=self.labels.to(device),
            soft=None if self.soft is None else self.soft.to(device),
            sun=self.sun.to(device),
            cells=self.cells,
            places=self.places,
        )

    def batch(self, bands: BandSet, classes: int, gsd_m: float) -> Batch:
        """The chips in physical values, 0 where invalid.

        Args:
            bands: of the chips, with mean and std of the training data.
            classes: how many there are.
            gsd_m: side of a pixel in m.
        """
        values = _empty(self.data)
        lines = zip(values, self.data, self.scale[..., None, None], self.offset[..., None, None], strict=True)
        for value, number, scale, offset in lines:  # one after the other: a chip fits into the processor's cache
            _fill(value, number, scale, offset)
        if not self.valid.all():
            values.masked_fill_(~self.valid[:, None], 0)
        return Batch(
            values=values,
            valid=self.valid,
            labels=self.labels,
            soft=self.soft,
            sun=self.sun,
            bands=bands,
            classes=classes,
            gsd_m=gsd_m,
        )


def _fill(value: Tensor, number: Tensor, scale: Tensor, offset: Tensor) -> None:
    """Numbers times scale plus offset; on a CPU by one thread: several would wait for those that read chips."""
    if value.device.type != "cpu":
        value.copy_(number).mul_(scale).add_(offset)
        return
    result = value.numpy()
    result[...] = number.numpy()
    result *= scale.numpy()
    result += offset.numpy()


def _empty(like: Tensor) -> Tensor:
    """float32; numpy's memory comes in large pages, which makes large batches on a CPU twice as fast."""
    if like.device.type == "cpu":
        return torch.from_numpy(np.empty(like.shape, dtype=np.float32))
    return torch.empty(like.shape, device=like.device)


def stack(chips: Sequence[Chip], classes: int) -> Stack:
    """Put chips of one size side by side; the labels of all are soft where those of one are."""
    soft = any(chip.shares is not None for chip in chips)
    return Stack(
        data=_join([chip.data for chip in chips]),
        scale=torch.tensor([[1.0 if band.scale is None else band.scale for band in chip.bands] for chip in chips]),
        offset=torch.tensor([[band.offset for band in chip.bands] for chip in chips]),
        valid=_join([chip.valid for chip in chips]),
        labels=_join([chip.labels for chip in chips]),
        soft=_join([_shares(chip, classes) for chip in chips]) if soft else None,
        sun=torch.tensor([chip.sun for chip in chips], dtype=torch.float32),
        cells=np.array([chip.cell for chip in chips], dtype=np.int64),
        places=np.array([chip.place for chip in chips], dtype=np.int64),
    )


def _join(parts: Sequence[NDArray[Any]]) -> Tensor:
    return torch.from_numpy(np.stack(parts))


def _shares(chip: Chip, classes: int) -> NDArray[np.float32]:
    if chip.shares is not None:
        return chip.shares
    shares: NDArray[np.float32] = (chip.labels == np.arange(classes, dtype=np.uint8)[:, None, None]).astype(np.float32)
    return shares
