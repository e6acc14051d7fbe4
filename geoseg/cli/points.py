"""`geoseg points`: a random sample of a map, to be interpreted."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from geoseg.cli.console import format_area, show_progress
from geoseg.cli.options import VECTORS, AsJson, Overwrite

if TYPE_CHECKING:
    from geoseg.evaluation.areas.draw import Draw


def points(
    map_path: Annotated[Path, typer.Argument(metavar="MAP", help="A class raster, such as a mask of geoseg predict.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help=f"The points: {VECTORS}.")],
    count: Annotated[int, typer.Option("--count", min=1, help="Points to draw.")] = 500,
    standard_error: Annotated[
        float | None,
        typer.Option("--standard-error", help="Draw as many as give this standard error of the overall accuracy."),
    ] = None,
    expect: Annotated[
        list[str] | None,
        typer.Option("--expect", metavar="[CLASS=]U", help="Expected user's accuracy; repeatable [default: 0.8]."),
    ] = None,
    allocation: Annotated[
        Literal["proportional", "optimal", "equal"],
        typer.Option("--allocation", help="How classes get points."),
    ] = "proportional",
    minimum: Annotated[int, typer.Option("--minimum", min=0, help="Points that every class gets at least.")] = 50,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed draws the same points.")] = 0,
    reveal: Annotated[bool, typer.Option("--reveal", help="Tell the map's class of each point.")] = False,
    legend: Annotated[
        Path | None, typer.Option("--legend", metavar="FILE", help="Classes of a map that does not name them (YAML).")
    ] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Draw a stratified random sample of a map as points to be interpreted: geoseg points map.tif --out points.gpkg."""
    expected, expected_else = _parse_expected(expect or [])
    from geoseg.evaluation.areas.draw import PointOptions, draw_points
    from geoseg.evaluation.legends import legend_from_file

    options = PointOptions(
        count=count,
        standard_error=standard_error,
        expected=expected,
        expected_else=expected_else,
        allocation=allocation,
        minimum=minimum,
        seed=seed,
        reveal=reveal,
        legend=None if legend is None else legend_from_file(legend),
        overwrite=overwrite,
        command=shlex.join(["geoseg", *sys.argv[1:]]),
    )
    with show_progress() as progress:
        drawn = draw_points(map_path, out, options, progress=progress)
    if as_json:
        typer.echo(json.dumps({"out": str(out), "classes": [asdict(draw) for draw in drawn]}, indent=2))
        return
    _print(drawn)
    typer.echo(f"wrote {out}")


def _print(drawn: tuple[Draw, ...]) -> None:
    total = sum(draw.area_m2 for draw in drawn)
    width = max(5, *(len(draw.name) for draw in drawn))
    typer.echo(f"  {'class':<{width}}  {'mapped':>16}   share  points  standard error of user's accuracy")
    for draw in drawn:
        error = f"{draw.standard_error:.3f} if it is {draw.expected:g}" if draw.points else "-"
        share = draw.area_m2 / total
        typer.echo(f"  {draw.name:<{width}}  {format_area(draw.area_m2):>16}  {share:6.1%}  {draw.points:>6}  {error}")
    typer.echo(f"{sum(draw.points for draw in drawn)} points")


def _parse_expected(texts: list[str]) -> tuple[dict[str, float], float]:
    """Expected accuracies by class, and that of the other classes."""
    expected, rest = {}, 0.8
    for text in texts:
        name, _, value = text.rpartition("=")
        try:
            number = float(value)
        except ValueError as error:
            raise typer.BadParameter(
                f"expected a number, or CLASS=NUMBER, found {text!r}", param_hint="--expect"
            ) from error
        if name:
            expected[name.strip()] = number
        else:
            rest = number
    return expected, rest
