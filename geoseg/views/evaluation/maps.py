"""The pictures of all cases, with a legend; each can be shown alone."""

from __future__ import annotations

from collections.abc import Sequence

from geoseg.core.legend import Legend
from geoseg.views.evaluation.markup import Html, data_uri, element, join, named, of_class, tag
from geoseg.views.evaluation.pictures import ERROR_COLOURS, ERROR_NAMES, CasePictures, Picture


def maps_section(cases: Sequence[CasePictures], legend: Legend, ground: str) -> Html:
    """Every case in a frame with switches; empty without cases."""
    if not cases:
        return Html("")
    keys = [tag("li", named(c.colour, c.name)) for c in legend]
    errors = [tag("li", named(ERROR_COLOURS[code], name)) for code, name in ERROR_NAMES.items()]
    return tag(
        "section",
        tag("h2", "Maps"),
        of_class(
            "p",
            "small",
            f"Counted was {ground}; the pictures show all that is labelled, made smaller where it is large.",
        ),
        of_class("ul", "key", *keys),
        of_class("ul", "key", tag("li", tag("strong", "Errors:")), *errors),
        *(_case(number, case) for number, case in enumerate(cases)),
    )


def _case(number: int, case: CasePictures) -> Html:
    parts: list[str] = [tag("h3", case.name)]
    if len(case.pictures) > 1:
        titles = ("side by side", *(picture.title for picture in case.pictures))
        parts += [_switch(number, i, title) for i, title in enumerate(titles)]
    parts.append(of_class("div", "pictures", *map(_figure, case.pictures)))
    parts += [of_class("p", "small", note) for note in case.notes]
    return of_class("div", "case", *parts)


def _switch(case: int, position: int, title: str) -> Html:
    """A radio button, which the style sheet turns into a tab: without any script."""
    name = f"show-{case}-{position}"
    chosen: dict[str, str | bool] = {
        "type": "radio",
        "name": f"show-{case}",
        "id": name,
        "class": f"s{position}",
        "checked": position == 0,
    }
    return join((element("input", chosen), element("label", {"for": name}, title)))


def _figure(picture: Picture) -> Html:
    image = {"src": data_uri(picture.png), "alt": picture.alt, "class": "crisp" if picture.crisp else "smooth"}
    return tag("figure", element("img", image), tag("figcaption", picture.title))
