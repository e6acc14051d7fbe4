"""Esri Shapefile: old and narrow (ESRI white paper J-7855), and read everywhere.

Field names have ten bytes at most, texts 254, and neither .shp nor .dbf may exceed 2 GB.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from xml.etree import ElementTree as ET

import pyarrow as pa
import pyarrow.compute as pc

from geoseg.errors import OutputError
from geoseg.io.style.markup import to_text, xml_text
from geoseg.io.vector.layer import GEOMETRY, VectorLayer
from geoseg.io.vector.ogr import Driver, require_features, write_ogr
from geoseg.io.vector.place import Place

SHAPEFILE_BESIDE = (".shx", ".dbf", ".prj", ".cpg", ".shp.xml")
SHAPEFILE_OUTDATED = (".qix", ".sbn", ".sbx")
"""Spatial indices that programs leave beside a Shapefile; of an older one they would mislead."""

_MOST_BYTES = 2**31 - 1
_NAME_BYTES, _TEXT_BYTES = 10, 254
_SHORTEST_TEXT = 80  # GDAL begins with so many bytes, and widens the field where a text is longer
_NUMBER_BYTES = {pa.int64(): 18, pa.int32(): 9, pa.float64(): 24, pa.float32(): 24}
_OPTIONS = {"ENCODING": "UTF-8", "2GB_LIMIT": "YES"}
_SHP_HEADER, _DBF_HEADER, _DBF_FIELD = 100, 33, 32


def write_shapefile(batches: Iterable[pa.RecordBatch], place: Place, layer: VectorLayer) -> tuple[str, ...]:
    """Write a Shapefile, in UTF-8; see `geoseg.io.vector.writing.write_features`.

    Raises:
        OutputError: as soon as one of its files would exceed 2 GB.
    """
    names = _short_names(layer.fields.names)
    narrow = replace(layer, fields=pa.schema([f.with_name(names[f.name]) for f in layer.fields]))
    guard = _Guard(place=place, layer=narrow)
    rows = write_ogr(guard.passing(batches), place, narrow, Driver(name="ESRI Shapefile", layer_options=_OPTIONS))
    require_features(place, narrow, rows)
    _require_ends(place)
    place.path.with_suffix(".shp.xml").write_text(_metadata(layer), encoding="utf-8")
    notes = [
        f"{place.name}: a Shapefile's field names have at most {_NAME_BYTES} characters: {old} is {new}"
        for old, new in names.items()
        if old != new
    ]
    if guard.cut:
        notes.append(f"{place.name}: {guard.cut} texts were cut to the {_TEXT_BYTES} bytes that a Shapefile holds")
    return tuple(notes)


@dataclass(slots=True, kw_only=True)
class _Guard:
    """Passes batches on with short names and texts, and counts what the files will hold."""

    place: Place
    layer: VectorLayer
    cut: int = 0
    _rows: int = 0
    _shapes: int = 0
    _texts: dict[str, int] = field(default_factory=dict)

    def passing(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            columns = [self._fitting(column, name) for column, name in zip(batch, self.layer.schema.names, strict=True)]
            self._rows += batch.num_rows
            self._shapes += _shape_bytes(batch.column(GEOMETRY), self.layer.geometry_type)
            largest = max(_SHP_HEADER + self._shapes, self._table_bytes())
            if largest > _MOST_BYTES:
                raise OutputError(
                    f"{self.place.name}: a Shapefile may not exceed 2 GB, and these features do; write .gpkg or .fgb"
                )
            yield pa.RecordBatch.from_arrays(columns, schema=self.layer.schema)

    def _fitting(self, column: pa.Array, name: str) -> pa.Array:
        if not pa.types.is_string(column.type):
            return column
        longest = pc.max(pc.binary_length(column)).as_py() or 0
        if longest > _TEXT_BYTES:
            whole = column.to_pylist()
            texts = [None if text is None else _cut(text, _TEXT_BYTES) for text in whole]
            self.cut += sum(short != text for short, text in zip(texts, whole, strict=True))
            column = pa.array(texts, type=column.type)
        self._texts[name] = max(self._texts.get(name, _SHORTEST_TEXT), min(longest, _TEXT_BYTES))
        return column

    def _table_bytes(self) -> int:
        widths = (self._texts.get(f.name) or _NUMBER_BYTES[f.type] for f in self.layer.fields)
        return _DBF_HEADER + _DBF_FIELD * len(self.layer.fields) + self._rows * (1 + sum(widths)) + 1


def _shape_bytes(geometries: pa.BinaryArray, geometry_type: str) -> int:
    """Bytes in the .shp: WKB has 9 before the rings, a record 52; of points 5 and 12. Parts of a whole add a little."""
    wkb: int = pc.sum(pc.binary_length(geometries)).as_py() or 0
    return wkb + len(geometries) * (7 if geometry_type == "Point" else 43)


def _require_ends(place: Place) -> None:
    """Compare sizes with what the headers say: GDAL writes the ends on closing, where pyogrio overlooks a full disk."""
    for path in (place.path, place.path.with_suffix(".shx"), table := place.path.with_suffix(".dbf")):
        with path.open("rb") as file:
            header = file.read(28)
        if path == table:
            rows, start, width = struct.unpack("<IHH", header[4:12])
            wanted = start + rows * width
        else:
            wanted = 2 * int.from_bytes(header[24:28], "big")
        if path.stat().st_size < wanted:
            raise OutputError(f"{place.name}: not all features could be written; free some disk space")


def _short_names(names: list[str]) -> dict[str, str]:
    """Names of at most ten bytes by the names as they are; where two become one, a number tells them apart."""
    short: dict[str, str] = {}
    for name in names:
        candidate, number = _cut(name, _NAME_BYTES), 0
        while candidate.lower() in {taken.lower() for taken in short.values()}:
            number += 1
            candidate = f"{_cut(name, _NAME_BYTES - 1 - len(str(number)))}_{number}"
        short[name] = candidate
    return short


def _cut(text: str, size: int) -> str:
    """At most so many bytes of a text in UTF-8, whole characters only."""
    return text.encode()[:size].decode(errors="ignore")


def _metadata(layer: VectorLayer) -> str:
    """What programs show about a Shapefile, after FGDC-STD-001-1998; the provenance is its supplemental information."""
    root = ET.Element("metadata")
    about = ET.SubElement(root, "idinfo")
    title = ET.SubElement(ET.SubElement(ET.SubElement(about, "citation"), "citeinfo"), "title")
    title.text = xml_text(layer.name)
    if layer.provenance_json is not None:
        ET.SubElement(ET.SubElement(about, "descript"), "supplinf").text = xml_text(layer.provenance_json)
    return to_text(root)
