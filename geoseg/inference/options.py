"""How to predict."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from geoseg.models.runtime.augmented import require_tta
from geoseg.vectorize.clean import CleanOptions
from geoseg.vectorize.simplify import SimplifyOptions
from geoseg.vectorize.split import SplitOptions
from geoseg.vectorize.zonal import ZonalRaster


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictOptions:
    """How to predict.

    `grid` "model" leaves the result on the working grid, "scene" brings it back to the scene's own (probabilities are
    resampled before the argmax). `tile` is the largest side of a tile and `overlap` that of neighbours, in px, and
    `memory` what the process may take, in bytes; None = see `geoseg.inference.tiles`. `aoi` is a vector file of
    polygons in any CRS: pixels whose centre lies in none of them are nodata in every output; None = all is wanted.
    `clean` is what to clean away in the finished map: mask and polygons both. `simplify` says how to simplify the
    polygons' borders, `split` how to cut polygons into tiles; None = not at all. `dissolve` puts all polygons of a
    class together; `zonal` are rasters of which polygons get statistics. `precision` is one of
    `geoseg.models.runtime.PRECISIONS`, or "auto": see `geoseg.inference.precision`. `tta`, the test-time augmentation,
    is one of `geoseg.models.runtime.augmented.TTA`. `resume` goes on with what an earlier end of the same prediction
    has left, where there is something. `adaptive` infers in full only where a coarse look leaves a question, see
    `geoseg.inference.adaptive`.

    Raises:
        InputError: for an unknown test-time augmentation.
    """

    grid: Literal["model", "scene"] = "model"
    tile: int | None = None
    overlap: int | None = None
    memory: int | None = None
    runtime: str = "auto"
    device: str = "auto"
    threads: int | None = None
    precision: str = "auto"
    tta: str = "none"
    aoi: Path | None = None
    clean: CleanOptions = field(default_factory=CleanOptions)
    simplify: SimplifyOptions | None = None
    split: SplitOptions | None = None
    dissolve: bool = False
    zonal: tuple[ZonalRaster, ...] = ()
    standardise: bool | None = None
    adaptive: bool = False
    resume: bool = False
    overwrite: bool = False
    command: str = ""

    def __post_init__(self) -> None:
        require_tta(self.tta)
