"""`geoseg bundle`: a model from elsewhere becomes a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from geoseg.cli.options import Overwrite


def bundle(
    weights: Annotated[Path, typer.Argument(help="A state_dict of tensors: .pt, .pth or .safetensors.")],
    spec: Annotated[Path, typer.Option("--spec", help="YAML: architecture, encoder, bands, classes, gsd_m.")],
    out: Annotated[Path, typer.Option("--out", help="The .geoseg file to write.")],
    overwrite: Overwrite = False,
) -> None:
    """Wrap the weights of a segmentation-models-pytorch model into a bundle; no code from the file is run."""
    from geoseg.models.wrap import wrap_weights

    wrap_weights(weights, spec, out, overwrite=overwrite)
    typer.echo(f"wrote {out}")
