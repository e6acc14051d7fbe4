"""`geoseg run`: many scenes, as often as a scheduler likes; only what is new or changed is mapped."""

from __future__ import annotations

import json
import re
import shlex
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geoseg.cli.console import show_progress
from geoseg.cli.options import AsJson, Cluster, drawer_on

if TYPE_CHECKING:
    from geoseg.jobs.run import Outcome

PARTIAL = 4


def run(
    job: Annotated[Path, typer.Argument(metavar="JOB.yaml", help="Scenes, model, outputs and options.")],
    cluster: Cluster = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="WHEN", help="Only scenes changed since a date, or within 7d or 12h."),
    ] = None,
    max_failures: Annotated[
        int | None, typer.Option("--max-failures", metavar="N", min=1, help="Try no further scene after N failed ones.")
    ] = None,
    log: Annotated[Path | None, typer.Option("--log", metavar="FILE", help="Append a line of JSON a scene.")] = None,
    metrics: Annotated[
        Path | None, typer.Option("--metrics", metavar="FILE.prom", help="Figures of the run for Prometheus.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the scenes that would be mapped.")] = False,
    as_json: AsJson = False,
) -> None:
    """Map many scenes: geoseg run job.yaml. Exit code 4: some scenes failed or were not tried."""
    from geoseg.jobs.config import read_job
    from geoseg.jobs.manifest import open_manifest
    from geoseg.jobs.reporting import log_outcome, write_metrics
    from geoseg.jobs.run import FAILED, LEFT, RunOptions, pending, run_job

    config = read_job(job)
    options = RunOptions(
        since=_parse_since(since), max_failures=max_failures, command=shlex.join(["geoseg", *sys.argv[1:]])
    )
    with open_manifest(config.manifest or job.with_suffix(".manifest.sqlite")) as manifest:
        if dry_run:
            _print_pending([str(scene.paths[0]) for scene in pending(config, manifest)], as_json=as_json)
            return

        def told(outcome: Outcome) -> None:
            if log is not None:
                log_outcome(log, outcome)
            if not as_json:
                typer.echo(_line(outcome))

        with show_progress() as progress, drawer_on(cluster) as drawer:
            outcomes = run_job(config, manifest, options=options, progress=progress, told=told, drawer=drawer)
    if metrics is not None:
        write_metrics(metrics, outcomes)
    counts = Counter(outcome.state for outcome in outcomes)
    if as_json:
        found = {"counts": dict(counts), "scenes": [outcome.to_dict() for outcome in outcomes]}
        typer.echo(json.dumps(found, indent=2))
    else:
        typer.echo(", ".join(f"{count} {state}" for state, count in counts.items()))
    if counts[FAILED] or counts[LEFT]:
        raise typer.Exit(PARTIAL)


def _print_pending(scenes: list[str], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(scenes, indent=2))
        return
    for scene in scenes:
        typer.echo(scene)
    typer.echo(f"{len(scenes)} scenes would be mapped")


def _line(outcome: Outcome) -> str:
    told = f"{outcome.state:>9}  {outcome.name}"
    if outcome.error is not None:
        return f"{told}  {outcome.error}"
    return f"{told}  {outcome.seconds:.1f} s" if outcome.attempts else told


def _parse_since(text: str | None) -> float | None:
    """`7d`, `12h` or a date (UTC) in seconds since 1970; usage errors end with exit code 2."""
    if text is None:
        return None
    span = re.fullmatch(r"(\d+)([dh])", text.strip(), re.ASCII)
    if span is not None:
        return time.time() - int(span[1]) * {"d": 86_400, "h": 3600}[span[2]]
    try:
        when = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise typer.BadParameter(f"expected a date or 7d or 12h; found {text!r}", param_hint="--since") from error
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
