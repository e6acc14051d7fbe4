"""Labelled ground: what the parts of this room give each other, whether it comes from files or from torchgeo."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from geoseg.core.bands import BandSet
from geoseg.core.grid import Grid, Window
from geoseg.core.legend import UNLABELLED
from geoseg.core.raster import Raster


class PixelReader(Protocol):
    """Open files of one thread, to read pixels from."""

    def read(self, window: Window) -> Raster:
        """The pixels of a window, which may reach beyond the grid: there data are 0 and invalid."""


class Pixels(Protocol):
    """Something to read chips from: `geoseg.io.scene.Scene` is one."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def bands(self) -> BandSet:
        """The bands of what is read, with its calibration."""

    @property
    def grid(self) -> Grid:
        """Where the pixels are."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that it is stored in."""

    def reader(self) -> AbstractContextManager[PixelReader]:
        """Open files for many reads by one thread."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelWindow:
    """Labels of a window.

    `classes` are class indices, uint8, shape (row, col), 255 = unlabelled. `shares` are the class probabilities where
    labels are soft, float32, shape (class, row, col): they sum to 1 where a pixel is labelled and are 0 where not;
    `classes` is then the likeliest class. None where labels are certain. `ignored`, shape (row, col), is True where a
    source says that the ground is not to be labelled, rather than nothing; None = nowhere.
    """

    classes: NDArray[np.uint8]
    shares: NDArray[np.float32] | None = None
    ignored: NDArray[np.bool_] | None = None

    @property
    def silent(self) -> NDArray[np.bool_]:
        """True where nothing is said, shape (row, col)."""
        unlabelled: NDArray[np.bool_] = self.classes == UNLABELLED
        return unlabelled if self.ignored is None else unlabelled & ~self.ignored


class LabelReader(Protocol):
    """Open label layers of one thread."""

    def read(self, window: Window) -> LabelWindow:
        """The labels of a window, which may reach beyond the grid: there pixels are unlabelled."""


class Labels(Protocol):
    """Labels on a scene's grid, made window by window."""

    @property
    def grid(self) -> Grid:
        """Where the labels are wanted."""

    @property
    def soft(self) -> bool:
        """True where windows carry shares."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that the labels come from."""

    @property
    def fingerprint(self) -> str:
        """Hex digits that change when files, options, grid or legend change."""

    def reader(self) -> AbstractContextManager[LabelReader]:
        """Open layers for many reads by one thread."""


class ClassReader(Protocol):
    """Open class map of one thread."""

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Class indices of a window, shape (row, col), 255 = unlabelled and beyond the grid."""


class ClassMap(Protocol):
    """Class indices on a grid: certain labels, cheap to read again and again."""

    @property
    def grid(self) -> Grid:
        """Where the classes are."""

    def reader(self) -> AbstractContextManager[ClassReader]:
        """Open files for many reads by one thread."""
