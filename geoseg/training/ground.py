"""Scenes and labels of a config, fitted to the model: the ground truth that a training sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from geoseg.core.bands import Band, BandSet, common_name_of
from geoseg.core.legend import UNLABELLED
from geoseg.data.chips import LabelledScene
from geoseg.data.labels import LabelSource, read_labels
from geoseg.data.splits import FOLDS, TRAIN, Ground, SpatialSplit, count_blocks, split_blocks
from geoseg.errors import InputError
from geoseg.inference.contract import CheckOptions, calibrate, fit_scene
from geoseg.io.scene import Scene, SceneOptions, open_scene
from geoseg.models.spec import ModelSpec
from geoseg.training.config import SceneConfig, TrainConfig

STRIP_ROWS = 512


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GroundTruth:
    """Labelled scenes on the model's grid, the split of their ground, and the spec with the training statistics."""

    scenes: tuple[LabelledScene, ...]
    split: SpatialSplit
    spec: ModelSpec


def read_ground_truth(config: TrainConfig) -> GroundTruth:
    """Open every scene, put its labels on its grid, split the ground, measure mean and std over the training fold.

    Raises:
        ContractError: a scene lacks a band that the model wants, is not calibrated, or is too coarse.
        InputError: labels that do not overlap their scene or hold unknown codes; a split that leaves a fold empty.
    """
    draft = _draft_spec(config)
    scenes = [_fit(_open(scene), draft) for scene in config.scenes]
    labels = [
        read_labels(LabelSource(path=source.labels, column=source.column), scene.grid, draft.legend)
        for source, scene in zip(config.scenes, scenes, strict=True)
    ]
    labelled = [(scene.grid, part) for scene, part in zip(scenes, labels, strict=True)]
    ground = Ground.around(scenes[0].grid, config.split.block_m)
    content = count_blocks(ground, labelled, draft.classes)
    split = split_blocks(
        content, ground, shares=config.split.shares, buffer_m=config.split.buffer_m, seed=config.split.seed
    )
    folds = [split.folds_on(scene.grid) for scene in scenes]
    _require_folds(labels, folds, config.split.shares)
    statistics = _statistics(scenes, labels, folds, draft.bands)
    truth = tuple(
        LabelledScene(scene=scene, bands=calibrate(statistics, scene.bands), labels=part, folds=fold)
        for scene, part, fold in zip(scenes, labels, folds, strict=True)
    )
    return GroundTruth(scenes=truth, split=split, spec=replace(draft, bands=statistics))


def pixels_by_fold(truth: GroundTruth) -> dict[str, dict[str, int]]:
    """Labelled pixels of every class in every fold, by name."""
    result = {}
    for fold, name in enumerate(FOLDS):
        counts = sum(
            np.bincount(s.labels[(s.folds == fold) & (s.labels != UNLABELLED)], minlength=truth.spec.classes)
            for s in truth.scenes
        )
        result[name] = {c.name: int(n) for c, n in zip(truth.spec.legend, np.asarray(counts).tolist(), strict=True)}
    return result


def _require_folds(
    labels: Sequence[NDArray[np.uint8]], folds: Sequence[NDArray[np.uint8]], shares: tuple[float, float, float]
) -> None:
    for fold, (name, share) in enumerate(zip(FOLDS, shares, strict=True)):
        found = any(
            ((fold_of == fold) & (part != UNLABELLED)).any() for part, fold_of in zip(labels, folds, strict=True)
        )
        if share > 0 and not found:
            raise InputError(
                f"the {name} fold holds no labelled pixel; use smaller blocks, a smaller buffer or another seed"
            )


def _draft_spec(config: TrainConfig) -> ModelSpec:
    model = config.model
    bands = BandSet(tuple(Band(name=name, common_name=common_name_of(name)) for name in model.bands))
    return ModelSpec(
        architecture=model.architecture,
        encoder=model.encoder,
        bands=bands,
        indices=model.indices,
        legend=config.legend,
        gsd_m=model.gsd_m,
        decoder_channels=model.decoder_channels,
    )


def _open(source: SceneConfig) -> Scene:
    options = SceneOptions(
        bands=source.bands, sensor=source.sensor, nodata=source.nodata, scale=source.scale, offset=source.offset
    )
    return open_scene(source.path, options=options)


def _fit(scene: Scene, spec: ModelSpec) -> Scene:
    """The scene as predict would read it; one without known calibration is refused, as its numbers mean nothing."""
    return fit_scene(scene, spec, CheckOptions(standardise=False)).require().scene


def _statistics(
    scenes: Sequence[Scene],
    labels: Sequence[NDArray[np.uint8]],
    folds: Sequence[NDArray[np.uint8]],
    bands: BandSet,
) -> BandSet:
    """Mean and std of the physical values over the labelled, valid pixels of the training fold, strip by strip."""
    count, total, squares = 0, np.zeros(len(bands)), np.zeros(len(bands))
    for scene, part, fold in zip(scenes, labels, folds, strict=True):
        with scene.reader() as reader:
            for window in scene.grid.windows(STRIP_ROWS):
                raster = reader.read(window)
                chosen = raster.valid & (fold[window.slices] == TRAIN) & (part[window.slices] != UNLABELLED)
                values = scene.bands.physical(raster.data)[:, chosen].astype(np.float64)
                count += values.shape[1]
                total += values.sum(axis=1)
                squares += (values**2).sum(axis=1)
    if not count:
        raise InputError("no labelled pixel of the training fold is valid in its scene; check labels and nodata")
    means = total / count
    stds = np.sqrt(np.maximum(squares / count - means**2, 1e-18))
    return BandSet(
        tuple(replace(b, mean=m, std=s) for b, m, s in zip(bands, means.tolist(), stds.tolist(), strict=True))
    )
