"""Sampling: which ground the chips of an epoch show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass as options_dataclass

from geoseg.data.content import ClassContent
from geoseg.data.options import STRICT, Chance, NotNegative
from geoseg.errors import InputError

_MOMENTUM = 0.5  # of the running mean of a cell's loss
_FACTOR = 4.0  # hard cells are drawn at most so much more often, easy ones at most so much more rarely


@options_dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class SamplingOptions:
    """Which ground is drawn for chips: first a class, then a cell of ground that has it, then a pixel of it there."""

    per_epoch: Annotated[int, Field(gt=0)] = 800
    """Chips an epoch."""
    class_share: Chance = 0.5
    """Share of the chips whose class is drawn with equal chances; the others' is drawn by its share of the ground."""
    minimum_share: Chance | dict[str, Chance] = 0.0
    """Every class, or each of those named, is drawn for at least this share of the chips, however rare it is."""
    balance: Literal["none", "scenes", "regions"] = "none"
    """Whether all scenes (or regions) that have a class are drawn alike for it, or by how much of it they have."""
    hard: NotNegative = 0.0
    """Ground is drawn in proportion to (its chips' mean loss)^hard, at most 4 times more often or more rarely than
    without; 0 = alike."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SampledGround:
    """All cells of one fold with labelled pixels.

    `scene` (cell,) is the number of each one's scene, `corners` (cell, 2) its first (row, col) there, `pixels`
    (cell, class) its labelled pixels, `group` (cell,) what is balanced.
    """

    scene: NDArray[np.int32]
    corners: NDArray[np.int32]
    pixels: NDArray[np.int32]
    group: NDArray[np.int64]

    @property
    def totals(self) -> NDArray[np.int64]:
        """Labelled pixels of every class, shape (class,)."""
        return np.asarray(self.pixels.sum(axis=0, dtype=np.int64))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Draws:
    """What chips of an epoch show: a cell of the ground and a class that it has, each of shape (chip,)."""

    cells: NDArray[np.int64]
    classes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.cells)


class Difficulty:
    """The running mean of the loss of the chips around each cell; what was never seen counts as average.

    `losses`, shape (cell,), are all there is to know; NaN = never seen.
    """

    def __init__(self, cells: int) -> None:
        self.losses = np.full(cells, np.nan)

    def update(self, cells: NDArray[np.int64], losses: NDArray[np.floating]) -> None:
        """Take in the losses of chips, each drawn for a cell; both of shape (chip,)."""
        old = self.losses[cells]
        self.losses[cells] = np.where(np.isnan(old), losses, _MOMENTUM * old + (1 - _MOMENTUM) * losses)

    def weights(self, hard: float) -> NDArray[np.float64]:
        """How much more often than by its content each cell is drawn, shape (cell,)."""
        if hard == 0 or np.isnan(self.losses).all():
            return np.ones(len(self.losses))
        relative = self.losses / max(np.nanmean(self.losses), 1e-12)
        return np.asarray(np.nan_to_num(np.clip(relative**hard, 1 / _FACTOR, _FACTOR), nan=1.0))


def sampled_ground(
    contents: Sequence[ClassContent], fold: int, options: SamplingOptions, regions: Sequence[str]
) -> SampledGround:
    """The cells of one fold in all scenes.

    Args:
        contents: of every scene.
        fold: an index of `geoseg.data.splits.split.FOLDS`.
        options: tell what is balanced.
        regions: the region of every scene.

    Raises:
        InputError: where the fold has no labelled pixel.
    """
    scene = np.concatenate([np.full(len(content.corners), i, dtype=np.int32) for i, content in enumerate(contents)])
    corners = np.concatenate([content.corners for content in contents])
    pixels = np.concatenate([content.pixels[:, fold] for content in contents])
    there = pixels.any(axis=1)
    if not there.any():
        raise InputError("the training fold holds no labelled pixel; use smaller blocks or another seed")
    scene = scene[there]
    groups = {
        "none": np.zeros(len(contents), dtype=np.int64),
        "scenes": np.arange(len(contents)),
        "regions": np.unique(list(regions), return_inverse=True)[1],
    }
    return SampledGround(
        scene=scene, corners=corners[there], pixels=pixels[there], group=groups[options.balance][scene]
    )


def class_chances(totals: NDArray[np.int64], options: SamplingOptions, names: Sequence[str]) -> NDArray[np.float64]:
    """How likely a chip is drawn for each class, shape (class,); classes without a pixel are never drawn.

    Args:
        totals: labelled pixels of every class in the fold.
        options: the shares.
        names: of the classes.

    Raises:
        InputError: where a named class is not in the legend, or the least shares add up to more than 1.
    """
    present = totals > 0
    least = _least(options.minimum_share, names) * present
    if least.sum() > 1 + 1e-9:
        raise InputError(
            f"sampling.minimum_share adds up to {least.sum():g} over the classes in the training fold, needed at most 1"
        )
    wanted = options.class_share * present / present.sum() + (1 - options.class_share) * totals / totals.sum()
    raised = np.zeros(len(totals), dtype=np.bool_)
    while True:  # what the raised classes get is taken from the others, which may fall below their least share, too
        rest = wanted[~raised].sum()
        scale = (1 - least[raised].sum()) / rest if rest > 0 else 0.0
        chances = np.where(raised, least, wanted * scale)
        below = ~raised & (chances < least)
        if not below.any():
            return np.asarray(chances / chances.sum())
        raised |= below


def _least(minimum: float | Mapping[str, float], names: Sequence[str]) -> NDArray[np.float64]:
    if not isinstance(minimum, Mapping):
        return np.full(len(names), float(minimum))
    unknown = [name for name in minimum if name not in names]
    if unknown:
        raise InputError(f"sampling.minimum_share names {', '.join(unknown)}; the classes are {', '.join(names)}")
    return np.array([minimum.get(name, 0.0) for name in names])


def plan_epoch(
    ground: SampledGround,
    chances: NDArray[np.float64],
    options: SamplingOptions,
    *,
    seed: tuple[int, int],
    hardness: NDArray[np.float64] | None = None,
) -> Draws:
    """Draw a class and a cell for every chip of an epoch.

    Args:
        ground: where classes are.
        chances: of the classes, see `class_chances`.
        options: how many chips, and what is balanced.
        seed: of the training and the epoch: nothing else makes a difference.
        hardness: weight of every cell, see `Difficulty.weights`.
    """
    rng = np.random.default_rng(seed)
    classes = rng.choice(len(chances), options.per_epoch, p=chances)
    cells = np.empty(options.per_epoch, dtype=np.int64)
    for index in np.unique(classes):
        (chips,) = np.nonzero(classes == index)
        cells[chips] = rng.choice(len(ground.scene), len(chips), p=cell_chances(ground, int(index), hardness))
    return Draws(cells=cells, classes=classes)


def cell_chances(ground: SampledGround, index: int, hardness: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """How likely each cell is drawn for a chip of a class, shape (cell,)."""
    weights = ground.pixels[:, index] * (1.0 if hardness is None else hardness)
    by_group = np.bincount(ground.group, weights)[ground.group]
    weights = np.divide(weights, by_group, out=np.zeros(len(weights)), where=by_group > 0)
    return np.asarray(weights / weights.sum())


def expected_shares(ground: SampledGround, chances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shares of the classes among the labelled pixels of the cells that are drawn, shape (class,)."""
    mixture = ground.pixels / ground.pixels.sum(axis=1, keepdims=True)
    drawn = sum(chance * cell_chances(ground, i) for i, chance in enumerate(chances.tolist()) if chance > 0)
    return np.asarray(drawn @ mixture)
