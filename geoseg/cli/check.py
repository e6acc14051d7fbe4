"""`geoseg check`: the input contract alone."""

from __future__ import annotations

import json
from dataclasses import asdict

import typer

from geoseg.cli.console import print_findings
from geoseg.cli.options import (
    AsJson,
    Bands,
    Model,
    Nodata,
    Offset,
    Scale,
    Scenes,
    Sensor,
    Standardise,
    load_model_file,
    open_scenes,
    parse_bands,
)


def check(
    scenes: Scenes,
    model: Model = None,
    bands: Bands = None,
    sensor: Sensor = None,
    nodata: Nodata = None,
    scale: Scale = None,
    offset: Offset = None,
    standardise: Standardise = None,
    as_json: AsJson = False,
) -> None:
    """Say what of a scene fits a model, what would be fixed, and what is refused (then the exit code is 3)."""
    from geoseg.inference.contract import CheckOptions, check_scene

    bundle = load_model_file(model)
    scene = open_scenes(scenes, parse_bands(bands), sensor, nodata, scale, offset)
    fit = check_scene(scene, bundle.spec, CheckOptions(standardise=standardise))
    if as_json:
        result = {"accepted": fit.accepted, "findings": [asdict(finding) for finding in fit.findings]}
        typer.echo(json.dumps(result, indent=2))
    else:
        print_findings(fit.findings, err=False)
    if not fit.accepted:
        raise typer.Exit(3)
