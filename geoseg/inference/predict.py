"""The first sentence: open, check, plan, infer, write, trace, style."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from geoseg.core.legend import Legend
from geoseg.core.provenance import Provenance
from geoseg.errors import InputError, OutputError
from geoseg.inference.contract import CheckOptions, Fit, check_ensemble
from geoseg.inference.drawing import Drawer, Workplace, draw, networks_for, plan_drawing
from geoseg.inference.engine import Progress
from geoseg.inference.journal import work_folder
from geoseg.inference.maps import MapFiles, clean_map, map_strips, uncertainty_strips, write_mask, write_probabilities
from geoseg.inference.options import PredictOptions
from geoseg.inference.outputs import Outputs, check_outputs, publish
from geoseg.inference.plan import PredictPlan, seconds_of
from geoseg.inference.summary import Summary, measure
from geoseg.inference.wanted import area_files
from geoseg.io.fingerprint import fingerprints
from geoseg.io.scene import Scene
from geoseg.io.style import raster_qml
from geoseg.models.bundle import Bundle
from geoseg.models.ensemble import Ensemble, as_ensemble
from geoseg.vectorize.attributes import CONFIDENCE, ENTROPY, MARGIN, AttributeOptions, Measure
from geoseg.vectorize.pipeline import PolygonOptions, PolygonSummary, polygonize
from geoseg.vectorize.trace import LabelStrip
from geoseg.vectorize.zonal import plan_zonal


def predict(
    scene: Scene,
    bundle: Bundle | Ensemble,
    outputs: Outputs,
    *,
    options: PredictOptions = PredictOptions(),  # noqa: B008
    progress: Progress = lambda _stage, _done, _total: None,
    drawer: Drawer = draw,
) -> Summary:
    """Map a scene with a bundle, or the mean of several: mask, probabilities and polygons appear together at the end.

    Beside the first output a hidden folder holds what is finished; it stays where the work ends early. The `drawer`
    infers; see `geoseg.jobs` for one that does it on a cluster.

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
        drawn = drawer(fit, ensemble, place, options, progress)
        maps, cleaned = clean_map(drawn.maps, options.clean) if options.clean else (drawn.maps, None)
        figures = measure(maps, legend)
        beside = fingerprints(raster.path for raster in options.zonal)
        provenance = replace(provenance, runtime=drawn.runtime, inputs={**provenance.inputs, **beside})
        polygon_options = _polygon_options(scene, maps, options, provenance)
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
        adapted=drawn.adapted,
        cleaned=cleaned,
        findings=fit.findings,
        outputs=tuple(str(path) for path in outputs.paths),
        polygons=written.polygons if written else None,
        notes=written.notes if written else (),
    )


def plan_prediction(
    scene: Scene,
    bundle: Bundle | Ensemble,
    outputs: Outputs,
    options: PredictOptions = PredictOptions(),  # noqa: B008
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
    plan = plan_drawing(fit, ensemble, options, with_probabilities=outputs.probabilities is not None)
    rows, cols, reach = plan.tiles.rows, plan.tiles.cols, plan.reach()
    computed = reach.valid_tiles(fit.preview)
    networks = networks_for(fit, ensemble, options)
    return PredictPlan(
        shape=fit.scene.grid.shape,
        tiles=(len(rows), len(cols)),
        tile=(rows.size, cols.size),
        overlap=(rows.blend, cols.blend),
        borders=(rows.borders[1:-1], cols.borders[1:-1]),
        computed=computed,
        adaptive=options.adaptive,
        redundancy=reach.redundancy,
        memory_bytes=plan.memory_bytes,
        disk_bytes=plan.disk_bytes,
        runtime=networks.runtime.name,
        precision_reason=networks.choice.reason,
        seconds=seconds_of(computed * rows.size * cols.size, fit, ensemble.spec, networks.runtime),
        findings=fit.findings,
    )


def _check(scene: Scene, ensemble: Ensemble, outputs: Outputs, options: PredictOptions) -> Fit:
    files = (*scene.paths, *area_files(options.aoi), *(bundle.path for bundle in ensemble.bundles))
    check_outputs(outputs, overwrite=options.overwrite, inputs=files)
    fit = check_ensemble(scene, ensemble, CheckOptions(standardise=options.standardise)).require()
    plan_zonal(options.zonal, fit.scene.grid)
    return fit


def _polygon_options(scene: Scene, maps: MapFiles, options: PredictOptions, provenance: Provenance) -> PolygonOptions:
    acquired = None if scene.acquired is None else scene.acquired.isoformat()
    return PolygonOptions(
        simplify=options.simplify,
        split=options.split,
        dissolve=options.dissolve,
        zonal=options.zonal,
        threads=options.threads,
        attributes=AttributeOptions(measures=_measures(maps), scene=scene.name, date=acquired),
        provenance=provenance,
    )


@contextmanager
def _blaming_the_disk(work: Path) -> Iterator[None]:
    """Working files were written a moment ago: where they cannot be read, GDAL hid that the disk was full."""
    try:
        yield
    except InputError as error:
        if work.name not in str(error):
            raise
        raise OutputError(f"{work.parent}: working files are damaged; check the free space there") from error


def _label_strips(maps: MapFiles) -> Iterator[LabelStrip]:
    """The map with the layers of `_measures`."""
    if maps.probabilities is None:
        for _, codes, probability in map_strips(maps):
            yield LabelStrip(codes=codes, layers=probability[None])
        return
    for (_, codes, probability), undecided in zip(map_strips(maps), uncertainty_strips(maps), strict=True):
        undecided[:, np.isnan(probability)] = np.nan
        yield LabelStrip(codes=codes, layers=np.concatenate([probability[None], undecided]))


def _measures(maps: MapFiles) -> tuple[Measure, ...]:
    return (CONFIDENCE,) if maps.probabilities is None else (CONFIDENCE, ENTROPY, MARGIN)


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
    return polygonize(_label_strips(maps), outputs.polygons, grid=maps.grid, legend=legend, options=polygon_options)
