"""`geoseg polygonize`: a class raster becomes polygons."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from geoseg.cli.console import print_areas
from geoseg.cli.options import (
    VECTORS,
    AsJson,
    Classes,
    ClassesFile,
    Dissolve,
    FillHoles,
    Majority,
    MinArea,
    Overwrite,
    Regularise,
    Simplify,
    SimplifyMethod,
    Smooth,
    SplitGrid,
    Threads,
    Zonal,
    parse_classes,
    parse_simplify,
    parse_split,
    parse_zonal,
    read_legend_file,
)


def polygonize(
    raster: Annotated[Path, typer.Argument(metavar="RASTER", help="Class codes: integers of any size, in any CRS.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help=f"Polygons: {VECTORS}.")],
    band: Annotated[int, typer.Option("--band", min=1, help="Which band of it.")] = 1,
    nodata: Annotated[
        int | None, typer.Option("--nodata", help="A code that is no class [default: as the raster says].")
    ] = None,
    legend: ClassesFile = None,
    aoi: Annotated[
        Path | None, typer.Option("--aoi", metavar="FILE", help="Polygons in any CRS; what is outside is left out.")
    ] = None,
    classes: Classes = None,
    geometry: Annotated[
        Literal["polygons", "points"], typer.Option("--geometry", help="Write areas, or a point inside of each.")
    ] = "polygons",
    majority: Majority = None,
    fill_holes: FillHoles = None,
    min_area: MinArea = None,
    simplify: Simplify = None,
    simplify_method: SimplifyMethod = "visvalingam",
    smooth: Smooth = 0,
    regularise: Regularise = None,
    split_grid: SplitGrid = None,
    dissolve: Dissolve = False,
    zonal: Zonal = None,
    threads: Threads = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Make polygons of a class raster: geoseg polygonize lc.tif --out lc.gpkg."""
    from geoseg.vectorize.clean import CleanOptions
    from geoseg.vectorize.raster import RasterOptions, polygonize_raster

    clean = CleanOptions(majority=majority, fill_holes_m2=fill_holes, min_area_m2=min_area)
    options = RasterOptions(
        band=band,
        nodata=nodata,
        legend=read_legend_file(legend),
        aoi=aoi,
        clean=clean,
        simplify=parse_simplify(simplify, simplify_method, smooth, regularise),
        split=parse_split(split_grid),
        dissolve=dissolve,
        zonal=parse_zonal(zonal),
        classes=parse_classes(classes),
        geometry=geometry,
        threads=threads,
        overwrite=overwrite,
        command=shlex.join(["geoseg", *sys.argv[1:]]),
    )
    summary = polygonize_raster(raster, out, options)
    if as_json:
        typer.echo(json.dumps(summary.to_dict(), indent=2))
        return
    for line in summary.cleaned.lines() if summary.cleaned else ():
        typer.echo(line)
    print_areas({name: area for name, area in summary.area_m2.items() if area})
    typer.echo(f"{summary.polygons} polygons" + (", a point for each" if geometry == "points" and not dissolve else ""))
    typer.echo(f"wrote {out}")
    for note in summary.notes:
        typer.echo(f"note: {note}")
