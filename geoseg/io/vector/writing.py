"""Features into a file whose suffix tells the format, batch by batch: memory follows a batch and not the map."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from geoseg.errors import InputError, OutputError
from geoseg.io.dataset import first_line
from geoseg.io.output import check_writable, folder_beside
from geoseg.io.vector.flatgeobuf import write_flatgeobuf
from geoseg.io.vector.geojson import write_geojson, write_geojson_lines, write_geojson_sequence
from geoseg.io.vector.geopackage import write_geopackage
from geoseg.io.vector.geoparquet import write_geoparquet
from geoseg.io.vector.layer import VectorLayer
from geoseg.io.vector.ogr import OGR_ERRORS
from geoseg.io.vector.place import Place
from geoseg.io.vector.pmtiles import PMTILES_BESIDE, write_pmtiles
from geoseg.io.vector.shapefile import SHAPEFILE_BESIDE, SHAPEFILE_OUTDATED, write_shapefile


@dataclass(frozen=True, slots=True, kw_only=True)
class _Format:
    """How a format is written, and suffixes: of the files beside the one that is named, of what becomes outdated."""

    write: Callable[[Iterable[pa.RecordBatch], Place, VectorLayer], tuple[str, ...]]
    beside: tuple[str, ...] = ()
    outdated: tuple[str, ...] = ()


_FORMATS = {
    ".gpkg": _Format(write=write_geopackage),
    ".fgb": _Format(write=write_flatgeobuf),
    ".parquet": _Format(write=write_geoparquet),
    ".geojson": _Format(write=write_geojson),
    ".geojsonl": _Format(write=write_geojson_lines),
    ".geojsons": _Format(write=write_geojson_sequence),
    ".shp": _Format(write=write_shapefile, beside=SHAPEFILE_BESIDE, outdated=SHAPEFILE_OUTDATED),
    ".pmtiles": _Format(write=write_pmtiles, beside=PMTILES_BESIDE),
}
VECTOR_SUFFIXES = tuple(_FORMATS)
_STEM = "features"  # a plain name: "!" and ";" mean something to pyogrio


def check_vector_name(out: Path) -> None:
    """Refuse a name that no writer here can write.

    Raises:
        OutputError: for an unknown suffix, or marks in a folder's name that mean something else to pyogrio.
    """
    if out.suffix.lower() not in _FORMATS:
        known = ", ".join(VECTOR_SUFFIXES)
        raise OutputError(f"{out}: the suffix {out.suffix!r} is unknown; features can be written as {known}")
    if set("!;") & set(str(out.parent.absolute())):
        raise OutputError(f"{out}: '!' or ';' in a folder's name means something else to pyogrio; rename the folder")


def vector_files(out: Path) -> tuple[Path, ...]:
    """Every file that appears where `write_features` writes `out`; that one is the first."""
    form = _FORMATS.get(out.suffix.lower())
    return (out, *(out.with_suffix(suffix) for suffix in (form.beside if form else ())))


def outdated_files(out: Path) -> tuple[Path, ...]:
    """What other programs may have left beside an older file of that name, and describes what is no longer there."""
    form = _FORMATS.get(out.suffix.lower())
    return tuple(out.with_suffix(suffix) for suffix in (form.outdated if form else ()))


def check_vector_output(out: Path, *, overwrite: bool) -> None:
    """Refuse an output that cannot be written, before any work is done.

    Raises:
        OutputError: see `check_vector_name`; or one of its files exists (without `overwrite`), or its folder is missing
            or read-only.
    """
    check_vector_name(out)
    for path in vector_files(out):
        check_writable(path, overwrite=overwrite)


def write_features(batches: Iterable[pa.RecordBatch], out: Path, *, layer: VectorLayer) -> tuple[str, ...]:
    """Write batches of features to a file whose suffix tells the format; it appears when it is complete.

    GeoPackage gets a default style from the legend, PMTiles a style beside them. The provenance is stored as JSON: as
    layer metadata (`geoseg_provenance`) in GeoPackage, as file metadata of that name in GeoParquet, as the layer's
    description in FlatGeobuf, GeoJSON and PMTiles, and in the file .shp.xml of a Shapefile; sequences of GeoJSON have
    no place for it. GeoJSON is in WGS 84 (RFC 7946), PMTiles in Web Mercator. No features at all make a valid file,
    too. Files that are there already are replaced.

    Args:
        batches: made by `layer.batch`; taken one after the other, in another thread.
        out: a path that ends in one of `VECTOR_SUFFIXES`.
        layer: what the batches hold.

    Returns:
        What a user should know about the file, a sentence each.

    Raises:
        OutputError: see `check_vector_name`; or for a missing folder, or where writing fails.
    """
    check_vector_name(out)
    suffix = out.suffix.lower()
    try:
        with folder_beside(out) as folder:
            unfinished = folder / f"{_STEM}{suffix}"
            notes = _FORMATS[suffix].write(batches, Place(path=unfinished, name=out.name), layer)
            for finished, final in reversed(list(zip(vector_files(unfinished), vector_files(out), strict=True))):
                finished.replace(final)
            for path in outdated_files(out):
                path.unlink(missing_ok=True)
    except (*OGR_ERRORS, pa.ArrowException, sqlite3.Error, OSError) as error:
        if isinstance(error, (InputError, OutputError)):
            raise
        msg = f"{out}: cannot write features ({first_line(error)}); check the folder, the free space and the rights"
        raise OutputError(msg) from error
    return notes
