"""`geoseg sample`: a real scene to try."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from geoseg.cli.options import Overwrite


def sample(
    out: Annotated[Path, typer.Argument(help="Where to put the scene, as in scene.tif.")], overwrite: Overwrite = False
) -> None:
    """Copy a real Landsat 7 scene (from the package localtileserver, extra `view`) to try geoseg with."""
    from geoseg.io.sample import copy_sample

    copy_sample(out, overwrite=overwrite)
    typer.echo(f"wrote {out}")
