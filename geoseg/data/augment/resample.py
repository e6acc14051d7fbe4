"""Chips looked at from other places: images bilinearly, labels by the nearest pixel, nothing from outside."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from geoseg.core.legend import UNLABELLED
from geoseg.data.augment.batch import Batch

_WHOLE = 0.999  # of a pixel's weight must come from valid pixels


def identity(batch: Batch) -> Tensor:
    """The place (x, y) of every pixel itself, in pixels from the chip's centre, shape (chip, row, col, 2)."""
    rows, cols = batch.shape
    places = torch.empty((len(batch), rows, cols, 2), device=batch.device)
    places[..., 0] = torch.arange(cols, device=batch.device) - (cols - 1) / 2
    places[..., 1] = (torch.arange(rows, device=batch.device) - (rows - 1) / 2)[:, None]
    return places


def resample(batch: Batch, places: Tensor) -> Batch:
    """The batch with every pixel taken from its place; `places` may have another number of rows and columns.

    A pixel of which a part comes from an invalid pixel, or from outside of the chip, is invalid; one that is invalid,
    or whose nearest pixel is unlabelled, is unlabelled. Where the sun stands is not known afterwards.
    """
    rows, cols = batch.shape
    half = torch.tensor([cols / 2, rows / 2], device=places.device)
    grid = places / half  # torch's convention without aligned corners: -1 and 1 are the outer edges
    clean = torch.where(batch.valid[:, None], batch.values, 0.0)
    weights = batch.valid[:, None].to(torch.float32)
    seen = grid_sample(torch.cat([clean, weights], dim=1), grid, mode="bilinear", align_corners=False)
    known = batch.labels[:, None].to(torch.float32) - UNLABELLED  # 0 = unlabelled, as torch pads with 0
    labels = grid_sample(known, grid, mode="nearest", align_corners=False) + UNLABELLED
    soft = None if batch.soft is None else grid_sample(batch.soft, grid, mode="nearest", align_corners=False)
    moved = replace(
        batch,
        values=seen[:, :-1],
        valid=seen[:, -1] >= _WHOLE,
        labels=labels[:, 0].round().to(torch.uint8),
        soft=soft,
        sun=torch.full_like(batch.sun, torch.nan),
    )
    return moved.unlabel(~moved.valid)
