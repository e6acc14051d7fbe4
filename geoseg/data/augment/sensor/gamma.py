"""Power curves: middle tones become darker or brighter, black and bright stay where they are."""

from __future__ import annotations

from dataclasses import replace

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from geoseg.data.augment.batch import Batch
from geoseg.data.augment.random import Random
from geoseg.data.augment.sensor.quantiles import valid_quantiles
from geoseg.data.options import STRICT, Chance, NotNegative

_BRIGHT = 0.98  # the level that the curve leaves unchanged


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class Gamma:
    """The power-law transform of Gonzalez and Woods (Digital Image Processing, section 3.2), for unbounded values.

    value -> bright * sign(value) * |value / bright| ^ exponent, where `bright` is the 98 % quantile of |value| of the
    chip's band. So 0 and `bright` stay, the sign stays, the order of values stays, and what is above `bright` stays
    above it: nothing is clamped. Exponents are log-normal. A band that is 0 nearly everywhere is left as it is.
    """

    chance: Chance = 0.5
    """Share of the chips that it is applied to."""
    gamma: NotNegative = 0.15
    """Standard deviation of the logarithm of the exponent that all bands of a chip share."""
    band_gamma: NotNegative = 0.0
    """Standard deviation of the logarithm of a further exponent of each band."""

    def apply(self, batch: Batch, random: Random) -> Batch:
        """The chips with every band on another curve."""
        chips, bands = len(batch), len(batch.bands)
        exponents = (self.gamma * random.normal(chips, 1) + self.band_gamma * random.normal(chips, bands)).exp()
        bright = valid_quantiles(batch.values.abs(), batch.valid, torch.tensor([_BRIGHT], device=batch.device))
        return replace(batch, values=power_curve(batch.values, bright[..., None], exponents[..., None, None]))


def power_curve(values: Tensor, bright: Tensor, exponents: Tensor) -> Tensor:
    """Values on a power curve through 0 and `bright`; unchanged where `bright` is NaN or not above 0."""
    curved = bright * values.sign() * (values / bright).abs() ** exponents
    return curved.where(bright > 0, values)
