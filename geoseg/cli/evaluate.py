"""`geoseg evaluate`: how well a map agrees with reference labels."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from geoseg.cli.console import show_progress
from geoseg.cli.options import (
    AsJson,
    Bands,
    Device,
    Models,
    Nodata,
    Offset,
    Overwrite,
    Precision,
    Runtime,
    Scale,
    Sensor,
    Standardise,
    Tta,
    load_model_files,
    open_scenes,
    parse_bands,
)

if TYPE_CHECKING:
    from geoseg.evaluation.evaluation import Evaluation

Judged = Annotated[
    list[Path] | None, typer.Argument(metavar="[SCENE]...", help="Scenes to map with a model: a file or a folder each.")
]
Maps = Annotated[
    list[Path] | None,
    typer.Option("--map", metavar="FILE", help="A finished class raster instead of scenes; repeatable."),
]
Run = Annotated[
    Path | None,
    typer.Option("--run", metavar="FOLDER", help="What `geoseg train` made: its model on the test fold of its scenes."),
]
Labels = Annotated[
    list[Path] | None,
    typer.Option(
        "--labels",
        metavar="FILE",
        help="The reference: a raster, polygons, or YAML like `labels` of a config; one, or one for each map in order.",
    ),
]
Column = Annotated[str | None, typer.Option("--column", help="The attribute of label polygons with the class.")]
Probabilities = Annotated[
    list[Path] | None,
    typer.Option("--probabilities", metavar="FILE", help="Class probabilities of a finished map, a band a class."),
]
LegendFile = Annotated[
    Path | None, typer.Option("--legend", metavar="FILE", help="Classes of a map that does not name them (YAML).")
]
RegionLayer = Annotated[
    Path | None, typer.Option("--regions", metavar="FILE", help="Polygons by which the scores are taken apart.")
]
RegionNames = Annotated[
    list[str] | None, typer.Option("--region-name", metavar="COLUMN", help="An attribute of theirs; repeatable.")
]
SplitFile = Annotated[
    Path | None, typer.Option("--split", metavar="FILE.gpkg", help="Count one fold of this split only.")
]
Fold = Annotated[Literal["train", "val", "test"], typer.Option("--fold", help="Which fold.")]
Tolerance = Annotated[
    float | None,
    typer.Option("--tolerance", metavar="METRES", min=0, help="Of boundary scores [default: two pixels; 0: none]."),
]
Blocks = Annotated[
    str,
    typer.Option("--blocks", metavar="METRES", help="Side of the blocks resampled for intervals; or auto, or none."),
]
Confidence = Annotated[float, typer.Option("--confidence", min=0.5, max=0.999, help="Level of the intervals.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of the resampling.")]
Keep = Annotated[
    Path | None, typer.Option("--maps", metavar="FOLDER", help="Keep the maps that the model draws, in this folder.")
]
Out = Annotated[Path | None, typer.Option("--out", metavar="FILE.json", help="Everything that was counted.")]
Report = Annotated[
    Path | None, typer.Option("--report", metavar="FILE.html", help="A page with maps, tables and curves, in one file.")
]
Areas = Annotated[
    Path | None, typer.Option("--areas", metavar="FILE.json", help="What geoseg areas wrote, to stand in the report.")
]


def evaluate(
    scenes: Judged = None,
    maps: Maps = None,
    run: Run = None,
    labels: Labels = None,
    column: Column = None,
    model: Models = None,
    probabilities: Probabilities = None,
    legend: LegendFile = None,
    regions: RegionLayer = None,
    region_names: RegionNames = None,
    split: SplitFile = None,
    fold: Fold = "test",
    tolerance: Tolerance = None,
    blocks: Blocks = "auto",
    confidence: Confidence = 0.95,
    seed: Seed = 0,
    keep: Keep = None,
    bands: Bands = None,
    sensor: Sensor = None,
    nodata: Nodata = None,
    scale: Scale = None,
    offset: Offset = None,
    standardise: Standardise = None,
    runtime: Runtime = "auto",
    device: Device = "auto",
    precision: Precision = "auto",
    tta: Tta = "none",
    out: Out = None,
    report: Report = None,
    areas: Areas = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Judge maps by reference labels: geoseg evaluate scene.tif --model lc.geoseg --labels labels.tif."""
    _require_one_way(scenes, maps, run, labels)
    if maps:
        _refuse("finished maps need no model", {"--model": model, "--maps": keep})
    else:
        _refuse("it belongs to finished maps (--map)", {"--legend": legend, "--probabilities": probabilities})
    if run is not None:
        _refuse("a training (--run) knows it itself", {"--labels": labels, "--column": column, "--model": model})
    if report is None:
        _refuse("it belongs to a report (--report)", {"--areas": areas})
    from geoseg.evaluation.areas.estimates import load_areas
    from geoseg.evaluation.bootstrap import BootstrapOptions
    from geoseg.evaluation.cases import pair_cases, read_label_options
    from geoseg.evaluation.legends import legend_from_file
    from geoseg.evaluation.options import EvaluateOptions
    from geoseg.inference.options import PredictOptions
    from geoseg.io.output import check_writable
    from geoseg.views.evaluation.report import ReportRequest, evaluate_with_report

    if out is not None:
        check_writable(out, overwrite=overwrite)
    if run is not None:
        from geoseg.training.run import open_run

        trained = open_run(run)
        cases, model, split = trained.cases, [trained.bundle], split or trained.split
    else:
        mapping, references = parse_bands(bands), [read_label_options(path, column) for path in labels or ()]
        opened = [open_scenes([path], mapping, sensor, nodata, scale, offset) for path in scenes or ()]
        cases = pair_cases(opened or maps or (), references, probabilities or ())
    options = EvaluateOptions(
        legend=None if legend is None else legend_from_file(legend),
        split=split,
        fold=fold,
        regions=regions,
        region_names=tuple(region_names or ()),
        tolerance_m=tolerance,
        block_m=_parse_blocks(blocks),
        bootstrap=BootstrapOptions(confidence=confidence, seed=seed),
        maps=keep,
        overwrite=overwrite,
        command=shlex.join(["geoseg", *sys.argv[1:]]),
        predict=PredictOptions(runtime=runtime, device=device, precision=precision, tta=tta, standardise=standardise),
    )
    ensemble = None if maps else load_model_files(model)
    estimates = None if areas is None else load_areas(areas)
    request = None if report is None else ReportRequest(out=report, areas=estimates, overwrite=overwrite)
    with show_progress() as progress:
        evaluation = evaluate_with_report(cases, ensemble, options, request, progress=progress)
    _report(evaluation, out, report, as_json=as_json)


