"""`geoseg sheet`: a contact sheet of the augmentations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from geoseg.cli.options import Overwrite


def sheet(
    config: Annotated[Path, typer.Argument(help="The training config (YAML).")],
    out: Annotated[Path, typer.Option("--out", help="The picture (.png) to write.")],
    every: Annotated[
        bool, typer.Option("--every", help="Show every augmentation there is, not only those of the config.")
    ] = False,
    technique: Annotated[
        list[str] | None, typer.Option("--technique", metavar="NAME", help="Show this one; may be repeated.")
    ] = None,
    chips: Annotated[int, typer.Option("--chips", min=1, max=8, help="Chips to show.")] = 1,
    draws: Annotated[int, typer.Option("--draws", min=1, max=12, help="Random draws of each augmentation.")] = 5,
    size: Annotated[
        int | None, typer.Option("--size", min=16, help="Side of a chip in px, instead of the config's.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Show what augmentations do to training chips: a row for each, with the labels beside every picture."""
    from geoseg.views.augmentations import AugmentationSheet, draw_augmentations

    options = AugmentationSheet(
        every=every, names=tuple(technique or ()), chips=chips, draws=draws, size=size, overwrite=overwrite
    )
    draw_augmentations(config, out, options)
    typer.echo(f"wrote {out}")
