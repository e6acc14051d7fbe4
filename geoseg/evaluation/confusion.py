"""Counts of truth against map, and the scores that follow from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoseg.core.legend import UNLABELLED, Legend
from geoseg.evaluation import scores


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Confusion:
    """Pixel counts, shape (class, class), int64: rows are truth, columns the map, in the legend's order.

    `a + b` adds counts and is associative, so that any worker may count any part in any order. Scores that are
    undefined, as of a class that occurs in neither truth nor map, are NaN; see `geoseg.evaluation.scores`.
    """

    counts: NDArray[np.int64]
    legend: Legend

    @classmethod
    def count(cls, truth: NDArray[np.uint8], predicted: NDArray[np.uint8], legend: Legend) -> Confusion:
        """Count class indices of equal shape; pixels that are 255 in either are left out."""
        groups = np.zeros(truth.shape, dtype=np.int64)
        return cls(counts=count_confusion(groups, 1, truth, predicted, len(legend))[0], legend=legend)

    @classmethod
    def empty(cls, legend: Legend) -> Confusion:
        """No pixels: the neutral element of `+`."""
        return cls(counts=np.zeros((len(legend), len(legend)), dtype=np.int64), legend=legend)

    def __add__(self, other: Confusion) -> Confusion:
        if self.legend != other.legend:
            msg = "confusions of two legends cannot be added"
            raise ValueError(msg)
        return Confusion(counts=self.counts + other.counts, legend=self.legend)

    @property
    def pixels(self) -> int:
        """All that were counted."""
        return int(self.counts.sum())

    @property
    def support(self) -> NDArray[np.int64]:
        """Pixels of each class in truth, shape (class,)."""
        return scores.support(self.counts)

    @property
    def iou(self) -> NDArray[np.float64]:
        """Intersection over union of each class, shape (class,); NaN for a class in neither truth nor map."""
        return scores.iou(self.counts)

    @property
    def f1(self) -> NDArray[np.float64]:
        """Dice coefficient of each class, shape (class,)."""
        return scores.f1(self.counts)

    @property
    def precision(self) -> NDArray[np.float64]:
        """Share of what is mapped as a class that is of it (user's accuracy), shape (class,)."""
        return scores.precision(self.counts)

    @property
    def recall(self) -> NDArray[np.float64]:
        """Share of a class that is mapped as it (producer's accuracy), shape (class,)."""
        return scores.recall(self.counts)

    @property
    def mean_iou(self) -> float:
        """Mean IoU of the classes that occur in truth or map; NaN without any."""
        return float(scores.mean(self.iou))

    @property
    def mean_f1(self) -> float:
        """Mean F1 of the classes that occur in truth or map; NaN without any."""
        return float(scores.mean(self.f1))

    @property
    def frequency_weighted_iou(self) -> float:
        """Mean IoU of the classes in truth, each weighted by its pixels there; NaN without any."""
        return float(scores.frequency_weighted_iou(self.counts))

    @property
    def accuracy(self) -> float:
        """Share of pixels whose class is right; NaN without any."""
        return float(scores.accuracy(self.counts))

    @property
    def kappa(self) -> float:
        """Cohen's kappa; NaN where truth and map have one and the same class only, or without pixels."""
        return float(scores.kappa(self.counts))


def count_confusion(
    groups: NDArray[np.int64], count: int, truth: NDArray[np.uint8], predicted: NDArray[np.uint8], classes: int
) -> NDArray[np.int64]:
    """The counts of `Confusion` for each group, shape (group, class, class); what is 255 in either is left out.

    Args:
        groups: of each pixel, 0 to `count` - 1; of the shape of `truth` and `predicted`.
        count: of groups.
        truth: class indices.
        predicted: class indices.
        classes: how many there are.
    """
    known = (truth != UNLABELLED) & (predicted != UNLABELLED)
    pairs = (groups[known] * classes + truth[known]) * classes + predicted[known]
    return np.bincount(pairs, minlength=count * classes**2).reshape(count, classes, classes)
