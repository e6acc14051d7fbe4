"""`geoseg train`: scenes and labels become a bundle."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from geoseg.cli.console import show_progress
from geoseg.cli.options import AsJson, Overwrite


def train(
    config: Annotated[Path, typer.Argument(help="The training config (YAML).")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the bundle, the log and the report.")],
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Instead of the config's seed.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the unfinished training in the folder, if there is one.")
    ] = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Train a model on labelled scenes with a geographic split, and bundle it."""
    from geoseg.training.train import Existing
    from geoseg.training.train import train as run

    if resume and overwrite:
        raise typer.BadParameter("give one of --resume and --overwrite")
    existing: Existing = "resume" if resume else "overwrite" if overwrite else "refuse"
    with show_progress() as progress:
        command = shlex.join(["geoseg", *sys.argv[1:]])
        result = run(config, out, seed=seed, existing=existing, command=command, progress=progress)
    if as_json:
        typer.echo(json.dumps(asdict(result), indent=2, default=str))
        return
    for line in (result.split, *result.notes):
        typer.echo(line)
    for name, iou in result.test_iou.items():
        typer.echo(f"  {name:<16} IoU {'-' if iou is None else format(iou, '.3f')}")
    test = "-" if result.test_miou is None else format(result.test_miou, ".3f")
    typer.echo(f"test mIoU {test} (validation {result.best_val_miou:.3f})")
    typer.echo(f"wrote {result.bundle}")
