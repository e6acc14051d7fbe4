"""A label raster to a file of polygons: trace, simplify, attributes, write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from geoseg.core.grid import Grid
from geoseg.core.legend import UNLABELLED, Legend
from geoseg.core.provenance import Provenance
from geoseg.errors import InputError
from geoseg.io.vector import VectorLayer, write_features
from geoseg.vectorize.simplify import SimplifyOptions, simplify
from geoseg.vectorize.sweep import Labels
from geoseg.vectorize.trace import LabelStrip, Polygons, nodata_of, trace

FIELDS = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("code", pa.int32(), nullable=False),
        pa.field("class", pa.string(), nullable=False),
        pa.field("area_m2", pa.float64(), nullable=False),
        pa.field("confidence", pa.float32()),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolygonOptions:
    """How to make polygons.

    `simplify` says how to simplify and smooth borders (None: they follow the pixels exactly); `layer` is the name of
    the layer in the file.
    """

    simplify: SimplifyOptions | None = None
    provenance: Provenance | None = None
    layer: str = "landcover"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolygonSummary:
    """What was written: number of polygons, area in m² by class name (in the legend's order), notes for the user."""

    polygons: int
    area_m2: dict[str, float]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Part:
    """Some polygons (WKB, in CRS units) and their attributes, all of one length; NaN = no confidence."""

    geometries: pa.BinaryArray
    codes: Labels
    area_m2: NDArray[np.float64]
    confidence: NDArray[np.float64]


def polygonize(
    strips: Iterable[LabelStrip],
    out: Path,
    *,
    grid: Grid,
    legend: Legend,
    codes: NDArray[np.int32] | None = None,
    options: PolygonOptions = PolygonOptions(),
) -> PolygonSummary:
    """Write the 4-connected areas of every class as polygons, a coverage: no gaps, no overlaps, shared vertices.

    Attributes: `id` (1, 2, ... in the order of the polygons' last row, then of their first pixel), `code`, `class`
    (name), `area_m2` (the areas of its pixels on the ground; after simplification in proportion to its planar area)
    and `confidence` (mean probability of the mapped class over its pixels, 0 to 1; null where none is known).

    Simplification moves shared borders once, for both neighbours; what borders on nodata or the scene's edge stays as
    it is. Memory follows a strip and the polygons that are not finished at its last row; with simplification, also one
    bit a pixel of the whole grid.

    Args:
        strips: labels of the whole grid from top to bottom.
        out: the file, see `geoseg.io.vector.write_features`; it is replaced if it exists.
        grid: the grid of the labels.
        legend: every code that occurs, with its name and colour.
        codes: the code of every label, shape (label,); None = labels are codes.
        options: how to make the polygons.

    Raises:
        InputError: for codes that are not in the legend, a confidence outside of 0 to 1, or strips that do not make
            up the grid.
        OutputError: for an unknown suffix, or where writing fails.
    """
    layer = VectorLayer(
        name=options.layer,
        crs=grid.crs,
        fields=FIELDS,
        legend=legend,
        provenance=options.provenance,
        pixel_m=min(grid.gsd_m),
    )
    tally = _Tally(legend, codes)
    wanted = options.simplify
    batches: Iterable[Polygons] = trace(
        tally.checked(strips, grid),
        row_area_m2=grid.pixel_areas_m2(),
        keep_junctions=True,
        keep_borders=wanted is not None,
    )
    if wanted is not None:
        batches = (simplify(polygons, options=wanted, gsd_m=grid.gsd_m) for polygons in batches)
    parts = (_to_part(polygons, grid) for polygons in batches)
    notes = write_features((tally.batch(part, layer) for part in parts), out, layer=layer)
    return PolygonSummary(polygons=tally.polygons, area_m2=tally.area_m2(), notes=notes)


class _Tally:
    """Numbers the polygons and adds up their areas while they pass by."""

    def __init__(self, legend: Legend, codes: NDArray[np.int32] | None) -> None:
        self.polygons = 0
        self._legend = legend
        self._codes = np.arange(UNLABELLED, dtype=np.int32) if codes is None else codes
        names = {c.code: c.name for c in legend}
        self._names = np.array([names.get(code) for code in self._codes.tolist()], dtype=object)
        self._areas = np.zeros(len(self._codes))

    def checked(self, strips: Iterable[LabelStrip], grid: Grid) -> Iterator[LabelStrip]:
        """The strips, which must fit the grid and have no label without a class."""
        known: NDArray[np.bool_] | None = None
        for strip in strips:
            if strip.codes.shape[1:] != (grid.width,):
                msg = f"a strip of labels has the shape {strip.codes.shape}, the grid has {grid.width} columns"
                raise InputError(msg)
            if known is None:
                known = self._known(nodata_of(strip.codes.dtype))
            if not known[strip.codes].all():
                found = ", ".join(map(str, np.unique(strip.codes[~known[strip.codes]]).tolist()))
                msg = f"the labels hold the codes {found}, which are not in the legend; add these classes or recode"
                raise InputError(msg)
            yield strip

    def _known(self, nodata: int) -> NDArray[np.bool_]:
        known = np.zeros(nodata + 1, dtype=np.bool_)
        known[: len(self._names)] = self._names != None  # noqa: E711  (element by element)
        known[nodata] = True
        return known

    def batch(self, part: _Part, layer: VectorLayer) -> pa.RecordBatch:
        n = len(part.codes)
        columns = {
            "id": np.arange(self.polygons + 1, self.polygons + n + 1),
            "code": self._codes[part.codes],
            "class": self._names[part.codes],
            "area_m2": part.area_m2,
            "confidence": pa.array(part.confidence.astype(np.float32), from_pandas=True),  # NaN to null
        }
        self.polygons += n
        self._areas += np.bincount(part.codes, weights=part.area_m2, minlength=len(self._areas))
        return layer.batch(part.geometries, columns)

    def area_m2(self) -> dict[str, float]:
        by_code = dict(zip(self._codes.tolist(), self._areas.tolist(), strict=True))
        return {c.name: by_code.get(c.code, 0.0) for c in self._legend}


def _to_part(polygons: Polygons, grid: Grid) -> _Part:
    with np.errstate(invalid="ignore"):  # 0 / 0: no confidence
        confidence = polygons.confidence_sum / polygons.confidence_pixels
    if (confidence < 0).any() or (confidence > 1 + 1e-6).any():
        msg = f"the confidence of a polygon is {np.nanmax(np.abs(confidence)):g}; needed are probabilities of 0 to 1"
        raise InputError(msg)
    return _Part(
        geometries=polygons.wkb(grid.transform),
        codes=polygons.codes,
        area_m2=polygons.area_m2,
        confidence=confidence,
    )
