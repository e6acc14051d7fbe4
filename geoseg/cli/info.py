"""`geoseg info`: what a scene or a bundle is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geoseg.cli.options import AsJson

if TYPE_CHECKING:
    from geoseg.io.scene import Scene
    from geoseg.models.bundle import Bundle


def info(
    file: Annotated[Path, typer.Argument(help="A scene (file or folder) or a .geoseg bundle.")],
    as_json: AsJson = False,
) -> None:
    """Describe a scene or a bundle."""
    facts = _bundle_facts(file) if file.suffix == ".geoseg" else _scene_facts(file)
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    width = max(map(len, facts))
    for key, value in facts.items():
        lines = value if isinstance(value, list) else str(value).splitlines()
        for i, line in enumerate(lines or ["-"]):
            typer.echo(f"{key if i == 0 else '':<{width}}  {line}")


def _bundle_facts(path: Path) -> dict[str, Any]:
    from geoseg.models.bundle import load_bundle

    return describe_bundle(load_bundle(path))


def describe_bundle(bundle: Bundle) -> dict[str, Any]:
    """The contract of a bundle in words."""
    from geoseg.models.architectures import network_text

    spec = bundle.spec
    return {
        "bundle": str(bundle.path),
        "sha256": bundle.sha256,
        "network": network_text(spec.architecture, spec.encoder, spec.options),
        "bands": [f"{b.name}: mean {b.mean:.4g}, std {b.std:.4g}" for b in spec.bands],
        "indices": list(spec.indices),
        "GSD": f"{spec.gsd_m:g} m",
        "classes": [f"{c.code} {c.name} {c.colour}" for c in spec.legend],
        "graph": "yes, runs without torch" if bundle.has_graph else "no, needs torch",
        "int8": "no" if bundle.int8 is None else f"yes, {bundle.int8['agreement']:.2%} of the pixels as in fp32",
        "made": bundle.provenance.date,
        "card": bundle.card,
    }


def _scene_facts(path: Path) -> dict[str, Any]:
    from geoseg.io.scene import open_scene

    return describe_scene(open_scene(path))


def describe_scene(scene: Scene) -> dict[str, Any]:
    """A scene in words."""
    grid = scene.grid
    down, along = grid.gsd_m
    left, bottom, right, top = grid.bounds
    return {
        "scene": scene.name,
        "size": f"{grid.height} x {grid.width} px",
        "GSD": f"{down:.4g} x {along:.4g} m",
        "CRS": grid.crs.name,
        "bounds": f"{left:.6f} {bottom:.6f} {right:.6f} {top:.6f}",
        "dtype": str(scene.dtype),
        "bands": [
            f"{b.name} ({b.common_name or 'unknown'})"
            + (f", DN * {b.scale:g} {b.offset:+g}" if b.scale is not None else ", not calibrated")
            + (f", nodata {b.nodata:g}" if b.nodata is not None else "")
            for b in scene.bands
        ],
        "notes": list(scene.notes),
    }
