"""One scene over many workers: bands of tiles are inferred anywhere, and put together here to the same map."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from distributed import Client, as_completed

from geoseg.errors import GeosegError, InputError
from geoseg.inference.contract import Fit
from geoseg.inference.drawing import (
    Drawer,
    DrawnMap,
    DrawPlan,
    Work,
    Workplace,
    finish,
    identity_of,
    job_of,
    networks_for,
    plan_drawing,
)
from geoseg.inference.engine import Piece, Progress
from geoseg.inference.journal import Journal
from geoseg.inference.maps import MapFiles, MapWriter
from geoseg.inference.options import PredictOptions
from geoseg.jobs.band import Band, Part
from geoseg.jobs.warm import warm, warm_runtime
from geoseg.models.ensemble import Ensemble
from geoseg.models.spec import ModelSpec


def draw_on(client: Client) -> Drawer:
    """What draws a map on a cluster, pixel by pixel the one that this machine would draw alone.

    A task is one row of tiles. Workers read the scene and write into the folder of the outputs, so that they need both
    under the same paths. What a worker did not finish is done by another; what is finished stays for `resume`.
    """

    def draw(fit: Fit, ensemble: Ensemble, place: Workplace, options: PredictOptions, progress: Progress) -> DrawnMap:
        if options.adaptive:
            raise InputError("a cluster infers everything in full; leave out --adaptive, or --cluster")
        plan = plan_drawing(fit, ensemble, options, with_probabilities=place.with_probabilities)
        networks = networks_for(fit, ensemble, options)
        work = Work(
            fit=fit,
            spec=ensemble.spec,
            networks=networks,
            place=replace(place, folder=place.folder.resolve()),
            progress=progress,
        )
        journal = Journal(work.place.folder)
        journal.take_up(identity_of(work, plan) | {"cluster": "yes"})
        journal.mark(0)
        options = replace(options, precision=networks.choice.precision)
        name = warm(client, ensemble, fit, options, networks)
        parts = _parts(fit, plan, work.place.folder)
        _infer(client, _Task(fit=fit, spec=ensemble.spec, plan=plan, networks=name), parts, progress)
        return finish(work, plan, _join(parts, work, plan))

    return draw


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """What every task needs; `networks` is the name of those that the workers hold ready."""

    fit: Fit
    spec: ModelSpec
    plan: DrawPlan
    networks: str

    def __call__(self, part: Part) -> None:
        """On a worker: infer a part, if that is not done."""
        if part.finished:
            return
        with warm_runtime(self.networks) as runtime:
            part.infer(job_of(self.fit, self.spec, self.plan), runtime, self.spec.legend)


def _parts(fit: Fit, plan: DrawPlan, folder: Path) -> list[Part]:
    bands = (Band(plan=plan.tiles, first=i, end=i + 1) for i in range(len(plan.tiles.rows)))
    (folder / "parts").mkdir(exist_ok=True)
    return [
        Part(folder=folder / "parts" / f"{band.first:06}", band=band, grid=fit.scene.grid, kept=plan.kept)
        for band in bands
    ]


def _infer(client: Client, task: _Task, parts: list[Part], progress: Progress) -> None:
    shared = client.scatter(task, broadcast=True)
    waiting = [part for part in parts if not part.finished]
    futures = [client.submit(_run, shared, part, pure=False) for part in waiting]
    try:
        for done, future in enumerate(as_completed(futures, loop=client.loop), start=len(parts) - len(waiting) + 1):
            failure = future.result()
            if failure is not None:
                raise failure.kind(failure.text)
            progress("infer", done, len(parts))
    finally:
        client.cancel(futures)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    """An error of a worker: a value, since what caused it may not travel."""

    kind: type[GeosegError]
    text: str


def _run(task: _Task, part: Part) -> _Failure | None:
    try:
        task(part)
    except GeosegError as error:
        return _Failure(kind=type(error), text=str(error))
    return None


def _join(parts: list[Part], work: Work, plan: DrawPlan) -> MapFiles:
    """The working rasters of the whole map: what each part has of its own, and the sums of their shares."""
    grid = work.fit.scene.grid
    maps = MapFiles.in_folder(work.place.folder, grid, name="model", with_probabilities=plan.kept)
    with MapWriter(maps, work.spec.legend) as writer:
        for number, part in enumerate(parts):
            own, seam = part.band.own, part.band.seam_above
            if seam is not None:
                lower, valid = part.seam_above()
                probabilities = np.add(lower, parts[number - 1].seam_below())
                writer.write(Piece(window=seam, probabilities=probabilities, valid=valid))
            if own is not None and part.maps is not None:
                writer.copy(part.maps, own.row)
    return maps
