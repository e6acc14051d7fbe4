"""Homographies: places mapped by a 3 x 3 matrix for each chip."""

from __future__ import annotations

from torch import Tensor


def moved(places: Tensor, matrices: Tensor) -> Tensor:
    """Places (chip, row, col, 2) mapped by matrices (chip, 3, 3) in homogeneous coordinates."""
    from kornia.geometry.linalg import transform_points  # noqa: PLC0415  (takes a second)

    mapped: Tensor = transform_points(matrices, places.flatten(1, 2))
    return mapped.view_as(places)
