"""Test-time augmentation: a runtime that averages the probabilities of another one over views of the same tile."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from geoseg.core.resampling import resize
from geoseg.errors import InputError
from geoseg.models.runtime.protocol import Runtime

TTA = {
    "none": "every tile as it is",
    "flips": "also mirrored along rows, columns and both: four views",
    "d4": "also turned by 90, 180 and 270 degrees, each mirrored or not: eight views",
    "scales": "also at three and five quarters of its size: three views",
}
"""What a tile is looked at as, by the name of the augmentation."""

SCALES = (0.75, 1.25)
_FAINT = np.float32(1e-3)  # the weight of what the network says where nothing is valid: less than all else


class View(Protocol):
    """A way to look at tiles."""

    def __call__(self, runtime: Runtime, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Class probabilities (N, classes, H, W) of channels (N, channels, H, W), put back to where they belong."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Symmetry:
    """A tile mirrored, turned or both: rows and columns are swapped, then each may be reversed."""

    swapped: bool = False
    rows_reversed: bool = False
    cols_reversed: bool = False

    def __call__(self, runtime: Runtime, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Class probabilities of a view, without any loss."""
        seen = self._reversed(batch.swapaxes(2, 3) if self.swapped else batch)
        found = self._reversed(runtime(np.ascontiguousarray(seen)))
        return found.swapaxes(2, 3) if self.swapped else found

    def _reversed(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        return values[:, :, :: -1 if self.rows_reversed else 1, :: -1 if self.cols_reversed else 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Zoom:
    """A tile at `scale` times its size, made up to multiples of `stride` pixels by mirroring its end.

    The scale is kept exactly, whatever the size of the tile. Pixels that are 0 in every channel are invalid: valid ones
    do not mix with them, and what is mostly invalid is 0 in the view, too.
    """

    scale: float
    stride: int

    def __call__(self, runtime: Runtime, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Class probabilities of a view, brought back by the same filter; they still sum to 1."""
        shape = batch.shape[2], batch.shape[3]
        rows, cols = (math.ceil(length * self.scale) for length in shape)
        somewhere = np.logical_or.reduce(batch, axis=1, keepdims=True)
        share = resize(somewhere.astype(np.float32), (rows, cols), self.scale)
        valid = share >= 0.5
        seen = resize(batch, (rows, cols), self.scale)
        np.divide(seen, share, out=seen, where=valid)
        seen *= valid
        ends = ((0, 0), (0, 0), (0, -rows % self.stride), (0, -cols % self.stride))
        found = runtime(np.pad(seen, ends, mode="symmetric"))[:, :, :rows, :cols]
        weight = np.maximum(valid.astype(np.float32), _FAINT)
        back = resize(found * weight, shape, 1 / self.scale)
        back /= resize(weight, shape, 1 / self.scale)
        return back


class AugmentedRuntime:
    """The mean of a network's class probabilities over views of every tile, one view at a time.

    `stride` is the spec's. Cost is that of the network times the area of all views: 4 for flips, 8 for d4, and for
    scales 0.75² + 1 + 1.25², about 3.1.

    Raises:
        InputError: for an unknown augmentation.
    """

    def __init__(self, runtime: Runtime, tta: str, stride: int) -> None:
        self._runtime = runtime
        self._views = _views(tta, stride)
        self.name = f"{runtime.name}; mean of {len(self._views)} views ({tta})"
        self.streams = runtime.streams

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Class probabilities (N, classes, H, W) of normalised channels (N, channels, H, W), float32."""
        first, *others = self._views
        total = first(self._runtime, batch).copy()
        for view in others:
            total += view(self._runtime, batch)
        total /= len(self._views)
        return total


def augmented(runtime: Runtime, tta: str, stride: int) -> Runtime:
    """A runtime with test-time augmentation; the same one for "none".

    Raises:
        InputError: for an unknown augmentation.
    """
    return runtime if tta == "none" else AugmentedRuntime(runtime, tta, stride)


def view_scales(tta: str) -> tuple[float, ...]:
    """At how many times its size a tile is looked at, its own size among them."""
    return (1.0, *SCALES) if tta == "scales" else (1.0,)


def require_tta(tta: str) -> None:
    """Refuse an unknown augmentation.

    Raises:
        InputError: see above.
    """
    if tta not in TTA:
        raise InputError(f"test-time augmentation {tta!r} is unknown, choose from {', '.join(TTA)}")


def _views(tta: str, stride: int) -> tuple[View, ...]:
    """The plain view first. Flips and d4 are groups: a mirrored or turned scene gives the mirrored or turned map."""
    require_tta(tta)
    if tta == "scales":
        return (Symmetry(), *(Zoom(scale=scale, stride=stride) for scale in SCALES))
    turns = {"none": 1, "flips": 4, "d4": 8}[tta]
    return tuple(
        Symmetry(swapped=swapped, rows_reversed=rows, cols_reversed=cols)
        for swapped, rows, cols in list(product((False, True), repeat=3))[:turns]
    )
