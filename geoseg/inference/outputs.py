"""Where results go: checked before the work, written in a hidden folder, renamed when everything is finished."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from geoseg.errors import OutputError
from geoseg.io.vector import VECTOR_SUFFIXES

RASTER_SUFFIXES = (".tif", ".tiff")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """What to write: polygons, mask and class probabilities; the suffix tells the format, None = not wanted."""

    polygons: Path | None = None
    mask: Path | None = None
    probabilities: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """The outputs that are wanted."""
        return tuple(path for path in (self.polygons, self.mask, self.probabilities) if path is not None)

    @property
    def mask_sidecars(self) -> tuple[Path, ...]:
        """What is written beside the mask: the QGIS style, and the class names as GDAL reads them."""
        if self.mask is None:
            return ()
        return self.mask.with_suffix(".qml"), self.mask.with_name(f"{self.mask.name}.aux.xml")

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that will appear."""
        return (*self.paths, *self.mask_sidecars)


def check_outputs(outputs: Outputs, *, overwrite: bool) -> None:
    """Refuse outputs that cannot be written, before any work is done.

    Raises:
        OutputError: none at all, or one name twice; an unknown suffix; a file that exists (without `overwrite`); a
            folder that is missing or not writable.
    """
    if not outputs.paths:
        raise OutputError("no output asked for; name at least one of --out, --mask and --probabilities")
    names = [path.name for path in outputs.files]
    if len(set(names)) < len(names):
        raise OutputError(f"two outputs share a file name: {', '.join(names)}; choose different ones")
    if outputs.polygons is not None:
        _check_suffix(outputs.polygons, VECTOR_SUFFIXES, "polygons")
    for path in (outputs.mask, outputs.probabilities):
        if path is not None:
            _check_suffix(path, RASTER_SUFFIXES, "rasters")
    for path in outputs.files:
        check_writable(path, overwrite=overwrite)


def check_writable(path: Path, *, overwrite: bool) -> None:
    """Refuse a path that exists (without `overwrite`) or whose folder is missing or read-only, by OutputError."""
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; name a file")
    if path.exists() and not overwrite:
        raise OutputError(f"{path}: exists already; choose another name or add --overwrite")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: there is no folder {path.parent}; make it first")
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"{path}: the folder {path.parent} is not writable; choose another one")


@contextmanager
def work_folder(beside: Path) -> Iterator[Path]:
    """A hidden folder beside an output, so that renames stay on one file system; removed at the end."""
    try:
        work = Path(tempfile.mkdtemp(prefix=f".{beside.stem}.", suffix=".geoseg-work", dir=beside.parent))
    except OSError as error:
        raise OutputError(f"{beside.parent}: cannot be written to ({error.strerror}); choose another folder") from error
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def publish(outputs: Outputs, work: Path) -> None:
    """Move the finished files from the work folder to their places; a rename where the file system allows it."""
    for path in outputs.files:
        finished = work / path.name
        if finished.stat().st_dev == path.parent.stat().st_dev:
            finished.replace(path)
        else:
            nearby = path.with_name(f".{path.name}.tmp-{os.getpid()}")
            shutil.copyfile(finished, nearby)
            nearby.replace(path)


def _check_suffix(path: Path, known: tuple[str, ...], what: str) -> None:
    if path.suffix.lower() not in known:
        raise OutputError(f"{path}: unknown suffix {path.suffix!r}; {what} can be written as {', '.join(known)}")
