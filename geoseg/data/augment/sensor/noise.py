"""Sensor noise: the part that is always there, and the part that grows with the light."""

from __future__ import annotations

from dataclasses import replace

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from geoseg.core.bands import BandSet
from geoseg.data.augment.batch import Batch
from geoseg.data.augment.random import Random
from geoseg.data.options import STRICT, Chance, NotNegativeRange


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class Noise:
    """Gaussian noise, independent in every pixel and band, whose variance is a line over the signal.

    variance = (`level` std)^2 + (`shot` std)^2 * value / typical, after the Poissonian-Gaussian model of Foi et al.
    2008 (doi:10.1109/TIP.2008.2001399), its Poisson part taken as normal. `std` is the band's over the training data,
    `typical` is the band's training mean, or its std where that is larger. Values below 0 have no shot noise.
    """

    chance: Chance = 0.5
    """Share of the chips that it is applied to."""
    level: NotNegativeRange = (0.0, 0.1)
    """From, to: standard deviation of the noise everywhere, in training standard deviations of the band."""
    shot: NotNegativeRange = (0.0, 0.0)
    """From, to: standard deviation of the noise that grows with the signal, at a typical value, in the same unit."""

    def apply(self, batch: Batch, random: Random) -> Batch:
        """The chips with noise; both strengths are drawn once a chip."""
        chips = len(batch)
        level, shot = (random.uniform(chips, 1, 1, 1, within=bounds) for bounds in (self.level, self.shot))
        std, typical = _scales(batch.bands, batch.values)
        variance = (level * std) ** 2 + (shot * std) ** 2 * batch.values.clamp(min=0) / typical
        return replace(batch, values=batch.values + variance.sqrt() * random.normal(*batch.values.shape))


def _scales(bands: BandSet, like: Tensor) -> tuple[Tensor, Tensor]:
    """Training standard deviation and typical value of each band, shape (band, 1, 1)."""
    stds = like.new_tensor([band.std for band in bands])[:, None, None]
    means = like.new_tensor([band.mean for band in bands])[:, None, None]
    return stds, torch.maximum(means, stds)
