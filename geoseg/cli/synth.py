"""`geoseg synth`: a synthetic scene with its truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from geoseg.cli.options import Overwrite


def synth(
    out: Annotated[Path, typer.Argument(help="The scene to write (.tif).")],
    size: Annotated[int, typer.Option("--size", min=1, help="Rows and columns in pixels.")] = 2048,
    truth: Annotated[Path | None, typer.Option("--truth", help="Also write the true classes (.tif).")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Write a deterministic synthetic scene of any size: eight land-cover classes, four bands, nodata around."""
    from geoseg.io.synth import SynthOptions, synthesise

    synthesise(out, options=SynthOptions(size=size, seed=seed, truth=truth, overwrite=overwrite))
    typer.echo(f"wrote {out}" + (f" and {truth}" if truth else ""))
