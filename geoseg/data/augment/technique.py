"""What an augmentation is, and how a series of them is applied to a batch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from torch import Tensor

from geoseg.data.augment.batch import Batch
from geoseg.data.augment.random import Random
from geoseg.data.augment.resample import identity, resample


@runtime_checkable
class Change(Protocol):
    """A technique that changes what chips show."""

    @property
    def chance(self) -> float:
        """Share of the chips that it is applied to."""

    def apply(self, batch: Batch, random: Random) -> Batch:
        """The chips, all of which were chosen, changed."""


@runtime_checkable
class Warp(Protocol):
    """A technique that moves the ground under the chips' pixels.

    Warps that follow each other are resampled once, together: every resampling blurs.
    """

    @property
    def chance(self) -> float:
        """Share of the chips that it is applied to."""

    def move(self, places: Tensor, random: Random) -> Tensor:
        """Where pixels come from, moved.

        Args:
            places: for every pixel of the result, the place that it is taken from, (x to the right, y down) in pixels
                from the centre of the chip, shape (chip, row, col, 2).
            random: where its numbers come from.
        """


def augment(batch: Batch, techniques: Iterable[Change | Warp], random: Random) -> Batch:
    """Apply techniques one after the other, each to a random share of the chips.

    Pixels that come from outside of a chip are invalid and unlabelled.
    """
    places: Tensor | None = None
    for technique in techniques:
        chosen = random.chosen(len(batch), technique.chance)
        if not len(chosen):
            continue
        if isinstance(technique, Warp):
            places = identity(batch) if places is None else places
            places[chosen] = technique.move(places[chosen], random)
            continue
        if places is not None:
            batch, places = resample(batch, places), None
        batch = _apply(technique, batch, chosen, random)
    return batch if places is None else resample(batch, places)


def _apply(technique: Change, batch: Batch, chosen: Tensor, random: Random) -> Batch:
    if len(chosen) == len(batch):
        return technique.apply(batch, random)
    return batch.put(chosen, technique.apply(batch.take(chosen), random))
