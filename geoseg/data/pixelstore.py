"""Pixels kept: what chips show, decoded and resampled once, from then on read from a memory-mapped file.

Chips of a compressed file cost as many times their pixels as there are pixels in all blocks that they touch. What is
kept is stored as it was read, uncompressed, in tiles around the labelled ground, and shared by all processes through
the operating system's page cache.
"""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from geoseg.core.bands import BandSet
from geoseg.core.grid import Grid, Window
from geoseg.core.legend import UNLABELLED
from geoseg.core.raster import Raster
from geoseg.data.ground import PixelReader, Pixels
from geoseg.data.store import StoredLabels
from geoseg.io.output import replacing

TILE = 256
"""Side of a stored tile in pixels."""

_FREE = 0.5  # of the free disk may be taken


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StoredPixels:
    """Pixels of which the tiles around labels are kept in a file; all others are read from `source`.

    The file is an array (tile, band + 1, row, col) of the source's numbers; the last band is 1 where valid, else 0.
    `places` tells the number of each tile, shape (tile row, tile col), -1 = not kept.
    """

    source: Pixels
    path: Path
    places: NDArray[np.int32]

    @property
    def name(self) -> str:
        """For messages."""
        return self.source.name

    @property
    def bands(self) -> BandSet:
        """The bands of what is read, with its calibration."""
        return self.source.bands

    @property
    def grid(self) -> Grid:
        """Where the pixels are."""
        return self.source.grid

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files of the source."""
        return self.source.paths

    @contextmanager
    def reader(self) -> Iterator[PixelReader]:
        """Map the file for many reads by one thread."""
        with ExitStack() as files:
            yield _StoredReader(self, np.load(self.path, mmap_mode="r"), files)


class _StoredReader:
    def __init__(self, stored: StoredPixels, tiles: NDArray[Any], files: ExitStack) -> None:
        self._stored = stored
        self._tiles = tiles
        self._files = files
        self._source: PixelReader | None = None

    def read(self, window: Window) -> Raster:
        """The pixels of a window, which may reach beyond the grid: there data are 0 and invalid."""
        grid, bands, places = self._stored.grid, self._stored.bands, self._stored.places
        inside = window.intersect(grid.window)
        if inside is None or (places[_tiles(inside)] < 0).any():
            return self._read_source(window)
        data = np.zeros((len(bands) + 1, *window.shape), dtype=self._tiles.dtype)
        rows, cols = _tiles(inside)
        for row in range(rows.start, rows.stop):
            for col in range(cols.start, cols.stop):
                tile = Window(row=row * TILE, col=col * TILE, height=TILE, width=TILE)
                part = tile.intersect(inside)
                if part is not None:
                    kept = self._tiles[places[row, col]]
                    data[:, *part.within(window).slices] = kept[:, *part.within(tile).slices]
        return Raster(data=data[:-1], valid=data[-1] != 0, grid=grid[window], bands=bands)

    def _read_source(self, window: Window) -> Raster:
        if self._source is None:
            self._source = self._files.enter_context(self._stored.source.reader())
        return self._source.read(window)


def store_pixels(pixels: Pixels, labels: StoredLabels, reach: int) -> Pixels:
    """Pixels that are read from a file beside the stored labels, made now unless it is there.

    Where the file would take more than half of the free disk, or nothing is labelled, the pixels come back as they are.

    Args:
        pixels: of a scene.
        labels: its labels, around which tiles are kept.
        reach: so many pixels around every labelled one are kept.
    """
    wanted = _wanted(labels, math.ceil(reach / TILE))
    places = np.where(wanted, np.cumsum(wanted).reshape(wanted.shape) - 1, -1).astype(np.int32)
    name = hashlib.sha256(f"{labels.path.name} {pixels.grid} {pixels.bands.names} {reach}".encode()).hexdigest()[:16]
    path = labels.path.with_name(f"pixels-{name}.npy")
    stored = StoredPixels(source=pixels, path=path, places=places)
    if path.exists():
        return stored
    with pixels.reader() as reader:
        dtype = reader.read(Window(row=0, col=0, height=1, width=1)).data.dtype
        shape = (int(wanted.sum()), len(pixels.bands) + 1, TILE, TILE)
        if not wanted.any() or np.prod(shape) * dtype.itemsize > _FREE * shutil.disk_usage(path.parent).free:
            return pixels
        with replacing(path) as unfinished:
            tiles = np.lib.format.open_memmap(unfinished, mode="w+", dtype=dtype, shape=shape)
            for number, (row, col) in enumerate(np.argwhere(wanted).tolist()):
                raster = reader.read(Window(row=row * TILE, col=col * TILE, height=TILE, width=TILE))
                tiles[number, :-1], tiles[number, -1] = raster.data, raster.valid
            tiles.flush()
    return stored


def _wanted(labels: StoredLabels, around: int) -> NDArray[np.bool_]:
    """Tiles with labels and so many around them, shape (tile row, tile col)."""
    height, width = labels.grid.shape
    found = np.zeros((-(-height // TILE), -(-width // TILE)), dtype=np.bool_)
    with labels.reader() as reader:
        for row in range(len(found)):
            strip = reader.read(Window(row=row * TILE, col=0, height=TILE, width=found.shape[1] * TILE))
            found[row] = (strip != UNLABELLED).reshape(TILE, -1, TILE).any(axis=(0, 2))
    wanted: NDArray[np.bool_] = binary_dilation(found, np.ones((2 * around + 1,) * 2, dtype=np.bool_))
    return wanted


def _tiles(window: Window) -> tuple[slice, slice]:
    return (
        slice(window.row // TILE, (window.row_end - 1) // TILE + 1),
        slice(window.col // TILE, (window.col_end - 1) // TILE + 1),
    )
