"""Local contrast: what viewers and producers of mosaics do to make pictures clearer."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import torch
from kornia.enhance import equalize_clahe
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from geoseg.data.augment.batch import Batch
from geoseg.data.augment.random import Random
from geoseg.data.augment.sensor.quantiles import valid_quantiles
from geoseg.data.options import STRICT, Chance, Positive, ShareRange

_ENDS = (0.01, 0.99)  # quantiles between which contrast is equalised
_SMALLEST = 8  # px: side of a tile; fewer pixels make no histogram
_GREYS = 256  # levels of kornia's histograms


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class Clahe:
    """Contrast-limited adaptive histogram equalisation of each band (Zuiderveld 1994, Graphics Gems IV, p. 474-485).

    The values between the chip's 1 and 99 % quantiles are equalised within these bounds; values beyond keep their
    distance from them, and the rest of a value within its grey level (of 256) is kept, so that nothing is clamped or
    rounded. Invalid pixels hold evenly spread grey levels meanwhile, which draw no contrast anywhere. Chips under
    16 px, and bands without contrast, stay as they are.
    """

    chance: Chance = 0.2
    """Share of the chips that it is applied to."""
    limit: Positive = 3.0
    """Contrast limit: how many times as often as on average a grey level may count at most."""
    tiles: Annotated[int, Field(ge=2)] = 8
    """Tiles along each side of the chip, whose histograms are equalised; fewer where they would be under 8 px."""
    strength: ShareRange = (0.3, 1.0)
    """From, to: how far from the chip's own values (0) to the equalised ones (1)."""

    def apply(self, batch: Batch, random: Random) -> Batch:
        """The chips with more contrast near by."""
        rows, cols = (min(self.tiles, side // _SMALLEST) for side in batch.shape)
        strength = random.uniform(len(batch), 1, 1, 1, within=self.strength)
        if min(rows, cols) < 2:  # kornia blends at least two tiles a side
            return batch
        ends = valid_quantiles(batch.values, batch.valid, torch.tensor(_ENDS, device=batch.device))
        low, high = ends[..., :1, None], ends[..., 1:, None]
        shift = _shift((batch.values - low) / (high - low), batch.valid[:, None], self.limit, (rows, cols))
        changed = batch.values + strength * (high - low) * shift
        return replace(batch, values=changed.where((high > low) & batch.valid[:, None], batch.values))


def _shift(relative: Tensor, valid: Tensor, limit: float, grid: tuple[int, int]) -> Tensor:
    """What equalisation adds to values whose lower bound is 0 and whose upper bound is 1."""
    top = _GREYS - 1
    inside = torch.where(valid, relative, _spread(relative)).nan_to_num(0).clamp(0, 1)
    greys = (inside * top).floor()
    equalised = equalize_clahe(((greys + 0.5) / top).clamp(max=1), limit, grid)  # half a grey: kornia rounds down
    return equalised - greys / top


def _spread(like: Tensor) -> Tensor:
    """Numbers of 0 to 1, shape (row, col), evenly spread in every part of the chip.

    The R2 sequence of Roberts 2018, extremelearning.com.au/unreasonable-effectiveness-of-quasirandom-sequences.
    """
    rows, cols = (torch.arange(side, device=like.device) for side in like.shape[2:])
    return ((rows[:, None] * 0.7548776662 + cols * 0.5698402910) % 1).to(like.dtype)
