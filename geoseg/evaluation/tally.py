"""Everything that is counted of one piece of ground, as one value that adds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from geoseg.core.legend import Legend
from geoseg.evaluation import scores
from geoseg.evaluation.boundary import Boundaries, boundary_f1, boundary_iou
from geoseg.evaluation.confusion import Confusion
from geoseg.evaluation.reliability import Reliability, calibration_error, overconfidence
from geoseg.evaluation.scores import Floats

_Part = TypeVar("_Part", Boundaries, Reliability)


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

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            confusion=self.confusion + other.confusion,
            boundaries=_sum(self.boundaries, other.boundaries),
            reliability=_sum(self.reliability, other.reliability),
            unmapped=self.unmapped + other.unmapped,
        )

    @property
    def overall(self) -> dict[str, float]:
        """Scores by name: accuracy, mean_iou, ...; NaN where undefined."""
        return {name: float(value) for name, value in overall(*self.arrays).items()}

    @property
    def by_class(self) -> dict[str, Floats]:
        """Scores of each class by name, shape (class,): iou, f1, ...; NaN where undefined."""
        return by_class(*self.arrays)

    @property
    def arrays(self) -> tuple[NDArray[np.int64], NDArray[np.int64] | None, NDArray[np.int64] | None]:
        """The counts of confusion, boundaries and reliability."""
        return (
            self.confusion.counts,
            None if self.boundaries is None else self.boundaries.counts,
            None if self.reliability is None else self.reliability.counts,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        confusion, boundaries, reliability = (None if a is None else a.tolist() for a in self.arrays)
        return {
            "confusion": confusion,
            "boundaries": boundaries,
            "reliability": reliability,
            "unmapped": self.unmapped,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], legend: Legend) -> Self:
        """The inverse of `to_dict`."""
        boundaries, reliability = content["boundaries"], content["reliability"]
        return cls(
            confusion=Confusion(counts=np.array(content["confusion"], dtype=np.int64), legend=legend),
            boundaries=None if boundaries is None else Boundaries(counts=np.array(boundaries, dtype=np.int64)),
            reliability=None if reliability is None else Reliability(counts=np.array(reliability, dtype=np.int64)),
            unmapped=int(content["unmapped"]),
        )


def _sum(one: _Part | None, other: _Part | None) -> _Part | None:
    return None if one is None or other is None else one + other


def overall(
    confusion: NDArray[np.int64], boundaries: NDArray[np.int64] | None, reliability: NDArray[np.int64] | None
) -> dict[str, Floats]:
    """Scores over all classes by name, shape (...).

    Args:
        confusion: shape (..., class, class).
        boundaries: shape (..., class, 6), or None.
        reliability: shape (..., bin, 3), or None.
    """
    found = {
        "accuracy": scores.accuracy(confusion),
        "mean_iou": scores.mean(scores.iou(confusion)),
        "frequency_weighted_iou": scores.frequency_weighted_iou(confusion),
        "mean_f1": scores.mean(scores.f1(confusion)),
        "kappa": scores.kappa(confusion),
    }
    if boundaries is not None:
        found["boundary_f1"] = scores.mean(boundary_f1(boundaries))
        found["boundary_iou"] = scores.mean(boundary_iou(boundaries))
    if reliability is not None:
        found["ece"] = calibration_error(reliability)
        found["overconfidence"] = overconfidence(reliability)
    return found


def by_class(
    confusion: NDArray[np.int64], boundaries: NDArray[np.int64] | None, _reliability: NDArray[np.int64] | None
) -> dict[str, Floats]:
    """Scores of each class by name, shape (..., class); see `overall` for the arguments."""
    found = {
        "iou": scores.iou(confusion),
        "f1": scores.f1(confusion),
        "precision": scores.precision(confusion),
        "recall": scores.recall(confusion),
    }
    if boundaries is not None:
        found["boundary_f1"] = boundary_f1(boundaries)
        found["boundary_iou"] = boundary_iou(boundaries)
    return found
