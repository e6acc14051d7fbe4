"""Quantiles of every chip's bands, over valid pixels only."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_ENOUGH = 4096  # pixels of a chip: the standard error of an estimated rank is below 0.8 % of the pixels


def valid_quantiles(values: Tensor, valid: Tensor, levels: Tensor) -> Tensor:
    """Quantiles of each chip and band, linear between neighbouring pixels; NaN where no valid pixel was looked at.

    Chips of more than 4096 pixels are looked at in a lattice of about so many: sorting costs more than anything else.

    Args:
        values: shape (chip, band, row, col); what invalid pixels hold has no influence.
        valid: True = valid, shape (chip, row, col).
        levels: between 0 and 1, shape (level,).

    Returns:
        Shape (chip, band, level).
    """
    step = _step(values.shape[2] * values.shape[3], values.shape[3])
    looked_at = valid.flatten(1)[:, ::step]
    sample = torch.where(looked_at[:, None], values.flatten(2)[..., ::step], torch.inf)
    ordered = sample.sort(dim=-1).values
    last = looked_at.sum(dim=1)[:, None, None] - 1  # invalid pixels are infinite, so they come last
    position = (levels * last.clamp(min=0)).expand(len(values), values.shape[1], -1)
    below = ordered.gather(-1, position.floor().long())
    above = ordered.gather(-1, position.ceil().long())
    return below.lerp(above, position.frac()).where(last >= 0, torch.nan)


def _step(pixels: int, cols: int) -> int:
    """Every so many pixels, counted row by row, are looked at; no divisor of the width, which would give columns."""
    step = max(1, math.ceil(pixels / _ENOUGH))
    while math.gcd(step, cols) > 1:
        step += 1
    return step
