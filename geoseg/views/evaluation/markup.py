"""HTML and SVG by functions: whatever is not markup already is escaped."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterable, Mapping, Sequence

_NUMBER = '<td class="number"'
_VOID = {"br", "col", "img", "input", "meta"}
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")  # HTML may not hold them


class Html(str):
    """Markup; any other string is text."""

    __slots__ = ()


def escape(text: str) -> Html:
    """Text as markup, also within quotes of attributes; what HTML cannot hold becomes a replacement character."""
    if isinstance(text, Html):
        return text
    return Html(html.escape(_CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text)))


def join(parts: Iterable[str]) -> Html:
    """Parts one after the other; texts are escaped."""
    return Html("".join(map(escape, parts)))


def element(name: str, attributes: Mapping[str, str | float | bool], *children: str) -> Html:
    """An element; an attribute that is True stands alone, one that is False is left out.

    Args:
        name: of the element; never from outside.
        attributes: values are escaped.
        children: markup, or texts, which are escaped.
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items() if value is not False)
    if name in _VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(children)}</{name}>")


def tag(name: str, *children: str) -> Html:
    """An element without attributes."""
    return element(name, {}, *children)


def of_class(name: str, kind: str, *children: str) -> Html:
    """An element of a CSS class."""
    return element(name, {"class": kind}, *children)


def table(head: Sequence[str], rows: Iterable[Iterable[str]], caption: str) -> Html:
    """A table that scrolls sideways where it is wider than the page; the first cell of each row is its header.

    Args:
        head: names of the columns.
        rows: texts, or cells (`number`), a column each.
        caption: what the table tells.
    """
    cells = [(row_header(first), *map(_cell, others)) for first, *others in rows]
    numbers = [cell.startswith(_NUMBER) for cell in cells[0]] if cells else [False] * len(head)
    heads = [
        element("th", {"scope": "col", "class": "number" if right else "text"}, text)
        for text, right in zip(head, numbers, strict=True)
    ]
    parts = (
        tag("caption", caption),
        tag("thead", tag("tr", *heads)),
        tag("tbody", *(tag("tr", *row) for row in cells)),
    )
    return scrolling(tag("table", *parts), caption)


def scrolling(wide: Html, label: str) -> Html:
    """Something that may be wider than the page; it can be scrolled by keyboard, too."""
    return element("div", {"class": "scroll", "tabindex": 0, "role": "region", "aria-label": label}, wide)


def row_header(content: str) -> Html:
    """The first cell of a row, which breaks only words that are longer than it may be wide."""
    return element("th", {"scope": "row"}, tag("div", content))


def number(*parts: str) -> Html:
    """A cell of a table with a number."""
    return of_class("td", "number", *parts)


def details(summary: str, *children: str) -> Html:
    """Something to unfold."""
    return tag("details", tag("summary", summary), *children)


def data_uri(png: bytes) -> str:
    """A PNG as the address of an image."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def swatch(colour: str) -> Html:
    """A square of a colour (#rrggbb)."""
    return element("span", {"class": "swatch", "style": f"background:{colour}", "aria-hidden": "true"})


def named(colour: str, name: str) -> Html:
    """The name of a class beside its colour."""
    return of_class("span", "named", swatch(colour), tag("span", name))


def _cell(content: str) -> Html:
    return content if isinstance(content, Html) and content.startswith("<td") else tag("td", content)


def _attribute(key: str, value: str | float | bool) -> str:
    return f" {key}" if value is True else f' {key}="{escape(str(value))}"'
