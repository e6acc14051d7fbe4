"""A class raster of anybody to a file of polygons."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from geoseg.core.legend import Legend
from geoseg.core.provenance import Provenance
from geoseg.errors import OutputError
from geoseg.io.area import open_area
from geoseg.io.classmap import only, open_class_map
from geoseg.io.fingerprint import fingerprints
from geoseg.io.vector import check_vector_output, files_of
from geoseg.vectorize.clean import Cleaner, CleanOptions, CleanSummary
from geoseg.vectorize.pipeline import Geometry, PolygonOptions, polygonize
from geoseg.vectorize.simplify import SimplifyOptions
from geoseg.vectorize.split import SplitOptions
from geoseg.vectorize.trace import LabelStrip
from geoseg.vectorize.zonal import ZonalRaster


@dataclass(frozen=True, slots=True, kw_only=True)
class RasterOptions:
    """What to read of a class raster, and how to make polygons of it.

    `band` counts from 1; `nodata` is a code that is none (None = as the raster says), `legend` what codes mean (None =
    as the raster tells). `aoi` is a vector file of polygons in any CRS: pixels whose centre lies in none of them are
    left out. `clean` is what to clean away before tracing, `simplify` how to simplify borders after it, `split` how to
    cut polygons into tiles (None = not at all); `dissolve` puts all polygons of a class together; `zonal` are rasters
    of which polygons get statistics. `classes` are names of those to write after cleaning (none = all), `geometry` is
    what to write of each area; `threads` as in `PolygonOptions`.
    """

    band: int = 1
    nodata: int | None = None
    legend: Legend | None = None
    aoi: Path | None = None
    clean: CleanOptions = field(default_factory=CleanOptions)
    simplify: SimplifyOptions | None = None
    split: SplitOptions | None = None
    dissolve: bool = False
    zonal: tuple[ZonalRaster, ...] = ()
    classes: tuple[str, ...] = ()
    geometry: Geometry = "polygons"
    threads: int | None = None
    overwrite: bool = False
    command: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RasterSummary:
    """What was written: number of polygons, area in m² by class name, and notes for the user, a sentence each.

    `cleaned` counts what was changed before tracing, None where nothing was to be.
    """

    out: str
    polygons: int
    area_m2: dict[str, float]
    cleaned: CleanSummary | None
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def polygonize_raster(raster: Path, out: Path, options: RasterOptions = RasterOptions()) -> RasterSummary:
    """Write the areas of every class of a raster as polygons, with the attributes and style of those of a prediction.

    The raster is read twice, strip by strip: for the codes that occur, and to trace them.

    Args:
        raster: class codes of any integer type, north up or not, with a CRS.
        out: the file, see `geoseg.io.vector.write_features`.
        options: what to read, and how to make polygons.

    Raises:
        MissingFileError: the raster or the area of interest is not there.
        InputError: see `open_class_map`, `ClassMap.labels_of` and `open_area`.
        OutputError: the output exists, has an unknown suffix or cannot be written.
    """
    raster, out = Path(raster), Path(out)
    if out.resolve() == raster.resolve():
        raise OutputError(f"{out}: is the input of this run; choose another name")
    check_vector_output(out, overwrite=options.overwrite)
    source = open_class_map(raster, band=options.band, nodata=options.nodata, legend=options.legend)
    area = None if options.aoi is None else open_area(Path(options.aoi), source.grid)
    others = [] if options.aoi is None else files_of(Path(options.aoi))
    files = (raster, *others, *(other.path for other in options.zonal))
    provenance = Provenance.now(inputs=fingerprints(files), command=options.command)
    chosen = source.labels_of(options.classes)
    cleaner = Cleaner(options.clean, source.grid)
    strips = cleaner.strips(source.strips(area=area))
    summary = polygonize(
        (LabelStrip(codes=labels) for labels in (only(chosen, strips) if options.classes else strips)),
        out,
        grid=source.grid,
        legend=source.legend,
        codes=source.codes,
        options=PolygonOptions(
            simplify=options.simplify,
            split=options.split,
            dissolve=options.dissolve,
            zonal=options.zonal,
            geometry=options.geometry,
            threads=options.threads,
            provenance=provenance,
        ),
    )
    notes = (*source.notes, *summary.notes)
    return RasterSummary(
        out=str(out),
        polygons=summary.polygons,
        area_m2=summary.area_m2,
        cleaned=cleaner.summary if options.clean else None,
        notes=notes,
    )
