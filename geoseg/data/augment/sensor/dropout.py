"""Missing bands: a model that leans on one band alone fails where that band is bad."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass

from geoseg.data.augment.batch import Batch
from geoseg.data.augment.random import Random
from geoseg.data.options import STRICT, Chance


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class BandDropout:
    """Whole bands of a chip become the band's training mean, which the model sees as 0.

    At least one band is left. Spectral indices are computed from what is left, as the model would compute them.
    """

    chance: Chance = 0.2
    """Share of the chips that it is applied to."""
    at_most: Annotated[int, Field(ge=1)] = 1
    """How many bands are dropped at most; the number is drawn uniformly from 1 on."""

    def apply(self, batch: Batch, random: Random) -> Batch:
        """The chips without some of their bands."""
        chips, bands = len(batch), len(batch.bands)
        most = min(self.at_most, bands - 1)
        if most < 1:
            return batch
        counts = random.integers(chips, 1, below=most) + 1
        ranks = random.uniform(chips, bands).argsort(dim=1).argsort(dim=1)
        dropped = (ranks < counts)[..., None, None]
        means = batch.values.new_tensor([band.mean for band in batch.bands])[:, None, None]
        return replace(batch, values=torch.where(dropped, means, batch.values))
