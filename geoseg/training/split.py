"""Split: divide the ground of a config, save the blocks, report what leaks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from geoseg.data.splits.build import BuiltSplit
from geoseg.data.splits.files import save_split
from geoseg.data.splits.leakage import LeakageReport
from geoseg.data.splits.split import FOLDS
from geoseg.data.splits.variogram import BlockAdvice, Variogram, suggest_block_m, variogram
from geoseg.errors import InputError
from geoseg.inference.engine import Progress
from geoseg.io.output import check_writable
from geoseg.training.config import TrainConfig, read_config
from geoseg.training.ground import open_ground
from geoseg.training.leaks import judge, score_gap
from geoseg.training.truth import divide


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitRequest:
    """`fold` is the run of a k-fold split instead of the config's; with `score` the price of leaking is measured."""

    fold: int | None = None
    score: bool = False
    overwrite: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitResult:
    """A split, what was noted of it and its ground, its leakage report, the labels' variogram, a block size from it."""

    built: BuiltSplit
    notes: tuple[str, ...]
    leaks: LeakageReport
    variogram: Variogram
    advice: BlockAdvice

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        split = self.built.split
        blocks = {name: split.folds.count(fold) for fold, name in enumerate(FOLDS)}
        return {
            "method": split.method,
            "blocks": blocks,
            "buffer_m": split.buffer_m,
            "seed": split.seed,
            "range_m": self.variogram.range_m,
            "suggested_block_m": self.advice.block_m,
            "notes": list(self.notes),
            "leakage": self.leaks.to_dict(),
        }

    def lines(self) -> tuple[str, ...]:
        """The result for a terminal."""
        measured = (*self.variogram.lines(), f"suggested: {self.advice.reason}")
        found = () if self.built.variogram is not None else measured
        return (
            self.built.summary,
            *self.notes,
            *found,
            *self.leaks.lines(),
        )


def split(
    config_path: Path,
    out: Path | None = None,
    request: SplitRequest = SplitRequest(),
    *,
    progress: Progress = lambda _stage, _done, _total: None,
) -> SplitResult:
    """Divide the ground of a training config into folds and report what leaks between them.

    Args:
        config_path: the YAML file of `geoseg train`.
        out: a GeoPackage for blocks and folds, styled for QGIS; `split: {file: ...}` of a config takes it.
        request: what else is wanted.
        progress: told stages, done and total.

    Raises:
        InputError: config, scenes, labels or split cannot be used; see `read_config`, `open_ground` and `divide`.
        OutputError: `out` cannot be written.
    """
    if out is not None:
        check_writable(out, overwrite=request.overwrite)
    config = _with_fold(read_config(config_path), request.fold)
    ground = open_ground(config, progress)
    built = divide(ground, config)
    found = built.variogram or variogram(ground.maps, len(config.classes))
    leaks = judge(ground, built, chip_pixels=config.chips.size, range_m=found.range_m)
    if out is not None:
        save_split(built.split, out, legend=config.legend, block_pixels=built.block_pixels)
    if request.score:
        leaks = leaks.with_gap(score_gap(ground, built, config, progress))
    notes = (*ground.notes, *built.notes)
    return SplitResult(
        built=built, notes=notes, leaks=leaks, variogram=found, advice=suggest_block_m(found, _shares(config))
    )


def _with_fold(config: TrainConfig, fold: int | None) -> TrainConfig:
    if fold is None:
        return config
    try:
        return config.model_copy(update={"split": replace(config.split, fold=fold)})
    except ValidationError as error:
        raise InputError("; ".join(e["msg"].removeprefix("Value error, ") for e in error.errors())) from error


def _shares(config: TrainConfig) -> list[float]:
    folds = config.split.folds
    return [1 / folds] * folds if folds else [share for share in config.split.shares if share > 0]
