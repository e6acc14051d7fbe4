"""A label raster to a file of polygons: trace, simplify, attributes, write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from geoseg.core.grid import Grid
from geoseg.core.legend import UNLABELLED, Legend
from geoseg.core.provenance import Provenance
from geoseg.core.threads import count_threads, work_in_order
from geoseg.errors import InputError
from geoseg.io.vector import VectorLayer, write_features
from geoseg.vectorize.attributes import AttributeOptions, Attributes
from geoseg.vectorize.dissolve import dissolve_parts
from geoseg.vectorize.part import Part, to_part
from geoseg.vectorize.points import to_points
from geoseg.vectorize.simplify import SimplifyOptions, simplify
from geoseg.vectorize.split import SplitOptions, split_labels
from geoseg.vectorize.trace import LabelStrip, Outlines, find_outlines, nodata_of
from geoseg.vectorize.zonal import ZonalRaster, add_zonal, plan_zonal

Geometry = Literal["polygons", "points"]
_TYPES: dict[tuple[Geometry, bool], Literal["Polygon", "MultiPolygon", "Point"]] = {
    ("polygons", False): "Polygon",
    ("polygons", True): "MultiPolygon",
    ("points", False): "Point",
    ("points", True): "Point",
}  # by geometry and whether polygons are dissolved


@dataclass(frozen=True, slots=True, kw_only=True)
class PolygonOptions:
    """How to make polygons.

    `simplify` says how to simplify and smooth borders (None: they follow the pixels exactly). `split` cuts polygons
    along the lines of a grid; `dissolve` puts all polygons of a class together, within a tile where they are cut.
    `zonal` are rasters of which polygons get mean, least, greatest value and standard deviation over their pixels.
    `geometry` is what to write of each: the polygon, or a point inside of it, with the polygon's attributes.
    `layer` is the name of the layer in the file. `threads` is how many make polygons (None = one for each core), beside
    the one that writes them.

    Raises:
        InputError: for less than one thread.
    """

    simplify: SimplifyOptions | None = None
    split: SplitOptions | None = None
    dissolve: bool = False
    zonal: tuple[ZonalRaster, ...] = ()
    geometry: Geometry = "polygons"
    attributes: AttributeOptions = field(default_factory=AttributeOptions)
    provenance: Provenance | None = None
    layer: str = "landcover"
    threads: int | None = None

    def __post_init__(self) -> None:
        count_threads(self.threads)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolygonSummary:
    """What was written: number of polygons, area in m² by class name (in the legend's order), notes for the user."""

    polygons: int
    area_m2: dict[str, float]
    notes: tuple[str, ...] = ()


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

    Their attributes are in `geoseg.vectorize.attributes`. Simplification moves shared borders once, for both
    neighbours; what borders on nodata or the scene's edge stays as it is.

    Memory follows a strip and the polygons that are not finished at its last row; with simplification, also one bit a
    pixel of the whole grid; dissolved polygons are all in memory at once.

    Args:
        strips: labels of the whole grid from top to bottom.
        out: the file, see `geoseg.io.vector.write_features`; it is replaced if it exists.
        grid: the grid of the labels.
        legend: every code that occurs, with its name and colour.
        codes: the code of every label, shape (label,); None = labels are codes.
        options: how to make the polygons.

    Raises:
        InputError: for codes or classes to regularise that are not in the legend, a confidence outside of 0 to 1, or
            strips that do not make up the grid.
        OutputError: for an unknown suffix, or where writing fails.
    """
    codes = np.arange(UNLABELLED, dtype=np.int32) if codes is None else codes
    strips, tile, told = _checked(strips, grid, legend, codes), None, options.attributes
    if options.split is not None:
        tile = options.split.shape_on(grid)
        strips, codes = split_labels(strips, tile, len(codes)), np.tile(codes, 2)
    if options.zonal:
        strips = add_zonal(strips, plan_zonal(options.zonal, grid))
        told = replace(told, measures=(*told.measures, *(raster.measure for raster in options.zonal)))
    attributes = Attributes(legend, codes, told, width=grid.width, tile=tile, dissolved=options.dissolve)
    parts = _parts(strips, grid, options, _chosen(options.simplify, legend, codes))
    if options.dissolve:
        parts = dissolve_parts(parts, codes, tile)
    if options.geometry == "points":
        parts = to_points(parts)
    layer = VectorLayer(
        name=options.layer,
        crs=grid.crs,
        fields=attributes.fields,
        legend=legend,
        provenance=options.provenance,
        geometry_type=_TYPES[options.geometry, options.dissolve],
        pixel_m=min(grid.gsd_m),
    )
    tally = _Tally(codes)
    passing = ((part.geometries, attributes.columns(part.figures)) for part in tally.passing(parts))
    notes = write_features((layer.batch(*columns) for columns in passing), out, layer=layer)
    return PolygonSummary(polygons=tally.polygons, area_m2=tally.area_m2(legend), notes=notes)


def _chosen(wanted: SimplifyOptions | None, legend: Legend, codes: NDArray[np.int32]) -> NDArray[np.bool_] | None:
    """Of every label, whether its class is one to regularise."""
    if wanted is None or not wanted.regularise:
        return None
    known = {key: c.code for c in legend for key in (str(c.code), c.name)}
    names = [str(name) for name in wanted.regularise]
    missing = [name for name in names if name not in known]
    if missing:
        msg = f"classes to regularise are not in the legend: {', '.join(missing)}; it has {', '.join(known)}"
        raise InputError(msg)
    return np.isin(codes, [known[name] for name in names])


def _parts(
    strips: Iterable[LabelStrip], grid: Grid, options: PolygonOptions, chosen: NDArray[np.bool_] | None
) -> Iterator[Part]:
    """Trace, and simplify if that is wanted."""
    gsd_m, steps, wanted = grid.gsd_m, grid.pixel_steps_m(), options.simplify

    def make(outlines: Outlines) -> Part:
        polygons = outlines.polygons()
        return to_part(polygons if wanted is None else simplify(polygons, options=wanted, gsd_m=gsd_m), grid, steps)

    areas, borders = grid.pixel_areas_m2(), wanted is not None
    outlines = find_outlines(strips, row_area_m2=areas, keep_junctions=True, keep_borders=borders, chosen=chosen)
    return work_in_order(make, outlines, threads=count_threads(options.threads))


def _checked(
    strips: Iterable[LabelStrip], grid: Grid, legend: Legend, codes: NDArray[np.int32]
) -> Iterator[LabelStrip]:
    """The strips, which must fit the grid and have no label without a class."""
    named = np.isin(codes, [c.code for c in legend])
    for strip in strips:
        if strip.codes.shape[1:] != (grid.width,):
            msg = f"a strip of labels has the shape {strip.codes.shape}, the grid has {grid.width} columns"
            raise InputError(msg)
        nodata = nodata_of(strip.codes.dtype)
        known = np.zeros(nodata + 1, dtype=np.bool_)
        known[: len(codes)] = named
        known[nodata] = True
        if not known[strip.codes].all():
            labels = np.unique(strip.codes[~known[strip.codes]]).tolist()
            found = ", ".join(str(codes[label] if label < len(codes) else label) for label in labels)
            msg = f"the labels hold the codes {found}, which are not in the legend; add these classes or recode them"
            raise InputError(msg)
        yield strip


class _Tally:
    """Counts the polygons and adds up their areas while they pass by."""

    def __init__(self, codes: NDArray[np.int32]) -> None:
        self.polygons = 0
        self._codes = codes
        self._areas = np.zeros(len(codes))

    def passing(self, parts: Iterable[Part]) -> Iterator[Part]:
        for part in parts:
            figures = part.figures
            self.polygons += int(figures.polygons.sum())
            self._areas += np.bincount(figures.labels, weights=figures.area_m2, minlength=len(self._areas))
            yield part

    def area_m2(self, legend: Legend) -> dict[str, float]:
        return {c.name: float(self._areas[self._codes == c.code].sum()) for c in legend}
