"""Stripes: detectors of one sensor that do not quite agree."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from geoseg.data.augment.batch import Batch
from geoseg.data.augment.random import Random
from geoseg.data.options import STRICT, Chance, NotNegativeRange


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class Stripes:
    """Every column, or every row, of a chip has a detector with a gain and an offset of its own in every band.

    value + gain * (value - mean) + offset, with mean and std of the band over the training data, and both numbers
    normal. Push-broom sensors have a detector for every column; in whisk-broom sensors like Landsat's TM a few take
    turns (Horn and Woodham 1979, doi:10.1016/0146-664X(79)90035-2). All bands have stripes, thermal ones as well.
    """

    chance: Chance = 0.1
    """Share of the chips that it is applied to."""
    offset: NotNegativeRange = (0.02, 0.12)
    """From, to: standard deviation of the detectors' offsets, in training standard deviations of the band."""
    gain: NotNegativeRange = (0.0, 0.05)
    """From, to: standard deviation of the detectors' gains about 1."""
    along: Literal["columns", "rows", "either"] = "either"
    """Direction of the stripes; either: drawn for every chip."""
    detectors: Annotated[int, Field(ge=2)] | None = None
    """So many detectors take turns (16 in Landsat's TM); without it every line has its own."""

    def apply(self, batch: Batch, random: Random) -> Batch:
        """The chips with stripes."""
        chips = len(batch)
        upright = random.uniform(chips, 1, 1, 1) < {"columns": 1.0, "rows": 0.0, "either": 0.5}[self.along]
        mean, std = (batch.values.new_tensor(numbers)[:, None, None] for numbers in _statistics(batch))
        values, apart = batch.values.clone(), batch.values - mean
        for gain in self._detectors(batch, random, self.gain, upright):
            values.addcmul_(gain, apart)
        for offset in self._detectors(batch, random, self.offset, upright):
            values.addcmul_(offset, std)
        return replace(batch, values=values)

    def _detectors(
        self, batch: Batch, random: Random, within: tuple[float, float], upright: Tensor
    ) -> tuple[Tensor, Tensor]:
        """A number for every column and one for every row of every band; either the ones or the others are 0."""
        rows, cols = batch.shape
        count = self.detectors or max(rows, cols)
        own = random.uniform(len(batch), 1, 1, within=within) * random.normal(len(batch), len(batch.bands), count)
        line = torch.arange(max(rows, cols), device=batch.device) % count
        of_lines = own[..., line]
        return of_lines[:, :, None, :cols] * upright, of_lines[:, :, :rows, None] * ~upright


def _statistics(batch: Batch) -> tuple[list[float], list[float]]:
    return [band.mean for band in batch.bands], [band.std for band in batch.bands]
