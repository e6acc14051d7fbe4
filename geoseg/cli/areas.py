"""`geoseg areas`: accuracy and areas of a map from interpreted points."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from geoseg.cli.console import show_progress
from geoseg.cli.options import AsJson, Overwrite


def areas(
    map_path: Annotated[Path, typer.Argument(metavar="MAP", help="The class raster that is judged.")],
    points: Annotated[Path, typer.Option("--points", metavar="FILE", help="Interpreted points, in any CRS.")],
    column: Annotated[str, typer.Option("--column", help="Their attribute with the class (name or code).")] = "class",
    strata: Annotated[
        Path | None,
        typer.Option("--strata", metavar="FILE", help="The raster they were drawn from [default: the map's classes]."),
    ] = None,
    strata_column: Annotated[
        str | None, typer.Option("--strata-column", help="Their attribute with the stratum they were drawn from.")
    ] = None,
    strata_areas: Annotated[
        Path | None,
        typer.Option("--strata-areas", metavar="FILE", help="Hectares by stratum (YAML) for --strata-column."),
    ] = None,
    legend: Annotated[
        Path | None, typer.Option("--legend", metavar="FILE", help="Classes of a map that does not name them (YAML).")
    ] = None,
    confidence: Annotated[
        float, typer.Option("--confidence", min=0.5, max=0.999, help="Level of the intervals.")
    ] = 0.95,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE.json", help="Every number, as JSON.")] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Estimate accuracy and areas with intervals: geoseg areas map.tif --points points.gpkg --out areas.json."""
    from geoseg.evaluation.areas.estimate import AreaOptions, estimate_areas
    from geoseg.evaluation.areas.estimates import save_areas
    from geoseg.evaluation.areas.words import area_lines
    from geoseg.evaluation.legends import legend_from_file
    from geoseg.io.output import check_writable

    if out is not None:
        check_writable(out, overwrite=overwrite)
    options = AreaOptions(
        column=column,
        strata=strata,
        strata_column=strata_column,
        strata_areas=strata_areas,
        legend=None if legend is None else legend_from_file(legend),
        confidence=confidence,
        command=shlex.join(["geoseg", *sys.argv[1:]]),
    )
    with show_progress() as progress:
        estimates = estimate_areas(map_path, points, options, progress=progress)
    if out is not None:
        save_areas(estimates, out)
    if as_json:
        typer.echo(json.dumps(estimates.to_dict(), indent=2))
        return
    for line in area_lines(estimates):
        typer.echo(line)
    if out is not None:
        typer.echo(f"wrote {out}")
