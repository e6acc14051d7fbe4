"""Cutout: holes in a chip."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass

from geoseg.data.augment.batch import Batch
from geoseg.data.augment.random import Random
from geoseg.data.options import STRICT, Chance, ShareRange


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class Cutout:
    """Rectangles of nodata (DeVries and Taylor 2017, arXiv:1708.04552), which may reach beyond the chip's border."""

    chance: Chance = 0.2
    """Share of the chips that it is applied to."""
    holes: Annotated[int, Field(ge=1)] = 3
    """A chip gets one to so many."""
    side: ShareRange = (0.05, 0.25)
    """From, to: their sides, as shares of the chip's."""
    labels: Literal["ignore", "keep"] = "ignore"
    """Whether what is in a hole is unlabelled, or is to be guessed from what is around it."""

    def apply(self, batch: Batch, random: Random) -> Batch:
        """The chips with holes."""
        chips, (rows, cols) = len(batch), batch.shape
        counts = random.integers(chips, below=self.holes) + 1
        y = ((torch.arange(rows, device=batch.device) + 0.5) / rows)[:, None]
        x = ((torch.arange(cols, device=batch.device) + 0.5) / cols)[None]
        hole = torch.zeros_like(batch.valid)
        for number in range(self.holes):
            middle = random.uniform(chips, 2)[..., None, None]
            half = random.uniform(chips, 2, within=self.side)[..., None, None] / 2
            inside = ((y - middle[:, 0]).abs() < half[:, 0]) & ((x - middle[:, 1]).abs() < half[:, 1])
            hole |= inside & (number < counts)[:, None, None]
        changed = batch.invalidate(hole)
        return changed.unlabel(hole) if self.labels == "ignore" else changed
