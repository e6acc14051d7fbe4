"""Gain and offset: the same ground under another sun, through other air, with another calibration."""

from __future__ import annotations

from dataclasses import replace

from pydantic.dataclasses import dataclass

from geoseg.data.augment.batch import Batch
from geoseg.data.augment.random import Random
from geoseg.data.options import STRICT, Chance, NotNegative


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class Gain:
    """A random gain and offset of every chip: value * gain + offset.

    gain = exp(`gain` z + `band_gain` z'), offset = `offset` z + `offset` / 2 z', where every z is a standard normal
    number, drawn for the chip, and every z' one drawn for each band. Gains are log-normal: halving is as
    likely as doubling, and none is ever negative.
    """

    chance: Chance = 0.5
    """Share of the chips that it is applied to."""
    gain: NotNegative = 0.1
    """Standard deviation of the logarithm of the gain that all bands of a chip share."""
    band_gain: NotNegative = 0.05
    """Standard deviation of the logarithm of the further gain of each band."""
    offset: NotNegative = 0.01
    """Standard deviation, in units of the values (reflectance), of the offset that all bands share; half of it is that
    of the further offset of each band."""

    def apply(self, batch: Batch, random: Random) -> Batch:
        """The chips with every band on another line."""
        chips, bands = len(batch), len(batch.bands)
        gains = (self.gain * random.normal(chips, 1) + self.band_gain * random.normal(chips, bands)).exp()
        offsets = self.offset * random.normal(chips, 1) + self.offset / 2 * random.normal(chips, bands)
        return replace(batch, values=batch.values * gains[..., None, None] + offsets[..., None, None])
