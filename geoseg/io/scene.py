"""Scenes: multispectral rasters in one file or several, opened as values and read by windows."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling

from geoseg.core.bands import Band, BandSet
from geoseg.core.grid import Grid, Window
from geoseg.core.raster import Raster
from geoseg.io.identify import SceneFacts, SceneOptions, acquired_on, identify
from geoseg.io.reader import BandSource, ReadPlan, SceneReader, open_reader, pixel_offset
from geoseg.io.sources import StoredFile, choose, finest_grid, inspect, labels_of, list_paths

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["BandSource", "Scene", "SceneOptions", "SceneReader", "open_scene"]

_PROBES, _PROBE_SIZE = 5, 128
_DARK_DN, _DARK_SHARE = 1000, 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A scene as a value without open files: what its bands are, where they are stored, and on which grid to read.

    `notes` says in sentences how bands and scaling were identified. `acquired` is the day on which it was taken, None
    where neither tags nor file names tell it.
    """

    name: str
    bands: BandSet
    grid: Grid
    sources: tuple[BandSource, ...]
    dtype: np.dtype[Any]
    notes: tuple[str, ...] = ()
    black_is_nodata: bool = False
    acquired: date | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that the scene is stored in, each once."""
        return tuple(dict.fromkeys(Path(source.path) for source in self.sources))

    @property
    def needs_resampling(self) -> bool:
        """True where a band is stored on other pixels than the scene's grid."""
        return any(pixel_offset(source.grid, self.grid) is None for source in self.sources)

    def reader(self) -> AbstractContextManager[SceneReader]:
        """Open files for many reads by one thread."""
        return open_reader(self._plan())

    def read(self, window: Window) -> Raster:
        """The pixels of a window, which may reach beyond the grid: there data are 0 and invalid.

        Raises:
            InputError: if a file is damaged there.
        """
        with self.reader() as reader:
            return reader.read(window)

    def select(self, positions: Iterable[int]) -> Scene:
        """The scene with only the bands at these positions, in that order."""
        chosen = tuple(positions)
        return replace(self, bands=self.bands.select(chosen), sources=tuple(self.sources[i] for i in chosen))

    def on_grid(self, grid: Grid) -> Scene:
        """The scene on another grid, in any CRS.

        Pixels at least 1.5 times larger than the stored ones, in either direction, become means of what they
        cover, others are interpolated bilinearly. Invalid pixels take no part; where nothing valid is, the result
        is invalid.
        """
        return replace(self, grid=grid)

    def with_black_as_nodata(self) -> Scene:
        """The scene with pixels that are 0 in every band as invalid: borders of files that declare no nodata."""
        return replace(self, black_is_nodata=True)

    def preview(self, max_size: int = 512) -> Raster:
        """The whole scene by nearest pixels in at most `max_size` rows and columns, from overviews if there are any."""
        rows, cols = (min(length, max_size) for length in self.grid.shape)
        shrink = max(self.grid.height / rows, self.grid.width / cols)
        rows, cols = max(1, round(self.grid.height / shrink)), max(1, round(self.grid.width / shrink))
        transform = self.grid.transform @ self.grid.transform.scale(self.grid.width / cols, self.grid.height / rows)
        grid = replace(self.grid, transform=transform, height=rows, width=cols)
        plan = replace(self._plan(), grid=grid, resampling=Resampling.nearest, decimate=True)
        with open_reader(plan) as reader:
            return reader.read(grid.window)

    def to_xarray(self, *, chunks: int | tuple[int, int] = 1024, indices: tuple[str, ...] = ()) -> xr.DataArray:
        """The scene as a lazy, georeferenced array of physical values, dims (band, y, x).

        Args:
            chunks: rows and columns of a chunk.
            indices: spectral indices by name, as further channels.

        Returns:
            float32 on Dask; invalid pixels are NaN in every channel. `x` and `y` are pixel centres in CRS units,
            absent where the grid is rotated; CRS and transform are readable by rioxarray.

        Raises:
            KeyError: for an unknown index.
            ValueError: where a band that an index needs is missing.
        """
        return _to_xarray(self, chunks=chunks, indices=indices)

    def _plan(self) -> ReadPlan:
        return ReadPlan(
            bands=self.bands,
            sources=self.sources,
            grid=self.grid,
            dtype=self.dtype,
            black_is_nodata=self.black_is_nodata,
        )


