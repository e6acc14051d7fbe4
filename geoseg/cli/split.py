"""`geoseg split`: the ground of a config, divided into folds and saved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from geoseg.cli.console import show_progress
from geoseg.cli.options import AsJson, Overwrite


def split(
    config: Annotated[Path, typer.Argument(help="The training config (YAML).")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE.gpkg", help="Save blocks and folds as a GeoPackage for QGIS.")
    ] = None,
    fold: Annotated[int | None, typer.Option("--fold", min=0, help="The run of a k-fold split, from 0.")] = None,
    score: Annotated[
        bool, typer.Option("--score", help="Train on this split and on a random one, and report both scores (long).")
    ] = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Divide labelled ground into train, val and test, and report what leaks between them."""
    from geoseg.training.split import SplitRequest
    from geoseg.training.split import split as run

    with show_progress() as progress:
        request = SplitRequest(fold=fold, score=score, overwrite=overwrite)
        result = run(config, out, request, progress=progress)
    if as_json:
        typer.echo(json.dumps(result.to_dict(), indent=2))
        return
    for line in result.lines():
        typer.echo(line)
    if out is not None:
        typer.echo(f"wrote {out}")
