"""Rain between a low camera and the ground."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from geoseg.data.augment.batch import Batch
from geoseg.data.augment.random import Random
from geoseg.data.augment.weather.optics import where_sunlit
from geoseg.data.options import STRICT, Chance, NotNegativeRange, Range, ShareRange

_SKY = 0.9  # reflectance of the overcast sky that drops show
_VEIL = 0.6  # reflectance of the air full of rain
_LANE = 2.0  # px: width of the lane in which drops fall one after the other; a streak is half as wide
_SHORTEST = 4.0  # px: shorter ones are no streaks
_BRIGHTNESS = (0.3, 1.0)  # of a streak against the brightest


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class Rain:
    """Rain, for imagery from drones and low aircraft: bright streaks in one direction, less light and less contrast.

    A drop moves while the shutter is open and gives a line, brighter than most of what is behind it, since it shows the
    sky (Garg and Nayar 2007, doi:10.1007/s11263-006-0028-6). Thermal bands stay as they are.
    """

    chance: Chance = 0.1
    """Share of the chips that it is applied to."""
    drops: ShareRange = (0.02, 0.12)
    """From, to: share of the pixels that a streak runs over."""
    length: NotNegativeRange = (8.0, 28.0)
    """From, to: length of a streak in px, at least 4."""
    slant: Range = (-30.0, 30.0)
    """From, to: direction of the streaks in degrees from the chip's columns."""
    strength: ShareRange = (0.15, 0.45)
    """From, to: share of a pixel's light that comes from the brightest streak."""
    veil: ShareRange = (0.05, 0.25)
    """From, to: share of the contrast that is lost everywhere."""
    darkening: ShareRange = (0.0, 0.25)
    """From, to: share of the ground's light that an overcast sky takes."""

    def apply(self, batch: Batch, random: Random) -> Batch:
        """The chips in rain."""
        chips = len(batch)
        strength, veil, darkening = (
            random.uniform(chips, 1, 1, within=within) for within in (self.strength, self.veil, self.darkening)
        )
        streaks = strength * self._streaks(batch, random)
        left = (1 - darkening) * (1 - veil) * (1 - streaks)
        added = _VEIL * veil * (1 - streaks) + _SKY * streaks
        seen = torch.addcmul(added[:, None], batch.values, left[:, None])
        return replace(batch, values=where_sunlit(batch.values, seen, batch.bands))

    def _streaks(self, batch: Batch, random: Random) -> Tensor:
        """How bright every pixel's streak is, 0 to 1, shape (chip, row, col)."""
        chips, half = len(batch), math.hypot(*batch.shape) / 2
        lanes, falls = math.ceil(2 * half / _LANE) + 2, math.ceil(2 * half / _SHORTEST) + 3
        lane, fall = self._tracks(batch, random)
        lane = lane + lanes / 2
        in_lane = lane.floor().long()
        starts = random.uniform(chips, lanes)
        fall = fall + falls / 2 - 1 + starts.gather(1, in_lane.flatten(1)).view_as(fall)
        drops = random.uniform(chips, lanes, falls, within=_BRIGHTNESS)
        drops = drops * (random.uniform(chips, lanes, falls) < random.uniform(chips, 1, 1, within=self.drops))
        places = in_lane * falls + fall.floor().long()
        bright = drops.flatten(1).gather(1, places.flatten(1)).view_as(fall)
        return bright * (math.pi * lane.frac()).sin() * (math.pi * fall.frac()).sin()

    def _tracks(self, batch: Batch, random: Random) -> tuple[Tensor, Tensor]:
        """Where pixels are from the chip's centre, across in lanes and along in lengths of a streak, as `_streaks`."""
        rows, cols = batch.shape
        y = (torch.arange(rows, device=batch.device) - (rows - 1) / 2)[:, None]
        x = torch.arange(cols, device=batch.device) - (cols - 1) / 2
        slant = random.uniform(len(batch), 1, 1, within=self.slant).deg2rad()
        length = random.uniform(len(batch), 1, 1, within=self.length).clamp(min=_SHORTEST)
        return (x * slant.cos() + y * slant.sin()) / _LANE, (y * slant.cos() - x * slant.sin()) / length
