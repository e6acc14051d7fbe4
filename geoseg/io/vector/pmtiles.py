"""PMTiles (version 3, https://github.com/protomaps/PMTiles): vector tiles for the web in one file, and their style."""

from __future__ import annotations

import gzip
import json
import math
import struct
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from geoseg.core.legend import Legend
from geoseg.errors import OutputError
from geoseg.io.style import tile_style
from geoseg.io.vector.layer import VectorLayer
from geoseg.io.vector.ogr import Driver, write_ogr
from geoseg.io.vector.place import Place

PMTILES_BESIDE = (".style.json",)

_COLOUR = "colour"
_ZOOM_0_M = 40075016.686 / 256  # side of a pixel at zoom 0 on the equator
_FINEST, _LEVELS = 16, 6
_USUAL_PIXEL_M = 10
_HEADER = struct.Struct("<7sB11Q6B4iB2i")
_GZIP, _MVT = 2, 1  # numbers of the specification
_WORLD = (-1800000000, -850000000, 1800000000, 850000000)  # in 1e-7 degrees


def write_pmtiles(batches: Iterable[pa.RecordBatch], place: Place, layer: VectorLayer) -> tuple[str, ...]:
    """Write vector tiles in Web Mercator, and a style; see `geoseg.io.vector.writing.write_features`.

    The finest zoom has pixels of about `layer.pixel_m`; tiles hold coordinates sixteen times as fine. The coarsest one
    is six levels above it.

    Raises:
        OutputError: where no feature lies between the latitudes that Web Mercator has, up to 85 degrees.
    """
    high = min(max(round(math.log2(_ZOOM_0_M / (layer.pixel_m or _USUAL_PIXEL_M))), 0), _FINEST)
    zooms = (max(high - _LEVELS, 0), high)
    features = (batch for batch in batches if batch.num_rows)
    first = next(features, None)
    if first is None:
        place.path.write_bytes(_empty_archive(layer, zooms))
    else:
        _write_tiles(chain([first], features), place, layer, zooms)
    style = tile_style(
        layer.legend, layer.name, f"pmtiles://{quote(place.name)}", points=layer.geometry_type == "Point"
    )
    place.path.with_suffix(PMTILES_BESIDE[0]).write_text(
        json.dumps(style, indent=2, ensure_ascii=False), encoding="utf-8"
    )
    return (f"{place.name}: tiles for zooms {zooms[0]} to {zooms[1]}; the coarser leave out what is too small there",)


def _write_tiles(batches: Iterable[pa.RecordBatch], place: Place, layer: VectorLayer, zooms: tuple[int, int]) -> None:
    options = {
        "MINZOOM": str(zooms[0]),
        "MAXZOOM": str(zooms[1]),
        "NAME": layer.name,
        "DESCRIPTION": layer.provenance_json or "",
    }
    if layer.legend is not None and "code" in layer.fields.names:
        batches = _with_colours(batches, layer.legend)
        layer = replace(layer, fields=layer.fields.append(pa.field(_COLOUR, pa.string())))
    write_ogr(batches, place, layer, Driver(name="PMTiles", dataset_options=options))
    tiles = _complete_tiles(place)
    if tiles == 0:
        raise OutputError(f"{place.name}: no feature lies within 85 degrees of the equator, as web maps need it")


def _with_colours(batches: Iterable[pa.RecordBatch], legend: Legend) -> Iterator[pa.RecordBatch]:
    """The same features with the colour of their class, for styles that know no legend."""
    codes = pa.array([c.code for c in legend], type=pa.int32())
    colours = pa.array([c.colour.lower() for c in legend])
    for batch in batches:
        names = batch.schema.names
        found = colours.take(pc.index_in(batch.column("code"), value_set=codes))
        fields = [*batch.schema][:-1]
        columns = [*batch.columns[:-1], found, batch.columns[-1]]
        schema = pa.schema([*fields, pa.field(_COLOUR, pa.string()), batch.schema.field(names[-1])])
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _complete_tiles(place: Place) -> int:
    """The number of tiles that an archive says it has; its end must be where it says.

    Raises:
        OutputError: the archive is cut off: GDAL writes it on closing, where pyogrio overlooks a full disk.
    """
    with place.path.open("rb") as file:
        start = file.read(_HEADER.size)
    size = place.path.stat().st_size
    if len(start) == _HEADER.size:
        magic, _, *numbers = _HEADER.unpack(start)
        offset, length, tiles = numbers[6:9]
        if magic == b"PMTiles" and offset + length == size:
            return int(tiles)
    raise OutputError(f"{place.name}: not all tiles could be written; free some disk space")


def _empty_archive(layer: VectorLayer, zooms: tuple[int, int]) -> bytes:
    """An archive without features, which GDAL cannot write: one tile without a layer."""
    told = {
        "name": layer.name,
        "description": layer.provenance_json or "",
        "vector_layers": [
            {
                "id": layer.name,
                "minzoom": zooms[0],
                "maxzoom": zooms[1],
                "fields": {f.name: "String" if pa.types.is_string(f.type) else "Number" for f in layer.fields},
            }
        ],
    }
    tile = gzip.compress(b"", mtime=0)
    directory = gzip.compress(bytes([1, 0, 1, len(tile), 1]), mtime=0)  # entries, tile, run, length, offset + 1
    metadata = gzip.compress(json.dumps(told).encode(), mtime=0)
    sizes = (len(directory), len(metadata), 0, len(tile))
    offsets = _HEADER.size + np.cumsum((0, *sizes[:-1]))
    places = [int(number) for pair in zip(offsets, sizes, strict=True) for number in pair]
    header = _HEADER.pack(b"PMTiles", 3, *places, 1, 1, 1, 1, _GZIP, _GZIP, _MVT, 0, 0, *_WORLD, 0, 0, 0)
    return header + directory + metadata + tile
