"""Options that several commands share, and how their text is read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from geoseg.core.legend import Legend
    from geoseg.inference.drawing import Drawer
    from geoseg.io.scene import Scene
    from geoseg.models.bundle import Bundle
    from geoseg.models.ensemble import Ensemble
    from geoseg.vectorize.simplify import SimplifyOptions
    from geoseg.vectorize.split import SplitOptions
    from geoseg.vectorize.zonal import ZonalRaster

VECTORS = ".gpkg, .fgb, .parquet, .shp, .pmtiles, .geojson, .geojsonl or .geojsons"

Scenes = Annotated[
    list[Path],
    typer.Argument(
        metavar="SCENE...", help="A raster, a folder of single-band rasters, or the band files of one scene."
    ),
]
Model = Annotated[
    Path | None, typer.Option("--model", metavar="FILE", help="The .geoseg bundle [default: the one inside geoseg].")
]
Models = Annotated[
    list[Path] | None,
    typer.Option(
        "--model",
        metavar="FILE",
        help="The .geoseg bundle [default: the one inside geoseg]; repeatable: the probabilities are averaged.",
    ),
]
Bands = Annotated[
    str | None,
    typer.Option("--bands", metavar="NAME=N,...", help="Which band is which, as in blue=1,green=2,red=3,nir=4."),
]
Sensor = Annotated[
    str | None, typer.Option("--sensor", metavar="NAME", help="Sensor and product, as in sentinel-2-l2a.")
]
Nodata = Annotated[float | None, typer.Option("--nodata", help="The value that marks invalid pixels.")]
Scale = Annotated[float | None, typer.Option("--scale", help="Reflectance = DN * scale + offset.")]
Offset = Annotated[float | None, typer.Option("--offset", help="See --scale.")]
Standardise = Annotated[
    bool | None,
    typer.Option(
        "--standardise/--no-standardise",
        help="Scale by whole-scene means to the training data [default: only where the scene is not calibrated].",
    ),
]
Runtime = Annotated[
    Literal["auto", "openvino", "onnxruntime", "torch"],
    typer.Option("--runtime", help="What runs the network; auto: OpenVINO, which is ready soonest, where it can."),
]
Device = Annotated[Literal["auto", "cpu", "cuda", "tensorrt"], typer.Option("--device")]
Precision = Annotated[
    Literal["auto", "fp32", "bf16", "fp16", "int8"],
    typer.Option("--precision", help="auto: the fastest here that agrees with fp32 on samples of the scene."),
]
Tta = Annotated[
    Literal["none", "flips", "d4", "scales"],
    typer.Option("--tta", help="Average over views of every tile: 4 flips, 8 turns and flips, or 3 scales."),
]
Simplify = Annotated[
    float | None,
    typer.Option(
        "--simplify", metavar="METRES", min=0, help="Simplify borders to about this detail, shared ones once."
    ),
]
SimplifyMethod = Annotated[
    Literal["visvalingam", "douglas-peucker"],
    typer.Option("--simplify-method", help="Leave out small bends, or what keeps within a distance."),
]
Smooth = Annotated[
    int, typer.Option("--smooth", metavar="N", min=0, max=5, help="Then cut corners N times, shared ones once.")
]
Regularise = Annotated[
    str | None,
    typer.Option("--regularise", metavar="CLASSES", help="Right angles where possible: names or codes, with commas."),
]
SplitGrid = Annotated[
    str | None,
    typer.Option("--split-grid", metavar="SIDE", help="Cut polygons into square tiles, of 1024px or 5km, say."),
]
Dissolve = Annotated[
    bool, typer.Option("--dissolve", help="One multipolygon a class; a class and tile, with --split-grid.")
]
Zonal = Annotated[
    list[str] | None,
    typer.Option("--zonal", metavar="NAME=FILE", help="Statistics of another raster over each polygon; repeatable."),
]
Classes = Annotated[
    str | None,
    typer.Option("--classes", metavar="NAME,...", help="Write these classes only, such as road,river [default: all]."),
]
Threads = Annotated[
    int | None, typer.Option("--threads", min=1, help="How many threads work [default: one for each core].")
]
MinArea = Annotated[
    float | None,
    typer.Option("--min-area", metavar="M2", help="Merge areas below it into the class they border on most."),
]
FillHoles = Annotated[
    float | None, typer.Option("--fill-holes", metavar="M2", help="Fill what an area encloses, if smaller than that.")
]
Majority = Annotated[
    int | None, typer.Option("--majority", metavar="N", help="Majority filter of N x N pixels, N odd, before all that.")
]
ClassesFile = Annotated[
    Path | None,
    typer.Option(
        "--legend", metavar="FILE", help="What codes mean: YAML, a config or a bundle [default: as the input says]."
    ),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="ADDRESS",
        help="Work on a Dask cluster: local:N for N processes here, tcp://... or a scheduler's .json file.",
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing outputs.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def parse_bands(text: str | None) -> dict[str, int] | None:
    """`blue=1,green=2` as a mapping; usage errors end with exit code 2."""
    if text is None:
        return None
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(name.strip() and number.strip().isascii() and number.strip().isdigit() for name, _, number in pairs):
        raise typer.BadParameter(
            f"expected NAME=NUMBER,..., as in blue=1,green=2; found {text!r}", param_hint="--bands"
        )
    names = [name.strip() for name, _, _ in pairs]
    if len(set(names)) < len(names):
        raise typer.BadParameter(f"a band is named twice in {text!r}", param_hint="--bands")
    return {name.strip(): int(number) for name, _, number in pairs}


def parse_size(text: str | None) -> int | None:
    """`2GB`, `800 MB` or `1.5GiB` in bytes; usage errors end with exit code 2."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT])(i?)B?", text.strip(), re.IGNORECASE | re.ASCII)
    if found is None:
        raise typer.BadParameter(f"expected a size such as 2GB or 800MB; found {text!r}", param_hint="--memory")
    number, unit, binary = found.groups()
    base = 1024 if binary else 1000
    return round(float(number) * float(base ** " KMGT".index(unit.upper())))


