"""Affine warps: turned by any angle, sheared, shifted."""

from __future__ import annotations

from pydantic.dataclasses import dataclass
from torch import Tensor

from geoseg.data.augment.random import Random
from geoseg.data.augment.warp.homography import moved
from geoseg.data.options import STRICT, Chance, NotNegative


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class Affine:
    """The chip turned, sheared and shifted around its middle; corners that come from outside of it are nodata."""

    chance: Chance = 0.3
    """Share of the chips that it is applied to."""
    turn_degrees: NotNegative = 180.0
    """It is turned by at most so much, to either side."""
    shear_degrees: NotNegative = 8.0
    """It is sheared by at most so much, along each axis and to either side."""
    shift: Chance = 0.05
    """It is shifted by at most this share of its sides, in each direction."""

    def move(self, places: Tensor, random: Random) -> Tensor:
        """Places multiplied by a matrix for each chip."""
        from kornia.geometry.transform import get_affine_matrix2d  # noqa: PLC0415  (takes a second)

        chips, rows, cols = places.shape[:3]
        shifts = random.uniform(chips, 2, within=(-self.shift, self.shift)) * places.new_tensor([cols, rows])
        angles = random.uniform(chips, within=(-self.turn_degrees, self.turn_degrees))
        shears = random.uniform(2, chips, within=(-self.shear_degrees, self.shear_degrees)).deg2rad()
        centres, ones = places.new_zeros(chips, 2), places.new_ones(chips, 2)
        return moved(places, get_affine_matrix2d(shifts, centres, ones, angles, *shears))
