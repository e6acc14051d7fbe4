"""Snow on the ground."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from geoseg.data.augment.batch import Batch
from geoseg.data.augment.fields import Texture, fractal, threshold
from geoseg.data.augment.random import Random
from geoseg.data.augment.weather.optics import spectrum, visible, wavelengths, where_sunlit
from geoseg.data.options import STRICT, Chance, NotNegative, NotNegativeRange, ShareRange

# Directional-hemispherical reflectance at a few wavelengths in µm, rounded from the curves of Wiscombe and Warren 1980
# (doi:10.1175/1520-0469(1980)037<2712:AMFTSA>2.0.CO;2) for grains of 0.1 mm (new) and 1 mm (old, not quite clean)
_NEW = ((0.40, 0.97), (0.70, 0.96), (0.87, 0.90), (1.03, 0.80), (1.37, 0.45), (1.65, 0.14), (2.2, 0.10))
_OLD = ((0.40, 0.88), (0.70, 0.84), (0.87, 0.70), (1.03, 0.48), (1.37, 0.12), (1.65, 0.02), (2.2, 0.01))

_SLOPE = 2.8  # of the variance of drifts with the frequency
_SOFT = 1.8  # standard deviations of the drifts from the first flakes to full depth
_FLAT = 1e-6
_RELIEF = (
    0.08  # what a standard deviation of the ground's brightness changes in that of the snow: slopes, trampled ways
)


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class Snow:
    """Patchy snow cover: bright in visible light and the near infrared, dark in the short-wave infrared.

    Snow lies first on open ground, which is bright, and last on what is dark: water, which melts it, and forest, whose
    crowns hide it. Under thin snow the ground shows. Thermal bands stay as they are.
    """

    chance: Chance = 0.05
    """Share of the chips that it is applied to."""
    cover: ShareRange = (0.1, 0.9)
    """From, to: share of the chip's valid pixels with snow, however thin."""
    depth: ShareRange = (0.6, 0.95)
    """From, to: share of the light that comes from snow where it is deepest."""
    size_m: NotNegativeRange = (30.0, 3000.0)
    """From, to: diameter of a patch in m, at least 4 px and at most the chip."""
    openness: NotNegative = 1.0
    """How much brightness counts beside chance for where snow lies: 0 not at all, 1 as much."""
    labels: Literal["keep", "ignore"] = "keep"
    """Whether pixels with snow keep their labels, or become unlabelled where little of the ground is left to see."""
    thick: Chance = 0.8
    """Share of the light that comes from snow where a pixel becomes unlabelled."""

    def apply(self, batch: Batch, random: Random) -> Batch:
        """The chips with snow."""
        chips = len(batch)
        bright = _brightness(batch)
        place = self._drifts(batch, random) + self.openness * bright
        edge = threshold(place, random.uniform(chips, within=self.cover), batch.valid)
        full = random.uniform(chips, 1, 1, within=self.depth)
        snow = full * _step(((place - edge) / _SOFT).clamp(0, 1))
        um = wavelengths(batch.bands, batch.values)
        white = spectrum(_NEW, um).lerp(spectrum(_OLD, um), random.uniform(chips, 1, 1, 1))
        light = snow * (1 + _RELIEF * bright)
        seen = torch.addcmul(white * light[:, None], batch.values, (1 - snow)[:, None])
        changed = replace(batch, values=where_sunlit(batch.values, seen, batch.bands))
        return changed.unlabel(snow > self.thick) if self.labels == "ignore" else changed

    def _drifts(self, batch: Batch, random: Random) -> Tensor:
        """Where snow would lie on ground that is the same everywhere, shape (chip, row, col)."""
        chips = len(batch)
        size = random.uniform(chips, within=self.size_m) / batch.gsd_m
        texture = Texture(
            size=size.clamp(max=max(batch.shape)).clamp(min=4),
            stretch=random.uniform(chips, within=(1.0, 2.0)),
            direction=random.uniform(chips, within=(0.0, math.pi)),
            slope=_SLOPE,
        )
        field = fractal(random, batch.shape, texture)
        return field.pixels(field.seen())


def _brightness(batch: Batch) -> Tensor:
    """Standard deviations that a pixel is above its chip's mean brightness, at most 2, 0 where invalid."""
    bands = visible(batch.bands) or list(range(len(batch.bands)))
    total = sum((batch.values[:, i] for i in bands[1:]), start=batch.values[:, bands[0]])
    known = total.where(batch.valid, 0.0)
    count = batch.valid.sum(dim=(1, 2), keepdim=True).clamp(min=1)
    apart = (known - known.sum(dim=(1, 2), keepdim=True) / count) * batch.valid
    std = ((apart**2).sum(dim=(1, 2), keepdim=True) / count).sqrt()
    return (apart / std.clamp(min=_FLAT)).clamp(-2, 2)


def _step(share: Tensor) -> Tensor:
    """From 0 to 1 without a bend at either end."""
    return share**2 * (3 - 2 * share)
