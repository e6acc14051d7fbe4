"""Areas and accuracies that a random sample of points gives."""

from __future__ import annotations

from geoseg.evaluation.areas.estimates import MEANING, AreaEstimates
from geoseg.evaluation.areas.words import accuracy
from geoseg.views.evaluation.markup import Html, details, named, number, of_class, table, tag
from geoseg.views.evaluation.numbers import hectares, percent


def areas_section(areas: AreaEstimates | None) -> Html:
    """Estimated areas beside those of the map; empty without estimates."""
    if areas is None:
        return Html("")
    level = f"{100 * areas.confidence:g} %"
    rows = [
        (
            named(c.colour, c.name),
            *map(number, (hectares(c.mapped_m2), hectares(c.area_m2.value), f"± {hectares(c.area_m2.margin)}")),
            *map(number, (accuracy(c.users), accuracy(c.producers))),
        )
        for c in areas.classes
    ]
    head = ("class", "mapped ha", "estimated ha", level, "user's accuracy", "producer's accuracy")
    text = (
        f"From {areas.points} reference points in {len(areas.strata)} strata ({areas.strata_from}), for "
        f"{hectares(areas.total_m2)} ha of {areas.map}. Overall accuracy {accuracy(areas.overall)}. "
        "Publish the estimated areas, not the mapped ones."
    )
    notes = tag("ul", *(tag("li", note) for note in areas.notes)) if areas.notes else Html("")
    return tag(
        "section",
        tag("h2", "Areas"),
        tag("p", text),
        table(head, rows, f"Areas and accuracies with intervals of {level}"),
        of_class("p", "small", f"The intervals: {MEANING}."),
        notes,
        details("Error matrix in shares of the area", _matrix(areas)),
    )


def _matrix(areas: AreaEstimates) -> Html:
    names = [c.name for c in areas.classes]
    rows = [
        (name, *(number(percent(share)) for share in shares))
        for name, shares in zip(names, areas.proportions, strict=True)
    ]
    return table(("map \\ reference", *names), rows, "Estimated shares of the area: rows are the map")
