"""The page: all sections under one head, with the style in the file itself."""

from __future__ import annotations

from collections.abc import Sequence

from geoseg.evaluation.areas.estimates import AreaEstimates
from geoseg.evaluation.evaluation import Evaluation
from geoseg.evaluation.intervals import ASSUMPTION
from geoseg.views.evaluation.areas import areas_section
from geoseg.views.evaluation.calibration import calibration_section
from geoseg.views.evaluation.classes import classes_section, overall_section
from geoseg.views.evaluation.confusion import confusion_section
from geoseg.views.evaluation.groups import groups_section
from geoseg.views.evaluation.maps import maps_section
from geoseg.views.evaluation.markup import Html, details, element, join, of_class, table, tag
from geoseg.views.evaluation.pictures import CasePictures
from geoseg.views.evaluation.style import STYLE
from geoseg.views.evaluation.verdict import verdict

_NAMED = 4  # cases in the title
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"  # nothing is loaded from anywhere


def report_page(
    evaluation: Evaluation, pictures: Sequence[CasePictures] = (), areas: AreaEstimates | None = None
) -> str:
    """The report of an evaluation as one HTML document that loads nothing and runs no script.

    Args:
        evaluation: what was counted.
        pictures: of its cases.
        areas: estimates from reference points, for a section of their own.
    """
    title = f"Evaluation of {_title(evaluation)}"
    body = (
        tag("header", tag("h1", title), of_class("p", "verdict", " ".join(verdict(evaluation)))),
        maps_section(pictures, evaluation.legend, evaluation.ground),
        overall_section(evaluation),
        classes_section(evaluation),
        confusion_section(evaluation),
        calibration_section(evaluation),
        groups_section(evaluation),
        areas_section(areas),
        _notes(evaluation),
        _provenance(evaluation),
    )
    head = (
        element("meta", {"charset": "utf-8"}),
        element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        element("meta", {"http-equiv": "Content-Security-Policy", "content": _POLICY}),
        tag("title", title),
        tag("style", Html(STYLE)),
    )
    page = element("html", {"lang": "en"}, tag("head", *head), tag("body", tag("main", *body)))
    return f"<!doctype html>\n{page}\n"


def _title(evaluation: Evaluation) -> str:
    names = [case.name for case in evaluation.cases]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return (", ".join(names[:_NAMED]) or "a map") + more


def _notes(evaluation: Evaluation) -> Html:
    notes = [*evaluation.notes]
    if evaluation.intervals is not None:
        notes.append(f"about the intervals: {ASSUMPTION}")
    notes.append("errors of the reference count as errors of the map")
    return tag("section", tag("h2", "Notes"), tag("ul", *(tag("li", note) for note in notes)))


def _provenance(evaluation: Evaluation) -> Html:
    found = evaluation.provenance
    rows = [("date", found.date), ("command", found.command or "-"), ("model", evaluation.model or "a finished map")]
    rows += [("runtime", found.runtime)] if found.runtime else []
    rows += [("ground", evaluation.ground)]
    if evaluation.intervals is not None:
        known = evaluation.intervals
        rows.append(
            ("intervals", f"{known.replicates} replicates of {known.blocks} blocks, {known.unit}, seed {known.seed}")
        )
    inputs = table(
        ("input", "sha256"), ((name, of_class("code", "hash", value)) for name, value in found.inputs.items()), "Inputs"
    )
    versions = table(("software", "version"), found.versions.items(), "Versions")
    return tag(
        "section",
        tag("h2", "Provenance"),
        table(("what", "how"), rows, "How this came about"),
        details("Inputs and versions", join((inputs, versions))),
    )
