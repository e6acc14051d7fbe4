"""Scale: the same ground from nearer or from farther away."""

from __future__ import annotations

import math

from pydantic.dataclasses import dataclass
from torch import Tensor

from geoseg.data.augment.random import Random
from geoseg.data.options import STRICT, Chance, PositiveRange


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class Scale:
    """Multi-scale training: the chip enlarged or made smaller around its middle, as if its pixels had another size.

    Made smaller, it does not fill its frame: around it is nodata. Give larger chips and `crop` to avoid that.
    """

    chance: Chance = 0.3
    """Share of the chips that it is applied to."""
    factors: PositiveRange = (0.67, 1.5)
    """From, to: 2 shows everything twice as large; doubling is as likely as halving."""

    def move(self, places: Tensor, random: Random) -> Tensor:
        """Places nearer to the chip's middle, or farther from it."""
        low, high = self.factors
        factors = random.uniform(len(places), within=(math.log(low), math.log(high))).exp()
        return places / factors[:, None, None, None]
