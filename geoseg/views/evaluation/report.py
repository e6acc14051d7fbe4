"""The sentence of reporting: read the pictures, make the page, write the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from geoseg.errors import OutputError
from geoseg.evaluation.areas.estimates import AreaEstimates
from geoseg.evaluation.cases import Case
from geoseg.evaluation.evaluate import evaluate
from geoseg.evaluation.evaluation import Evaluation
from geoseg.evaluation.options import EvaluateOptions
from geoseg.inference.engine import Progress
from geoseg.io.output import check_writable, replacing
from geoseg.io.scene import Scene
from geoseg.models.bundle import Bundle
from geoseg.models.ensemble import Ensemble
from geoseg.views.evaluation.page import report_page
from geoseg.views.evaluation.pictures import read_pictures

SUFFIXES = (".html", ".htm")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRequest:
    """Where a report goes, and estimates from reference points for a section of their own."""

    out: Path
    areas: AreaEstimates | None = None
    overwrite: bool = False


def write_report(evaluation: Evaluation, request: ReportRequest, scenes: Sequence[Scene | None] = ()) -> None:
    """Write the report of an evaluation: one HTML file that works offline, with pictures of the files it names.

    Pictures whose files are not there any more are left out, and the page says so.

    Args:
        evaluation: what was counted.
        request: where the report goes.
        scenes: those of its cases, in order, where they are open; else they are opened by their paths.

    Raises:
        OutputError: the file is no .html, exists already, or cannot be written.
    """
    check_report(request)
    page = report_page(evaluation, read_pictures(evaluation, scenes), request.areas)
    with replacing(request.out) as unfinished:
        unfinished.write_text(page, encoding="utf-8")


def check_report(request: ReportRequest) -> None:
    """Refuse a report that cannot be written, before anything is counted.

    Raises:
        OutputError: see `write_report`.
    """
    if request.out.suffix.lower() not in SUFFIXES:
        raise OutputError(f"{request.out}: the suffix {request.out.suffix!r} is unknown; a report is written as .html")
    check_writable(request.out, overwrite=request.overwrite)


def evaluate_with_report(
    cases: Sequence[Case],
    bundle: Bundle | Ensemble | None,
    options: EvaluateOptions,
    request: ReportRequest | None = None,
    *,
    progress: Progress = lambda _stage, _done, _total: None,
) -> Evaluation:
    """`evaluate`, with a report that also shows maps that are not kept, and scenes just as they were opened.

    Raises:
        GeosegError: see `evaluate` and `write_report`.
    """
    if request is None:
        return evaluate(cases, bundle, options, progress=progress)
    check_report(request)
    scenes = tuple(case.scene for case in cases)
    if options.maps is not None or bundle is None:
        evaluation = evaluate(cases, bundle, options, progress=progress)
        write_report(evaluation, request, scenes)
        return evaluation
    with TemporaryDirectory(prefix="geoseg-") as folder:
        evaluation = evaluate(cases, bundle, replace(options, maps=Path(folder)), progress=progress)
        write_report(evaluation, request, scenes)
    return replace(evaluation, cases=tuple(replace(case, map=None) for case in evaluation.cases))
