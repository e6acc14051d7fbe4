"""Drawn maps: what a model makes of a scene, for as long as it is counted, and kept where that is wanted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from geoseg.core.provenance import Provenance
from geoseg.errors import OutputError
from geoseg.evaluation.cases import Reference
from geoseg.evaluation.maps import MapFile, open_map, open_working_map
from geoseg.evaluation.options import EvaluateOptions
from geoseg.inference.drawing import DrawnMap, Workplace, draw
from geoseg.inference.engine import Progress
from geoseg.inference.maps import write_mask
from geoseg.io.fingerprint import fingerprints
from geoseg.io.output import check_writable
from geoseg.io.style import raster_qml
from geoseg.models.ensemble import Ensemble


@contextmanager
def mapped(
    reference: Reference, ensemble: Ensemble | None, options: EvaluateOptions, progress: Progress
) -> Iterator[MapFile]:
    """The map of a case: as it was given, or drawn into a temporary folder."""
    case, legend = reference.case, reference.labels.legend
    if case.map is not None:
        yield open_map(case.map, legend, case.probabilities)
        return
    assert reference.fit is not None  # noqa: S101  (every scene was fitted)
    assert ensemble is not None  # noqa: S101
    with TemporaryDirectory(prefix="geoseg-") as folder:
        predict = replace(options.predict, grid="model")
        drawn = draw(reference.fit, ensemble, Workplace(folder=Path(folder)), predict, progress)
        _keep(reference, drawn, options)
        yield replace(open_working_map(drawn.maps.codes, drawn.maps.confidence, legend), runtime=drawn.runtime)


def kept(reference: Reference, options: EvaluateOptions) -> Path | None:
    """Where the map of a case lies after the evaluation."""
    if reference.case.map is not None:
        return reference.case.map
    return None if options.maps is None else options.maps / f"{reference.name}.tif"


def check_kept(reference: Reference, options: EvaluateOptions) -> None:
    """Refuse a place for a drawn map that cannot be written, before anything is drawn; its folder is made.

    Raises:
        OutputError: see above.
    """
    path = kept(reference, options)
    if path is None or options.maps is None or reference.case.map is not None:
        return
    try:
        options.maps.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{options.maps}: cannot be made ({error.strerror}); choose another folder") from error
    check_writable(path, overwrite=options.overwrite)


def _keep(reference: Reference, drawn: DrawnMap, options: EvaluateOptions) -> None:
    path = kept(reference, options)
    if path is None:
        return
    provenance = Provenance.now(inputs=fingerprints(reference.fit.scene.paths if reference.fit else ()))
    provenance = replace(provenance, command=options.command, runtime=drawn.runtime)
    tags = {"GEOSEG_PROVENANCE": json.dumps(provenance.to_dict(), sort_keys=True)}
    write_mask(drawn.maps, reference.labels.legend, path, tags)
    path.with_suffix(".qml").write_text(raster_qml(reference.labels.legend), encoding="utf-8")
