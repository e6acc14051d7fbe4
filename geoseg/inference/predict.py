"""The first sentence: open, check, plan, infer, write, trace, style."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from geoseg.core.legend import Legend
from geoseg.core.provenance import Provenance
from geoseg.core.tiling import plan_tiles
from geoseg.errors import InputError, OutputError
from geoseg.inference.contract import CheckOptions, Fit, check_scene
from geoseg.inference.engine import Job, Progress, infer
from geoseg.inference.maps import MapFiles, MapWriter, map_strips, regrid, write_mask, write_probabilities
from geoseg.inference.outputs import Outputs, check_outputs, publish
from geoseg.inference.precision import Choice, open_for_scene
from geoseg.inference.summary import Summary, measure
from geoseg.io.fingerprint import fingerprints
from geoseg.io.output import folder_beside
from geoseg.io.scene import Scene
from geoseg.io.style import raster_qml
from geoseg.models.bundle import Bundle
from geoseg.models.runtime import RuntimeOptions
from geoseg.vectorize.pipeline import PolygonOptions, PolygonSummary, polygonize
from geoseg.vectorize.trace import LabelStrip


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictOptions:
    """How to predict.

    `grid` "model" leaves the result on the working grid, "scene" brings it back to the scene's own (probabilities are
    resampled before the argmax). `tile` and `overlap` in px; `simplify_m` is the tolerance for polygon borders in m.
    `precision` is one of `geoseg.models.runtime.PRECISIONS`, or "auto": see `geoseg.inference.precision`.
    """

    grid: Literal["model", "scene"] = "model"
    tile: int = 512
    overlap: int = 64
    runtime: str = "auto"
    device: str = "auto"
    threads: int | None = None
    precision: str = "auto"
    simplify_m: float | None = None
    standardise: bool | None = None
    overwrite: bool = False
    command: str = ""


def predict(
    scene: Scene,
    bundle: Bundle,
    outputs: Outputs,
    *,
    options: PredictOptions = PredictOptions(),
    progress: Progress = lambda _stage, _done, _total: None,
) -> Summary:
    """Map a scene with a bundle: mask, probabilities and polygons appear together once all are finished.

    Raises:
        ContractError: the scene does not fit the bundle.
        InputError: the scene cannot be read.
        OutputError: an output exists, has an unknown suffix or cannot be written.
    """
    spec = bundle.spec
    check_outputs(outputs, overwrite=options.overwrite, inputs=(*scene.paths, bundle.path))
    inputs = fingerprints(scene.paths) | {bundle.path.name: bundle.sha256}
    provenance = Provenance.now(inputs=inputs, command=options.command)
    fit = check_scene(scene, spec, CheckOptions(standardise=options.standardise)).require()
    with folder_beside(outputs.paths[0]) as work, _blaming_the_disk(work):
        drawn = draw(fit, bundle, work, options, progress, with_probabilities=outputs.probabilities is not None)
        maps = drawn.maps
        figures = measure(maps, spec.legend)
        provenance = replace(provenance, runtime=drawn.runtime)
        polygon_options = PolygonOptions(simplify_m=options.simplify_m, provenance=provenance)
        staged = outputs.inside(work)
        written = _write_outputs(maps, spec.legend, staged, polygon_options)
        publish(staged, outputs)
    return Summary(
        figures=figures,
        shape=maps.grid.shape,
        gsd_m=maps.grid.gsd_m,
        runtime=drawn.runtime,
        precision=drawn.choice.precision,
        precision_reason=drawn.choice.reason,
        redundancy=drawn.redundancy,
        findings=fit.findings,
        outputs=tuple(str(path) for path in outputs.paths),
        polygons=written.polygons if written else None,
        notes=written.notes if written else (),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnMap:
    """Working rasters of a map, the runtime that inferred it and its precision, pixels computed over pixels wanted."""

    maps: MapFiles
    runtime: str
    choice: Choice
    redundancy: float


def draw(
    fit: Fit, bundle: Bundle, work: Path, options: PredictOptions, progress: Progress, *, with_probabilities: bool
) -> DrawnMap:
    """Map a scene that fits a bundle to working rasters in the folder `work`; see `MapFiles`.

    Raises:
        InputError: the scene cannot be read.
        OutputError: the folder cannot be written.
    """
    spec = bundle.spec
    plan = plan_tiles(*fit.scene.grid.shape, size=options.tile, overlap=options.overlap, stride=spec.stride)
    asked = RuntimeOptions(runtime=options.runtime, device=options.device, threads=options.threads)
    runtime, choice = open_for_scene(fit, bundle, asked, options.precision)
    to_scene = options.grid == "scene" and fit.source.grid != fit.scene.grid
    kept = to_scene or with_probabilities
    maps = MapFiles.in_folder(work, fit.scene.grid, name="model", with_probabilities=kept)
    job = Job(scene=fit.scene, bands=fit.bands, indices=spec.indices, classes=spec.classes, plan=plan)
    with MapWriter(maps, spec.legend) as writer:
        for piece in infer(job, runtime, progress):
            writer.write(piece)
    if to_scene:
        maps = regrid(maps, fit.source, spec.legend, work, progress)
    return DrawnMap(maps=maps, runtime=runtime.name, choice=choice, redundancy=plan.redundancy)


@contextmanager
def _blaming_the_disk(work: Path) -> Iterator[None]:
    """Working files were written a moment ago: where they cannot be read, GDAL hid that the disk was full."""
    try:
        yield
    except InputError as error:
        if work.name not in str(error):
            raise
        raise OutputError(f"{work.parent}: working files are damaged; check the free space there") from error


def _write_outputs(
    maps: MapFiles, legend: Legend, outputs: Outputs, polygon_options: PolygonOptions
) -> PolygonSummary | None:
    """Everything that was asked for; returns what the polygons are, None where none were asked for."""
    provenance = polygon_options.provenance
    tags = {"GEOSEG_PROVENANCE": json.dumps(provenance.to_dict(), sort_keys=True)} if provenance else {}
    if outputs.mask is not None:
        write_mask(maps, legend, outputs.mask, tags)
        outputs.mask_sidecars[0].write_text(raster_qml(legend), encoding="utf-8")
    if outputs.probabilities is not None:
        write_probabilities(maps, legend, outputs.probabilities, tags)
    if outputs.polygons is None:
        return None
    strips = (LabelStrip(codes=codes, confidence=probability) for _, codes, probability in map_strips(maps))
    return polygonize(strips, outputs.polygons, grid=maps.grid, legend=legend, options=polygon_options)
