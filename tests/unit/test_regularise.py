"""Regularised outlines by hand-made buildings."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from shapely import box
from shapely.affinity import rotate

from geoseg.vectorize.simplify import SimplifyOptions, simplify
from geoseg.vectorize.trace import LabelStrip, trace

YY, XX = np.mgrid[:60, :80] + 0.5
HOUSE = rotate(box(20, 20, 50, 36), 27)
L_SHAPE = rotate(box(15, 12, 55, 46).difference(box(33, 28, 60, 60)), -35)


def burnt(*shapes):
    codes = np.zeros(YY.shape, np.uint8)
    for i, shape in enumerate(shapes):
        codes[shapely.contains_xy(shape, XX, YY)] = i + 1
    return codes


def regular(codes, chosen=(1,), **options):
    known = np.isin(np.arange(8), chosen)
    areas = np.ones(len(codes))
    (batch,) = trace([LabelStrip(codes=codes)], row_area_m2=areas, keep_junctions=True, keep_borders=True, chosen=known)
    options = SimplifyOptions(unit="px", regularise=("house",), **options)
    simple = simplify(batch, options=options, gsd_m=(1, 1))
    assert shapely.coverage_is_valid(simple.geometries())
    return {int(code): shape for code, shape in zip(simple.codes, simple.geometries(), strict=True)}


def corners(shape):
    return len(shape.exterior.coords) - 1


@pytest.mark.parametrize("options", [{}, {"tolerance": 1.5}, {"tolerance": 1, "smooth": 2}])
@pytest.mark.parametrize(("truth", "sides"), [(HOUSE, 4), (L_SHAPE, 6)])
def test_a_building_gets_its_corners_back(truth, sides, options):
    shapes = regular(burnt(truth), **options)
    assert corners(shapes[1]) == sides
    assert shapes[1].intersection(truth).area > 0.92 * shapes[1].union(truth).area
    assert shapely.Polygon(shapes[0].interiors[0]).normalize() == shapes[1].normalize()


def test_an_upright_rectangle_stays_exactly_as_it_is():
    assert regular(burnt(box(20, 20, 50, 36)))[1].normalize() == box(20, 20, 50, 36).normalize()


def test_classes_that_are_not_chosen_keep_their_steps():
    assert corners(regular(burnt(HOUSE), chosen=(2,))[1]) > 20


def test_a_hole_of_another_class_in_a_chosen_one_is_regularised_too():
    assert corners(regular(burnt(HOUSE), chosen=(0,))[1]) == 4


def spoilt(kind):
    codes = burnt(HOUSE)
    rows, cols = np.nonzero(codes)
    if kind == "two neighbours":
        codes[:30][codes[:30] == 0] = 2
    elif kind == "nodata beside it":
        codes[rows.min() - 1, cols[rows.argmin()]] = 255
    elif kind == "a courtyard":
        codes[27:30, 34:37] = 0
    elif kind == "the scene's edge":
        codes = codes[:, cols.min() :]
    elif kind == "the corner of an L":
        codes = burnt(L_SHAPE)
        codes[30, 40] = 3
    return codes


@pytest.mark.parametrize(
    "kind", ["two neighbours", "nodata beside it", "a courtyard", "the scene's edge", "the corner of an L"]
)
def test_what_does_not_stand_apart_keeps_its_outline(kind):
    codes = np.ascontiguousarray(spoilt(kind))
    assert corners(regular(codes)[1]) > 20


def test_a_disc_is_no_building():
    assert corners(regular(burnt(shapely.Point(40, 30).buffer(2.1)))[1]) >= 4
    cross = box(38, 10, 42, 50).union(box(20, 28, 60, 32))
    assert regular(burnt(rotate(cross, 10)))[1].area == pytest.approx(cross.area, rel=0.15)
