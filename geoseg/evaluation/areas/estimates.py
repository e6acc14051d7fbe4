"""Estimated accuracy and areas as a value, and its file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from geoseg.core.provenance import Provenance
from geoseg.errors import InputError, MissingFileError
from geoseg.io.output import replacing

VERSION = 1
"""Of the JSON; another number where a reader of this one would misread it."""

MEANING = (
    "of all samples that could have been drawn by this design, about this share has intervals that hold the value that "
    "interpreting every pixel would give; mistakes of the interpreters, and ground without a class, are not in them"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """An estimate with its standard error and its interval value ± margin, cut to what is possible; NaN = undefined."""

    value: float
    standard_error: float
    margin: float
    low: float
    high: float

    @classmethod
    def normal(cls, value: float, standard_error: float, z: float, highest: float = 1.0) -> Self:
        """With a margin of z standard errors, and an interval within 0 and `highest`."""
        margin = z * standard_error
        low, high = (_cut(value + side * margin, highest) for side in (-1, 1))
        return cls(value=value, standard_error=standard_error, margin=margin, low=low, high=high)

    def to_dict(self) -> dict[str, float | None]:
        """Plain values for JSON; null where undefined."""
        return {name: value if math.isfinite(value) else None for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, content: Mapping[str, float | None]) -> Self:
        """The inverse of `to_dict`."""
        return cls(**{name: math.nan if value is None else float(value) for name, value in content.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassEstimate:
    """A class: its area in the map and by estimate in m², its accuracies, and points of it in map and reference."""

    name: str
    colour: str
    mapped_m2: float
    area_m2: Estimate
    users: Estimate
    producers: Estimate
    mapped_points: int
    reference_points: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StratumRecord:
    """A stratum: its area in m², and its points."""

    name: str
    area_m2: float
    points: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AreaEstimates:
    """Accuracy of a map and areas of its classes, from a stratified random sample of reference points.

    `counts` and `proportions` are the error matrix in points and in shares of the area: rows are the map, columns the
    reference. `strata_from` tells what the strata are. `notes` are what a reader has to know, a sentence each.
    """

    map: str
    points: int
    confidence: float
    overall: Estimate
    classes: tuple[ClassEstimate, ...]
    strata_from: str
    strata: tuple[StratumRecord, ...]
    counts: tuple[tuple[int, ...], ...]
    proportions: tuple[tuple[float, ...], ...]
    provenance: Provenance
    notes: tuple[str, ...] = ()

    @property
    def total_m2(self) -> float:
        """The whole area that the sample stands for."""
        return math.fsum(stratum.area_m2 for stratum in self.strata)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "version": VERSION,
            "map": self.map,
            "points": self.points,
            "total_m2": self.total_m2,
            "confidence": self.confidence,
            "meaning": MEANING,
            "overall_accuracy": self.overall.to_dict(),
            "classes": [_class_to_dict(c) for c in self.classes],
            "strata_from": self.strata_from,
            "strata": [asdict(stratum) for stratum in self.strata],
            "error_matrix": {
                "rows": "map",
                "columns": "reference",
                "points": [list(row) for row in self.counts],
                "proportions": [list(row) for row in self.proportions],
            },
            "provenance": self.provenance.to_dict(),
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`.

        Raises:
            InputError: another version, or something else than area estimates.
        """
        if content.get("version") != VERSION or "error_matrix" not in content:
            raise InputError(f"holds no area estimates of version {VERSION}; make them anew with geoseg areas")
        try:
            matrix = content["error_matrix"]
            return cls(
                map=content["map"],
                points=content["points"],
                confidence=content["confidence"],
                overall=Estimate.from_dict(content["overall_accuracy"]),
                classes=tuple(_class_from_dict(c) for c in content["classes"]),
                strata_from=content["strata_from"],
                strata=tuple(StratumRecord(**stratum) for stratum in content["strata"]),
                counts=tuple(tuple(row) for row in matrix["points"]),
                proportions=tuple(tuple(row) for row in matrix["proportions"]),
                provenance=Provenance(**content["provenance"]),
                notes=tuple(content["notes"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"not area estimates, or damaged ({error!r}); make them anew with geoseg areas") from error


def save_areas(estimates: AreaEstimates, path: Path) -> None:
    """Write estimates as JSON; it appears when it is complete, replacing an earlier one."""
    with replacing(path) as unfinished:
        unfinished.write_text(json.dumps(estimates.to_dict(), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def load_areas(path: Path) -> AreaEstimates:
    """Read estimates that `save_areas` wrote.

    Raises:
        MissingFileError: no such file.
        InputError: no estimates, or those of another version.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MissingFileError(f"{path}: no such file; check the path") from error
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error}); give a file of geoseg areas") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds no area estimates; give a file of geoseg areas")
    try:
        return AreaEstimates.from_dict(content)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _cut(end: float, highest: float) -> float:
    return min(max(end, 0.0), highest) if math.isfinite(end) else end


_ESTIMATES = ("area_m2", "users", "producers")


def _class_to_dict(found: ClassEstimate) -> dict[str, Any]:
    return asdict(found) | {name: getattr(found, name).to_dict() for name in _ESTIMATES}


def _class_from_dict(content: Mapping[str, Any]) -> ClassEstimate:
    return ClassEstimate(**{**content, **{name: Estimate.from_dict(content[name]) for name in _ESTIMATES}})
