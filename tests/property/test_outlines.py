"""Outlines are walked whenever there is time, by any thread: the polygons are the same."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from geoseg.core.threads import work_in_order
from geoseg.vectorize.simplify import SimplifyOptions, simplify
from geoseg.vectorize.trace import LabelStrip, find_outlines

# Two classes at random: components that meet themselves diagonally, some known as one only rows later.
RASTERS = arrays(np.uint8, st.tuples(st.integers(1, 14), st.integers(1, 14)), elements=st.sampled_from([0, 1, 255]))

SIMPLE = SimplifyOptions(tolerance=1.5, unit="px", smooth=1)


def outlines_of(codes, height, batch_vertices, *, borders=False):
    strips = [LabelStrip(codes=codes[row : row + height]) for row in range(0, len(codes), height)]
    return find_outlines(
        strips,
        row_area_m2=np.arange(1.0, len(codes) + 1),
        keep_junctions=True,
        keep_borders=borders,
        batch_vertices=batch_vertices,
    )


def told(parts):
    """All that polygons tell, polygon by polygon."""
    return [
        (shape, *(getattr(part, name)[i].tolist() for name in ("codes", "first_pixels", "pixels", "area_m2")))
        for part in parts
        for i, shape in enumerate(part.wkb(Affine.identity()).to_pylist())
    ]


@settings(max_examples=150, deadline=None)
@given(codes=RASTERS, height=st.integers(1, 14), data=st.data())
def test_outlines_may_be_walked_late_and_in_any_order(codes, height, data):
    """Meanwhile the sweep uses the room of those that were walked for others."""
    whole = told(found.polygons() for found in outlines_of(codes, len(codes), 1 << 16))
    waiting, walked = [], {}
    for number, found in enumerate(outlines_of(codes, height, 1)):
        waiting.append((number, found))
        for _ in range(data.draw(st.integers(0, len(waiting)))):
            turn, late = waiting.pop(data.draw(st.integers(0, len(waiting) - 1)))
            walked[turn] = late.polygons()
    walked |= {turn: late.polygons() for turn, late in waiting}
    assert told(part for _, part in sorted(walked.items(), key=lambda pair: pair[0])) == whole


@pytest.mark.parametrize("threads", [2, 4])
@pytest.mark.parametrize(
    "options", [None, SimplifyOptions(tolerance=1.5, unit="px", smooth=1)], ids=["exact", "simple"]
)
@pytest.mark.parametrize("seed", range(3))
def test_threads_change_nothing(threads, options, seed):
    rng = np.random.default_rng(seed)
    codes = np.kron(rng.choice(4, (60, 80)), np.ones((3, 3))).astype(np.uint8)
    codes[rng.random(codes.shape) < 0.2] = rng.choice([0, 1, 255])

    def make(found):
        polygons = found.polygons()
        return polygons if options is None else simplify(polygons, options=options, gsd_m=(1, 1))

    def polygons(height, batch_vertices, threads):
        found = outlines_of(codes, height, batch_vertices, borders=options is not None)
        return told(work_in_order(make, found, threads=threads))

    alone = polygons(len(codes), 1 << 16, 1)
    assert len(alone) > 1000
    assert polygons(7, 300, threads) == alone
    assert polygons(64, 1, threads) == alone
