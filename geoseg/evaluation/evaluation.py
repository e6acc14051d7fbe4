"""An evaluation as a value, and its file: everything that a report needs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from geoseg.core.legend import LandClass, Legend
from geoseg.core.provenance import Provenance
from geoseg.errors import InputError, MissingFileError
from geoseg.evaluation.grouping import Grouping
from geoseg.evaluation.intervals import Intervals
from geoseg.evaluation.tally import Tally
from geoseg.io.output import replacing

VERSION = 1
"""Of the JSON; another number where a reader of this one would misread it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRecord:
    """What was compared: a map and its reference, by the paths that were used.

    `labels` are the label options as JSON (`geoseg.data.labels.as_label_options` reads them). `scene` are the files of
    the scene that a model mapped, empty where a finished map was given. `map` is None where the map was temporary.
    `height` and `width` are the map's pixels, `gsd_m` their size in m, (down a column, along a row).
    """

    name: str
    labels: Mapping[str, Any]
    scene: tuple[str, ...] = ()
    map: str | None = None
    probabilities: str | None = None
    region: str = ""
    height: int
    width: int
    gsd_m: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """How well maps agree with their reference.

    `total` counts all evaluated ground, `groupings` the same ground in groups. `ground` tells in words what part of it
    was counted, `tolerance_m` is that of the boundary scores (None: not looked at), `model` the bundle's path, empty
    where finished maps were given. `notes` are what a reader has to know, a sentence each.
    """

    legend: Legend
    total: Tally
    groupings: tuple[Grouping, ...] = ()
    intervals: Intervals | None = None
    tolerance_m: float | None = None
    ground: str = "all labelled ground"
    cases: tuple[CaseRecord, ...] = ()
    model: str = ""
    provenance: Provenance = field(default_factory=lambda: Provenance.now(inputs={}))
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Of the classes."""
        return tuple(c.name for c in self.legend)

    def grouping(self, by: str) -> Grouping | None:
        """The groups by something, None where there are none."""
        return next((grouping for grouping in self.groupings if grouping.by == by), None)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `scores` and `spreads` are there for readers, and follow from the counts."""
        spreads = {g.by: spread for g in self.groupings if (spread := g.spread()) is not None}
        return {
            "version": VERSION,
            "scores": self._scores(),
            "spreads": {by: asdict(spread) for by, spread in spreads.items()},
            "ground": self.ground,
            "tolerance_m": self.tolerance_m,
            "model": self.model,
            "notes": list(self.notes),
            "intervals": None if self.intervals is None else self.intervals.to_dict(),
            "legend": [asdict(c) for c in self.legend],
            "cases": [asdict(case) for case in self.cases],
            "provenance": self.provenance.to_dict(),
            "total": self.total.to_dict(),
            "groupings": [grouping.to_dict() for grouping in self.groupings],
        }

    def _scores(self) -> dict[str, Any]:
        by_class = {name: values.tolist() for name, values in self.total.by_class.items()}
        support = self.total.confusion.support.tolist()
        classes = {
            name: {"support": support[i]} | {score: _number(values[i]) for score, values in by_class.items()}
            for i, name in enumerate(self.names)
        }
        return {score: _number(value) for score, value in self.total.overall.items()} | {"classes": classes}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`.

        Raises:
            InputError: another version, or something else than an evaluation.
        """
        if content.get("version") != VERSION:
            found = content.get("version", "none")
            raise InputError(f"found the evaluation version {found}, needed {VERSION}; make the evaluation anew")
        try:
            return cls._read(content)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"not an evaluation, or damaged ({error!r}); make it anew") from error

    @classmethod
    def _read(cls, content: Mapping[str, Any]) -> Self:
        legend = Legend(tuple(LandClass(**c) for c in content["legend"]))
        return cls(
            legend=legend,
            total=Tally.from_dict(content["total"], legend),
            groupings=tuple(Grouping.from_dict(grouping, legend) for grouping in content["groupings"]),
            intervals=None if content["intervals"] is None else Intervals.from_dict(content["intervals"]),
            tolerance_m=content["tolerance_m"],
            ground=content["ground"],
            cases=tuple(
                CaseRecord(**case | {"scene": tuple(case["scene"]), "gsd_m": tuple(case["gsd_m"])})
                for case in content["cases"]
            ),
            model=content["model"],
            provenance=Provenance(**content["provenance"]),
            notes=tuple(content["notes"]),
        )


def save_evaluation(evaluation: Evaluation, path: Path) -> None:
    """Write an evaluation as JSON, a line for each part; it appears when it is complete, replacing an earlier one."""
    parts = (f"{json.dumps(key)}: {json.dumps(part, allow_nan=False)}" for key, part in evaluation.to_dict().items())
    with replacing(path) as unfinished:
        unfinished.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def load_evaluation(path: Path) -> Evaluation:
    """Read an evaluation that `save_evaluation` wrote.

    Raises:
        MissingFileError: no such file.
        InputError: no evaluation, or one of another version.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MissingFileError(f"{path}: no such file; check the path") from error
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error}); give a file of geoseg evaluate") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds no evaluation; give a file of geoseg evaluate")
    try:
        return Evaluation.from_dict(content)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
