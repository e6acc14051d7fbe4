"""The files of a scene: finding them, what each declares, and which of their bands to use."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.enums import ColorInterp

from geoseg.core.grid import Grid
from geoseg.errors import InputError
from geoseg.io.dataset import Dataset, grid_of, open_raster
from geoseg.io.identify import BandFacts, SceneOptions, band_label, is_band_name
from geoseg.io.reader import BandSource

_SUFFIXES = (".tif", ".tiff", ".jp2", ".vrt", ".img")
_DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBand:
    """A band in a file, and what the file declares about it."""

    source: BandSource
    facts: BandFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file with its tags and all of its bands."""

    path: str
    tags: dict[str, str]
    bands: tuple[StoredBand, ...]


def list_paths(source: str | Path | Sequence[str | Path]) -> tuple[str, ...]:
    """The absolute paths of a scene's files: a folder stands for the rasters in it, in the order of their names.

    Raises:
        InputError: if there is none.
    """
    if not isinstance(source, (str, Path)):
        if not source:
            raise InputError("found an empty list of files, needed at least one raster file")
        return tuple(_absolute(path) for path in source)
    folder = Path(source)
    if not folder.is_dir():
        return (_absolute(source),)
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
    if not found:
        raise InputError(
            f"{folder}: found no raster in this folder, needed files like *.tif; give a file or its folder"
        )
    return tuple(_absolute(path) for path in found)


def _absolute(path: str | Path) -> str:
    """An absolute path, so that the scene can be read in another process; GDAL's own paths and URLs stay."""
    return str(Path(path).absolute()) if Path(path).exists() else str(path)


def labels_of(path: str) -> tuple[str, ...]:
    """File and folder name, and those folders above that look like a Sentinel-2 or Landsat product."""
    parents = [parent.name for parent in Path(path).parents]
    return (
        Path(path).stem,
        *parents[:1],
        *(name for name in parents[1:] if name.startswith(("S2", "LC0", "LE0", "LT0"))),
    )


def inspect(path: str) -> StoredFile:
    """What a raster file declares.

    Raises:
        MissingFileError: if it is not there.
        InputError: if it is no raster, or has no CRS or geotransform.
    """
    with open_raster(path) as dataset:
        grid = grid_of(dataset)
        bands = tuple(_stored_band(dataset, path, grid, index) for index in dataset.indexes)
        return StoredFile(path=path, tags=dict(dataset.tags()), bands=bands)


def _stored_band(dataset: Dataset, path: str, grid: Grid, index: int) -> StoredBand:
    i = index - 1
    description, label = dataset.descriptions[i] or "", band_label(Path(path).stem)
    by_file = dataset.count == 1 and not is_band_name(description) and (is_band_name(label) or not description)
    facts = BandFacts(
        description=label if by_file else description,
        named_by_file=by_file,
        colour=dataset.colorinterp[i].name,
        scale=dataset.scales[i],
        offset=dataset.offsets[i],
        nodata=dataset.nodatavals[i],
        dtype=dataset.dtypes[i],
    )
    return StoredBand(source=BandSource(path=path, index=index, grid=grid), facts=facts)


def choose(
    files: tuple[StoredFile, ...], options: SceneOptions, *, in_folder: bool
) -> tuple[tuple[StoredBand, ...], tuple[str, ...]]:
    """The bands to use, with nodata as it will be compared, and what to say about those left out."""
    stored = tuple(band for file in files for band in file.bands)
    notes: tuple[str, ...] = ()
    if options.bands is not None:
        stored = _mapped(stored, options.bands, files)
    else:
        _refuse_several_scenes(files)
        stored = tuple(band for band in stored if not _is_alpha(band)) or stored
        known = tuple(band for band in stored if is_band_name(band.facts.description))
        if in_folder and known and len(known) < len(stored):
            others = ", ".join(Path(band.source.path).name for band in stored if band not in known)
            stored, notes = known, (f"files that are no known band left out: {others}",)
    return tuple(_with_nodata(band, options.nodata) for band in stored), notes


def _refuse_several_scenes(files: tuple[StoredFile, ...]) -> None:
    """Several files are the bands of one scene: multi-band files that hold the same band are several scenes."""
    homes: dict[str, str] = {}
    for file in files:
        for band in file.bands if len(file.bands) > 1 else ():
            name = band.facts.description or band.facts.colour
            if is_band_name(name) and homes.setdefault(name.lower(), file.path) != file.path:
                other = homes[name.lower()]
                raise InputError(
                    f"{file.path}: its band {name} is in {other}, too; give the files of one scene at a time"
                )


def _is_alpha(band: StoredBand) -> bool:
    return band.facts.colour == ColorInterp.alpha.name and not is_band_name(band.facts.description)


def _mapped(
    stored: tuple[StoredBand, ...], mapping: Mapping[str, int], files: tuple[StoredFile, ...]
) -> tuple[StoredBand, ...]:
    if not mapping:
        raise InputError("found an empty band mapping, needed at least one band, as in blue=1,green=2")
    for name, index in mapping.items():
        if not 1 <= index <= len(stored):
            what = f"{files[0].path} has" if len(files) == 1 else f"the {len(files)} files have"
            raise InputError(f"band {name}={index} is not there: {what} bands 1 to {len(stored)}; mend the mapping")
    chosen = ((name, stored[index - 1]) for name, index in mapping.items())
    return tuple(replace(band, facts=replace(band.facts, description=name)) for name, band in chosen)


def _with_nodata(band: StoredBand, override: float | None) -> StoredBand:
    """Nodata as a number that pixels of this dtype can equal, else None (NaN is invalid in any case)."""
    dtype = band.facts.dtype
    if dtype not in _DTYPES:
        msg = f"{band.source.path}: found data type {dtype}, needed one of {', '.join(_DTYPES)}; convert the file"
        raise InputError(msg)
    number = np.dtype(dtype)
    if override is not None and not _holds(number, override):
        raise InputError(f"{band.source.path}: pixels of {dtype} cannot be {override:g}; give another nodata value")
    nodata = band.facts.nodata if override is None else override
    if nodata is not None and (math.isnan(nodata) or not _holds(number, nodata)):
        nodata = None
    return replace(band, facts=replace(band.facts, nodata=nodata))


def _holds(dtype: np.dtype[Any], number: float) -> bool:
    if dtype.kind == "f":
        return True
    info = np.iinfo(dtype)
    return float(number).is_integer() and info.min <= number <= info.max


def finest_grid(stored: tuple[StoredBand, ...]) -> Grid:
    """The grid of the file with the smallest pixels.

    Raises:
        InputError: if the files have different CRS.
    """
    first = stored[0].source
    for band in stored:
        if band.source.grid.crs != first.grid.crs:
            msg = (
                f"{band.source.path}: found the CRS {band.source.grid.crs.name!r}, needed that of {first.path}, "
                f"{first.grid.crs.name!r}; warp the files to one CRS"
            )
            raise InputError(msg)
    return min((band.source.grid for band in stored), key=lambda grid: abs(grid.transform.determinant))
