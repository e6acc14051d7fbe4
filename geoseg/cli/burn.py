"""`geoseg burn`: polygons back to a class raster."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from geoseg.cli.options import AsJson, ClassesFile, Overwrite, read_legend_file


def burn(
    polygons: Annotated[Path, typer.Argument(metavar="POLYGONS", help="Any vector file, in any CRS.")],
    like: Annotated[Path, typer.Option("--like", metavar="RASTER", help="The raster whose pixels to fill.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE.tif", help="Class codes as a COG with palette.")],
    column: Annotated[str, typer.Option("--column", help="The attribute with the class codes.")] = "code",
    layer: Annotated[str | None, typer.Option("--layer", help="The layer [default: the one with that column].")] = None,
    legend: ClassesFile = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Burn polygons into a raster: geoseg burn lc.gpkg --like scene.tif --out lc.tif."""
    from geoseg.vectorize.burn import BurnOptions, burn_polygons

    options = BurnOptions(
        column=column,
        layer=layer,
        legend=read_legend_file(legend),
        overwrite=overwrite,
        command=shlex.join(["geoseg", *sys.argv[1:]]),
    )
    summary = burn_polygons(polygons, like, out, options)
    if as_json:
        typer.echo(json.dumps(summary.to_dict(), indent=2))
        return
    width = max(map(len, summary.pixels))
    for name, pixels in summary.pixels.items():
        typer.echo(f"  {name:<{width}}  {pixels:>14,} px")
    typer.echo(f"{summary.nodata_pixels:,} px without a class; {summary.dtype}, nodata {summary.nodata}")
    typer.echo(f"wrote {out}")
