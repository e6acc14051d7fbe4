"""What people see: progress on stderr, results on stdout."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from geoseg.inference.contract import Finding
    from geoseg.inference.engine import Progress

PLAIN_EVERY_S = 10.0


@contextmanager
def show_progress() -> Iterator[Progress]:
    """A bar with rate and time left on a terminal, a plain line every ten seconds otherwise; both on stderr."""
    if sys.stderr.isatty():
        with _bars() as report:
            yield report
    else:
        yield _plain_lines()


@contextmanager
def _bars() -> Iterator[Progress]:
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description:>8}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TextColumn("{task.fields[rate]:.1f}/s"),
        bars.TimeRemainingColumn(),
    )
    tasks: dict[str, bars.TaskID] = {}
    with bars.Progress(*columns, console=Console(stderr=True)) as progress:

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=total, rate=0.0)
            task = progress.tasks[tasks[stage]]
            progress.update(task.id, completed=done, total=total, rate=done / (task.elapsed or 1))

        yield report


def _plain_lines() -> Progress:
    started: dict[str, float] = {}
    last: dict[str, float] = {}

    def report(stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        begin = started.setdefault(stage, now)
        if done < total and now - last.setdefault(stage, now) < PLAIN_EVERY_S:
            return
        last[stage] = now
        rate = done / (now - begin) if now > begin else 0.0
        typer.echo(f"{stage}: {done}/{total}" + (f", {rate:.1f}/s" if rate else ""), err=True)

    return report


def print_findings(findings: tuple[Finding, ...], *, err: bool) -> None:
    """One line a finding: verdict, subject, text."""
    for finding in findings:
        mark = " (unsure)" if finding.unsure else ""
        typer.echo(f"{finding.verdict.value:>8}  {finding.subject:<8} {finding.text}{mark}", err=err)


def format_area(square_metres: float) -> str:
    """An area in the unit that people use for its size."""
    if square_metres >= 1e6:
        return f"{square_metres / 1e6:,.2f} km²"
    return f"{square_metres / 1e4:,.2f} ha"


def print_areas(area_m2: Mapping[str, float]) -> None:
    """A table of classes with area and share of the mapped area."""
    total = sum(area_m2.values())
    width = max(map(len, area_m2))
    for name, area in area_m2.items():
        share = area / total if total else 0.0
        typer.echo(f"  {name:<{width}}  {format_area(area):>16}  {share:6.1%}")
