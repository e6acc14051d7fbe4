"""An evaluation as a value: its parts add, and its JSON gives it back."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from factory import LEGEND

from geoseg.core.provenance import Provenance
from geoseg.errors import InputError, MissingFileError
from geoseg.evaluation.boundary import Boundaries
from geoseg.evaluation.confusion import Confusion
from geoseg.evaluation.evaluation import CaseRecord, Evaluation, load_evaluation, save_evaluation
from geoseg.evaluation.grouping import Group, Grouping
from geoseg.evaluation.intervals import Intervals
from geoseg.evaluation.reliability import Reliability
from geoseg.evaluation.tally import Tally


def tally(right: int, wrong: int, *, seed: int = 0) -> Tally:
    """A tally of water: so many pixels right, so many taken for forest."""
    rng = np.random.default_rng(seed)
    counts = np.zeros((3, 3), dtype=np.int64)
    counts[0, 0], counts[0, 2] = right, wrong
    return Tally(
        confusion=Confusion(counts=counts, legend=LEGEND),
        boundaries=Boundaries(counts=rng.integers(0, 9, (3, 6))),
        reliability=Reliability.count(rng.random(20), rng.random(20) < 0.5),
        unmapped=right % 3,
    )


def example() -> Evaluation:
    north, south = Group(name="north", tally=tally(90, 30)), Group(name="south", tally=tally(150, 10, seed=1))
    case = CaseRecord(
        name="scene",
        labels={"sources": [{"path": "l.tif"}]},
        scene=("b2.tif", "b3.tif"),
        height=4,
        width=5,
        gsd_m=(30, 30),
    )
    return Evaluation(
        legend=LEGEND,
        total=north.tally + south.tally,
        groupings=(Grouping(by="scene", groups=(north, south)),),
        intervals=Intervals(
            confidence=0.95,
            unit="cells of 1000 m",
            blocks=40,
            replicates=1000,
            seed=0,
            overall={"accuracy": (0.8, 0.9)},
            by_class={"iou": ((0.7, 0.9), None, None)},
        ),
        tolerance_m=60.0,
        cases=(case,),
        model="lc.geoseg",
        provenance=Provenance(versions={"geoseg": "0"}, command="geoseg evaluate", date="2026-01-01"),
        notes=("a note",),
    )


def test_json_gives_the_evaluation_back(tmp_path):
    first = example()
    save_evaluation(first, tmp_path / "e.json")
    again = load_evaluation(tmp_path / "e.json")
    assert again.to_dict() == first.to_dict()
    assert again.cases == first.cases
    assert again.intervals == first.intervals
    assert again.legend == first.legend
    np.testing.assert_array_equal(again.total.confusion.counts, first.total.confusion.counts)


def test_json_tells_scores_and_undefined_ones_as_null(tmp_path):
    save_evaluation(example(), tmp_path / "e.json")
    content = json.loads((tmp_path / "e.json").read_text())
    assert content["version"] == 1
    assert content["scores"]["accuracy"] == pytest.approx(240 / 280)
    assert content["scores"]["classes"]["water"]["support"] == 280
    assert content["scores"]["classes"]["developed"]["iou"] is None
    assert content["spreads"]["scene"]["worst"] == "north"


def test_parts_that_one_side_lacks_are_not_in_a_sum():
    both = tally(1, 1) + replace(tally(2, 2), boundaries=None)
    assert both.boundaries is None
    assert both.reliability.pixels.sum() == 40
    assert both.unmapped == 3
    assert "boundary_f1" not in both.overall


def test_small_groups_are_not_called_worst():
    tiny, poor, good = (
        Group(name=name, tally=tally(*pixels)) for name, *pixels in (("tiny", 0, 99), ("poor", 60, 60), ("good", 99, 1))
    )
    found = Grouping(by="state", groups=(tiny, good, poor)).spread("accuracy")
    assert (found.worst, found.best, found.groups) == ("poor", "good", 2)
    assert found.deviation == pytest.approx(np.std([0.5, 0.99], ddof=1))
    assert Grouping(by="state", groups=(tiny, good)).spread() is None


def test_the_worst_calibration_is_the_largest_error():
    sure = replace(tally(100, 100), reliability=Reliability.count(np.full(10, 0.9), np.zeros(10, dtype=bool)))
    fair = replace(tally(100, 100), reliability=Reliability.count(np.full(10, 0.1), np.zeros(10, dtype=bool)))
    found = Grouping(by="state", groups=(Group(name="sure", tally=sure), Group(name="fair", tally=fair))).spread("ece")
    assert (found.worst, found.best) == ("sure", "fair")


@pytest.mark.parametrize(
    ("text", "words"),
    [("{}", "version"), ("[]", "no evaluation"), ("{", "JSON"), ('{"version": 1}', "damaged"), ('{"version": 2}', "2")],
)
def test_other_files_are_refused(tmp_path, text, words):
    (tmp_path / "e.json").write_text(text)
    with pytest.raises(InputError, match=words):
        load_evaluation(tmp_path / "e.json")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(MissingFileError, match=r"gone\.json"):
        load_evaluation(tmp_path / "gone.json")
