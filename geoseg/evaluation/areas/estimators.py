"""Estimators for a stratified random sample: accuracy and area with the standard errors that follow from the design.

Everything is a ratio of two totals, each of a number that every place has (Stehman 2014,
doi:10.1080/01431161.2014.930207, section 3): the strata may be the classes of the map or anything else. Where they are
the map's classes, the results are those of Olofsson et al. 2014 (doi:10.1016/j.rse.2014.02.015), equations 1 to 11.
Nothing is assumed about the map, the classes or how errors lie; only that points were drawn at random in each stratum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoseg.evaluation.scores import Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """Interpreted points: stratum, class in the map and class in the reference of each, indices of shape (point,)."""

    stratum: NDArray[np.int64]
    mapped: NDArray[np.int64]
    reference: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.stratum)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Strata:
    """What was sampled: area in m² of each stratum, shape (stratum,), and where each class of the map may be.

    `holds` is False where no ground of a stratum is mapped as a class, shape (stratum, class).
    """

    area_m2: Floats
    holds: NDArray[np.bool_]

    @property
    def shares(self) -> Floats:
        """Of the whole area, shape (stratum,)."""
        shares: Floats = self.area_m2 / self.area_m2.sum()
        return shares


class Estimates(NamedTuple):
    """Estimates and their standard errors, of equal shape; NaN where undefined."""

    value: Floats
    error: Floats


def points_per_stratum(sample: Sample, strata: Strata) -> NDArray[np.int64]:
    """Points in each stratum, shape (stratum,)."""
    return np.bincount(sample.stratum, minlength=len(strata.area_m2))


def overall_accuracy(sample: Sample, strata: Strata) -> Estimates:
    """Share of the area whose class is right, shape (1,)."""
    right = (sample.mapped == sample.reference)[:, None]
    return ratios(right, np.ones_like(right), sample, strata)


def users_accuracy(sample: Sample, strata: Strata) -> Estimates:
    """Share of the area mapped as a class that is of it, shape (class,); NaN without points that are mapped as it."""
    mapped = _indicators(sample.mapped, strata)
    return ratios(mapped & _right(sample), mapped, sample, strata, strata.holds)


def producers_accuracy(sample: Sample, strata: Strata) -> Estimates:
    """Share of the area of a class that is mapped as it, shape (class,); NaN without reference points of it."""
    reference = _indicators(sample.reference, strata)
    return ratios(reference & _right(sample), reference, sample, strata)


def area_shares(sample: Sample, strata: Strata) -> Estimates:
    """Share of each class in the whole area, shape (class,): what the map shows, corrected by what the points show."""
    reference = _indicators(sample.reference, strata)
    return ratios(reference, np.ones_like(reference), sample, strata)


def error_matrix(sample: Sample, strata: Strata) -> Floats:
    """Estimated share of the area in each pair of classes, shape (class, class): rows are the map, columns reference.

    Olofsson et al. 2014, equation 4; Stehman 2014, equation 24.
    """
    classes = strata.holds.shape[1]
    weights = (strata.shares / points_per_stratum(sample, strata))[sample.stratum]
    matrix = np.zeros((classes, classes))
    np.add.at(matrix, (sample.mapped, sample.reference), weights)
    return matrix


def ratios(
    part: NDArray[np.bool_],
    whole: NDArray[np.bool_],
    sample: Sample,
    strata: Strata,
    matters: NDArray[np.bool_] | None = None,
) -> Estimates:
    """Ratios of the total of `part` to that of `whole`, shape (ratio,): Stehman 2014, equations 27 and 28.

    The variance is that of the residuals part - ratio * whole within each stratum; the finite population correction is
    left out, as pixels are many. It is NaN where a stratum that matters has a single point.

    Args:
        part: of each point, shape (point, ratio).
        whole: of each point, shape (point, ratio).
        sample: at least one point in every stratum.
        strata: what was sampled.
        matters: False where `whole` is known to be 0 in all of a stratum, shape (stratum, ratio).
    """
    counts = points_per_stratum(sample, strata)[:, None].astype(np.float64)
    area = strata.area_m2[:, None]
    total = (area * _sums(whole, sample, strata) / counts).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = (area * _sums(part, sample, strata) / counts).sum(axis=0) / total
        residual = part - value * whole
        spread = _sums(residual**2, sample, strata) - _sums(residual, sample, strata) ** 2 / counts
        variance = np.maximum(spread, 0) / (counts - 1) / counts  # NaN (0 / 0) for a single point
        if matters is not None:
            variance = np.where(matters | ~np.isfinite(value), variance, 0.0)
        error = np.sqrt((area**2 * variance).sum(axis=0)) / total
    return Estimates(value, np.where(np.isfinite(value), error, np.nan))


def _indicators(classes: NDArray[np.int64], strata: Strata) -> NDArray[np.bool_]:
    """True where a point is of a class, shape (point, class)."""
    found: NDArray[np.bool_] = classes[:, None] == np.arange(strata.holds.shape[1])
    return found


def _right(sample: Sample) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (sample.mapped == sample.reference)[:, None]
    return found


def _sums(values: NDArray[np.generic], sample: Sample, strata: Strata) -> Floats:
    """Sums over the points of each stratum, shape (stratum, ratio)."""
    sums = np.zeros((len(strata.area_m2), values.shape[1]))
    np.add.at(sums, sample.stratum, values)
    return sums
