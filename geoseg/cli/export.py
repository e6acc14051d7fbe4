"""`geoseg export`: a bundle's network for other programs, or in 8 bits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from geoseg.cli.options import (
    Bands,
    Nodata,
    Offset,
    Overwrite,
    Scale,
    Sensor,
    Standardise,
    open_scenes,
    parse_bands,
)


def export(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The .geoseg bundle.")],
    out: Annotated[Path, typer.Option("--out", help="FILE.onnx, FILE.xml (OpenVINO), or FILE.geoseg to calibrate.")],
    to: Annotated[Literal["onnx", "openvino"], typer.Option("--to")],
    precision: Annotated[Literal["fp32", "int8"], typer.Option("--precision")] = "fp32",
    calibrate: Annotated[
        list[Path] | None,
        typer.Option("--calibrate", metavar="SCENE", help="Quantise on tiles of this scene; repeatable."),
    ] = None,
    bands: Bands = None,
    sensor: Sensor = None,
    nodata: Nodata = None,
    scale: Scale = None,
    offset: Offset = None,
    standardise: Standardise = None,
    overwrite: Overwrite = False,
) -> None:
    """Write a model for other programs: geoseg export lc.geoseg --to onnx --out lc.onnx.

    With --to openvino --precision int8 --calibrate scene.tif --out lc-int8.geoseg the bundle gets an 8-bit graph, which
    geoseg predict --precision int8 uses.
    """
    from geoseg.models.bundle import load_bundle

    if not calibrate:
        from geoseg.models.convert import convert_bundle

        for path in convert_bundle(load_bundle(model), to, out, precision=precision, overwrite=overwrite):
            typer.echo(f"wrote {path}")
        return
    if (to, precision) != ("openvino", "int8"):
        raise typer.BadParameter("it needs --to openvino --precision int8", param_hint="--calibrate")
    from geoseg.inference.calibration import QuantiseOptions, quantise

    mapping = parse_bands(bands)
    scenes = [open_scenes([path], mapping, sensor, nodata, scale, offset) for path in calibrate]
    options = QuantiseOptions(standardise=standardise, overwrite=overwrite)
    _, agreement = quantise(load_bundle(model), scenes, out, options)
    typer.echo(f"wrote {out}\nint8 in comparison with fp32: {agreement}")
