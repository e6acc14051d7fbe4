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
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for the bundle, the log and the report; needed to train.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Instead of the config's seed.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the unfinished training in the folder, if there is one.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan: chips, class balance, time, memory; write nothing.")
    ] = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Train a model on labelled scenes with a geographic split, and bundle it."""
    if dry_run:
        _show_plan(config, seed, as_json=as_json)
        return
    if out is None:
        raise typer.BadParameter("needed, but for a --dry-run; name a folder", param_hint="--out")
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


def _show_plan(config: Path, seed: int | None, *, as_json: bool) -> None:
    from geoseg.training.plan import plan_training

    with show_progress() as progress:
        plan = plan_training(config, seed=seed, progress=progress)
    if as_json:
        typer.echo(json.dumps(plan.to_dict(), indent=2))
        return
    for line in plan.lines():
        typer.echo(line)
