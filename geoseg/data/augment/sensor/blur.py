"""Blur: coarser optics, haze at the edges, resampling by somebody else."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from kornia.filters import gaussian_blur2d
from pydantic.dataclasses import dataclass
from torch import Tensor

from geoseg.data.augment.batch import Batch
from geoseg.data.augment.random import Random
from geoseg.data.options import STRICT, Chance, NotNegativeRange

_REACH = 3.0  # standard deviations at which the kernel of the widest blur ends
_SHARP = 0.05  # px: a Gaussian this narrow is the identity in float32; a kernel of width 0 is not defined


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class Blur:
    """Gaussian blur of all bands of a chip by the same width, which is drawn uniformly.

    Invalid pixels and the world outside of the chip take no part in any mean: normalised convolution, Knutsson and
    Westin 1993 (Normalized and Differential Convolution, CVPR, p. 515-523). Invalid pixels keep what they hold.
    """

    chance: Chance = 0.5
    """Share of the chips that it is applied to."""
    sigma: NotNegativeRange = (0.3, 1.2)
    """From, to: standard deviation of the Gaussian in px."""

    def apply(self, batch: Batch, random: Random) -> Batch:
        """The chips blurred."""
        sigma = random.uniform(len(batch), within=self.sigma)
        size = 2 * math.ceil(_REACH * self.sigma[1]) + 1
        blurred = masked_blur(batch.values, batch.valid[:, None], sigma, size)
        return replace(batch, values=blurred.where(batch.valid[:, None], batch.values))


def masked_blur(values: Tensor, valid: Tensor, sigma: Tensor, size: int) -> Tensor:
    """Gaussian means over valid pixels inside of the chip.

    Args:
        values: shape (chip, band, row, col).
        valid: True = valid, shape (chip, 1, row, col).
        sigma: width of each chip's Gaussian in px, shape (chip,).
        size: rows and columns of the kernel, odd.

    Returns:
        Like `values`; finite, and without meaning where no valid pixel is within reach.
    """
    known = torch.cat([torch.where(valid, values, 0), valid.to(values.dtype)], dim=1)
    widths = sigma.clamp(min=_SHARP)[:, None].expand(-1, 2)
    summed = gaussian_blur2d(known, size, widths, border_type="constant")
    return summed[:, :-1] / summed[:, -1:].clamp(min=torch.finfo(values.dtype).tiny)
