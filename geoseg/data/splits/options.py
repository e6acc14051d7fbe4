"""The options of a split: the `split` section of a config."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic.dataclasses import dataclass

from geoseg.data.options import STRICT, LocalPath


def _make_a_whole(shares: tuple[float, float, float]) -> tuple[float, float, float]:
    train, val, test = shares
    if min(train, val) <= 0 or test < 0 or abs(sum(shares) - 1) > 1e-6:
        msg = f"train and val must be above 0, test at least 0, and the sum 1; found {shares}"
        raise ValueError(msg)
    return shares


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class SplitOptions:
    """How the ground is divided into train, val and test."""

    block_m: Annotated[float, Field(gt=0, allow_inf_nan=False)] | Literal["auto"] = 3000.0
    """Side of the square blocks in m; "auto" = the range of the labels' variogram, as far as enough blocks remain."""
    polygons: LocalPath | None = None
    """A vector file whose polygons are the blocks, instead of squares; ground outside of them belongs to no fold."""
    polygons_name: str | None = None
    """The column of `polygons` with the blocks' names; polygons of one name are one block. Null = each row is one."""
    attribute: Literal["region", "scene"] | None = None
    """Scenes of one region are one block, or each scene is one, instead of squares."""
    buffer_m: Annotated[float, Field(ge=0, allow_inf_nan=False)] | Literal["auto"] = 0.0
    """Ground closer than this, in m, to a block of another fold belongs to no fold; "auto" = the variogram's range, at
    most a quarter of a block's side."""
    shares: Annotated[tuple[float, float, float], AfterValidator(_make_a_whole)] = (0.6, 0.2, 0.2)
    """Of train, val and test among the labelled pixels of each class."""
    folds: Annotated[int, Field(ge=3)] | None = None
    """k, for a cross-validation of k runs: blocks are dealt to k equal parts, and `shares` is not used."""
    fold: Annotated[int, Field(ge=0)] = 0
    """The run of a cross-validation, from 0: this part is test, the next one val, the rest train."""
    seed: int = 0
    """Another seed deals the blocks in another way."""
    file: LocalPath | None = None
    """A saved split to use as it is; only `fold` may be given beside it."""

    @model_validator(mode="after")
    def _fit_each_other(self) -> Self:
        if self.file is not None:
            defaults = {field.name: field.default for field in fields(SplitOptions)}
            others = [n for n, value in defaults.items() if n not in {"file", "fold"} and getattr(self, n) != value]
            if others:
                msg = f"file gives the whole split; leave out {', '.join(others)}"
                raise ValueError(msg)
        elif self.fold >= (self.folds or 1):
            msg = f"fold must be below the number of folds, {self.folds or 1}; found {self.fold}"
            raise ValueError(msg)
        if self.polygons is not None and self.attribute is not None:
            msg = "polygons and attribute both make blocks; choose one"
            raise ValueError(msg)
        if self.polygons is None and self.polygons_name is not None:
            msg = "polygons_name is a column of polygons; give polygons, too"
            raise ValueError(msg)
        return self
