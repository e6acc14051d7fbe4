"""Haze: light from the air in front of the ground, most of it blue."""

from __future__ import annotations

from dataclasses import replace

from pydantic.dataclasses import dataclass

from geoseg.data.augment.batch import Batch
from geoseg.data.augment.fields import smooth, spread
from geoseg.data.augment.random import Random
from geoseg.data.augment.weather.optics import (
    GREEN_UM,
    exposure,
    haze_opacity,
    haze_scattering,
    wavelengths,
    where_sunlit,
)
from geoseg.data.options import STRICT, Chance, NotNegative, NotNegativeRange

_HILLS = 3  # thicker places along a side of the chip


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class Haze:
    """Thin air full of fine particles: it adds light of its own and takes contrast away, most at short wavelengths.

    Its optical thickness follows Angstrom's law, tau * (um / 0.55) ^ -exponent (Angstrom 1929,
    doi:10.1080/20014422.1929.11880498), and varies gently over the chip. The light is that of the two-stream
    approximation. Thermal bands stay as they are.
    """

    chance: Chance = 0.15
    """Share of the chips that it is applied to."""
    thickness: NotNegativeRange = (0.05, 0.5)
    """From, to: mean optical thickness at 0.55 µm; 0.1 is clear air, 0.5 is hazy, 1 is smoke."""
    exponent: NotNegativeRange = (0.6, 2.0)
    """From, to: Angstrom's exponent. Below 1: dust and sea salt, nearly white; 2: smoke, blue."""
    variation: NotNegative = 0.3
    """Standard deviation of the logarithm of the thickness over the chip."""

    def apply(self, batch: Batch, random: Random) -> Batch:
        """The chips in haze."""
        chips = len(batch)
        thickness = random.uniform(chips, 1, 1, 1, within=self.thickness)
        exponent = random.uniform(chips, 1, 1, 1, within=self.exponent)
        hills = smooth(random, chips, _HILLS)
        local = thickness * (self.variation * hills - self.variation**2 / 2).exp()
        tau = local * (wavelengths(batch.bands, batch.values) / GREEN_UM) ** -exponent
        light = exposure(batch.bands) * haze_scattering(tau)
        added, lost = spread(light / (1 + light), batch.shape), spread(haze_opacity(tau), batch.shape)
        seen = added.addcmul_(batch.values, 1 - lost)
        return replace(batch, values=where_sunlit(batch.values, seen, batch.bands))
