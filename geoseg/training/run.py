"""A finished training: the folder that `geoseg train` left, ready to be evaluated."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from geoseg.errors import InputError, MissingFileError
from geoseg.evaluation.cases import Case
from geoseg.io.scene import SceneOptions, open_scene
from geoseg.training.config import SceneConfig, TrainConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedRun:
    """The bundle and the split of a training, and its scenes with their labels."""

    bundle: Path
    split: Path
    cases: tuple[Case, ...]


def open_run(folder: Path) -> TrainedRun:
    """Read what a training left in its folder; its scenes and labels must lie where they lay.

    Raises:
        MissingFileError: no finished training, or scenes that are gone.
        InputError: a report of another version, or a training on torchgeo datasets alone.
    """
    bundle, split, report = (folder / name for name in ("model.geoseg", "split.gpkg", "report.json"))
    missing = [path.name for path in (bundle, split, report) if not path.is_file()]
    if missing:
        raise MissingFileError(f"{folder}: has no {', '.join(missing)}; give the folder of a finished geoseg train")
    try:
        config = TrainConfig.model_validate(json.loads(report.read_text(encoding="utf-8"))["config"])
    except (ValidationError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{report}: its config cannot be read by this version; train anew, or name scenes") from error
    if not config.scenes:
        raise InputError(f"{folder}: was trained on torchgeo datasets, not scenes; name scenes and labels to evaluate")
    return TrainedRun(bundle=bundle, split=split, cases=tuple(_case(scene) for scene in config.scenes))


def _case(source: SceneConfig) -> Case:
    options = SceneOptions(
        bands=source.bands, sensor=source.sensor, nodata=source.nodata, scale=source.scale, offset=source.offset
    )
    return Case(labels=source.labels, scene=open_scene(source.path, options=options), region=source.region)
