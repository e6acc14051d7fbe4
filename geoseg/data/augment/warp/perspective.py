"""Perspective: a camera that does not look straight down."""

from __future__ import annotations

from pydantic.dataclasses import dataclass
from torch import Tensor

from geoseg.data.augment.random import Random
from geoseg.data.augment.warp.homography import moved
from geoseg.data.options import STRICT, Chance


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class Perspective:
    """The chip as seen from the side: each of its corners is moved, and all between them accordingly."""

    chance: Chance = 0.2
    """Share of the chips that it is applied to."""
    distortion: Chance = 0.15
    """A corner moves by at most this share of half the chip's sides, in each direction."""

    def move(self, places: Tensor, random: Random) -> Tensor:
        """Places mapped by the homography that moves the corners."""
        from kornia.geometry.transform import get_perspective_transform  # noqa: PLC0415  (takes a second)

        chips, rows, cols = places.shape[:3]
        half = places.new_tensor([cols / 2, rows / 2])
        corners = places.new_tensor([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
        corners = corners.expand(chips, 4, 2)
        shifts = random.uniform(chips, 4, 2, within=(-self.distortion, self.distortion)) * half
        return moved(places, get_perspective_transform(corners, corners + shifts))
