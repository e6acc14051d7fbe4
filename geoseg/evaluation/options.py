"""The options of an evaluation."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from geoseg.core.legend import Legend
from geoseg.data.splits.split import FOLDS
from geoseg.errors import InputError
from geoseg.evaluation.bootstrap import BootstrapOptions
from geoseg.inference.options import PredictOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateOptions:
    """What is counted, and how it is taken apart.

    `legend` is that of finished maps that do not tell theirs. With `split` (a file of `geoseg split`) only the ground
    of `fold` is counted. `regions` is a layer of polygons, `region_names` the columns that name groups. `tolerance_m`
    is that of the boundary scores: None = twice the coarsest pixel, 0 = no such scores. `block_m` is the side of the
    blocks that are resampled: "auto" = blocks of the split, or squares as long as the labels' autocorrelation reaches;
    None = no intervals. `maps` is a folder where the maps that a model draws are kept. `predict` says how it draws.
    """

    legend: Legend | None = None
    split: Path | None = None
    fold: Literal["train", "val", "test"] = "test"
    regions: Path | None = None
    region_names: tuple[str, ...] = ()
    tolerance_m: float | None = None
    block_m: float | Literal["auto"] | None = "auto"
    bootstrap: BootstrapOptions = field(default_factory=BootstrapOptions)
    maps: Path | None = None
    overwrite: bool = False
    command: str = ""
    predict: PredictOptions = field(default_factory=PredictOptions)

    def __post_init__(self) -> None:
        if self.fold not in FOLDS:
            raise InputError(f"found the fold {self.fold!r}, needed one of {', '.join(FOLDS)}")
        if self.tolerance_m is not None and not (self.tolerance_m >= 0 and math.isfinite(self.tolerance_m)):
            raise InputError(f"the tolerance must be at least 0 m, found {self.tolerance_m}")
        if isinstance(self.block_m, (int, float)) and not (self.block_m > 0 and math.isfinite(self.block_m)):
            raise InputError(f"blocks must be longer than 0 m, found {self.block_m}")
        if (self.regions is None) != (not self.region_names):
            raise InputError("regions are a layer and at least one of its columns; give both, or neither")
        reserved = {"scene", "region", "block"} & set(self.region_names)
        if reserved or len(set(self.region_names)) != len(self.region_names):
            found = ", ".join(self.region_names)
            raise InputError(f"found the columns {found}; each can be given once, and none may be scene, region, block")
