"""Distances to the borders of classes, in pixels. They are found on the CPU by SciPy, once a batch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torch.nn import functional

from geoseg.core.legend import UNLABELLED

_Mask = NDArray[np.bool_]


def signed_distance(classes: Tensor, count: int, like: Tensor) -> Tensor:
    """How far each pixel's centre lies outside of a class, negative inside, shape (chip, class, row, col).

    Only labelled pixels are sides of a border; 0 for classes that a chip lacks or is full of, where there is none, and
    on unlabelled pixels.

    Args:
        classes: class indices, uint8 (chip, row, col), 255 = unlabelled.
        count: how many classes there are.
        like: a tensor whose device and type the result has.
    """
    return _by_class(classes, count, like, lambda inside, outside: _to(inside) * outside - _to(outside) * inside)


def border_distance(classes: Tensor, count: int, like: Tensor) -> Tensor:
    """How far each pixel's centre lies from the border of a class, on either side; else as `signed_distance`."""
    return _by_class(classes, count, like, lambda inside, outside: _to(inside) * outside + _to(outside) * inside)


def near_border(classes: Tensor, count: int, width: int) -> Tensor:
    """Whether another class lies within `width` pixels, also diagonally, bool (chip, row, col); found on the device."""
    known = classes != UNLABELLED
    planes = functional.one_hot((classes * known).long(), count).movedim(-1, 1) * known[:, None]
    seen = functional.max_pool2d(planes.float(), 2 * width + 1, stride=1, padding=width)
    return known & (seen.sum(dim=1) > 1)


def _by_class(
    classes: Tensor, count: int, like: Tensor, measure: Callable[[_Mask, _Mask], NDArray[np.float64]]
) -> Tensor:
    labels = classes.cpu().numpy()
    result = np.zeros((len(labels), count, *labels.shape[1:]), dtype=np.float64)
    for chip, index in np.ndindex(len(labels), count):
        inside = labels[chip] == index
        outside = (labels[chip] != UNLABELLED) & ~inside
        if inside.any() and outside.any():
            result[chip, index] = measure(inside, outside)
    return torch.from_numpy(result).to(device=like.device, dtype=like.dtype)


def _to(mask: _Mask) -> NDArray[np.float64]:
    """Distance to the nearest pixel of a mask, from the border between pixels: half a pixel less than to its centre."""
    distance: NDArray[np.float64] = np.maximum(distance_transform_edt(~mask) - 0.5, 0)
    return distance
