"""`geoseg centrelines`: long areas of a class raster become lines."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from geoseg.cli.options import AsJson, Overwrite, parse_classes


def centrelines(
    raster: Annotated[Path, typer.Argument(metavar="RASTER", help="Class codes: integers of any size, in any CRS.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Lines: any vector format but PMTiles.")],
    classes: Annotated[str, typer.Option("--classes", metavar="NAME,...", help="Of which classes, as in road,river.")],
    band: Annotated[int, typer.Option("--band", min=1, help="Which band of it.")] = 1,
    nodata: Annotated[
        int | None, typer.Option("--nodata", help="A code that is no class [default: as the raster says].")
    ] = None,
    spur: Annotated[
        float, typer.Option("--spur", metavar="METRES", min=0, help="Leave out spurs that are shorter.")
    ] = 0.0,
    simplify: Annotated[
        float, typer.Option("--simplify", metavar="METRES", min=0, help="Simplify lines; they move by at most that.")
    ] = 0.0,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Draw centre lines of some classes: geoseg centrelines lc.tif --out roads.gpkg --classes road."""
    from geoseg.vectorize.centrelines import LineOptions, draw_centrelines

    options = LineOptions(
        classes=parse_classes(classes),
        band=band,
        nodata=nodata,
        spur_m=spur,
        simplify_m=simplify,
        overwrite=overwrite,
        command=shlex.join(["geoseg", *sys.argv[1:]]),
    )
    summary = draw_centrelines(raster, out, options)
    if as_json:
        typer.echo(json.dumps(summary.to_dict(), indent=2))
        return
    for name, length in summary.length_m.items():
        typer.echo(f"  {name}  {length / 1000:,.3f} km")
    typer.echo(f"{summary.lines:,} lines")
    typer.echo(f"wrote {out}")
    for note in summary.notes:
        typer.echo(f"note: {note}")
