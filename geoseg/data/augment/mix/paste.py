"""Pasting: pixels of one batch put over another one's."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from geoseg.data.augment.batch import Batch


def paste(batch: Batch, other: Batch, where: Tensor) -> Batch:
    """The batch with the pixels of another one, which are valid there, where `where` (chip, row, col) is True."""
    soft = None
    if batch.soft is not None and other.soft is not None:
        soft = torch.where(where[:, None], other.soft, batch.soft)
    return replace(
        batch,
        values=torch.where(where[:, None], other.values, batch.values),
        valid=batch.valid | where,
        labels=torch.where(where, other.labels, batch.labels),
        soft=soft,
    )


def of_classes(batch: Batch, wanted: Tensor) -> Tensor:
    """Valid pixels of the classes that are True in `wanted` (chip, class), shape (chip, row, col)."""
    padded = torch.nn.functional.pad(wanted, (0, 1))  # the last one stands for unlabelled
    indices = batch.labels.long().clamp(max=batch.classes)
    return padded.gather(1, indices.flatten(1)).view_as(batch.valid) & batch.valid
