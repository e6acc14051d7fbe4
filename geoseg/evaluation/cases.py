"""Cases: maps and the reference that each is judged by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from geoseg.core.grid import Grid, Window
from geoseg.core.legend import Legend
from geoseg.data.ground import ClassReader, LabelReader
from geoseg.data.labels import LabelOptions, as_label_options, open_labels
from geoseg.data.labels.layers import LayeredLabels
from geoseg.errors import GeosegError, InputError, MissingFileError
from geoseg.evaluation.evaluation import CaseRecord
from geoseg.evaluation.legends import refuse_another_legend
from geoseg.inference.contract import Fit
from geoseg.io.legend import read_legend
from geoseg.io.raster import read_grid
from geoseg.io.scene import Scene

_YAML = (".yaml", ".yml")
_OPTIONS: TypeAdapter[LabelOptions] = TypeAdapter(LabelOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A reference, and what it is to judge: a `scene` that a model maps, or a finished `map`.

    `probabilities` belong to a finished map: a raster with a band for each class. `region` is where the case lies; the
    cases of one region are a group.
    """

    labels: LabelOptions
    scene: Scene | None = None
    map: Path | None = None
    probabilities: Path | None = None
    region: str = ""

    def __post_init__(self) -> None:
        if (self.scene is None) == (self.map is None):
            raise InputError("a case needs either a scene to map, or a finished map; give one of them")
        if self.scene is not None and self.probabilities is not None:
            raise InputError("probabilities belong to a finished map; a model that maps a scene makes its own")

    @property
    def name(self) -> str:
        """Of the scene, or of the map's file."""
        if self.scene is not None:
            return self.scene.name
        return "" if self.map is None else self.map.stem


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reference:
    """A case whose labels are open on the grid of its map; it is a `geoseg.data.ground.ClassMap` of the labels.

    `fit` is its scene, brought to the model; None where a finished map was given.
    """

    name: str
    case: Case
    labels: LayeredLabels
    fit: Fit | None = None

    @property
    def grid(self) -> Grid:
        """The map's."""
        return self.labels.grid

    @contextmanager
    def reader(self) -> Iterator[ClassReader]:
        """Open the labels for many reads by one thread."""
        with self.labels.reader() as reader:
            yield _CertainReader(reader=reader)

    def record(self, kept: Path | None) -> CaseRecord:
        """What was compared; `kept` is where the map lies, None where it was temporary."""
        case = self.case
        return CaseRecord(
            name=self.name,
            labels=_OPTIONS.dump_python(case.labels, mode="json"),
            scene=() if case.scene is None else tuple(map(str, case.scene.paths)),
            map=None if kept is None else str(kept.absolute()),
            probabilities=None if case.probabilities is None else str(case.probabilities.absolute()),
            region=case.region,
            height=self.grid.height,
            width=self.grid.width,
            gsd_m=self.grid.gsd_m,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _CertainReader:
    reader: LabelReader

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Class indices of a window, shape (row, col), 255 = unlabelled; of soft labels the likeliest class."""
        return self.reader.read(window).classes


def pair_cases(
    subjects: Sequence[Scene | Path], labels: Sequence[LabelOptions], probabilities: Sequence[Path] = ()
) -> tuple[Case, ...]:
    """Cases from scenes or finished maps in their order: labels (and probabilities) are one for all, or one for each.

    Raises:
        InputError: other numbers of them.
    """
    _require_number("labels", len(labels), len(subjects))
    if probabilities:
        _require_number("probabilities", len(probabilities), len(subjects))
    cases = []
    for i, subject in enumerate(subjects):
        reference = labels[i if len(labels) > 1 else 0]
        given = probabilities[i if len(probabilities) > 1 else 0] if probabilities else None
        scene, path = (None, subject) if isinstance(subject, Path) else (subject, None)
        cases.append(Case(labels=reference, scene=scene, map=path, probabilities=given))
    return tuple(cases)


def _require_number(what: str, found: int, wanted: int) -> None:
    if found not in (1, wanted):
        raise InputError(
            f"found {found} {what} for {wanted} scenes or maps; give one for all, or one for each, in order"
        )


def read_label_options(path: Path, column: str | None = None) -> LabelOptions:
    """Labels from a label file, or from a YAML file that holds what a training config has under `labels`.

    Raises:
        MissingFileError: no such file.
        InputError: no valid options; or a column beside a YAML file, which names its own.
    """
    if path.suffix.lower() not in _YAML:
        given: dict[str, Any] = {"path": path} if column is None else {"path": path, "column": column}
        return as_label_options(given, folder=Path.cwd())
    if column is not None:
        raise InputError(f"{path}: names its columns itself; leave out the column ({column})")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        if isinstance(content, Mapping) and "labels" in content:
            content = content["labels"]
        return as_label_options(content, folder=path.resolve().parent)
    except FileNotFoundError as error:
        raise MissingFileError(f"{path}: no such file; check the path") from error
    except ValidationError as error:
        mistakes = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'labels'}: {e['msg']}" for e in error.errors())
        raise InputError(f"{path}: {mistakes}") from error
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path}: not a readable YAML file: {' '.join(str(error).split())}") from error


def open_reference(case: Case, name: str, legend: Legend, fit: Fit | None = None) -> Reference:
    """Open the labels of a case on the grid of its map.

    Raises:
        InputError: labels that cannot be read, lie elsewhere, or have another legend; a map that is no raster.
    """
    _refuse_other_legends(case.labels, legend)
    if fit is not None:
        grid = fit.scene.grid
    else:
        assert case.map is not None  # noqa: S101  (else a scene was fitted)
        grid = read_grid(case.map)
    return Reference(name=name, case=case, labels=open_labels(case.labels, grid, legend), fit=fit)


def _refuse_other_legends(labels: LabelOptions, legend: Legend) -> None:
    """Rasters of codes that carry a legend of their own are believed."""
    for source in labels.sources:
        if source.classes is None and source.column is None and not source.probabilities and source.path.is_file():
            try:
                told = read_legend(source.path)
            except GeosegError:
                continue  # a vector file; or one that cannot be read, which will be said when it is opened
            if told is not None:
                refuse_another_legend(legend, told, str(source.path))


def unique_names(cases: Sequence[Case]) -> tuple[str, ...]:
    """A name for each case: its own, with a number where several have the same."""
    names = [case.name for case in cases]
    return tuple(
        name if names.count(name) == 1 else f"{name} ({names[: i + 1].count(name)})" for i, name in enumerate(names)
    )
