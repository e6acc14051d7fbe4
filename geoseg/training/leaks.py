"""Leaks: what the evaluation of a split gains from ground that the training has seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from geoseg.data.splits.build import BuiltSplit
from geoseg.data.splits.chance import random_split
from geoseg.data.splits.leakage import FoldedMap, LeakageReport, ScoreGap, leakage, masks_of
from geoseg.data.splits.split import TEST, FoldMap
from geoseg.inference.engine import Progress
from geoseg.training.config import TrainConfig
from geoseg.training.fit import evaluate_fold, fit
from geoseg.training.ground import Ground
from geoseg.training.truth import ground_truth


def judge(ground: Ground, built: BuiltSplit, *, chip_pixels: int, range_m: float | None = None) -> LeakageReport:
    """The leakage report of a split.

    Args:
        ground: that is divided.
        built: how.
        chip_pixels: side of training chips.
        range_m: of the labels' variogram, where it was measured.
    """
    split = built.split
    masks = masks_of(split.map())
    maps = [FoldedMap(classes=labels, masks=masks) for labels in ground.maps]
    names = [c.name for c in ground.draft.legend]
    range_m = range_m if built.variogram is None else built.variogram.range_m
    unbuffered = masks_of(replace(split, buffer_m=0.0).map())
    return leakage(maps, names, range_m=range_m, chip_pixels=chip_pixels, unbuffered=unbuffered)


def score_gap(
    ground: Ground,
    built: BuiltSplit,
    config: TrainConfig,
    progress: Progress = lambda _stage, _done, _total: None,
) -> ScoreGap:
    """Train the config's model twice, on its split and on one by chance, and score each on its own test fold.

    Folds by chance have the shares that the blocks give them; both trainings have the same budget and seed.
    """
    counts = built.fold_pixels.sum(axis=1)
    train, val, test = (counts / counts.sum()).tolist()
    chance = random_split([labels.grid for labels in ground.maps], shares=(train, val, test), seed=config.seed)
    scores = [_score(ground, folds, config, progress) for folds in (chance, built.split.map())]
    return ScoreGap(score="test mIoU", random=scores[0], blocked=scores[1])


def _score(ground: Ground, folds: FoldMap, config: TrainConfig, progress: Progress) -> float:
    truth = ground_truth(ground, folds)
    with TemporaryDirectory(prefix="geoseg-") as folder:
        network, _ = fit(truth, config, Path(folder), progress)
    return evaluate_fold(network, truth, TEST, config.fit.batch_size).mean_iou
