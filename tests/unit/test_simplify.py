"""Simplification by hand-made cases and against plain formulations of the methods."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
import shapely
from shapely import LineString, Polygon, box

from geoseg.errors import InputError
from geoseg.vectorize.simplify import SimplifyOptions, simplify
from geoseg.vectorize.trace import LabelStrip, trace


def codes_of(*rows):
    return np.array([[255 if ch == "." else int(ch) for ch in row] for row in rows], dtype=np.uint8)


def simplified(codes, gsd_m=(1, 1), **options):
    strips = [LabelStrip(codes=codes)]
    (batch,) = trace(strips, row_area_m2=np.ones(len(codes)), keep_junctions=True, keep_borders=True)
    return simplify(batch, options=SimplifyOptions(**options), gsd_m=gsd_m).geometries()


def skyline(seed, width=80):
    """Class 0 above a border from the left edge to the right, class 1 below it."""
    steps = np.random.default_rng(seed).integers(-2, 3, width)
    return (np.arange(400)[:, None] >= 200 + np.cumsum(steps)).astype(np.uint8)


def border(shapes):
    """The vertices of the border between two polygons, from left to right."""
    line = shapely.line_merge(shapely.intersection(*shapely.boundary(shapes)))
    points = shapely.get_coordinates(line)
    return points if points[0, 0] < points[-1, 0] else points[::-1]


def double_area(a, b, c):
    return abs((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("tolerance", [1.1, 1.9, 4.2])
def test_visvalingam_takes_the_smallest_triangle_again_and_again(seed, tolerance):
    codes = skyline(seed)
    line = border(simplified(codes)).tolist()
    while True:
        areas = [double_area(*line[i - 1 : i + 2]) for i in range(1, len(line) - 1)]
        if min(areas) > 2 * tolerance**2:
            break
        del line[1 + int(np.argmin(areas))]
    assert len(line) > 5
    np.testing.assert_array_equal(border(simplified(codes, tolerance=tolerance)), line)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("tolerance", [1.3, 1.9, 4.2])
def test_douglas_peucker_is_that_of_geos_where_nothing_is_in_the_way(seed, tolerance):
    codes = skyline(seed)
    expected = shapely.simplify(LineString(border(simplified(codes))), tolerance, preserve_topology=False)
    found = border(simplified(codes, tolerance=tolerance, method="douglas-peucker"))
    assert len(found) > 4
    np.testing.assert_array_equal(found, expected.coords)


@pytest.mark.parametrize("times", [1, 2, 4])
def test_smoothing_cuts_corners_again_and_again(times):
    codes = skyline(3)
    line = border(simplified(codes, tolerance=3))
    for _ in range(times):
        quarters = [((3 * a + b) / 4, (a + 3 * b) / 4) for a, b in itertools.pairwise(line)]
        line = [line[0], *itertools.chain(*quarters), line[-1]]
    line = [line[0], *line[2:-2], line[-1]]  # the ends are no corners: nothing is cut there
    found = border(simplified(codes, tolerance=3, smooth=times))
    assert shapely.hausdorff_distance(LineString(found), LineString(line)) < 1e-12
    if times == 1:
        np.testing.assert_allclose(found, line)


@pytest.mark.parametrize("method", ["visvalingam", "douglas-peucker"])
def test_a_pixel_of_its_own_stays_a_square(method):
    shapes = simplified(codes_of("000", "010", "000"), tolerance=50, method=method)
    assert shapes[0].normalize() == box(1, 1, 2, 2).normalize()
    assert shapely.coverage_is_valid(shapes)


@pytest.mark.parametrize("tolerance", [1.5, 100])
def test_a_lens_between_two_areas_keeps_an_inside(tolerance):
    lens = codes_of("0000000", "0222220", "1222221", "1111111")  # both its borders end in the same two junctions
    shapes = simplified(lens, tolerance=tolerance)
    assert len(shapes) == 3
    assert (shapely.area(shapes) > 0).all()
    assert shapely.coverage_is_valid(shapes)


@pytest.mark.parametrize("codes", [codes_of("0000", "0210", "0000"), codes_of("0000", "0220", "0210", "0000")])
def test_what_touches_along_one_pixel_edge_keeps_an_inside(codes):
    shapes = simplified(codes, tolerance=100)
    assert (shapely.area(shapes) > 0).all()
    assert shapely.coverage_is_valid(shapes)


@pytest.mark.parametrize("options", [{"tolerance": 100}, {"tolerance": 0, "smooth": 1}])
def test_a_border_does_not_pass_over_an_island_beside_it(options):
    codes = np.zeros((20, 30), np.uint8)
    codes[2:12, 5:25] = 1
    codes[3, 6] = 2  # a pixel away from a corner of the area around it
    islet, area, _ = simplified(codes, **options)
    assert shapely.contains_properly(Polygon(area.exterior), islet)


def test_borders_to_nodata_and_to_the_scenes_edge_stay():
    codes = codes_of("0011..", "001...", "01....", "111...")
    exact, shapes = simplified(codes), simplified(codes, tolerance=100, smooth=2)
    outlines = [shapely.coverage_union_all(some).boundary.normalize() for some in (exact, shapes)]
    assert outlines[0].equals(outlines[1])


def test_douglas_peucker_moves_no_border_farther_than_the_tolerance_also_on_oblong_pixels():
    codes = skyline(8)
    exact = border(simplified(codes)) * (2.0, 0.5)
    simple = border(simplified(codes, gsd_m=(0.5, 2.0), tolerance=1.2, method="douglas-peucker")) * (2.0, 0.5)
    assert len(simple) < 0.7 * len(exact)
    assert shapely.hausdorff_distance(LineString(exact), LineString(simple), densify=0.02) <= 1.2


def test_the_tolerance_of_visvalingam_is_the_root_of_an_area_in_metres():
    codes = skyline(8)
    in_pixels = simplified(codes, tolerance=1.7, unit="px")
    in_metres = simplified(codes, gsd_m=(5.0, 20.0), tolerance=17)
    assert (in_pixels == in_metres).all()


def test_areas_follow_the_planar_area():
    (batch,) = trace(
        [LabelStrip(codes=skyline(1))], row_area_m2=np.full(400, 7.0), keep_junctions=True, keep_borders=True
    )
    simple = simplify(batch, options=SimplifyOptions(tolerance=3, smooth=1), gsd_m=(1, 1))
    np.testing.assert_allclose(simple.area_m2, 7 * shapely.area(simple.geometries()))
    np.testing.assert_array_equal(simple.pixels, batch.pixels)


def test_a_long_border_goes_through_windows_of_many_words():
    codes = np.ascontiguousarray(
        skyline(2, width=300).T
    )  # upright: rows of the window are one word, then sideways: many
    for labels in (codes, np.ascontiguousarray(codes.T)):
        shapes = simplified(labels, tolerance=2.5)
        assert shapely.coverage_is_valid(shapes)
        assert shapely.get_num_coordinates(shapes).sum() < 300


def test_polygons_without_their_borders_are_refused():
    (batch,) = trace([LabelStrip(codes=codes_of("01"))], row_area_m2=np.ones(1), keep_junctions=True)
    with pytest.raises(InputError, match="keep_borders"):
        simplify(batch, options=SimplifyOptions(tolerance=1), gsd_m=(1, 1))


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"method": "bends"}, "'bends'; known are visvalingam, douglas-peucker"),
        ({"unit": "ft"}, "'ft'"),
        ({"tolerance": -1}, "at least 0"),
        ({"tolerance": np.nan}, "nan m"),
        ({"tolerance": np.inf}, "inf m"),
        ({"smooth": -1}, "-1 times"),
        ({"smooth": 6}, "6 times; needed is 0 to 5"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, problem):
    with pytest.raises(InputError, match=problem):
        SimplifyOptions(**options)


def test_memory_follows_the_open_polygons_and_not_the_height():
    """Apart from a bit for each corner, in words, and the area of each row."""
    rng = np.random.default_rng(0)
    strips = [LabelStrip(codes=rng.integers(0, 3, (16, 64)).astype(np.uint8)) for _ in range(4)]

    def peak(repeats):
        tracemalloc.start()
        many = (strip for _ in range(repeats) for strip in strips)
        for part in trace(
            many, row_area_m2=np.ones(64 * repeats), keep_junctions=True, keep_borders=True, batch_vertices=1
        ):
            simplify(part, options=SimplifyOptions(tolerance=2, smooth=1), gsd_m=(1, 1))
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top - 64 * repeats * (2 * 8 + 8)

    peak(1)  # compiles
    assert peak(40) < 2 * peak(4)
