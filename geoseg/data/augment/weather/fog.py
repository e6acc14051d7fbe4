"""Fog between a low camera and the ground."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from pydantic.dataclasses import dataclass

from geoseg.data.augment.batch import Batch
from geoseg.data.augment.fields import Texture, fractal
from geoseg.data.augment.random import Random
from geoseg.data.augment.weather.optics import wavelengths, where_sunlit, whiteness
from geoseg.data.options import STRICT, Chance, NotNegative, ShareRange

_SLOPE = 3.6  # of the variance with the frequency: fog has no sharp edges
_LONGEST = 2.0  # times as long as wide


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class Fog:
    """Patchy fog, for imagery from drones and low aircraft: contrast gives way to a grey-white airlight.

    value * t + airlight * (1 - t), Koschmieder's law (1924; Narasimhan and Nayar 2002, doi:10.1023/A:1016328200723),
    with t falling exponentially with the density. Droplets are far larger than the wavelength, so that visible and near
    infrared light fare alike; in the short-wave infrared water absorbs. Thermal bands stay as they are.
    """

    chance: Chance = 0.1
    """Share of the chips that it is applied to."""
    density: ShareRange = (0.15, 0.65)
    """From, to: share of the contrast that is lost where fog is as dense as it typically is in the chip."""
    airlight: ShareRange = (0.6, 0.9)
    """From, to: reflectance of endless fog in visible light."""
    variation: NotNegative = 0.5
    """Standard deviation of the logarithm of the density over the chip."""

    def apply(self, batch: Batch, random: Random) -> Batch:
        """The chips in fog."""
        chips = len(batch)
        lost = random.uniform(chips, 1, 1, 1, within=self.density).clamp(max=1 - 1e-6)
        grey = random.uniform(chips, 1, 1, 1, within=self.airlight)
        texture = Texture(
            size=random.uniform(chips, within=(0.3, 0.9)) * max(batch.shape),
            stretch=random.uniform(chips, within=(1.0, _LONGEST)),
            direction=random.uniform(chips, within=(0.0, math.pi)),
            slope=_SLOPE,
        )
        field = fractal(random, batch.shape, texture)
        patches = field.pixels((self.variation * field.seen()).exp())[:, None]
        contrast = ((-lost).log1p() * patches).exp()
        um = wavelengths(batch.bands, batch.values)
        air = grey * whiteness(um, torch.zeros(chips, dtype=torch.bool, device=batch.device))
        seen = torch.addcmul(air * (1 - contrast), batch.values, contrast)
        return replace(batch, values=where_sunlit(batch.values, seen, batch.bands))
