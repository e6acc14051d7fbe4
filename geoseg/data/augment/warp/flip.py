"""Flips: ground seen from above has no preferred direction."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from geoseg.data.augment.random import Random
from geoseg.data.options import STRICT, Chance


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class Flip:
    """The chip mirrored; with `turn`, all eight symmetries of the square are reached. Exact: no pixel is interpolated.

    Shadows then fall to the other side: leave it out where they tell classes apart.
    """

    chance: Chance = 0.5
    """Share of the chips that it is applied to."""
    axes: Literal["any", "horizontal", "vertical"] = "any"
    """Whether left and right change places, or top and bottom, or either of the two by chance."""

    def move(self, places: Tensor, random: Random) -> Tensor:
        """Places mirrored at the chip's middle."""
        upright = random.uniform(len(places)) < 0.5
        if self.axes != "any":
            upright = torch.full_like(upright, self.axes == "vertical")
        signs = torch.stack([1 - 2.0 * ~upright, 1 - 2.0 * upright], dim=1)
        return places * signs[:, None, None]
