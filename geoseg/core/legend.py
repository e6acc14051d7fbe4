"""The classes of a map: codes in files, indices in models, names and colours for people."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg.errors import InputError

UNLABELLED = 255
"""The code, and the index, of a pixel without a class: unlabelled in truth, nodata in maps."""

_CODES = np.iinfo(np.int32)
_HEX_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LandClass:
    """One class: its code in rasters, name, colour as #rrggbb, and the name of its parent class if any.

    Codes are 0 to 254 in everything that geoseg makes or is trained on; rasters of others may have any of int32.
    """

    code: int
    name: str
    colour: str
    parent: str | None = None

    def __post_init__(self) -> None:
        if not _CODES.min <= self.code <= _CODES.max:
            msg = f"class {self.name!r}: the code must be an integer of 32 bits, got {self.code}"
            raise InputError(msg)
        if not self.name.strip():
            msg = f"the class with code {self.code} needs a name"
            raise InputError(msg)
        if not _HEX_COLOUR.fullmatch(self.colour):
            msg = f"class {self.name!r}: the colour must look like #rrggbb, got {self.colour!r}"
            raise InputError(msg)

    @property
    def rgb(self) -> tuple[int, int, int]:
        """The colour as three numbers of 0 to 255."""
        return int(self.colour[1:3], 16), int(self.colour[3:5], 16), int(self.colour[5:7], 16)


@dataclass(frozen=True, slots=True)
class Legend:
    """Classes in the order of the model's outputs: class i of the model is `classes[i]`, with its own code."""

    classes: tuple[LandClass, ...]

    def __post_init__(self) -> None:
        codes = [c.code for c in self.classes]
        names = [c.name for c in self.classes]
        if not self.classes or len(set(codes)) != len(codes) or len(set(names)) != len(names):
            msg = f"a legend needs at least one class, with unique codes and names; got {codes} and {names}"
            raise InputError(msg)

    def __len__(self) -> int:
        return len(self.classes)

    def __iter__(self) -> Iterator[LandClass]:
        return iter(self.classes)

    def __getitem__(self, index: int) -> LandClass:
        return self.classes[index]

    @property
    def codes(self) -> NDArray[np.uint8]:
        """Code of every index, shape (class,).

        Raises:
            InputError: for codes other than 0 to 254, the only ones in masks and labels.
        """
        for c in self.classes:
            if not 0 <= c.code < UNLABELLED:
                msg = f"class {c.name!r}: the code must be 0 to {UNLABELLED - 1}, got {c.code}"
                raise InputError(msg)
        return np.array([c.code for c in self.classes], dtype=np.uint8)

    def to_codes(self, indices: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Model indices to codes; 255 stays 255. Other numbers without a class raise IndexError."""
        table = np.full(256, UNLABELLED, dtype=np.uint8)
        table[: len(self)] = self.codes
        unknown = ((indices < 0) | (indices >= len(self))) & (indices != UNLABELLED)
        if unknown.any():
            msg = f"class index {indices[unknown][0]} in a legend of {len(self)} classes"
            raise IndexError(msg)
        return table[indices]

    def to_indices(self, codes: NDArray[Any]) -> NDArray[np.uint8]:
        """Codes to model indices; 255, NaN and numbers outside the legend become 255 (see `unknown_codes`)."""
        table = np.full(256, UNLABELLED, dtype=np.uint8)
        table[self.codes] = np.arange(len(self), dtype=np.uint8)
        inside = (codes >= 0) & (codes <= UNLABELLED)
        narrow = np.where(inside, codes, 0).astype(np.uint8)
        return np.where(narrow == codes, table[narrow], np.uint8(UNLABELLED))

    def unknown_codes(self, codes: NDArray[Any]) -> tuple[float, ...]:
        """Numbers found that are neither in the legend nor 255 nor NaN, in rising order."""
        known = {*self.codes.tolist(), UNLABELLED}
        found: list[float] = np.unique(codes).tolist()
        return tuple(code for code in found if code not in known and not math.isnan(code))
