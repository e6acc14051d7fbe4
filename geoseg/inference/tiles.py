"""Which tiles a scene is cut into: as large as the memory allows, overlapping as far as the network looks around."""

from __future__ import annotations

import math
from dataclasses import dataclass

from geoseg.core.grid import Grid
from geoseg.core.tiling import TilePlan, plan_tiles
from geoseg.errors import InputError
from geoseg.models.bundle import Bundle
from geoseg.models.footprint import Footprint

MEMORY = 1_200_000_000  # bytes of the whole process that a plan keeps to where nobody says how many
_PROCESS = 400_000_000  # bytes without any tile: interpreter, libraries, GDAL's cache
_RUNTIME_FACTOR = 2.0  # of the memory that eager torch takes
_HELD = 4  # tiles of probabilities that are waiting or being blended
_LARGEST = 1024  # a side beyond it saves next to nothing
_SMALLEST = 4  # strides
_USUAL = Footprint(reach_px=32, bytes_per_pixel=600.0)  # of bundles that do not say


@dataclass(frozen=True, slots=True, kw_only=True)
class TileOptions:
    """How a scene is to be cut; None = from the model and the memory.

    `tile` is the largest side of a tile and `overlap` that of neighbouring tiles, both in pixels; `memory` is what the
    whole process may take, in bytes.
    """

    tile: int | None = None
    overlap: int | None = None
    memory: int | None = None


def choose_tiles(grid: Grid, bundle: Bundle, options: TileOptions) -> TilePlan:
    """Tiles as large as the memory allows, overlapping by twice the reach of the network, at most by a quarter.

    Raises:
        InputError: no tile fits into the memory, or tile and overlap do not fit each other or the model's stride.
    """
    size = options.tile if options.tile is not None else _largest_tile(bundle, options.memory or MEMORY)
    overlap = options.overlap
    if overlap is None:
        stride = bundle.spec.stride
        overlap = max(0, min(_round_up(2 * _footprint(bundle).reach_px, stride), size // 4, size - stride))
    return plan_tiles(*grid.shape, size=size, overlap=overlap, stride=bundle.spec.stride)


def _largest_tile(bundle: Bundle, memory: int) -> int:
    stride = bundle.spec.stride
    room = max(0, memory - _PROCESS) / _bytes_per_pixel(bundle)
    side = min(math.isqrt(int(room)), _LARGEST) // stride * stride
    if side < _SMALLEST * stride:
        least = _PROCESS + (_SMALLEST * stride) ** 2 * _bytes_per_pixel(bundle)
        raise InputError(
            f"{memory / 1e9:.2f} GB of memory hold no tile of this model, needed are {least / 1e9:.2f} GB; give "
            "more with --memory, or the size with --tile"
        )
    return side


def memory_of(plan: TilePlan, bundle: Bundle) -> int:
    """Bytes that the process takes at its peak, an estimate: grows with the tile and, a little, with the width."""
    carried = 2 * 4 * bundle.spec.classes * plan.rows.blend * plan.cols.length
    tile = plan.rows.size * plan.cols.size
    return round(_PROCESS + tile * _bytes_per_pixel(bundle) + carried)


def _bytes_per_pixel(bundle: Bundle) -> float:
    """Of a tile, in the network and around it: probabilities that wait, channels and stored numbers."""
    spec = bundle.spec
    around = _HELD * 4 * spec.classes + 2 * (4 * spec.channels + 4 * len(spec.bands))
    return _RUNTIME_FACTOR * _footprint(bundle).bytes_per_pixel + around


def _footprint(bundle: Bundle) -> Footprint:
    return bundle.footprint or _USUAL


def _round_up(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple
