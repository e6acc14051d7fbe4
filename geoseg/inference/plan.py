"""The plan of a prediction: what is cut how, and what it costs in memory, room on the disk and time."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from geoseg.core.duration import duration_text
from geoseg.core.tiling import TilePlan
from geoseg.errors import InputError, OutputError
from geoseg.inference.contract import Finding, Fit
from geoseg.inference.samples import read_samples
from geoseg.models.runtime.protocol import Runtime
from geoseg.models.spec import ModelSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictPlan:
    """A prediction before it is done; all but the tiles are estimates.

    `tiles` are (rows, cols) of tiles, `tile` the size of each and `overlap` that of neighbours, in pixels; `borders`
    are the rows and the columns at which one tile gives way to the next, the first of its own pixels. `computed`
    is how many of the tiles meet what is wanted and hold valid pixels, as far as a decimated read shows; where the
    inference is `adaptive`, it may be fewer, which is known only after a coarse look. `redundancy` is pixels in tiles
    over pixels wanted, both counted whether valid or not, `memory_bytes` the peak of the process,
    `disk_bytes` the room for working files beside the first output, `seconds` the time for inference, None where the
    scene has no pixels to try on.
    """

    shape: tuple[int, int]
    tiles: tuple[int, int]
    tile: tuple[int, int]
    overlap: tuple[int, int]
    borders: tuple[tuple[int, ...], tuple[int, ...]]
    computed: int
    adaptive: bool
    redundancy: float
    memory_bytes: int
    disk_bytes: int
    runtime: str
    precision_reason: str
    seconds: float | None
    findings: tuple[Finding, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """The plan for a terminal."""
        (rows, cols), (height, width) = self.tiles, self.tile
        down, along = self.overlap
        yield f"{self.shape[0]} x {self.shape[1]} px in {rows} x {cols} tiles of {height} x {width} px"
        yield f"overlap {down} x {along} px, {self.redundancy:.2f} pixels computed for each that is wanted"
        if self.computed < rows * cols:
            yield f"{self.computed} of {rows * cols} tiles are computed; in the others nothing is wanted or valid"
        if self.adaptive:
            yield "adaptive: fewer tiles, and less time, where a coarse look settles them; that is known only after it"
        yield f"{self.runtime} ({self.precision_reason})"
        yield f"memory: about {self.memory_bytes / 1e9:.1f} GB at the peak"
        yield f"disk: {self.disk_bytes / 1e9:.2f} GB of working files beside the first output, besides the outputs"
        if self.seconds is None:
            yield "time: unknown, the scene has no valid pixels where it was tried"
        else:
            yield f"time: about {duration_text(self.seconds)} for inference, from two tries on this machine"


def disk_of(plan: TilePlan, spec: ModelSpec, *, kept: bool, cleaned: bool) -> int:
    """Bytes of working rasters; `kept` = with all class probabilities, `cleaned` = with cleaned codes, too."""
    return plan.rows.length * plan.cols.length * (3 + (2 * spec.classes if kept else 0) + (1 if cleaned else 0))


def require_room(memory: int, disk: int, folder: Path) -> None:
    """Refuse a run that would not end.

    Args:
        memory: bytes that the process takes.
        disk: bytes of working files in `folder`.
        folder: where outputs go.

    Raises:
        InputError: more memory than is free.
        OutputError: more working files than the disk has room for.
    """
    free = psutil.virtual_memory().available
    if memory > free:
        raise InputError(
            f"the run takes about {memory / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are free; give less with "
            "--memory, or end what else is running"
        )
    room = shutil.disk_usage(folder).free
    if disk > room:
        raise OutputError(
            f"{folder}: the run takes {disk / 1e9:.1f} GB of working files, {room / 1e9:.1f} GB are free; make "
            "room, or write to another disk"
        )


def seconds_of(pixels: int, fit: Fit, spec: ModelSpec, runtime: Runtime) -> float | None:
    """How long inference of so many pixels takes, from a small tile that is inferred twice; None without valid ones.

    Raises:
        InputError: a part of the scene cannot be read.
    """
    for sample in read_samples(fit, spec, 1):
        runtime(sample.channels[None])  # what is made once
        start = time.perf_counter()
        runtime(sample.channels[None])
        per_pixel = (time.perf_counter() - start) / sample.valid.size
        return per_pixel * pixels
    return None
