"""The design of a sample: its strata with their areas, and the points that were drawn in each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoseg.data.labels.options import value_text
from geoseg.errors import InputError
from geoseg.evaluation.areas.estimators import Sample, Strata, points_per_stratum
from geoseg.evaluation.areas.points import ReferencePoints
from geoseg.evaluation.areas.survey import NOWHERE, Survey
from geoseg.io.yamlfile import read_yaml

M2_PER_HA = 10_000
_DIFFERENT = 0.01  # areas that are told and measured may differ by this share without a word


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Design:
    """Strata by name, all with area and points, and the sample; `notes` are what a reader has to know about it."""

    names: tuple[str, ...]
    strata: Strata
    sample: Sample
    notes: tuple[str, ...] = ()

    @property
    def points(self) -> NDArray[np.int64]:
        """In each stratum, shape (stratum,)."""
        return points_per_stratum(self.sample, self.strata)


def of_ground(ground: Survey, reference: ReferencePoints) -> Design:
    """The design of a sample that was drawn from a raster: of strata, or the map itself.

    Raises:
        InputError: no point lies where there is a class, or a stratum has none.
    """
    areas = ground.area_m2.sum(axis=1)
    there = np.flatnonzero(areas > 0)
    numbers = np.full(len(areas) + 1, NOWHERE, dtype=np.int64)  # the last one is that of NOWHERE
    numbers[there] = np.arange(len(there))
    strata = Strata(area_m2=areas[there], holds=ground.area_m2[there] > 0)
    return _design([ground.names[i] for i in there.tolist()], strata, numbers[ground.stratum], ground, reference)


def of_column(ground: Survey, reference: ReferencePoints, areas_m2: Mapping[str, float]) -> Design:
    """The design of a sample whose points know the names of their strata.

    Raises:
        InputError: no point lies where the map has a class, a stratum has none, or the area of one is not told.
    """
    assert reference.strata is not None  # noqa: S101  (else there is no column)
    unknown = sorted(set(reference.strata) - set(areas_m2))
    if unknown:
        raise InputError(
            f"points are of the strata {', '.join(unknown)}, whose areas are not told (found {', '.join(areas_m2)}); "
            "add them"
        )
    names = list(areas_m2)
    stratum = np.array([names.index(name) for name in reference.strata], dtype=np.int64)
    strata = Strata(
        area_m2=np.array(list(areas_m2.values())), holds=np.ones((len(names), ground.area_m2.shape[1]), dtype=np.bool_)
    )
    design = _design(names, strata, stratum, ground, reference)
    told, measured = float(strata.area_m2.sum()), float(ground.area_m2.sum())
    if abs(told / measured - 1) <= _DIFFERENT:
        return design
    cover, shown = (f"{area / M2_PER_HA:,.2f} ha" for area in (told, measured))
    note = f"the strata cover {cover}, the map {shown}: areas are estimated of the former"
    return Design(names=design.names, strata=strata, sample=design.sample, notes=(*design.notes, note))


def read_strata_areas(path: Path) -> dict[str, float]:
    """Areas of strata in m² by name, from a YAML or JSON file with hectares by name.

    Raises:
        MissingFileError: no such file.
        InputError: something else.
    """
    content = read_yaml(path)
    entries = content if isinstance(content, dict) else {}
    if not entries or not all(_is_area(value) for value in entries.values()):
        raise InputError(f"{path}: needed the area of each stratum in hectares, as in `upland: 1250.5`")
    return {value_text(name): float(value) * M2_PER_HA for name, value in entries.items()}


def _is_area(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value > 0


def _design(
    names: Sequence[str], strata: Strata, stratum: NDArray[np.int64], ground: Survey, reference: ReferencePoints
) -> Design:
    known = np.flatnonzero((stratum != NOWHERE) & (ground.mapped != NOWHERE))
    left_out = len(reference) - len(known)
    if not known.size:
        raise InputError(
            f"none of the {left_out} points lies where map and strata have a class; do they belong to this map?"
        )
    sample = Sample(stratum=stratum[known], mapped=ground.mapped[known], reference=reference.classes[known])
    counts = points_per_stratum(sample, strata)
    _require_points(names, counts, strata)
    notes = list(reference.notes)
    if left_out:
        notes.append(f"{left_out} points lie where the map or the strata have none (nodata) and are left out")
    return Design(names=tuple(names), strata=strata, sample=sample, notes=(*notes, *_lonely(names, counts)))


def _require_points(names: Sequence[str], counts: NDArray[np.int64], strata: Strata) -> None:
    shares = strata.shares
    empty = [f"{name} ({shares[i]:.1%} of the area)" for i, name in enumerate(names) if not counts[i]]
    if empty:
        raise InputError(
            f"no reference point lies in {', '.join(empty)}: nothing can be said of that ground, so no area can be "
            "estimated; interpret points there, or give the strata that the sample was drawn from"
        )


def _lonely(names: Sequence[str], counts: NDArray[np.int64]) -> tuple[str, ...]:
    single = [name for name, count in zip(names, counts.tolist(), strict=True) if count == 1]
    if not single:
        return ()
    note = (
        f"a single point lies in {', '.join(single)}: its variance is undefined, and so is every standard error that "
        "needs it; interpret a second one there"
    )
    return (note,)
