"""Elastic warps: ground that gives way a little, here this way and there that way."""

from __future__ import annotations

from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.nn.functional import grid_sample

from geoseg.data.augment.random import Random
from geoseg.data.options import STRICT, Chance, NotNegative, Positive


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class Elastic:
    """Smooth random displacements (Simard et al. 2003, doi:10.1109/ICDAR.2003.1227801).

    They are drawn from a normal distribution at the points of a lattice and interpolated by cubic splines between them.
    """

    chance: Chance = 0.2
    """Share of the chips that it is applied to."""
    shift_px: NotNegative = 3.0
    """Standard deviation of the displacements at the lattice's points, in pixels."""
    spacing_px: Positive = 48.0
    """Distance between the lattice's points, in pixels; below four times `shift_px` the ground may fold."""

    def move(self, places: Tensor, random: Random) -> Tensor:
        """Places with displacements that depend on where they are."""
        chips, rows, cols = places.shape[:3]
        points = [max(2, round(length / self.spacing_px) + 1) for length in (rows, cols)]
        lattice = random.normal(chips, 2, *points) * self.shift_px
        grid = places / places.new_tensor([cols / 2, rows / 2])
        shifts = grid_sample(lattice, grid, mode="bicubic", padding_mode="border", align_corners=True)
        return places + shifts.permute(0, 2, 3, 1)
