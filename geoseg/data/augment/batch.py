"""Chips side by side as tensors, on any device: what every augmentation takes and gives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from geoseg.core.bands import BandSet
from geoseg.core.legend import UNLABELLED


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """Chips of one size. Augmentations never change the tensors of the batch that they are given.

    `values` are physical values (reflectance, for optical sensors), float32, shape (chip, band, row, col).
    `valid` is True where every band is valid, shape (chip, row, col).
    `labels` are class indices, uint8, shape (chip, row, col); 255 = unlabelled. The loss ignores unlabelled pixels.
    `soft` are class shares, float32, shape (chip, class, row, col), that sum to 1 where a pixel is labelled; None where
    labels are certain.
    `sun` is (azimuth clockwise from the chip's up direction, elevation) in degrees, shape (chip, 2); NaN = unknown.
    `bands` says what the values are; its mean and std are those of the training data. `gsd_m` is a pixel's side in m.
    """

    values: Tensor
    valid: Tensor
    labels: Tensor
    soft: Tensor | None
    sun: Tensor
    bands: BandSet
    classes: int
    gsd_m: float

    def __len__(self) -> int:
        return len(self.values)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols) of a chip."""
        return self.values.shape[2], self.values.shape[3]

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.values.device

    @property
    def target(self) -> Tensor:
        """What a loss compares with: the class shares where labels are soft, else the class indices."""
        return self.labels if self.soft is None else self.soft

    def to(self, device: torch.device | str) -> Self:
        """The batch on another device."""
        soft = None if self.soft is None else self.soft.to(device)
        return replace(
            self,
            values=self.values.to(device),
            valid=self.valid.to(device),
            labels=self.labels.to(device),
            soft=soft,
            sun=self.sun.to(device),
        )

    def take(self, chosen: Tensor) -> Self:
        """The chips at these positions, as a batch of its own."""
        soft = None if self.soft is None else self.soft[chosen]
        return replace(
            self,
            values=self.values[chosen],
            valid=self.valid[chosen],
            labels=self.labels[chosen],
            soft=soft,
            sun=self.sun[chosen],
        )

    def put(self, chosen: Tensor, changed: Batch) -> Self:
        """The batch with the chips at these positions replaced."""

        def mixed(old: Tensor, new: Tensor) -> Tensor:
            result = old.clone()
            result[chosen] = new
            return result

        soft = None if self.soft is None or changed.soft is None else mixed(self.soft, changed.soft)
        return replace(
            self,
            values=mixed(self.values, changed.values),
            valid=mixed(self.valid, changed.valid),
            labels=mixed(self.labels, changed.labels),
            soft=soft,
            sun=mixed(self.sun, changed.sun),
        )

    def unlabel(self, where: Tensor) -> Self:
        """The batch with the pixels that are True in `where` (chip, row, col) unlabelled."""
        soft = None if self.soft is None else self.soft * ~where[:, None]
        return replace(self, labels=self.labels.masked_fill(where, UNLABELLED), soft=soft)

    def invalidate(self, where: Tensor) -> Self:
        """The batch with the pixels that are True in `where` (chip, row, col) invalid, as if they were nodata."""
        return replace(self, valid=self.valid & ~where)

    def model_input(self, indices: tuple[str, ...]) -> Tensor:
        """What the model sees, float32, shape (chip, band + index, row, col); invalid pixels are 0.

        In memory a pixel's channels lie side by side: processors convolve that about half as fast again.
        """
        rows, cols = self.shape
        channels = torch.empty((len(self.bands) + len(indices), len(self), rows, cols), device=self.device)
        self.bands.standardise(self.values.transpose(0, 1), self.valid, indices, out=channels)
        return channels.transpose(0, 1).contiguous(memory_format=torch.channels_last)
