"""Many scenes, one after the other: what is new or changed is mapped; what fails is recorded, and the rest goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from geoseg.errors import GeosegError
from geoseg.inference.drawing import Drawer, draw
from geoseg.inference.engine import Progress
from geoseg.inference.options import PredictOptions
from geoseg.inference.predict import predict
from geoseg.io.scene import open_scene
from geoseg.jobs.config import JobConfig
from geoseg.jobs.manifest import Entry, Manifest, written
from geoseg.jobs.plan import SceneJob, plan_job
from geoseg.models.bundle import load_bundle
from geoseg.models.ensemble import Ensemble
from geoseg.models.zoo import default_bundle_path

DONE, FAILED, UNCHANGED, OLD, LEFT = "done", "failed", "unchanged", "old", "not tried"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How to run a job.

    Scenes that changed before `since` (seconds since 1970) are left alone, and after `max_failures` failed scenes no
    further one is tried; None = no limit. `command` goes into the provenance of results.
    """

    since: float | None = None
    max_failures: int | None = None
    command: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a scene in this run: "done", "failed", "unchanged", "old" (before `since`) or "not tried"."""

    scene: str
    name: str
    state: str
    error: str | None = None
    attempts: int = 0
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def run_job(
    job: JobConfig,
    manifest: Manifest,
    *,
    options: RunOptions = RunOptions(),
    progress: Progress = lambda _stage, _done, _total: None,
    told: Callable[[Outcome], None] = lambda _outcome: None,
    drawer: Drawer = draw,
) -> tuple[Outcome, ...]:
    """Map all scenes of a job that the manifest does not know as done; scene by scene, in the order of the job.

    A scene is done if its files, the models, the options and its outputs are as they were. What is there under the name
    of an output is replaced. `told` hears of every outcome at once.

    Raises:
        BundleError: a model is damaged.
        InputError: the job names no scenes, or its outputs collide; see `plan_job`.
        OutputError: the manifest cannot be written.
    """
    ensemble = Ensemble(bundles=tuple(load_bundle(path or default_bundle_path()) for path in job.models))
    hashes = tuple(bundle.sha256 for bundle in ensemble.bundles)
    predict_options = replace(job.options.to_predict(), overwrite=True, command=options.command)
    todo = list(_todo(plan_job(job), manifest, hashes, replace(predict_options, command="")))
    outcomes: list[Outcome] = []
    work = _Work(ensemble=ensemble, options=predict_options, attempts=job.attempts, progress=progress, drawer=drawer)
    for scene, identity in todo:
        failures = sum(outcome.state == FAILED for outcome in outcomes)
        state = _passed_over(scene, identity, options, failures)
        outcome = Outcome(scene=str(scene.paths[0]), name=scene.name, state=state or DONE)
        if state is None and identity is not None:
            outcome = _map(scene, work)
            manifest.put(_entry(scene, identity, outcome))
        outcomes.append(outcome)
        told(outcome)
    return tuple(outcomes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    ensemble: Ensemble
    options: PredictOptions
    attempts: int
    progress: Progress
    drawer: Drawer


def pending(job: JobConfig, manifest: Manifest) -> tuple[SceneJob, ...]:
    """The scenes that `run_job` would map.

    Raises:
        BundleError, InputError: see there.
    """
    hashes = tuple(load_bundle(path or default_bundle_path()).sha256 for path in job.models)
    options = replace(job.options.to_predict(), overwrite=True)
    return tuple(scene for scene, identity in _todo(plan_job(job), manifest, hashes, options) if identity is not None)


def _todo(
    scenes: Iterable[SceneJob], manifest: Manifest, models: tuple[str, ...], options: PredictOptions
) -> Iterator[tuple[SceneJob, str | None]]:
    """Every scene with its identity, None for those that are done."""
    known = manifest.entries()
    for scene in scenes:
        identity = scene.identity(models, options)
        entry = known.get(str(scene.paths[0]))
        done = entry is not None and entry.identity == identity and entry.whole
        yield scene, None if done else identity


def _passed_over(scene: SceneJob, identity: str | None, options: RunOptions, failures: int) -> str | None:
    """Why a scene is not mapped, if it is not."""
    if identity is None:
        return UNCHANGED
    if options.since is not None and scene.changed_s < options.since:
        return OLD
    if options.max_failures is not None and failures >= options.max_failures:
        return LEFT
    return None


def _map(scene: SceneJob, work: _Work) -> Outcome:
    start, attempt, error = time.perf_counter(), 0, None
    for attempt in range(1, work.attempts + 1):
        try:
            for path in scene.outputs.paths:
                path.parent.mkdir(parents=True, exist_ok=True)
            options = replace(work.options, resume=attempt == 1)  # what an earlier run left may be of another work
            opened = open_scene(_one_or_all(scene.paths), options=scene.options)
            predict(opened, work.ensemble, scene.outputs, options=options, progress=work.progress, drawer=work.drawer)
        except (GeosegError, OSError) as found:
            error = " ".join(str(found).split())
        else:
            error = None
            break
    return Outcome(
        scene=str(scene.paths[0]),
        name=scene.name,
        state=DONE if error is None else FAILED,
        error=error,
        attempts=attempt,
        seconds=round(time.perf_counter() - start, 3),
    )


def _one_or_all(paths: tuple[Path, ...]) -> Path | list[Path]:
    return paths[0] if len(paths) == 1 else list(paths)


def _entry(scene: SceneJob, identity: str, outcome: Outcome) -> Entry:
    return Entry(
        scene=outcome.scene,
        identity=identity,
        state=outcome.state,
        error=outcome.error,
        outputs=written(scene.outputs.files) if outcome.state == DONE else {},
        attempts=outcome.attempts,
        seconds=outcome.seconds,
    )