def parse_zonal(texts: list[str] | None) -> tuple[ZonalRaster, ...]:
    """`dem=dem.tif` as a raster by name; usage errors end with exit code 2."""
    if not texts:
        return ()
    from geoseg.vectorize.zonal import ZonalRaster

    pairs = [text.partition("=") for text in texts]
    if not all(name and path for name, _, path in pairs):
        raise typer.BadParameter(f"expected NAME=FILE, as in dem=dem.tif; found {texts}", param_hint="--zonal")
    return tuple(ZonalRaster(name=name, path=Path(path)) for name, _, path in pairs)


def parse_classes(text: str | None) -> tuple[str, ...]:
    """`road,river` as names; usage errors end with exit code 2."""
    if text is None:
        return ()
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise typer.BadParameter(f"expected NAME,..., as in road,river; found {text!r}", param_hint="--classes")
    return names


def parse_split(text: str | None) -> SplitOptions | None:
    """`1024px`, `5000m` or `5km` as the side of tiles; usage errors end with exit code 2."""
    if text is None:
        return None
    from geoseg.vectorize.split import SplitOptions

    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(px|m|km)", text.strip(), re.IGNORECASE | re.ASCII)
    if found is None:
        raise typer.BadParameter(f"expected a side such as 1024px or 5km; found {text!r}", param_hint="--split-grid")
    number, unit = float(found[1]), found[2].lower()
    return SplitOptions(side=number * 1000 if unit == "km" else number, unit="px" if unit == "px" else "m")


def open_scenes(
    paths: list[Path],
    bands: dict[str, int] | None,
    sensor: str | None,
    nodata: float | None,
    scale: float | None,
    offset: float | None,
) -> Scene:
    """The scene that the shared options describe."""
    from geoseg.io.scene import SceneOptions, open_scene

    options = SceneOptions(bands=bands, sensor=sensor, nodata=nodata, scale=scale, offset=offset)
    return open_scene(paths[0] if len(paths) == 1 else paths, options=options)


def load_model_file(path: Path | None) -> Bundle:
    """The named bundle, or the default one."""
    from geoseg.models.bundle import load_bundle
    from geoseg.models.zoo import default_bundle_path

    return load_bundle(path or default_bundle_path())


def load_model_files(paths: list[Path] | None) -> Ensemble:
    """The named bundles, which must belong together, or the default one."""
    from geoseg.models.ensemble import Ensemble

    return Ensemble(bundles=tuple(map(load_model_file, paths or (None,))))


def read_legend_file(path: Path | None) -> Legend | None:
    """The classes that --legend names, None without it."""
    if path is None:
        return None
    from geoseg.evaluation.legends import legend_from_file

    return legend_from_file(path)


def parse_simplify(
    metres: float | None, method: SimplifyMethod, smooth: int, regularise: str | None
) -> SimplifyOptions | None:
    """What --simplify, --simplify-method, --smooth and --regularise ask for."""
    classes = tuple(name.strip() for name in (regularise or "").split(",") if name.strip())
    if regularise is not None and not classes:
        raise typer.BadParameter("it names no class", param_hint="--regularise")
    if metres is None and not smooth and not classes:
        return None
    from geoseg.vectorize.simplify import SimplifyOptions

    return SimplifyOptions(method=method, tolerance=metres or 0.0, smooth=smooth, regularise=classes)


@contextmanager
def drawer_on(cluster: str | None) -> Iterator[Drawer]:
    """What draws the map: this machine, or a cluster."""
    if cluster is None:
        from geoseg.inference.drawing import draw

        yield draw
        return
    from geoseg.jobs.cluster import open_cluster

    with open_cluster(cluster) as client:
        from geoseg.jobs.drawing import draw_on

        yield draw_on(client)
