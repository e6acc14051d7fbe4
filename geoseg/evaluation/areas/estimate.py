"""The sentence of area estimation: read the points, measure the map, estimate, say what is unsure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np

from geoseg.core.legend import Legend
from geoseg.core.provenance import Provenance
from geoseg.errors import InputError
from geoseg.evaluation.areas import estimators
from geoseg.evaluation.areas.design import Design, of_column, of_ground, read_strata_areas
from geoseg.evaluation.areas.estimates import AreaEstimates, ClassEstimate, Estimate, StratumRecord
from geoseg.evaluation.areas.estimators import Estimates, Sample
from geoseg.evaluation.areas.points import read_points
from geoseg.evaluation.areas.survey import Survey, survey
from geoseg.evaluation.legends import legend_of_map
from geoseg.evaluation.maps import open_map
from geoseg.evaluation.scores import Floats
from geoseg.inference.engine import Progress
from geoseg.io.fingerprint import fingerprints

FEW_POINTS = 30
"""With fewer, the intervals of a class are called too short: the normal approximation needs more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AreaOptions:
    """Where classes and strata of a sample are told, and the level of the intervals.

    `column` of the points holds the interpreted class. The strata that the sample was drawn from are the classes of
    the map; or those of `strata`, a raster; or those in `strata_column` of the points, whose areas `strata_areas` tells
    (a YAML or JSON file with hectares by name). `legend` is that of a map that does not tell its own.
    """

    column: str = "class"
    strata: Path | None = None
    strata_column: str | None = None
    strata_areas: Path | None = None
    legend: Legend | None = None
    confidence: float = 0.95
    command: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1:
            raise InputError(f"the confidence must lie between 0 and 1, found {self.confidence}")
        if (self.strata_column is None) != (self.strata_areas is None):
            raise InputError("strata in a column need a file with their areas, and the other way round; give both")
        if self.strata is not None and self.strata_column is not None:
            raise InputError("found strata both as a raster and in a column; give one of them")

    @property
    def strata_from(self) -> str:
        """What the strata are, in words."""
        if self.strata_column is not None:
            return f"the column {self.strata_column}"
        return "the map's classes" if self.strata is None else str(self.strata)


def estimate_areas(
    map_path: Path,
    points: Path,
    options: AreaOptions = AreaOptions(),
    *,
    progress: Progress = lambda _stage, _done, _total: None,
) -> AreaEstimates:
    """Estimate the accuracy of a map and the areas of its classes from a stratified random sample of points.

    The standard errors follow from the design alone (Olofsson et al. 2014, doi:10.1016/j.rse.2014.02.015; Stehman 2014,
    doi:10.1080/01431161.2014.930207). Memory is bounded by a strip of the map.

    Args:
        map_path: a class raster.
        points: interpreted points, in any CRS.
        options: see there.
        progress: told stages, done and total.

    Raises:
        MissingFileError: a file is not there.
        InputError: map, points or strata cannot be used or do not fit each other, or a stratum has no points.
    """
    legend = options.legend or legend_of_map(map_path)
    map_file = open_map(map_path, legend)
    told = None if options.strata_areas is None else read_strata_areas(options.strata_areas)
    reference = read_points(points, options.column, legend, map_file.grid, options.strata_column)
    ground = survey(map_file, reference.places, options.strata, progress)
    design = of_ground(ground, reference) if told is None else of_column(ground, reference, told)
    paths = [path for path in (map_path, points, options.strata, options.strata_areas) if path is not None]
    return AreaEstimates(
        map=str(map_path),
        points=len(design.sample),
        confidence=options.confidence,
        overall=_intervals(estimators.overall_accuracy(design.sample, design.strata), options.confidence)[0],
        classes=_classes(design, legend, ground, options.confidence),
        strata_from=options.strata_from,
        strata=_records(design),
        counts=_counts(design.sample, len(legend)),
        proportions=tuple(tuple(row) for row in estimators.error_matrix(design.sample, design.strata).tolist()),
        provenance=Provenance.now(inputs=fingerprints(paths), command=options.command),
        notes=(*design.notes, *_doubts(design.sample, legend)),
    )


def _classes(design: Design, legend: Legend, ground: Survey, confidence: float) -> tuple[ClassEstimate, ...]:
    sample, strata = design.sample, design.strata
    total = float(strata.area_m2.sum())
    shares = estimators.area_shares(sample, strata)
    areas = _intervals(Estimates(shares.value * total, shares.error * total), confidence, total)
    users = _intervals(estimators.users_accuracy(sample, strata), confidence)
    producers = _intervals(estimators.producers_accuracy(sample, strata), confidence)
    mapped_m2 = ground.area_m2.sum(axis=0).tolist()
    mapped, reference = (np.bincount(p, minlength=len(legend)).tolist() for p in (sample.mapped, sample.reference))
    return tuple(
        ClassEstimate(
            name=land_class.name,
            colour=land_class.colour,
            mapped_m2=mapped_m2[i],
            area_m2=areas[i],
            users=users[i],
            producers=producers[i],
            mapped_points=mapped[i],
            reference_points=reference[i],
        )
        for i, land_class in enumerate(legend)
    )


def _intervals(estimates: Estimates, confidence: float, highest: float = 1.0) -> tuple[Estimate, ...]:
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    pairs = zip(_plain(estimates.value), _plain(estimates.error), strict=True)
    return tuple(Estimate.normal(value, error, z, highest) for value, error in pairs)


def _plain(values: Floats) -> list[float]:
    found: list[float] = values.tolist()
    return found


def _records(design: Design) -> tuple[StratumRecord, ...]:
    rows = zip(design.names, _plain(design.strata.area_m2), design.points.tolist(), strict=True)
    return tuple(StratumRecord(name=name, area_m2=area, points=points) for name, area, points in rows)


def _counts(sample: Sample, classes: int) -> tuple[tuple[int, ...], ...]:
    pairs = np.bincount(sample.mapped * classes + sample.reference, minlength=classes**2)
    return tuple(tuple(row) for row in pairs.reshape(classes, classes).tolist())


def _doubts(sample: Sample, legend: Legend) -> Iterator[str]:
    """Where the sample says less than its numbers seem to."""
    mapped, reference = (np.bincount(p, minlength=len(legend)) for p in (sample.mapped, sample.reference))
    right = np.bincount(sample.mapped[sample.mapped == sample.reference], minlength=len(legend))
    unseen = [c.name for i, c in enumerate(legend) if not reference[i]]
    if unseen:
        names = ", ".join(unseen)
        yield f"no reference point is {names}: an area of 0 means that it is too rare for this sample to see"
    flawless = [c.name for i, c in enumerate(legend) for n in (mapped[i], reference[i]) if n and right[i] in (0, n)]
    if flawless:
        yield (
            f"the points of {', '.join(dict.fromkeys(flawless))} in map or reference are all right, or all wrong: a "
            "standard error of 0 means that the sample is too small to see exceptions, not that there are none"
        )
    rare = [c.name for i, c in enumerate(legend) if 0 < min(mapped[i], reference[i]) < FEW_POINTS]
    if rare:
        yield (
            f"fewer than {FEW_POINTS} points of {', '.join(rare)} in map or reference: the intervals of so few tend to "
            "be too short"
        )
