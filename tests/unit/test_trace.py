"""Tracing by hand-made cases: shapes that go wrong easily, bad input, and memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import shapely
from affine import Affine
from shapely import Polygon, box

from geoseg.core.compiled import compiled
from geoseg.errors import InputError
from geoseg.vectorize.trace import LabelStrip, trace


def codes_of(*rows):
    return np.array([[255 if ch == "." else int(ch) for ch in row] for row in rows], dtype=np.uint8)


def one_batch(codes, **options):
    (batch,) = trace([LabelStrip(codes=codes)], row_area_m2=np.ones(len(codes)), **options)
    return batch


def test_one_pixel_is_a_square():
    batch = one_batch(codes_of("5"))
    assert batch.geometries()[0].normalize() == box(0, 0, 1, 1).normalize()
    assert batch.codes.tolist() == [5]
    assert len(batch) == 1


def test_a_ring_has_a_hole_that_the_island_fills():
    batch = one_batch(codes_of("111", "121", "111"))
    island, ring = batch.geometries()
    assert batch.codes.tolist() == [2, 1]  # the island ends one row before the ring
    assert batch.first_pixels.tolist() == [[1, 1], [0, 0]]
    assert next(iter(ring.interiors)).equals(island.exterior)
    assert batch.polygon_offsets.tolist() == [0, 1, 3]


def test_a_hole_that_touches_the_outside_at_a_corner_stays_a_hole():
    (ring,) = one_batch(codes_of("111", "1.1", "11.")).geometries()
    assert ring.is_valid
    assert len(ring.interiors) == 1
    assert ring.area == 7


def test_two_holes_that_touch_at_a_corner_stay_two():
    (ring,) = one_batch(codes_of("1111", "1.11", "11.1", "1111")).geometries()
    assert ring.is_valid
    assert len(ring.interiors) == 2


def test_diagonal_neighbours_that_nothing_joins_are_two_polygons():
    batch = one_batch(codes_of("12", "21"))
    assert len(batch) == 4
    assert batch.pixels.tolist() == [1, 1, 1, 1]


def test_the_arms_of_a_u_are_one_polygon_named_by_its_first_pixel():
    batch = one_batch(codes_of(".1.1", "11.1", ".111"))
    assert batch.first_pixels.tolist() == [[0, 1]]
    assert batch.pixels.tolist() == [8]


def test_collinear_corners_are_left_out_and_junctions_kept_on_demand():
    codes = codes_of("12", "33")
    below = {keep: one_batch(codes, keep_junctions=keep).geometries()[2] for keep in (False, True)}
    assert below[False].equals(below[True])
    assert shapely.get_num_coordinates(below[False]) == 5
    assert (1, 1) in below[True].exterior.coords
    assert shapely.get_num_coordinates(below[True]) == 6


def test_nodata_makes_junctions_too():
    below = one_batch(codes_of("1.", "33"), keep_junctions=True).geometries()[1]
    assert (1, 1) in below.exterior.coords


def test_transforms_turn_exteriors_counter_clockwise():
    batch = one_batch(codes_of("1"))
    for transform in (Affine.scale(2, -2), Affine.scale(2, 2), Affine.rotation(30) @ Affine.scale(2, -2)):
        (polygon,) = batch.geometries(transform)
        assert polygon.exterior.is_ccw
        assert polygon.area == pytest.approx(4)
    assert batch.geometries(Affine(2, 0, 10, 0, -2, 50))[0].equals(Polygon([(10, 50), (12, 50), (12, 48), (10, 48)]))


def test_row_areas_are_summed():
    (batch,) = trace([LabelStrip(codes=codes_of("11", "1."))], row_area_m2=np.array([10.0, 0.5]))
    assert batch.area_m2.tolist() == [20.5]


def test_layers_are_added_up_where_they_are_known():
    layers = np.array([[[0.5, np.nan], [0.25, 1.0]], [[-3, 1], [5, 9]]], dtype=np.float32)
    (batch,) = trace([LabelStrip(codes=codes_of("11", "1."), layers=layers)], row_area_m2=np.ones(2))
    assert batch.stats.tolist() == [[[2, 0.75, 0.3125, 0.25, 0.5], [3, 3, 35, -3, 5]]]


def test_without_layers_there_are_no_statistics():
    assert one_batch(codes_of("11")).stats.shape == (1, 0, 5)


def test_strips_need_not_be_contiguous_in_memory():
    codes = np.asfortranarray(codes_of("112", "122"))
    assert one_batch(codes).pixels.tolist() == one_batch(np.ascontiguousarray(codes)).pixels.tolist() == [3, 3]


def test_nothing_but_nodata_gives_no_batch():
    assert list(trace([LabelStrip(codes=codes_of("..", ".."))], row_area_m2=np.ones(2))) == []


@pytest.mark.parametrize(
    ("strips", "problem"),
    [
        ([LabelStrip(codes=np.zeros((2, 2), np.uint8))], "2 rows"),
        ([LabelStrip(codes=np.zeros((4, 2), np.uint8))], "4 rows"),
        ([LabelStrip(codes=np.zeros((3, 2), np.int64))], "int64"),
        ([LabelStrip(codes=np.zeros((2, 2), np.uint8)), LabelStrip(codes=np.zeros((1, 3), np.uint8))], r"\(1, 3\)"),
        ([LabelStrip(codes=np.zeros((2, 2), np.int32))], "int32"),
        ([LabelStrip(codes=np.zeros((2, 2), np.uint8)), LabelStrip(codes=np.zeros((1, 2), np.uint16))], "uint16"),
        ([LabelStrip(codes=np.zeros((3, 2), np.uint8), layers=np.zeros((1, 3, 1), np.float32))], r"\(1, 3, 1\)"),
        (
            [
                LabelStrip(codes=np.zeros((2, 2), np.uint8)),
                LabelStrip(codes=np.zeros((1, 2), np.uint8), layers=np.zeros((1, 1, 2), np.float32)),
            ],
            "1 layers",
        ),
        ([], "0 rows"),
    ],
)
def test_strips_that_do_not_fit_are_refused(strips, problem):
    with pytest.raises(InputError, match=problem):
        list(trace(strips, row_area_m2=np.ones(3)))


def test_memory_follows_the_open_polygons_and_not_the_height():
    rng = np.random.default_rng(0)
    strips = [LabelStrip(codes=rng.integers(0, 3, (16, 64)).astype(np.uint8)) for _ in range(4)]

    def peak(repeats):
        tracemalloc.start()
        for _ in trace(
            (s for _ in range(repeats) for s in strips), row_area_m2=np.ones(64 * repeats), batch_vertices=1
        ):
            pass
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    peak(1)  # compiles
    assert peak(40) < 2 * peak(4)


def test_where_no_cache_can_be_written_the_sweep_compiles_all_the_same(monkeypatch):
    def no_place(function):
        msg = f"cannot cache function {function.__name__!r}: no locator available"
        raise RuntimeError(msg)  # as numba does in a read-only package without a home folder

    monkeypatch.setattr("numba.core.dispatcher.FunctionCache", no_place)

    def below(row: int) -> int:
        return row + 1

    assert compiled(below)(4) == 5
