"""Where results go: checked before the work, written in a hidden folder, renamed when everything is finished."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

from geoseg.errors import OutputError
from geoseg.io.output import check_writable
from geoseg.io.vector import check_vector_name, outdated_files, vector_files

RASTER_SUFFIXES = (".tif", ".tiff")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """What to write: polygons, mask and class probabilities; the suffix tells the format, None = not wanted.

    Strings are taken as paths.
    """

    polygons: Path | None = None
    mask: Path | None = None
    probabilities: Path | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and not Path(value).name:
                raise OutputError(f"{value!r} is no file name; name the file for {field.name}")
            object.__setattr__(self, field.name, None if value is None else Path(value))

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
        beside = () if self.polygons is None else vector_files(self.polygons)[1:]
        return (*self.paths, *self.mask_sidecars, *beside)

    def inside(self, work: Path) -> Outputs:
        """The same files under their own names in the folder `work`, made anew, each output in a folder of its own."""
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        staged = {}
        for field in fields(self):
            path = getattr(self, field.name)
            if path is not None:
                (work / field.name).mkdir()
                staged[field.name] = work / field.name / path.name
        return Outputs(**staged)


def check_outputs(outputs: Outputs, *, overwrite: bool, inputs: Iterable[Path] = ()) -> None:
    """Refuse outputs that cannot be written, before any work is done.

    Raises:
        OutputError: none at all, or one file twice, or one of the `inputs`; an unknown suffix; a file that exists
            (without `overwrite`); a folder that is missing or not writable.
    """
    if not outputs.paths:
        raise OutputError("no output asked for; name at least one of --out, --mask and --probabilities")
    taken = {path.resolve() for path in inputs}
    seen: set[Path] = set()
    for path in outputs.files:
        if path.resolve() in taken:
            raise OutputError(f"{path}: is an input of this run; choose another name")
        if path.resolve() in seen:
            raise OutputError(f"{path}: would be written twice; give each output its own name")
        seen.add(path.resolve())
    if outputs.polygons is not None:
        check_vector_name(outputs.polygons)
    for raster in (outputs.mask, outputs.probabilities):
        if raster is not None and raster.suffix.lower() not in RASTER_SUFFIXES:
            known = ", ".join(RASTER_SUFFIXES)
            raise OutputError(f"{raster}: unknown suffix {raster.suffix!r}; rasters can be written as {known}")
    for path in outputs.files:
        check_writable(path, overwrite=overwrite)


def publish(staged: Outputs, outputs: Outputs) -> None:
    """Give the finished files their final names: all are first brought beside their places, then renamed together.

    Raises:
        OutputError: a place cannot be written; no output has changed then.
    """
    nearby = {path: path.with_name(f".{path.name}.tmp-{os.getpid()}") for path in outputs.files}
    try:
        for finished, temporary in zip(staged.files, nearby.values(), strict=True):
            shutil.move(finished, temporary)  # a rename, or a copy where the file system is another one
        for path, temporary in nearby.items():
            temporary.replace(path)
    except OSError as error:
        raise OutputError(f"{error.filename}: cannot be written ({error.strerror}); check rights and space") from error
    finally:
        for temporary in nearby.values():
            temporary.unlink(missing_ok=True)
    for path in () if outputs.polygons is None else outdated_files(outputs.polygons):
        path.unlink(missing_ok=True)
    if outputs.probabilities is not None:  # statistics that a viewer left beside an older file describe other pixels
        outputs.probabilities.with_name(f"{outputs.probabilities.name}.aux.xml").unlink(missing_ok=True)
