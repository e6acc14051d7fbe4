"""Crop: a random part of every chip."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from geoseg.data.augment.batch import Batch
from geoseg.data.augment.random import Random
from geoseg.data.options import STRICT
from geoseg.errors import InputError


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class Crop:
    """A square at a random place of every chip, so that chips are read larger than the network sees them.

    With `affine`, `scale` or `perspective`, which come before, fewer pixels are nodata so.
    """

    size: Annotated[int, Field(ge=32)]
    """Side in pixels."""

    @property
    def chance(self) -> float:
        """All chips of a batch have one size."""
        return 1.0

    def apply(self, batch: Batch, random: Random) -> Batch:
        """The chips' squares, pixel by pixel as they were.

        Raises:
            InputError: the chips are smaller.
        """
        rows, cols = batch.shape
        if self.size > min(rows, cols):
            raise InputError(f"augment.crop: chips have {rows} x {cols} px, needed {self.size} or more; enlarge chips")
        tops = random.integers(len(batch), below=rows - self.size + 1).tolist()
        lefts = random.integers(len(batch), below=cols - self.size + 1).tolist()

        def cut(whole: Tensor) -> Tensor:
            parts = zip(whole, tops, lefts, strict=True)
            return torch.stack([one[..., top : top + self.size, left : left + self.size] for one, top, left in parts])

        soft = None if batch.soft is None else cut(batch.soft)
        return replace(batch, values=cut(batch.values), valid=cut(batch.valid), labels=cut(batch.labels), soft=soft)
