"""The first sentence: open, check, plan, infer, write, trace, style."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from geoseg.core.identity import flat
from geoseg.core.legend import Legend
from geoseg.core.provenance import Provenance
from geoseg.core.tiling import TilePlan
from geoseg.errors import InputError, OutputError
from geoseg.inference.contract import CheckOptions, Fit, check_ensemble
from geoseg.inference.engine import Job, Progress, infer
from geoseg.inference.journal import Journal, work_folder
from geoseg.inference.maps import MapFiles, MapWriter, map_strips, regrid, write_mask, write_probabilities
from geoseg.inference.networks import Networks, open_networks
from geoseg.inference.outputs import Outputs, check_outputs, publish
from geoseg.inference.plan import PredictPlan, disk_of, require_room, seconds_of
from geoseg.inference.precision import Choice
from geoseg.inference.summary import Summary, measure
from geoseg.inference.tiles import Load, TileOptions, choose_tiles, load_of, memory_of
from geoseg.inference.wanted import area_files, open_wanted, reach_of
from geoseg.io.fingerprint import fingerprints
from geoseg.io.scene import Scene
from geoseg.io.style import raster_qml
from geoseg.models.bundle import Bundle
from geoseg.models.ensemble import Ensemble, as_ensemble
from geoseg.models.runtime import RuntimeOptions
from geoseg.models.runtime.augmented import require_tta
from geoseg.vectorize.pipeline import PolygonOptions, PolygonSummary, polygonize
from geoseg.vectorize.trace import LabelStrip


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictOptions:
    """How to predict.

    `grid` "model" leaves the result on the working grid, "scene" brings it back to the scene's own (probabilities are
    resampled before the argmax). `tile` is the largest side of a tile and `overlap` that of neighbours, in px, and
    `memory` what the process may take, in bytes; None = see `geoseg.inference.tiles`. `aoi` is a vector file of
    polygons in any CRS: pixels whose centre lies in none of them are nodata in every output; None = all is wanted.
    `simplify_m` is the tolerance for polygon borders in m. `precision` is one of `geoseg.models.runtime.PRECISIONS`, or
    "auto": see `geoseg.inference.precision`. `tta`, the test-time augmentation, is one of
    `geoseg.models.runtime.augmented.TTA`. `resume` goes on with what an earlier end of the same prediction has left,
    where there is something.

    Raises:
        InputError: for an unknown test-time augmentation.
    """

    grid: Literal["model", "scene"] = "model"
    tile: int | None = None
    overlap: int | None = None
    memory: int | None = None
    runtime: str = "auto"
    device: str = "auto"
    threads: int | None = None
    precision: str = "auto"
    tta: str = "none"
    aoi: Path | None = None
    simplify_m: float | None = None
    standardise: bool | None = None
    resume: bool = False
    overwrite: bool = False
    command: str = ""

    def __post_init__(self) -> None:
        require_tta(self.tta)


def predict(
    scene: Scene,
    bundle: Bundle | Ensemble,
    outputs: Outputs,
    *,
    options: PredictOptions = PredictOptions(),
    progress: Progress = lambda _stage, _done, _total: None,
) -> Summary:
    """Map a scene with a bundle, or the mean of several: mask, probabilities and polygons appear together at the end.

    Beside the first output a hidden folder holds what is finished; it stays where the work ends early.

    Raises:
        ContractError: the scene does not fit the bundle.
        InputError: the scene or the area of interest cannot be read, or they do not meet.
        OutputError: an output exists, has an unknown suffix or cannot be written; or an earlier run was not finished.
    """
    ensemble = as_ensemble(bundle)
    legend = ensemble.spec.legend
    fit = _check(scene, ensemble, outputs, options)
    inputs = fingerprints((*scene.paths, *area_files(options.aoi))) | dict(ensemble.hashes)
    provenance = Provenance.now(inputs=inputs, command=options.command)
    first = outputs.paths[0]
    with work_folder(first, resume=options.resume, overwrite=options.overwrite) as work, _blaming_the_disk(work):
        place = Workplace(folder=work, with_probabilities=outputs.probabilities is not None, inputs=inputs)
        drawn = draw(fit, ensemble, place, options, progress)
        maps = drawn.maps
        figures = measure(maps, legend)
        provenance = replace(provenance, runtime=drawn.runtime)
        polygon_options = PolygonOptions(simplify_m=options.simplify_m, provenance=provenance)
        staged = outputs.inside(work / "finished")
        written = _write_outputs(maps, legend, staged, polygon_options)
        publish(staged, outputs)
    return Summary(
        figures=figures,
        shape=maps.grid.shape,
        gsd_m=maps.grid.gsd_m,
        runtime=drawn.runtime,
        precision=drawn.choice.precision,
        precision_reason=drawn.choice.reason,
        tta=options.tta,
        models=ensemble.names,
        redundancy=drawn.redundancy,
        findings=fit.findings,
        outputs=tuple(str(path) for path in outputs.paths),
        polygons=written.polygons if written else None,
        notes=written.notes if written else (),
    )


def plan_prediction(
    scene: Scene, bundle: Bundle | Ensemble, outputs: Outputs, options: PredictOptions = PredictOptions()
) -> PredictPlan:
    """Decide everything, try a small tile twice, and write nothing.

    Raises:
        ContractError: the scene does not fit the bundle.
        InputError: the scene or the area of interest cannot be read, or they do not meet; or memory, tile and overlap
            do not fit each other.
        OutputError: an output exists, has an unknown suffix or cannot be written.
    """
    ensemble = as_ensemble(bundle)
    fit = _check(scene, ensemble, outputs, options)
    load = load_of(ensemble, options.tta)
    plan = _tiles(fit, load, options)
    to_scene = _to_scene(fit, options)
    reach = reach_of(plan, open_wanted(options.aoi, fit, to_scene=to_scene).inferred)
    computed = reach.valid_tiles(fit.preview)
    networks = _open(fit, ensemble, options)
    kept = outputs.probabilities is not None or to_scene
    return PredictPlan(
        shape=fit.scene.grid.shape,
        tiles=(len(plan.rows), len(plan.cols)),
        tile=(plan.rows.size, plan.cols.size),
        overlap=(plan.rows.blend, plan.cols.blend),
        borders=(plan.rows.borders[1:-1], plan.cols.borders[1:-1]),
        computed=computed,
        redundancy=reach.redundancy,
        memory_bytes=memory_of(plan, load),
        disk_bytes=disk_of(plan, ensemble.spec, kept=kept),
        runtime=networks.runtime.name,
        precision_reason=networks.choice.reason,
        seconds=seconds_of(computed * plan.rows.size * plan.cols.size, fit, ensemble.spec, networks.runtime),
        findings=fit.findings,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnMap:
    """Working rasters of a map, the runtime that inferred it and its precision, pixels computed over pixels wanted."""

    maps: MapFiles
    runtime: str
    choice: Choice
    redundancy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """A folder for working rasters, whether class probabilities are among them, and fingerprints of what is mapped.

    What the folder holds of the same work is not done again.
    """

    folder: Path
    with_probabilities: bool = False
    inputs: Mapping[str, str] = field(default_factory=dict)


def draw(fit: Fit, ensemble: Ensemble, place: Workplace, options: PredictOptions, progress: Progress) -> DrawnMap:
    """Map a scene that fits an ensemble to working rasters; see `MapFiles`.

    Raises:
        InputError: the scene or the area of interest cannot be read, or they do not meet.
        OutputError: the folder cannot be written, or holds another work.
    """
    spec, load = ensemble.spec, load_of(ensemble, options.tta)
    plan = _tiles(fit, load, options)
    to_scene = _to_scene(fit, options)
    wanted = open_wanted(options.aoi, fit, to_scene=to_scene)
    kept = to_scene or place.with_probabilities
    networks = _open(fit, ensemble, options)
    maps = MapFiles.in_folder(place.folder, fit.scene.grid, name="model", with_probabilities=kept)
    journal = Journal(place.folder)
    journal.take_up(_identity(networks, place, plan, kept=kept))
    require_room(memory_of(plan, load), 0 if journal.done else disk_of(plan, spec, kept=kept), place.folder)
    job = Job(
        scene=fit.scene,
        bands=fit.stack,
        indices=spec.indices,
        classes=spec.classes,
        plan=plan,
        done=journal.done,
        area=wanted.inferred,
    )
    with MapWriter(maps, spec.legend) as writer:
        for piece in infer(job, networks.runtime, progress):
            writer.write(piece)
            if piece.done > journal.done:
                writer.sync()
                journal.mark(piece.done)
    if to_scene:
        maps = regrid(maps, fit.source, spec.legend, place.folder, progress, wanted.results)
    redundancy = reach_of(plan, wanted.inferred).redundancy
    return DrawnMap(maps=maps, runtime=networks.runtime.name, choice=networks.choice, redundancy=redundancy)


def _to_scene(fit: Fit, options: PredictOptions) -> bool:
    """Whether the map is brought back to another grid than it is inferred on."""
    return options.grid == "scene" and fit.source.grid != fit.scene.grid


def _check(scene: Scene, ensemble: Ensemble, outputs: Outputs, options: PredictOptions) -> Fit:
    files = (*scene.paths, *area_files(options.aoi), *(bundle.path for bundle in ensemble.bundles))
    check_outputs(outputs, overwrite=options.overwrite, inputs=files)
    return check_ensemble(scene, ensemble, CheckOptions(standardise=options.standardise)).require()


def _tiles(fit: Fit, load: Load, options: PredictOptions) -> TilePlan:
    wanted = TileOptions(tile=options.tile, overlap=options.overlap, memory=options.memory)
    return choose_tiles(fit.scene.grid, load, wanted)


def _open(fit: Fit, ensemble: Ensemble, options: PredictOptions) -> Networks:
    asked = RuntimeOptions(runtime=options.runtime, device=options.device, threads=options.threads)
    return open_networks(fit, ensemble, asked, options.precision, options.tta)


def _identity(networks: Networks, place: Workplace, plan: TilePlan, *, kept: bool) -> dict[str, str]:
    """Everything that the numbers in the working rasters depend on, by name."""
    versions = Provenance.now(inputs={}).versions
    found = {f"version of {name}": version for name, version in versions.items() if name != "python"}
    found |= {f"content of {name}": value for name, value in place.inputs.items()}
    found |= {**networks.identity, "probabilities": "kept" if kept else "not kept"}
    cuts = {
        name: {"tiles": len(cut), "size": cut.size, "overlap": cut.blend, "of": cut.length}
        for name, cut in (("rows", plan.rows), ("cols", plan.cols))
    }
    return found | dict(flat(cuts))


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
