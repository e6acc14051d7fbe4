"""Which tiles a scene is cut into: as large as the memory allows, overlapping as far as the network looks around."""

from __future__ import annotations

import math
from dataclasses import dataclass

from geoseg.core.grid import Grid
from geoseg.core.tiling import TilePlan, plan_tiles, round_up
from geoseg.errors import InputError
from geoseg.models.ensemble import Ensemble
from geoseg.models.footprint import Footprint
from geoseg.models.runtime.augmented import view_scales

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
    whole process may take, in bytes. With `small` tiles have a quarter of the usual side and overlap by an eighth of it
    at most, where nobody says another.
    """

    tile: int | None = None
    overlap: int | None = None
    memory: int | None = None
    small: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a tile costs and needs around it: bytes a pixel of it, and pixels that the networks look around.

    Tile sides are multiples of `stride`; `classes` is how many probabilities each pixel gets.
    """

    stride: int
    classes: int
    reach_px: int
    bytes_per_pixel: float


def load_of(ensemble: Ensemble, tta: str = "none") -> Load:
    """The load of networks that are held together, seen through the largest view of a tile.

    Where the view is coarser than the tile, networks look further around on the ground.
    """
    spec, scales = ensemble.spec, view_scales(tta)
    footprints = [bundle.footprint or _USUAL for bundle in ensemble.bundles]
    networks = _RUNTIME_FACTOR * sum(footprint.bytes_per_pixel for footprint in footprints)
    channels = spec.channels * len(footprints)
    around = _HELD * 4 * spec.classes + 2 * (4 * channels + 4 * len(spec.bands))
    averaging = 0 if len(footprints) == 1 and tta == "none" else 2 * 4 * spec.classes
    return Load(
        stride=spec.stride,
        classes=spec.classes,
        reach_px=math.ceil(max(footprint.reach_px for footprint in footprints) / min(scales)),
        bytes_per_pixel=max(scales) ** 2 * (networks + averaging) + around,
    )


def choose_tiles(grid: Grid, load: Load, options: TileOptions) -> TilePlan:
    """Tiles as large as the memory allows, overlapping by twice the reach of the network, at most by a quarter.

    Raises:
        InputError: no tile fits into the memory, or tile and overlap do not fit each other or the model's stride.
    """
    size = options.tile if options.tile is not None else _largest_tile(load, options)
    overlap = options.overlap
    if overlap is None:
        overlap = max(
            0, min(round_up(2 * load.reach_px, load.stride), size // (8 if options.small else 4), size - load.stride)
        )
    return plan_tiles(*grid.shape, size=size, overlap=overlap, stride=load.stride)


def _largest_tile(load: Load, options: TileOptions) -> int:
    stride, memory = load.stride, options.memory or MEMORY
    room = max(0, memory - _PROCESS) / load.bytes_per_pixel
    smallest = _SMALLEST * stride
    largest = max(_LARGEST // 4, smallest) if options.small else _LARGEST
    side = min(math.isqrt(int(room)), largest) // stride * stride
    if side < smallest:
        least = _PROCESS + smallest**2 * load.bytes_per_pixel
        raise InputError(
            f"{memory / 1e9:.2f} GB of memory hold no tile of this model, needed are {least / 1e9:.2f} GB; give "
            "more with --memory, or the size with --tile"
        )
    return side


def memory_of(plan: TilePlan, load: Load) -> int:
    """Bytes that the process takes at its peak, an estimate: grows with the tile and, a little, with the width."""
    carried = 2 * 4 * load.classes * plan.rows.blend * plan.cols.length
    tile = plan.rows.size * plan.cols.size
    return round(_PROCESS + tile * load.bytes_per_pixel + carried)
