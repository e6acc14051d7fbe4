"""`geoseg dissolve`: polygons united by class."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from geoseg.cli.options import AsJson, ClassesFile, Overwrite, read_legend_file


def dissolve(
    polygons: Annotated[Path, typer.Argument(metavar="POLYGONS", help="Any vector file.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="One multipolygon a class.")],
    column: Annotated[str, typer.Option("--column", help="The attribute by which to unite.")] = "class",
    layer: Annotated[str | None, typer.Option("--layer", help="The layer [default: the one with that column].")] = None,
    legend: ClassesFile = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Unite polygons by class: geoseg dissolve lc.gpkg --out classes.gpkg."""
    from geoseg.vectorize.union import DissolveOptions, dissolve_features

    options = DissolveOptions(
        column=column,
        layer=layer,
        legend=read_legend_file(legend),
        overwrite=overwrite,
        command=shlex.join(["geoseg", *sys.argv[1:]]),
    )
    summary = dissolve_features(polygons, out, options)
    if as_json:
        typer.echo(json.dumps(summary.to_dict(), indent=2))
        return
    for line in summary.lines():
        typer.echo(line)
    typer.echo(f"wrote {out}")
    for note in summary.notes:
        typer.echo(f"note: {note}")
