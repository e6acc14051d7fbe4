"""The polygons of a file united by class, whoever made them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from geoseg.core.legend import LandClass, Legend
from geoseg.core.provenance import Provenance
from geoseg.errors import InputError, OutputError
from geoseg.io.fingerprint import fingerprints
from geoseg.io.legend import some_colour
from geoseg.io.output import check_writable
from geoseg.io.shapes import polygons_near
from geoseg.io.vector import (
    FeatureSource,
    VectorLayer,
    check_vector_name,
    files_of,
    find_features,
    read_features,
    read_table,
    vector_files,
    write_features,
)

_TOLD = ("code", "class", "area_m2", "confidence")


@dataclass(frozen=True, slots=True, kw_only=True)
class DissolveOptions:
    """By which attribute to unite, and of which layer (None = the one that has it); `legend` gives colours to codes."""

    column: str = "class"
    layer: str | None = None
    legend: Legend | None = None
    overwrite: bool = False
    command: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DissolveSummary:
    """What was written: polygons read, and those left by value of the attribute; notes for the user."""

    out: str
    read: int
    polygons: dict[str, int]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """The same in words."""
        width = max(map(len, self.polygons))
        for value, count in self.polygons.items():
            yield f"  {value:<{width}}  {count:>10,} polygons"
        yield f"{self.read:,} polygons read, {sum(self.polygons.values()):,} left"


def dissolve_features(polygons: Path, out: Path, options: DissolveOptions = DissolveOptions()) -> DissolveSummary:
    """Unite all polygons that have one value of an attribute to one multipolygon.

    Its attributes are that value, `polygons` (of how many it is made), and of what `geoseg polygonize` tells: `code`
    and `class`, the sum of `area_m2`, and the mean of `confidence`, weighted by area; what the file has not is left
    out. All polygons are in memory at once.

    Args:
        polygons: any vector file that GDAL reads, or GeoParquet.
        out: the file, see `geoseg.io.vector.write_features`.
        options: by what to unite.

    Raises:
        MissingFileError: the file is not there.
        InputError: it cannot be read, has no CRS, no such attribute or no polygons.
        OutputError: the output exists, has an unknown suffix or cannot be written.
    """
    polygons, out = Path(polygons), Path(out)
    check_vector_name(out)
    if out.resolve() == polygons.resolve():
        raise OutputError(f"{out}: is the input of this run; choose another name")
    for path in vector_files(out):
        check_writable(path, overwrite=options.overwrite)
    source = find_features(polygons, column=options.column, layer=options.layer)
    frame = read_features(source)
    shapes, owners = polygons_near(shapely.force_2d(frame.geometry.to_numpy()), None)
    if not len(shapes):
        raise InputError(f"{polygons}: holds no polygons; give a file with at least one")
    values = frame[options.column].to_numpy()[owners]
    told = _told(source)
    told = told[told.index.isin(values)]
    united = {value: _united(shapes[values == value]) for value in told.index}
    parts = {value: shapely.get_num_geometries(shape) for value, shape in united.items()}
    legend = _legend(told, options.legend)
    layer = VectorLayer(
        name=polygons.stem,
        crs=source.crs,
        fields=pa.Schema.from_pandas(told.reset_index().assign(polygons=0), preserve_index=False).remove_metadata(),
        legend=legend,
        provenance=Provenance.now(inputs=fingerprints(files_of(polygons)), command=options.command),
        geometry_type="MultiPolygon",
    )
    columns = told.assign(polygons=list(parts.values())).reset_index()
    batch = layer.batch(
        np.array(list(united.values()), dtype=object), {name: columns[name] for name in layer.fields.names}
    )
    notes = write_features(iter([batch]), out, layer=layer)
    return DissolveSummary(
        out=str(out),
        read=len(shapes),
        polygons={str(value): int(count) for value, count in parts.items()},
        notes=notes,
    )


def _told(source: FeatureSource) -> pd.DataFrame:
    """What is known of every value of the attribute, which is the index, rising."""
    column = str(source.column)
    names = [column, *(name for name in _TOLD if name != column)]
    table = read_table(source, names).to_pandas().dropna(subset=[column])
    groups = table.groupby(column, sort=True)
    told = pd.DataFrame(index=groups.size().index)
    for name in ("code", "class"):
        if name in table.columns and name != column and (groups[name].nunique().to_numpy() == 1).all():
            told[name] = groups[name].first()
    if "area_m2" in table.columns and column != "area_m2":
        told["area_m2"] = groups["area_m2"].sum()
        if "confidence" in table.columns and column != "confidence":
            known = table.dropna(subset=["confidence"])
            weights = known.groupby(column)["area_m2"].sum()
            sums = (known["confidence"] * known["area_m2"]).groupby(known[column]).sum()
            told["confidence"] = (sums / weights).reindex(told.index)
    return told


def _united(shapes: NDArray[np.object_]) -> Any:  # noqa: ANN401
    """One multipolygon; where no two of the polygons overlap, that is quick."""
    union = shapely.coverage_union_all(shapes) if shapely.coverage_is_valid(shapes) else shapely.union_all(shapes)
    return shapely.multipolygons(shapely.get_parts(union))


def _legend(told: pd.DataFrame, legend: Legend | None) -> Legend | None:
    """Classes for a style, where codes and names are known."""
    if legend is not None:
        return legend
    columns = told.reset_index()
    if not {"code", "class"} <= set(columns.columns) or columns["code"].dtype.kind not in "iu":
        return None
    pairs = zip(columns["code"].tolist(), columns["class"].tolist(), strict=True)
    return Legend(tuple(LandClass(code=code, name=str(name), colour=some_colour(code)) for code, name in pairs))
