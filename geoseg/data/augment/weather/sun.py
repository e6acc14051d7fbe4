"""Where the sun stands, and how far shadows fall."""

from __future__ import annotations

import torch
from torch import Tensor

from geoseg.data.augment.batch import Batch
from geoseg.data.augment.random import Random

_ELEVATIONS = (25.0, 65.0)  # degrees: what imagery of the ground is taken under
_LOWEST = 5.0  # degrees: shadows of a lower sun have no end


def sun_of(batch: Batch, random: Random) -> Tensor:
    """Azimuth (clockwise from the chip's up direction) and elevation in degrees, shape (chip, 2).

    What is not known is drawn: the azimuth from all around, the elevation between 25 and 65 degrees. A sun below 5
    degrees counts as at 5 degrees.
    """
    azimuth = random.uniform(len(batch), within=(0.0, 360.0))
    elevation = random.uniform(len(batch), within=_ELEVATIONS)
    drawn = torch.stack([azimuth, elevation], dim=1)
    sun = torch.where(batch.sun.isnan(), drawn, batch.sun)
    return torch.stack([sun[:, 0], sun[:, 1].clamp(_LOWEST, 90)], dim=1)


def shadow_shift(sun: Tensor, height_m: Tensor, gsd_m: float) -> Tensor:
    """From what throws a shadow to the shadow, (x to the right, y down) in px, shape (chip, 2).

    Shadows fall away from the sun, as far as height / tan(elevation).

    Args:
        sun: as of `sun_of`.
        height_m: above the ground, in m, shape (chip,).
        gsd_m: side of a pixel in m.
    """
    distance = height_m / sun[:, 1].deg2rad().tan() / gsd_m
    return away_from(sun) * distance[:, None]


def away_from(sun: Tensor) -> Tensor:
    """Unit vectors (x to the right, y down) from the sun, shape (chip, 2)."""
    azimuth = sun[:, 0].deg2rad()
    return torch.stack([-azimuth.sin(), azimuth.cos()], dim=1)
