"""The confusion matrix, coloured by row."""

from __future__ import annotations

from geoseg.evaluation.evaluation import Evaluation
from geoseg.evaluation.scores import ratio
from geoseg.views.evaluation.markup import Html, element, named, row_header, scrolling, tag
from geoseg.views.evaluation.numbers import percent

_DARK = 0.55  # from this share on, text is white


def confusion_section(evaluation: Evaluation) -> Html:
    """Shares of each true class by mapped class; counts show under the pointer."""
    counts = evaluation.total.confusion.counts
    shares = ratio(counts, counts.sum(axis=1, keepdims=True)).tolist()
    head = [element("th", {"scope": "col"}, "truth \\ map")]
    head += [element("th", {"scope": "col", "class": "turned"}, tag("span", name)) for name in evaluation.names]
    rows = []
    for i, land_class in enumerate(evaluation.legend):
        header = row_header(named(land_class.colour, land_class.name))
        cells = [
            _cell(shares[i][j], int(count), (land_class.name, other), right=i == j)
            for j, (count, other) in enumerate(zip(counts[i].tolist(), evaluation.names, strict=True))
        ]
        rows.append(tag("tr", header, *cells))
    caption = "Confusion: of each true class (row), the share that is mapped as each class (column)"
    matrix = element(
        "table", {"class": "matrix"}, tag("caption", caption), tag("thead", tag("tr", *head)), tag("tbody", *rows)
    )
    return tag("section", tag("h2", "Confusion"), scrolling(matrix, caption))


def _cell(share: float, count: int, names: tuple[str, str], *, right: bool) -> Html:
    note = f"{count:,} pixels of {names[0]} mapped as {names[1]}"
    if not count:
        return element("td", {"title": note}, "\N{MIDDLE DOT}")
    colour = "21,101,112" if right else "179,0,60"
    ink = "#fff" if share > _DARK else "#1b1b1f"
    style = f"background:rgba({colour},{share:.3f});color:{ink}"
    return element("td", {"title": note, "style": style}, f"<{percent(0.001)}" if share < 0.0005 else percent(share))
