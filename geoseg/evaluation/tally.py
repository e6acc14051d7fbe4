"""Everything that is counted of one piece of ground, as one value that adds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from geoseg.core.legend import Legend
from geoseg.evaluation import scores
from geoseg.evaluation.boundary import Boundaries, boundary_f1, boundary_iou
from geoseg.evaluation.confusion import Confusion
from geoseg.evaluation.reliability import Reliability, calibration_error, overconfidence
from geoseg.evaluation.scores import Floats

_Part = TypeVar("_Part", Boundaries, Reliability)


class Arrays(NamedTuple):
    """The counts of one tally, or of many along leading axes: those of confusion, of boundaries and of reliability.

    Shapes are (..., class, class), (..., class, 6) and (..., bin, 3), all int64; None = not looked at.
    """

    confusion: NDArray[np.int64]
    boundaries: NDArray[np.int64] | None
    reliability: NDArray[np.int64] | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tally:
    """Truth against map on one piece of ground; `a + b` is associative.

    `unmapped` are labelled pixels where the map has no class, which nothing else counts. `boundaries` and
    `reliability` are None where borders or probabilities were not looked at; a sum has what both sides have.
    """

    confusion: Confusion
    boundaries: Boundaries | None = None
    reliability: Reliability | None = None
    unmapped: int = 0

    @classmethod
    def of(cls, counts: Arrays, legend: Legend, unmapped: int = 0) -> Self:
        """The tally of these counts."""
        return cls(
            confusion=Confusion(counts=counts.confusion, legend=legend),
            boundaries=None if counts.boundaries is None else Boundaries(counts=counts.boundaries),
            reliability=None if counts.reliability is None else Reliability(counts=counts.reliability),
            unmapped=unmapped,
        )

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            confusion=self.confusion + other.confusion,
            boundaries=_sum(self.boundaries, other.boundaries),
            reliability=_sum(self.reliability, other.reliability),
            unmapped=self.unmapped + other.unmapped,
        )

    @property
    def arrays(self) -> Arrays:
        """All counts but `unmapped`."""
        return Arrays(
            confusion=self.confusion.counts,
            boundaries=None if self.boundaries is None else self.boundaries.counts,
            reliability=None if self.reliability is None else self.reliability.counts,
        )

    @property
    def overall(self) -> dict[str, float]:
        """Scores by name: accuracy, mean_iou, ...; NaN where undefined."""
        return {name: float(value) for name, value in overall(self.arrays).items()}

    @property
    def by_class(self) -> dict[str, Floats]:
        """Scores of each class by name, shape (class,): iou, f1, ...; NaN where undefined."""
        return by_class(self.arrays)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        counts = self.arrays._asdict()
        return {name: None if a is None else a.tolist() for name, a in counts.items()} | {"unmapped": self.unmapped}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], legend: Legend) -> Self:
        """The inverse of `to_dict`."""
        stored = (content[name] for name in Arrays._fields)
        confusion, *others = (None if a is None else np.array(a, dtype=np.int64) for a in stored)
        if confusion is None or confusion.shape != (len(legend), len(legend)):
            msg = "a confusion does not fit the legend"
            raise ValueError(msg)
        return cls.of(Arrays(confusion, *others), legend, int(content["unmapped"]))


def _sum(one: _Part | None, other: _Part | None) -> _Part | None:
    return None if one is None or other is None else one + other


def overall(counts: Arrays) -> dict[str, Floats]:
    """Scores over all classes by name, shape (...)."""
    found = {
        "accuracy": scores.accuracy(counts.confusion),
        "mean_iou": scores.mean(scores.iou(counts.confusion)),
        "frequency_weighted_iou": scores.frequency_weighted_iou(counts.confusion),
        "mean_f1": scores.mean(scores.f1(counts.confusion)),
        "kappa": scores.kappa(counts.confusion),
    }
    if counts.boundaries is not None:
        found["boundary_f1"] = scores.mean(boundary_f1(counts.boundaries))
        found["boundary_iou"] = scores.mean(boundary_iou(counts.boundaries))
    if counts.reliability is not None:
        found["ece"] = calibration_error(counts.reliability)
        found["overconfidence"] = overconfidence(counts.reliability)
    return found


def by_class(counts: Arrays) -> dict[str, Floats]:
    """Scores of each class by name, shape (..., class)."""
    found = {
        "iou": scores.iou(counts.confusion),
        "f1": scores.f1(counts.confusion),
        "precision": scores.precision(counts.confusion),
        "recall": scores.recall(counts.confusion),
    }
    if counts.boundaries is not None:
        found["boundary_f1"] = boundary_f1(counts.boundaries)
        found["boundary_iou"] = boundary_iou(counts.boundaries)
    return found