def open_scene(source: str | Path | Sequence[str | Path], *, options: SceneOptions = SceneOptions()) -> Scene:  # noqa: B008
    """Open a raster file, a folder of band files, or a sequence of files as one scene; nothing stays open.

    The grid is that of the finest file. Bands are identified by an explicit mapping, else by their descriptions
    (for single-band files: the file name), else by declared colours; see `Scene.notes`.

    Raises:
        MissingFileError: if a file or folder is not there.
        InputError: if a file is no raster, is damaged, has no CRS or geotransform or an unsupported data type, if
            files have different CRS, or if the options do not fit.
    """
    files = tuple(inspect(path) for path in list_paths(source))
    in_folder = isinstance(source, (str, Path)) and Path(source).is_dir()
    stored, left_out = choose(files, options, in_folder=in_folder)
    grid = finest_grid(stored)
    facts = SceneFacts(
        bands=tuple(band.facts for band in stored),
        tags={key: value for file in reversed(files) for key, value in file.tags.items()},
        labels=tuple(dict.fromkeys(label for file in files for label in labels_of(file.path))),
    )
    scene = Scene(
        name=_name(source, files),
        bands=BandSet(()),
        grid=grid,
        sources=tuple(band.source for band in stored),
        dtype=np.result_type(*(np.dtype(band.facts.dtype) for band in stored)),
        acquired=acquired_on(facts),
    )
    bands, notes = identify(facts, options, looks_unshifted=partial(_looks_unshifted, scene, facts))
    return replace(scene, bands=bands, notes=(*notes, *left_out))


def _name(source: str | Path | Sequence[str | Path], files: tuple[StoredFile, ...]) -> str:
    if isinstance(source, (str, Path)):
        return Path(source).stem
    return Path(files[0].path).stem if len(files) == 1 else Path(files[0].path).parent.name


def _looks_unshifted(scene: Scene, facts: SceneFacts) -> bool:
    """True where more than 1 % of the probed pixels of some band are valid and below DN 1000."""
    bands = tuple(Band(name=str(i), nodata=fact.nodata) for i, fact in enumerate(facts.bands))
    dark, count = np.zeros(len(bands)), 0
    with replace(scene, bands=BandSet(bands)).reader() as reader:
        for window in _probes(scene.grid):
            raster = reader.read(window)
            dark += np.count_nonzero((raster.data < _DARK_DN) & raster.valid, axis=(1, 2))
            count += int(np.count_nonzero(raster.valid))
    return bool(count and dark.max() > _DARK_SHARE * count)


def _probes(grid: Grid) -> Iterator[Window]:
    """Evenly spread small windows."""
    height, width = min(_PROBE_SIZE, grid.height), min(_PROBE_SIZE, grid.width)
    rows: list[int] = np.linspace(0, grid.height - height, _PROBES, dtype=int).tolist()
    cols: list[int] = np.linspace(0, grid.width - width, _PROBES, dtype=int).tolist()
    for row, col in itertools.product(rows, cols):
        yield Window(row=row, col=col, height=height, width=width)


def _to_xarray(scene: Scene, *, chunks: int | tuple[int, int], indices: tuple[str, ...]) -> xr.DataArray:
    import dask.array as da  # noqa: PLC0415  (heavy, and needed for this method only)
    import rioxarray  # noqa: F401, PLC0415  (registers the accessor)
    import xarray as xr  # noqa: PLC0415

    sizes = (chunks, chunks) if isinstance(chunks, int) else chunks
    names = (*scene.bands.names, *indices)
    scene.bands.normalise(np.zeros((len(scene.bands), 1, 1)), np.ones((1, 1), dtype=np.bool_), indices)  # fails early
    rows_cols = da.core.normalize_chunks(sizes, shape=scene.grid.shape)  # type: ignore[no-untyped-call]
    data = da.map_blocks(  # type: ignore[no-untyped-call]
        partial(_physical_block, scene, indices),
        chunks=((len(names),), *rows_cols),
        dtype=np.float32,
        meta=np.empty((0, 0, 0), dtype=np.float32),
    )
    array = xr.DataArray(
        data, dims=("band", "y", "x"), coords={"band": list(names), **_centres(scene.grid)}, name=scene.name
    )
    array = array.rio.write_crs(scene.grid.crs).rio.write_transform(scene.grid.transform)
    georeferenced: xr.DataArray = array.rio.write_nodata(np.nan)
    return georeferenced


def _physical_block(
    scene: Scene, indices: tuple[str, ...], block_info: dict[None, dict[str, Any]] | None = None
) -> NDArray[np.float32]:
    assert block_info is not None  # noqa: S101  (Dask fills it in)
    _, (row, row_end), (col, col_end) = block_info[None]["array-location"]
    raster = scene.read(Window(row=row, col=col, height=row_end - row, width=col_end - col))
    values = scene.bands.physical(raster.data)
    extra = [scene.bands.index(name, values)[None] for name in indices]
    channels: NDArray[np.float32] = np.concatenate([values, *extra])
    channels[:, ~raster.valid] = np.nan
    return channels


def _centres(grid: Grid) -> dict[str, tuple[str, NDArray[np.floating[Any]]]]:
    t = grid.transform
    if t.b or t.d:
        return {}
    x, y = t.c + (np.arange(grid.width) + 0.5) * t.a, t.f + (np.arange(grid.height) + 0.5) * t.e
    return {"x": ("x", x), "y": ("y", y)}