def _report(evaluation: Evaluation, out: Path | None, report: Path | None, *, as_json: bool) -> None:
    from geoseg.evaluation.evaluation import save_evaluation
    from geoseg.evaluation.summary import summary_lines

    if out is not None:
        save_evaluation(evaluation, out)
    if as_json:
        typer.echo(json.dumps(evaluation.to_dict(), indent=2))
        return
    for line in summary_lines(evaluation):
        typer.echo(line)
    for path in (out, report):
        if path is not None:
            typer.echo(f"wrote {path}")


def _require_one_way(
    scenes: list[Path] | None, maps: list[Path] | None, run: Path | None, labels: list[Path] | None
) -> None:
    if sum(map(bool, (scenes, maps, run))) != 1:
        raise typer.BadParameter("name one of: scenes, finished maps (--map), or the folder of a training (--run)")
    if run is None and not labels:
        raise typer.BadParameter("name the reference", param_hint="--labels")


def _refuse(why: str, given: dict[str, object]) -> None:
    for name, value in given.items():
        if value:
            raise typer.BadParameter(f"{why}; leave it out", param_hint=name)


def _parse_blocks(text: str) -> float | Literal["auto"] | None:
    if text == "auto":
        return "auto"
    if text == "none":
        return None
    try:
        return float(text)
    except ValueError as error:
        raise typer.BadParameter(f"expected metres, auto or none; found {text!r}", param_hint="--blocks") from error
