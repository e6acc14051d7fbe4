"""Splits as files: a GeoPackage to look at and to edit in QGIS, from which the same split is read again."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import geopandas
import numpy as np
import pyogrio
import shapely
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError, FieldError, GeometryError

from geoseg.core.legend import LandClass, Legend
from geoseg.data.options import STRICT
from geoseg.data.splits.blocks import Block, check_apart
from geoseg.data.splits.plane import Plane
from geoseg.data.splits.split import FOLDS, SpatialSplit
from geoseg.errors import InputError, MissingFileError, OutputError
from geoseg.io.dataset import first_line
from geoseg.io.output import folder_beside
from geoseg.io.style import add_layer_style, vector_qml

BLOCKS_LAYER, FOLDS_LAYER = "blocks", "folds"
METADATA_KEY = "geoseg_split"

_FOLD_LEGEND = Legend(
    tuple(
        LandClass(code=code, name=name, colour=colour)
        for code, (name, colour) in enumerate(zip(FOLDS, ("#4477aa", "#ddaa33", "#bb5566"), strict=True))
    )
)  # of Paul Tol's "high-contrast" and "bright" schemes, which the colour-blind can tell apart
_ERRORS = (DataLayerError, DataSourceError, FeatureError, FieldError, GeometryError, sqlite3.Error, OSError)


@checked(config=STRICT, frozen=True, slots=True, kw_only=True)
class _Metadata:
    """What a split's file holds beside its polygons, as JSON; `parts` by block name and `outlines` as they were saved.

    They tell an edited file from one as it was written: `outlines` is a hash of all polygons.
    """

    version: int
    lon: float
    lat: float
    roles: tuple[int, ...]
    buffer_m: float
    seed: int
    method: str
    parts: dict[str, int]
    outlines: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """A block as it lies in the file."""

    name: str
    part: int | None
    fold: int | None


def save_split(
    split: SpatialSplit,
    path: Path,
    *,
    legend: Legend | None = None,
    block_pixels: NDArray[np.int64] | None = None,
) -> None:
    """Write a split as a GeoPackage with QGIS styles; it appears when it is complete, replacing an earlier one.

    The layer `blocks` has a block a row: `name`, `part` (0, 1, ...), `fold` ("train", "val", "test"), `area_m2`,
    and, where given, `labelled_px` and a column `px_<code>_<class>` of labelled pixels for each class. The layer
    `folds` shows what the buffer leaves of each fold. In `blocks` a user may change a `fold` or a `part`, move
    borders, and remove or add blocks: `load_split` takes it so. `folds` is for looking only.

    Args:
        split: to save.
        path: ends in .gpkg.
        legend: of the classes.
        block_pixels: labelled pixels of each class in every block, shape (block, class).

    Raises:
        OutputError: another suffix, or writing fails.
    """
    if path.suffix.lower() != ".gpkg":
        raise OutputError(f"{path}: a split is saved as a GeoPackage; choose a name that ends in .gpkg")
    blocks = _blocks_frame(split, legend, block_pixels)
    folds = _folds_frame(split)
    try:
        with folder_beside(path) as folder:
            unfinished = folder / "split.gpkg"  # a plain name: "!" and ";" mean something to pyogrio
            metadata = json.dumps(TypeAdapter(_Metadata).dump_python(_metadata(split), mode="json"), allow_nan=False)
            _write_layer(blocks, unfinished, BLOCKS_LAYER, {METADATA_KEY: metadata})
            _write_layer(folds, unfinished, FOLDS_LAYER, None)
            unfinished.replace(path)
    except _ERRORS as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(
            f"{path}: cannot write the split ({first_line(error)}); check folder, space and rights"
        ) from error


def load_split(path: Path) -> SpatialSplit:
    """Read a split that `save_split` wrote, with what was edited since: folds, parts, borders, blocks.

    A changed `fold` moves the block to a part with that fold; a changed `part` moves it to that part.

    Raises:
        MissingFileError: no such file.
        InputError: no split of this program, an unknown fold or part, a fold and a part that were both changed and
            contradict each other, or blocks that were edited so that they overlap.
    """
    if not path.exists():
        raise MissingFileError(f"{path}: there is no such file; check the path")
    metadata, frame = _read(path)
    plane = Plane(lon=metadata.lon, lat=metadata.lat)
    names, polygons = _outlines(path, frame)
    blocks = tuple(Block(name=name, polygon=polygon) for name, polygon in zip(names, polygons, strict=True))
    rows = [_row(path, name, frame.iloc[i], metadata) for i, name in enumerate(names)]
    if _hash(blocks) != metadata.outlines:
        check_apart(blocks, str(path))
    return SpatialSplit(
        plane=plane,
        blocks=blocks,
        parts=tuple(_part(path, row, metadata) for row in rows),
        roles=metadata.roles,
        buffer_m=metadata.buffer_m,
        seed=metadata.seed,
        method=metadata.method,
    )


def _metadata(split: SpatialSplit) -> _Metadata:
    return _Metadata(
        version=1,
        lon=split.plane.lon,
        lat=split.plane.lat,
        roles=split.roles,
        buffer_m=split.buffer_m,
        seed=split.seed,
        method=split.method,
        parts={block.name: part for block, part in zip(split.blocks, split.parts, strict=True)},
        outlines=_hash(split.blocks),
    )


def _hash(blocks: Sequence[Block]) -> str:
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block.polygon.wkb)
    return digest.hexdigest()


def _blocks_frame(
    split: SpatialSplit, legend: Legend | None, block_pixels: NDArray[np.int64] | None
) -> geopandas.GeoDataFrame:
    columns: dict[str, Any] = {
        "name": [block.name for block in split.blocks],
        "part": np.array(split.parts, dtype=np.int32),
        "fold": [FOLDS[fold] for fold in split.folds],
        "area_m2": [block.polygon.area for block in split.blocks],
    }
    if block_pixels is not None:
        columns["labelled_px"] = block_pixels.sum(axis=1)
        if legend is not None:
            # the code keeps columns apart whose names differ in case only, which SQLite takes for the same
            columns |= {f"px_{c.code}_{c.name}": block_pixels[:, i] for i, c in enumerate(legend)}
    return geopandas.GeoDataFrame(columns, geometry=[block.polygon for block in split.blocks], crs=split.crs)


def _folds_frame(split: SpatialSplit) -> geopandas.GeoDataFrame:
    remaining, folds = split.remaining(), np.array(split.folds)
    regions = [shapely.union_all(remaining[folds == fold]) for fold in range(len(FOLDS))]
    there = [fold for fold, region in enumerate(regions) if not region.is_empty]
    columns = {"fold": [FOLDS[fold] for fold in there], "area_m2": [regions[fold].area for fold in there]}
    return geopandas.GeoDataFrame(columns, geometry=[regions[fold] for fold in there], crs=split.crs)


def _write_layer(frame: geopandas.GeoDataFrame, path: Path, layer: str, metadata: dict[str, str] | None) -> None:
    many = bool((frame.geometry.geom_type == "MultiPolygon").any())
    pyogrio.write_dataframe(
        frame,
        path,
        layer=layer,
        driver="GPKG",
        geometry_type="MultiPolygon" if many else "Polygon",
        promote_to_multi=many,
        layer_metadata=metadata,
    )
    add_layer_style(path, layer, _fold_style())


def _fold_style() -> str:
    """The legend of folds as a QGIS style for a text column: categories by name, half transparent, outlined."""
    root = ET.fromstring(vector_qml(_FOLD_LEGEND, attribute="fold"))  # noqa: S314  # made one line above
    for category in root.iter("category"):
        category.set("value", category.get("label", ""))
        category.set("type", "string")
    for symbol in root.iter("symbol"):
        symbol.set("alpha", "0.5")
    for option in root.iter("Option"):
        if option.get("name") == "outline_style":
            option.set("value", "solid")
    return "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n" + ET.tostring(root, encoding="unicode")


def _read(path: Path) -> tuple[_Metadata, geopandas.GeoDataFrame]:
    advice = "give a file that geoseg saved as a split; polygons of your own go into split.polygons"
    try:
        layers = pyogrio.list_layers(path)[:, 0].tolist()
        stored = (pyogrio.read_info(path, layer=BLOCKS_LAYER)["layer_metadata"] or {}) if BLOCKS_LAYER in layers else {}
        if METADATA_KEY not in stored:
            raise InputError(f"{path}: holds no split of geoseg; {advice}")
        frame = pyogrio.read_dataframe(path, layer=BLOCKS_LAYER)
        metadata: _Metadata = TypeAdapter(_Metadata).validate_json(stored[METADATA_KEY])
    except ValidationError as error:
        raise InputError(f"{path}: its split was written by another version or is damaged; {advice}") from error
    except _ERRORS as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: cannot be read as a split ({first_line(error)}); {advice}") from error
    if not {"name", "part", "fold"} <= set(frame.columns):
        raise InputError(f"{path}: the layer blocks has lost a column of name, part, fold; {advice}")
    return metadata, frame


def _outlines(path: Path, frame: geopandas.GeoDataFrame) -> tuple[list[str], list[Any]]:
    names = [f"new {i}" if name is None or name != name else str(name) for i, name in enumerate(frame["name"])]  # noqa: PLR0124
    if frame.empty or len(set(names)) != len(names):
        raise InputError(f"{path}: blocks need unique names, at least one block; mend the column name")
    polygons = frame.geometry.tolist()
    for name, polygon in zip(names, polygons, strict=True):
        if not isinstance(polygon, shapely.Polygon | shapely.MultiPolygon) or polygon.is_empty or not polygon.is_valid:
            raise InputError(f"{path}: the block {name!r} is no valid polygon; mend or remove it")
    return names, polygons


def _row(path: Path, name: str, values: Any, metadata: _Metadata) -> _Row:  # noqa: ANN401
    fold, part = values["fold"], values["part"]
    if isinstance(fold, str) and fold not in FOLDS:
        raise InputError(f"{path}: the block {name!r} has the fold {fold!r}; folds are {', '.join(FOLDS)}")
    number = None if part is None or np.isnan(part) else int(part)
    if number is not None and not 0 <= number < len(metadata.roles):
        raise InputError(f"{path}: the block {name!r} has the part {number}; parts are 0 to {len(metadata.roles) - 1}")
    return _Row(name=name, part=number, fold=FOLDS.index(fold) if isinstance(fold, str) else None)


def _part(path: Path, row: _Row, metadata: _Metadata) -> int:
    """The part that a row stands for: as saved, or as one of its two columns was changed to."""
    saved = metadata.parts.get(row.name)
    part_changed = row.part is not None and row.part != saved
    fold_changed = row.fold is not None and (saved is None or row.fold != metadata.roles[saved])
    if part_changed and row.part is not None:
        if fold_changed and row.fold != metadata.roles[row.part]:
            raise InputError(
                f"{path}: the block {row.name!r} was changed to part {row.part} and fold {FOLDS[row.fold or 0]}, "
                f"but that part is {FOLDS[metadata.roles[row.part]]}; change one of the two"
            )
        return row.part
    if fold_changed and row.fold is not None:
        if row.fold not in metadata.roles:
            raise InputError(f"{path}: this split has no {FOLDS[row.fold]} fold for the block {row.name!r}")
        return metadata.roles.index(row.fold)
    if saved is None:
        raise InputError(f"{path}: the new block {row.name!r} has neither fold nor part; give it one")
    return saved
