"""`geoseg predict`: a scene becomes a map."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from geoseg.cli.console import print_areas, print_findings, show_progress
from geoseg.cli.options import (
    VECTORS,
    AsJson,
    Bands,
    Cluster,
    Device,
    Dissolve,
    FillHoles,
    Majority,
    MinArea,
    Models,
    Nodata,
    Offset,
    Overwrite,
    Precision,
    Regularise,
    Runtime,
    Scale,
    Scenes,
    Sensor,
    Simplify,
    SimplifyMethod,
    Smooth,
    SplitGrid,
    Standardise,
    Threads,
    Tta,
    Zonal,
    drawer_on,
    load_model_files,
    open_scenes,
    parse_bands,
    parse_simplify,
    parse_size,
    parse_split,
    parse_zonal,
)

if TYPE_CHECKING:
    from geoseg.inference.plan import PredictPlan
    from geoseg.inference.summary import Summary


def predict(
    scenes: Scenes,
    out: Annotated[Path | None, typer.Option("--out", help=f"Polygons: {VECTORS}.")] = None,
    mask: Annotated[Path | None, typer.Option("--mask", help="Class codes as a COG (.tif) with palette.")] = None,
    probabilities: Annotated[
        Path | None, typer.Option("--probabilities", help="Class probabilities as a COG (.tif), a band a class.")
    ] = None,
    model: Models = None,
    bands: Bands = None,
    sensor: Sensor = None,
    nodata: Nodata = None,
    scale: Scale = None,
    offset: Offset = None,
    standardise: Standardise = None,
    aoi: Annotated[
        Path | None,
        typer.Option("--aoi", metavar="FILE", help="Polygons in any CRS; outside of them nothing is mapped."),
    ] = None,
    grid: Annotated[
        Literal["model", "scene"],
        typer.Option("--grid", help="Results at the model's resolution, or brought back to the scene's own pixels."),
    ] = "model",
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
    runtime: Runtime = "auto",
    device: Device = "auto",
    precision: Precision = "auto",
    tta: Tta = "none",
    memory: Annotated[
        str | None, typer.Option("--memory", metavar="SIZE", help="What the process may take, as in 2GB or 800MB.")
    ] = None,
    tile: Annotated[
        int | None, typer.Option("--tile", min=32, help="Largest side of a tile in pixels [default: by the memory].")
    ] = None,
    overlap: Annotated[
        int | None, typer.Option("--overlap", min=0, help="Of neighbouring tiles in pixels [default: by the model].")
    ] = None,
    threads: Threads = None,
    adaptive: Annotated[
        bool, typer.Option("--adaptive", help="Infer in full only where a look at coarser pixels leaves a question.")
    ] = False,
    cluster: Cluster = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with what an earlier end of this prediction has left, if anything.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan: tiles, memory, disk, time; write nothing.")
    ] = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Map a scene: geoseg predict scene.tif --out landcover.gpkg --mask landcover.tif."""
    from geoseg.inference.options import PredictOptions
    from geoseg.inference.outputs import Outputs
    from geoseg.inference.predict import plan_prediction
    from geoseg.inference.predict import predict as run
    from geoseg.vectorize.clean import CleanOptions

    outputs = Outputs(polygons=out, mask=mask, probabilities=probabilities)
    if not outputs.paths:
        raise typer.BadParameter("name at least one output: --out, --mask or --probabilities")
    simplification = parse_simplify(simplify, simplify_method, smooth, regularise)
    if simplification is not None and out is None:
        given_names = (("--simplify", simplify is not None), ("--smooth", smooth > 0), ("--regularise", True))
        hint = next(name for name, said in given_names if said)
        raise typer.BadParameter("it changes polygons, so it needs --out", param_hint=hint)
    for name, given in (("--split-grid", split_grid), ("--dissolve", dissolve), ("--zonal", zonal)):
        if given and out is None:
            raise typer.BadParameter("it changes polygons, so it needs --out", param_hint=name)
    mapping = parse_bands(bands)
    options = PredictOptions(
        grid=grid,
        tile=tile,
        overlap=overlap,
        memory=parse_size(memory),
        runtime=runtime,
        device=device,
        threads=threads,
        precision=precision,
        tta=tta,
        aoi=aoi,
        clean=CleanOptions(majority=majority, fill_holes_m2=fill_holes, min_area_m2=min_area),
        simplify=simplification,
        split=parse_split(split_grid),
        dissolve=dissolve,
        zonal=parse_zonal(zonal),
        standardise=standardise,
        adaptive=adaptive,
        resume=resume,
        overwrite=overwrite,
        command=shlex.join(["geoseg", *sys.argv[1:]]),
    )
    ensemble = load_model_files(model)
    scene = open_scenes(scenes, mapping, sensor, nodata, scale, offset)
    if dry_run:
        _print_plan(plan_prediction(scene, ensemble, outputs, options), as_json=as_json)
        return
    with show_progress() as progress, drawer_on(cluster) as drawer:
        summary = run(scene, ensemble, outputs, options=options, progress=progress, drawer=drawer)
    if as_json:
        typer.echo(json.dumps(summary.to_dict(), indent=2))
    else:
        _print_summary(summary)


def _print_plan(plan: PredictPlan, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(plan.to_dict(), indent=2))
        return
    print_findings(plan.findings, err=False)
    for line in plan.lines():
        typer.echo(line)


def _print_summary(summary: Summary) -> None:
    figures = summary.figures
    print_findings(summary.findings, err=False)
    height, width = summary.shape
    typer.echo(
        f"{height} x {width} px at {summary.gsd_m[0]:.4g} m; {summary.runtime}; nodata {figures.nodata_share:.1%}"
    )
    typer.echo(f"{summary.precision}: {summary.precision_reason}")
    if summary.adapted is not None:
        typer.echo(f"adaptive: {summary.adapted}")
    print_areas(figures.area_m2)
    for line in summary.cleaned.lines() if summary.cleaned else ():
        typer.echo(line)
    if figures.nodata_share == 1:
        typer.echo("geoseg: warning: no valid pixel is there to be mapped; the results are empty", err=True)
    elif figures.confidence is not None:
        typer.echo(f"mean confidence {figures.confidence:.2f}")
    for path in summary.outputs:
        typer.echo(f"wrote {path}")
    for note in summary.notes:
        typer.echo(f"note: {note}")
