"""Copy-paste: more of what is rare."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from geoseg.core.legend import UNLABELLED
from geoseg.data.augment.batch import Batch
from geoseg.data.augment.mix.paste import of_classes, paste
from geoseg.data.augment.random import Random
from geoseg.data.options import STRICT, Chance


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class CopyPaste:
    """The rarest classes of a batch are put over other chips, moved and mirrored at random, with their labels.

    Ghiasi et al. 2021 (doi:10.1109/CVPR46437.2021.00294), by class instead of by object. The partner is another chip
    that was chosen from the same batch, or the chip itself where it was chosen alone.
    """

    chance: Chance = 0.3
    """Share of the chips that it is applied to."""
    classes: Annotated[int, Field(ge=1)] = 2
    """How many of the classes that occur in the batch count as rare."""
    shift: Chance = 0.5
    """They are moved by at most this share of the chip's sides, in each direction."""

    def apply(self, batch: Batch, random: Random) -> Batch:
        """The chips with more of the rare classes."""
        rare = self._rare(batch)
        moved = _moved(batch.take(random.partners(len(batch))), self.shift, random)
        return paste(batch, moved, of_classes(moved, rare.expand(len(batch), -1)))

    def _rare(self, batch: Batch) -> Tensor:
        """True for the rarest classes that occur, shape (class,)."""
        known = (batch.labels != UNLABELLED) & batch.valid
        counts = torch.stack([((batch.labels == i) & known).sum() for i in range(batch.classes)])
        ranks = counts.masked_fill(counts == 0, torch.iinfo(torch.int64).max).argsort().argsort()
        return (counts > 0) & (ranks < self.classes)


def _moved(batch: Batch, shift: float, random: Random) -> Batch:
    """The chips shifted by whole pixels and mirrored; what comes from outside is invalid."""
    (rows, row_there), (cols, col_there) = (_sources(len(batch), length, shift, random) for length in batch.shape)
    chips = torch.arange(len(batch), device=batch.device)[:, None, None]
    there = row_there[:, :, None] & col_there[:, None]
    rows, cols = rows[:, :, None], cols[:, None]

    def picked(whole: Tensor) -> Tensor:
        return whole.movedim(1, -1)[chips, rows, cols].movedim(-1, 1) if whole.ndim == 4 else whole[chips, rows, cols]

    soft = None if batch.soft is None else picked(batch.soft)
    return replace(
        batch,
        values=picked(batch.values),
        valid=picked(batch.valid) & there,
        labels=picked(batch.labels),
        soft=soft,
    )


def _sources(chips: int, length: int, shift: float, random: Random) -> tuple[Tensor, Tensor]:
    """Along one axis, where each position comes from, and whether that is inside; both of shape (chip, length)."""
    steps = (random.uniform(chips, within=(-shift, shift)) * length).round().long()
    mirrored = random.uniform(chips) < 0.5
    positions = torch.arange(length, device=steps.device) - steps[:, None]
    positions = torch.where(mirrored[:, None], length - 1 - positions, positions)
    return positions.clamp(0, length - 1), (positions >= 0) & (positions < length)
