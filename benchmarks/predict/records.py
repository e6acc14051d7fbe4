"""The file of results: one run a line of JSON, so that an interrupted benchmark goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One run of a runner on a scene, and the floor right before and right after it, in seconds.

    `setup` is what has to be the same for runs to be compared: model, device, cores, versions. `kept` is False where
    the floor moved, or where geoseg picked something else than the floor is of. `peak_mb` is in 10^6 bytes,
    `redundancy` is pixels computed over pixels of the scene; see `scoring.Score` for the rest.
    """

    runner: str
    size: int
    setup: Mapping[str, Any]
    seconds: float
    floor: str
    floor_before: float
    floor_after: float
    kept: bool
    redundancy: float
    peak_mb: float
    agreement: float
    miou: float
    seam: float | None
    seam_of_truth: float | None
    runtime: str

    @property
    def floor_seconds(self) -> float:
        """The mean of the two floors."""
        return (self.floor_before + self.floor_after) / 2


def moved(before: float, after: float) -> float:
    """How far a floor moved, as a share of its mean."""
    return abs(after - before) / ((before + after) / 2)


def append(path: Path, record: Record) -> None:
    """Add a line."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(record)) + "\n")


def read(path: Path) -> list[Record]:
    """All runs so far."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [Record(**json.loads(line)) for line in lines]
