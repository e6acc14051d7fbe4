"""The report: one HTML file that is well-formed, loads nothing, escapes everything, and shows what there is."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import rasterio
from factory import LEGEND, write_raster

from geoseg.core.legend import LandClass, Legend
from geoseg.core.provenance import Provenance
from geoseg.errors import OutputError
from geoseg.evaluation.areas.estimates import AreaEstimates, ClassEstimate, Estimate, StratumRecord
from geoseg.evaluation.boundary import Boundaries
from geoseg.evaluation.confusion import Confusion
from geoseg.evaluation.evaluation import CaseRecord, Evaluation
from geoseg.evaluation.grouping import Group, Grouping
from geoseg.evaluation.intervals import Intervals
from geoseg.evaluation.reliability import Reliability
from geoseg.evaluation.tally import Tally
from geoseg.io.png import palette_png, png
from geoseg.views.evaluation.charts import bar, reliability_curve
from geoseg.views.evaluation.markup import Html, element, escape, tag
from geoseg.views.evaluation.page import report_page
from geoseg.views.evaluation.pictures import ERROR_COLOURS, read_pictures
from geoseg.views.evaluation.report import ReportRequest, write_report
from geoseg.views.evaluation.verdict import verdict

HOSTILE = (
    "<script>alert('x')</script>",
    '"><img src=http://evil.example/a.png onerror="x">',
    "🌲 </td></table>\x07\ud800",
)
COUNTS = np.array([[80, 15, 5], [10, 200, 30], [2, 8, 400]])
VOID = {"meta", "img", "input", "br", "col"}


class Reader(HTMLParser):
    """Elements in order, texts, and whether every element is closed where it should be."""

    def __init__(self):
        super().__init__()
        self.open, self.elements, self.texts = [], [], []

    def handle_starttag(self, name, attributes):
        self.elements.append((name, dict(attributes)))
        if name not in VOID:
            self.open.append(name)

    def handle_endtag(self, name):
        assert self.open.pop() == name

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.texts.append(data)

    @classmethod
    def of(cls, page):
        reader = cls()
        reader.feed(page)
        reader.close()
        assert not reader.open
        return reader

    def all(self, name):
        return [attributes for found, attributes in self.elements if found == name]

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


def renamed(names):
    return Legend(tuple(replace(c, name=name) for c, name in zip(LEGEND, names, strict=True)))


def tally(legend=LEGEND, scale=1, **parts):
    return Tally(confusion=Confusion(counts=COUNTS * scale, legend=legend), **parts)


def calibration():
    rng = np.random.default_rng(0)
    probability = rng.random(500)
    return Reliability.count(probability, rng.random(500) < probability**2)


def evaluation(legend=LEGEND, **changes):
    total = tally(legend, reliability=calibration(), boundaries=Boundaries(counts=np.arange(18).reshape(3, 6) + 20))
    poor = Tally(confusion=Confusion(counts=COUNTS[::-1].copy(), legend=legend))
    groups = (Group(name="north", tally=tally(legend)), Group(name="south & <b>", tally=poor))
    pair = ((0.1, 0.9), None, (0.5, 0.95))
    intervals = Intervals(
        confidence=0.95,
        unit="squares of 600 m",
        blocks=40,
        replicates=1000,
        seed=0,
        overall={"accuracy": (0.85, 0.95), "mean_iou": (0.6, 0.8)},
        by_class={"iou": pair, "recall": pair},
    )
    settings = {
        "legend": legend,
        "total": total,
        "groupings": (Grouping(by="state", groups=groups),),
        "intervals": intervals,
        "tolerance_m": 60.0,
        "notes": ("the scaling was assumed (unsure)",),
        "model": "lc.geoseg",
        "provenance": Provenance.now(inputs={"map.tif": "abc123"}, command="geoseg evaluate <x>"),
    }
    return Evaluation(**settings | changes)


def estimates(names=tuple(c.name for c in LEGEND)):
    known, unknown = Estimate.normal(0.9, 0.02, 1.96), Estimate.normal(np.nan, np.nan, 1.96)
    classes = tuple(
        ClassEstimate(
            name=name,
            colour="#112233",
            mapped_m2=1.5e6,
            area_m2=Estimate.normal(1.2e6, 1e5, 1.96, 9e6),
            users=known,
            producers=unknown,
            mapped_points=50,
            reference_points=60,
        )
        for name in names
    )
    return AreaEstimates(
        map="map.tif",
        points=150,
        confidence=0.95,
        overall=known,
        classes=classes,
        strata_from="the map's classes",
        strata=(StratumRecord(name="water", area_m2=4.5e6, points=150),),
        counts=((50, 0, 0),) * 3,
        proportions=((0.3, 0.02, 0.01),) * 3,
        provenance=Provenance.now(inputs={}),
        notes=("a note <of> the areas",),
    )


def test_everything_stands_on_the_page():
    page = report_page(evaluation(), (), estimates())
    reader = Reader.of(page)
    for words in (
        "Map and reference agree on 91",
        "The best class is forest",
        "the worst is water",
        "south & <b>, the worst",
        "Intervals are of 95 %, from 40 blocks",
        "frequency-weighted IoU",
        "boundary F1",
        "Borders count as met within 60 m",
        "Expected calibration error",
        "120.00 ± 19.60 0.900 [0.861, 0.939] -",
        "a note <of> the areas",
        "the scaling was assumed (unsure)",
        "geoseg evaluate <x>",
        "abc123",
    ):
        assert words in reader.text, words
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert headings == ["Scores", "Classes", "Confusion", "Calibration", "Groups", "Areas", "Notes", "Provenance"]
    assert {"title": "10 pixels of developed mapped as water"}.items() <= next(
        a for a in reader.all("td") if "developed mapped as water" in a.get("title", "")
    ).items()


def test_the_page_loads_nothing_and_runs_nothing():
    page = report_page(evaluation(renamed(HOSTILE)), (), estimates(HOSTILE))
    reader = Reader.of(page)
    names = {name for name, _ in reader.elements}
    assert not names & {"script", "link", "iframe", "object", "embed", "base", "form"}
    for name, attributes in reader.elements:
        assert not [key for key in attributes if key.startswith("on")], name
        for key in ("src", "href", "action", "srcset", "xlink:href"):
            assert attributes.get(key, "data:").startswith("data:"), (name, key)
        assert "url(" not in attributes.get("style", "")
    style = page.split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    assert any("default-src 'none'" in a.get("content", "") for a in reader.all("meta"))


def test_hostile_names_stay_texts_and_can_be_written(tmp_path):
    found = evaluation(renamed(HOSTILE), cases=())
    page = report_page(found, (), estimates(HOSTILE))
    text = Reader.of(page).text
    assert HOSTILE[0] in text
    assert HOSTILE[1] in text
    assert "🌲 </td></table>\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}" in text
    out = tmp_path / "r.html"
    write_report(found, ReportRequest(out=out))
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>\n<html lang=")


def test_what_is_missing_leaves_no_trace():
    bare = evaluation(total=tally(), groupings=(), intervals=None, tolerance_m=None, notes=())
    page = report_page(bare)
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert headings == ["Scores", "Classes", "Confusion", "Notes", "Provenance"]
    assert "There are no confidence intervals" in Reader.of(page).text
    assert "nan" not in Reader.of(page).text.lower().split()


def test_undefined_scores_are_dashes():
    counts = np.array([[50, 0, 0], [3, 7, 0], [0, 0, 0]])
    found = evaluation(total=Tally(confusion=Confusion(counts=counts, legend=LEGEND)), groupings=(), intervals=None)
    reader = Reader.of(report_page(found))
    assert "forest 0 - - - -" in reader.text
    assert "nan" not in reader.text.split()


def test_many_groups_are_folded_and_bounded():
    groups = tuple(Group(name=f"g{i}", tally=tally(scale=1)) for i in range(500))
    page = report_page(evaluation(groupings=(Grouping(by="block", groups=groups),)))
    assert "188 more" in page
    assert "300 better ones are in the JSON" in page
    assert len(page) < 400_000


def test_tables_have_headers_and_charts_have_words():
    reader = Reader.of(report_page(evaluation(), (), estimates()))
    assert all(a["scope"] in ("row", "col") for a in reader.all("th"))
    assert len(reader.all("caption")) == len(reader.all("table"))
    charts = reader.all("svg")
    assert charts
    assert all(a["role"] == "img" and a["aria-label"] for a in charts)
    assert any(a["aria-label"].startswith("IoU of water: 0.") for a in charts)


def test_the_verdict_of_a_perfect_map_and_of_one_class():
    perfect = evaluation(
        total=Tally(confusion=Confusion(counts=np.diag([5, 6, 7]), legend=LEGEND)), groupings=(), intervals=None
    )
    assert "agree on 100" in next(verdict(perfect))
    assert "most of the rest" not in " ".join(verdict(perfect))
    one = Legend(LEGEND.classes[:1])
    single = evaluation(
        one, total=Tally(confusion=Confusion(counts=np.array([[5]]), legend=one)), groupings=(), intervals=None
    )
    assert "The best class" not in " ".join(verdict(single))
    assert Reader.of(report_page(single))


def test_bars_and_curves_lie_where_their_numbers_say():
    widths = [float(w) for w in re.findall(r'width="([\d.]+)"', bar(0.25, (0.1, 0.5), "#00ff00", "a"))]
    assert 50 in widths
    assert re.findall(r'x1="(\d+)"', bar(0.25, (0.1, 0.5), "#00ff00", "a"))[-2:] == ["20", "100"]
    found = Reliability.count(np.array([0.9, 0.9, 0.1]), np.array([True, False, False]))
    curve = reliability_curve(found)
    circles = re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', curve)
    (x0, y0), (x1, y1) = [tuple(map(float, c)) for c in circles]
    assert (x1 - x0) / 300 == pytest.approx(0.8, abs=1e-3)
    assert (y0 - y1) / 300 == pytest.approx(0.5, abs=1e-3)


def test_markup_escapes_all_but_markup():
    assert escape("<&\"'>") == "&lt;&amp;&quot;&#x27;&gt;"
    assert escape(Html("<b>")) == "<b>"
    assert tag("p", "a<b", tag("i", "c")) == "<p>a&lt;b<i>c</i></p>"
    assert element("img", {"alt": '"', "checked": True, "hidden": False}) == '<img alt="&quot;" checked>'


def decoded(uri_or_png):
    content = uri_or_png
    with rasterio.MemoryFile(content) as memory, memory.open() as dataset:
        return dataset.read(), dataset.colormap(1) if dataset.count == 1 else None


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_pngs_hold_what_was_given():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (4, 5, 7), dtype=np.uint8)
    np.testing.assert_array_equal(decoded(png(pixels))[0], pixels)
    codes = np.array([[0, 1], [255, 1]], dtype=np.uint8)
    data, palette = decoded(palette_png(codes, {0: (1, 2, 3, 255), 1: (4, 5, 6, 255), 255: (0, 0, 0, 0)}))
    np.testing.assert_array_equal(data[0], codes)
    assert (palette[0], palette[1], palette[255]) == ((1, 2, 3, 255), (4, 5, 6, 255), (0, 0, 0, 0))


def a_case(folder, height=40, width=50, **changes):
    """A map whose left half is right, and whose top row is unlabelled."""
    truth = np.full((height, width), 1, dtype=np.uint8)
    truth[0] = 255
    mapped = truth.copy()
    mapped[:, width // 2 :] = 4
    mapped[-1] = 255
    write_raster(folder / "truth.tif", truth[None], nodata=255)
    write_raster(folder / "map.tif", mapped[None], nodata=255)
    settings = {
        "name": "a <case>",
        "labels": {"sources": [{"path": str(folder / "truth.tif")}]},
        "map": str(folder / "map.tif"),
        "height": height,
        "width": width,
        "gsd_m": (30.0, 30.0),
    }
    return CaseRecord(**settings | changes)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_pictures_show_reference_map_and_errors(tmp_path):
    found = evaluation(cases=(a_case(tmp_path),))
    (case,) = read_pictures(found)
    assert [p.title for p in case.pictures] == ["Reference", "Map", "Errors"]
    assert case.pictures[0].alt == "Reference: water 100%"
    assert "wrong" in case.pictures[2].alt
    codes, palette = decoded(case.pictures[2].png)
    assert (codes[0, 0] == 255).all()
    assert (codes[0, 1:-1, :25] == 0).all()
    assert (codes[0, 1:-1, 25:] == 1).all()
    assert (codes[0, -1] == 2).all()
    assert palette[1] == (*bytes.fromhex(ERROR_COLOURS[1][1:]), 255)
    page = report_page(found, (case,))
    images = Reader.of(page).all("img")
    assert [base64.b64decode(a["src"].split(",")[1]) for a in images] == [p.png for p in case.pictures]
    assert all(a["alt"] for a in images)
    assert len(Reader.of(page).all("input")) == 4


def test_large_maps_are_shown_small(tmp_path):
    found = evaluation(cases=(a_case(tmp_path, 1500, 2400),))
    (case,) = read_pictures(found)
    sides = [int.from_bytes(case.pictures[1].png[i : i + 4], "big") for i in (16, 20)]  # of the PNG's header
    assert sides == [1000, 625]
    out = tmp_path / "r.html"
    write_report(found, ReportRequest(out=out))
    assert out.stat().st_size < 1_000_000


def test_pictures_that_are_gone_are_said(tmp_path):
    gone = a_case(tmp_path, map=str(tmp_path / "gone.tif"))
    kept_nowhere = a_case(tmp_path, map=None)
    truthless = a_case(tmp_path, labels={"sources": [{"path": str(tmp_path / "gone.tif")}]})
    cases = read_pictures(evaluation(cases=(gone, kept_nowhere, truthless)))
    assert "no such file" in cases[0].notes[0]
    assert "neither its map nor its scene" in cases[1].notes[0]
    assert "not all can be shown" in cases[2].notes[0]
    page = report_page(evaluation(cases=(gone,)), cases)
    assert "no such file" in Reader.of(page).text


def test_another_suffix_and_an_existing_file_are_refused(tmp_path):
    with pytest.raises(OutputError, match=r"'\.pdf' is unknown; a report is written as \.html"):
        write_report(evaluation(), ReportRequest(out=tmp_path / "r.pdf"))
    write_report(evaluation(), ReportRequest(out=tmp_path / "r.html"))
    with pytest.raises(OutputError, match="exists already"):
        write_report(evaluation(), ReportRequest(out=tmp_path / "r.html"))
    write_report(evaluation(), ReportRequest(out=tmp_path / "r.html", overwrite=True))


def test_a_legend_of_many_classes_fits():
    many = Legend(tuple(LandClass(code=i, name=f"class {i}", colour=f"#0000{i:02x}") for i in range(60)))
    counts = np.random.default_rng(0).integers(0, 50, (60, 60))
    found = evaluation(many, total=Tally(confusion=Confusion(counts=counts, legend=many)), groupings=(), intervals=None)
    assert len(report_page(found)) < 800_000
