"""Quarter turns: ground seen from above has no preferred direction."""

from __future__ import annotations

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from geoseg.data.augment.random import Random
from geoseg.data.options import STRICT, Chance


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class Turn:
    """The chip turned by one, two or three quarters; chips that are no squares by two. No pixel is interpolated."""

    chance: Chance = 0.75
    """Share of the chips that it is applied to."""

    def move(self, places: Tensor, random: Random) -> Tensor:
        """Places turned around the chip's middle."""
        quarters = random.integers(len(places), below=3) + 1
        if places.shape[1] != places.shape[2]:
            quarters = torch.full_like(quarters, 2)
        x, y = places.unbind(-1)
        turned = torch.stack([places, torch.stack([-y, x], -1), -places, torch.stack([y, -x], -1)])
        return turned[quarters, torch.arange(len(places), device=places.device)]
