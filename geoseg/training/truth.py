"""Ground truth: labelled ground with folds, what lies where in it, and the statistics of the training fold."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from geoseg.core.bands import BandSet
from geoseg.core.legend import UNLABELLED
from geoseg.data.chips import EvaluationChips, TrainingChips
from geoseg.data.content import CELL, ClassContent, cached_content, count_content
from geoseg.data.readers import LabelledScene
from geoseg.data.sampling import Difficulty, class_chances, expected_shares, plan_epoch, sampled_ground
from geoseg.data.splits.build import BuiltSplit, build_split
from geoseg.data.splits.split import FOLDS, TRAIN, FoldMap, missing_classes
from geoseg.data.stack import Chip, Stack, stack
from geoseg.data.store import StoredLabels
from geoseg.errors import InputError
from geoseg.inference.contract import calibrate
from geoseg.models.spec import ModelSpec
from geoseg.training.config import TrainConfig
from geoseg.training.ground import Ground

EVALUATION_TILE = 256
EVALUATION_OVERLAP = 64
_WINDOW = 8 * CELL  # of the statistics


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GroundTruth:
    """Labelled scenes with folds, the class content of each, and the spec with the training fold's mean and std."""

    scenes: tuple[LabelledScene, ...]
    contents: tuple[ClassContent, ...]
    spec: ModelSpec

    @property
    def fold_pixels(self) -> NDArray[np.int64]:
        """Labelled pixels of each class in every fold, shape (fold, class)."""
        counts = [content.pixels.sum(axis=0, dtype=np.int64) for content in self.contents]
        return np.asarray(np.sum(counts, axis=0))

    @property
    def pixels_by_fold(self) -> dict[str, dict[str, int]]:
        """The same by names."""
        names = [c.name for c in self.spec.legend]
        counts = self.fold_pixels.tolist()
        return {fold: dict(zip(names, row, strict=True)) for fold, row in zip(FOLDS, counts, strict=True)}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the folds lack, a sentence each."""
        consequence = ("cannot be learned", "does not count in the choice of the best epoch", "is not tested")
        names = [c.name for c in self.spec.legend]
        return tuple(
            f"the {FOLDS[fold]} fold has no {names[index]}: the class {consequence[fold]}"
            for fold, index in missing_classes(self.fold_pixels)
        )

    def evaluation_chips(self, fold: int) -> EvaluationChips:
        """Chips that show every labelled pixel of a fold once."""
        return EvaluationChips(self.scenes, self.contents, fold, size=EVALUATION_TILE, overlap=EVALUATION_OVERLAP)

    @property
    def stack(self) -> Callable[[Sequence[Chip]], Stack]:
        """Puts chips side by side."""
        return partial(stack, classes=self.spec.classes)


class TrainingGround:
    """The training fold, from which every epoch draws its chips."""

    def __init__(self, truth: GroundTruth, config: TrainConfig) -> None:
        names = [c.name for c in truth.spec.legend]
        regions = [scene.region for scene in truth.scenes]
        self._options = config.sampling
        self._seed = config.seed
        self._ground = sampled_ground(truth.contents, TRAIN, config.sampling, regions)
        self._chances = class_chances(self._ground.totals, config.sampling, names)
        self.difficulty = Difficulty(len(self._ground.scene))
        self.chips = TrainingChips(truth.scenes, self._ground, TRAIN, config.chips, config.seed)
        self.start_epoch(0)

    @property
    def shares(self) -> NDArray[np.float64]:
        """Expected shares of the classes among the drawn labelled pixels, shape (class,)."""
        return expected_shares(self._ground, self._chances)

    def start_epoch(self, epoch: int) -> None:
        """Draw the chips of an epoch; to be called before the loader starts."""
        hardness = self.difficulty.weights(self._options.hard)
        draws = plan_epoch(self._ground, self._chances, self._options, seed=(self._seed, epoch), hardness=hardness)
        self.chips.start_epoch(epoch, draws)


def divide(ground: Ground, config: TrainConfig) -> BuiltSplit:
    """Divide the ground into folds as the config says.

    Raises:
        InputError: scenes without a region where these are to be the blocks; else see
            `geoseg.data.splits.build.build_split`.
    """
    values = {"region": ground.regions, "scene": [source.pixels.name for source in ground.sources]}
    without = [source.pixels.name for source in ground.sources if not source.region]
    if config.split.attribute == "region" and without:
        raise InputError(f"split.attribute is region, but {', '.join(without)} has none; give every scene a `region`")
    attributes = values[config.split.attribute or "region"]
    return build_split(ground.maps, len(config.classes), config.split, attributes)


def ground_truth(ground: Ground, folds: FoldMap, key: str = "") -> GroundTruth:
    """Put folds on ground: count what lies where, and measure mean and std over the training fold.

    Args:
        ground: labelled scenes.
        folds: the fold of every place.
        key: hex digits that change with the folds: counts are then kept beside the labels.

    Raises:
        InputError: a training fold without labelled pixels.
    """
    classes = ground.draft.classes
    contents = [_content(source.labels, folds, classes, key) for source in ground.sources]
    bands = _statistics(ground, folds, contents)
    scenes = tuple(
        LabelledScene(
            name=source.pixels.name,
            pixels=source.pixels,
            bands=calibrate(bands, source.pixels.bands),
            labels=source.labels,
            folds=folds,
            soft=source.labels.soft,
            region=source.region,
            sun=source.sun,
        )
        for source in ground.sources
    )
    return GroundTruth(scenes=scenes, contents=tuple(contents), spec=replace(ground.draft, bands=bands))


def _content(labels: StoredLabels, folds: FoldMap, classes: int, key: str) -> ClassContent:
    if not key:
        return count_content(labels, folds, classes)
    name = hashlib.sha256(f"{labels.path.name} {key} {CELL} {classes}".encode()).hexdigest()[:16]
    return cached_content(labels, folds, classes, labels.path.with_name(f"content-{name}.npz"))


def _statistics(ground: Ground, folds: FoldMap, contents: Sequence[ClassContent]) -> BandSet:
    """Mean and std of the physical values over the labelled pixels of the training fold, window by window."""
    bands = ground.draft.bands
    count, total, squares = 0, np.zeros(len(bands)), np.zeros(len(bands))
    for source, content in zip(ground.sources, contents, strict=True):
        grid = source.labels.grid
        with source.pixels.reader() as pixels, source.labels.reader() as labels:
            for window in grid.windows(_WINDOW, _WINDOW):
                if not content.has(TRAIN, window):
                    continue
                chosen = (labels.read(window) != UNLABELLED) & (folds.folds_on(grid[window]) == TRAIN)
                values = source.pixels.bands.physical(pixels.read(window).data)[:, chosen].astype(np.float64)
                count += values.shape[1]
                total += values.sum(axis=1)
                squares += (values**2).sum(axis=1)
    if not count:
        raise InputError("the training fold holds no labelled pixel; use smaller blocks or another seed")
    means = total / count
    stds = np.sqrt(np.maximum(squares / count - means**2, 1e-18))
    pairs = zip(bands, means.tolist(), stds.tolist(), strict=True)
    return BandSet(tuple(replace(band, mean=mean, std=std) for band, mean, std in pairs))
