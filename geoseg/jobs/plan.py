"""Which scenes a job has, where their results go, and by what they are known again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from geoseg.errors import InputError
from geoseg.inference.options import PredictOptions
from geoseg.inference.outputs import Outputs
from geoseg.io.scene import SceneOptions
from geoseg.jobs.config import JobConfig, JobOutputs, JobScenes

_MAGIC = set("*?[")


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneJob:
    """One scene: its files, how to open them, and its outputs."""

    name: str
    paths: tuple[Path, ...]
    options: SceneOptions
    outputs: Outputs

    @property
    def changed_s(self) -> float:
        """When a file of it was changed last, in seconds since 1970; 0 where none is there."""
        return max((path.stat().st_mtime for path in _files(self.paths) if path.exists()), default=0.0)

    def identity(self, models: tuple[str, ...], options: PredictOptions) -> str:
        """A hash of all that its results depend on: its files by path, size and time of change, models by content."""
        files = [
            (str(path), path.stat().st_size, path.stat().st_mtime_ns) if path.exists() else (str(path), -1, -1)
            for path in _files(self.paths)
        ]
        about: dict[str, Any] = {
            "files": files,
            "models": models,
            "scene": asdict(self.options),
            "options": asdict(options),
            "outputs": [str(path) for path in self.outputs.paths],
        }
        return hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()


def plan_job(job: JobConfig) -> tuple[SceneJob, ...]:
    """All scenes of a job in the order of the file, those of a pattern by name; a scene that comes twice counts once.

    Raises:
        InputError: a pattern that matches nothing, a name for many scenes, no outputs, or two scenes with one output.
    """
    found: dict[tuple[Path, ...], SceneJob] = {}
    for entry in job.scenes:
        scenes = entry if isinstance(entry, JobScenes) else JobScenes(path=entry)
        expanded = list(_expanded(scenes))
        if scenes.name is not None and len(expanded) > 1:
            raise InputError(f"{scenes.path}: matches {len(expanded)} scenes, which cannot all be called {scenes.name}")
        for paths in expanded:
            name = scenes.name or paths[0].stem
            outputs = _outputs(job.outputs, name)
            found.setdefault(paths, SceneJob(name=name, paths=paths, options=scenes.options, outputs=outputs))
    planned = tuple(found.values())
    _refuse_collisions(planned)
    return planned


def _expanded(scenes: JobScenes) -> Iterator[tuple[Path, ...]]:
    if isinstance(scenes.path, list):
        yield tuple(scenes.path)
    elif not _MAGIC & set(str(scenes.path)):
        yield (scenes.path,)
    else:
        anchor = Path(scenes.path.anchor)
        matches = sorted(anchor.glob(str(scenes.path.relative_to(anchor))))
        if not matches:
            raise InputError(f"{scenes.path}: no file matches; check the pattern, and that the folder is there")
        yield from ((path,) for path in matches)


def _outputs(wanted: JobOutputs, name: str) -> Outputs:
    paths = {kind: getattr(wanted, kind) for kind in ("polygons", "mask", "probabilities")}
    outputs = Outputs(**{kind: path and Path(str(path).replace("{name}", name)) for kind, path in paths.items()})
    if not outputs.paths:
        raise InputError("the job has no outputs; name at least one of polygons, mask and probabilities")
    return outputs


def _refuse_collisions(planned: tuple[SceneJob, ...]) -> None:
    owners: dict[Path, SceneJob] = {}
    for scene in planned:
        for path in scene.outputs.files:
            other = owners.setdefault(path, scene)
            if other is not scene:
                raise InputError(
                    f"{path}: is an output of two scenes, {other.paths[0]} and {scene.paths[0]}; put {{name}} into "
                    "outputs, and give scenes of one file name a name each"
                )


def _files(paths: tuple[Path, ...]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(file for file in path.iterdir() if file.is_file())
        else:
            yield path
