"""Areas and ground distances against geodesic polygons on the ellipsoid (pyproj.Geod) and closed formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS, Geod, Transformer

from geoseg.core.grid import Grid, Window

US_SURVEY_FOOT = 1200 / 3937


def grid(crs, transform, height=5, width=4):
    return Grid(crs=CRS(crs), transform=transform, height=height, width=width)


def geodesic_area(grid, row, col, steps=400):
    """Area in m² of a pixel whose edges are followed in many short geodesics."""
    along = np.linspace(0, 1, steps, endpoint=False)
    none, all_ = np.zeros(steps), np.ones(steps)
    cols = col + np.concatenate([along, all_, 1 - along, none])
    rows = row + np.concatenate([none, along, all_, 1 - along])
    x, y = grid.transform @ (cols, rows)
    degrees = CRS.from_dict({"proj": "longlat", "a": grid.crs.ellipsoid.semi_major_metre, "b": semi_minor(grid.crs)})
    lon, lat = Transformer.from_crs(grid.crs, degrees, always_xy=True).transform(x, y)
    area, _ = grid.crs.get_geod().polygon_area_perimeter(lon, lat)
    return abs(area)


def semi_minor(crs):
    return crs.ellipsoid.semi_major_metre * (1 - 1 / crs.ellipsoid.inverse_flattening)


TRUE_AREA = {
    "degrees": grid(4326, Affine(0.25, 0, 10, 0, -0.25, 60)),
    "degrees, fine": grid(4326, Affine(1e-4, 0, -71, 0, -1e-4, -33)),
    "degrees, south-up": grid(4326, Affine(0.25, 0, 10, 0, 0.25, 60)),
    "degrees, turned": grid(4326, Affine(0.001, 0, 10, 0, -0.001, 60) @ Affine.rotation(30)),
    "degrees, counted from 0 to 360": grid(4326, Affine(0.5, 0, 0, 0, -0.5, 90), height=180, width=720),
    "degrees on Clarke's ellipsoid": grid(4267, Affine(0.01, 0, -100, 0, -0.01, 45)),
    "grads from Paris": grid(4807, Affine(0.01, 0, 2, 0, -0.01, 52)),
    "Web Mercator": grid(3857, Affine(100, 0, 1.2e6, 0, -100, 8e6)),
    "Web Mercator over the 180th meridian": grid(3857, Affine(1000, 0, 20_037_508.34 - 1500, 0, -1000, -2e6)),
    "polar stereographic beside the pole": grid(3995, Affine(1000, 0, -2000, 0, -1000, 6000)),
    "polar stereographic on the 180th meridian": grid(3995, Affine(1000, 0, -2500, 0, -1000, 400_000)),
}


@pytest.mark.parametrize("grid", TRUE_AREA.values(), ids=TRUE_AREA)
def test_where_the_plane_misleads_the_area_is_that_on_the_ellipsoid(grid):
    areas = grid.pixel_areas_m2()
    for row in (0, grid.height // 2, grid.height - 1):
        assert areas[row] == pytest.approx(geodesic_area(grid, row, grid.width // 2), rel=2e-5)


def test_all_pixels_of_the_world_are_the_surface_of_the_ellipsoid():
    wgs84 = Geod(ellps="WGS84")
    e = math.sqrt(wgs84.es)
    surface = 2 * math.pi * wgs84.a**2 * (1 + (1 - e**2) / e * math.atanh(e))
    world = grid(4326, Affine(1, 0, -180, 0, -1, 90), height=180, width=360)
    assert 360 * world.pixel_areas_m2().sum() == pytest.approx(surface, rel=1e-9)
    # pixels that are centred on the poles reach half a pixel beyond them, where no ground is
    centred = grid(4326, Affine(1, 0, -180.5, 0, -1, 90.5), height=181, width=360)
    assert 360 * centred.pixel_areas_m2().sum() == pytest.approx(surface, rel=1e-9)


@pytest.mark.parametrize(
    ("crs", "transform", "expected"),
    [
        (32610, Affine(10, 0, 500_000, 0, -10, 4_600_000), 100),
        (32610, Affine(10, 0, 500_000, 0, 10, 4_600_000), 100),  # south-up
        (32610, Affine(3, 4, 500_000, 4, -3, 4_600_000), 25),  # turned
        ("EPSG:32610+5703", Affine(10, 0, 500_000, 0, -10, 4_600_000), 100),  # with heights
        (2225, Affine(3, 0, 6_500_000, 0, -3, 2_100_000), (3 * US_SURVEY_FOOT) ** 2),
        (27572, Affine(10, 0, 600_000, 0, -10, 2_200_000), 100),  # a geodetic CRS in grads from Paris
        (6933, Affine(100, 0, 0, 0, -100, 5_000_000), 10_000),  # equal-area
    ],
)
def test_in_a_true_enough_plane_areas_agree_with_pixel_counts(crs, transform, expected):
    place = grid(crs, transform)
    np.testing.assert_allclose(place.pixel_areas_m2(), expected, rtol=1e-12)
    assert geodesic_area(place, 2, 2) == pytest.approx(expected, rel=0.01)


def test_a_window_has_the_areas_of_its_rows():
    world = grid(4326, Affine(1, 0, -180, 0, -1, 90), height=180, width=360)
    part = world[Window(row=20, col=100, height=7, width=9)]
    np.testing.assert_allclose(part.pixel_areas_m2(), world.pixel_areas_m2()[20:27], rtol=1e-9)


@pytest.mark.parametrize(
    ("crs", "transform", "expected", "tolerance"),
    [
        (32610, Affine(20, 0, 500_000, 0, -10, 4_600_000), (10, 20), 5e-4),  # scale 0.9996 at the central meridian
        (2225, Affine(3, 0, 6_500_000, 0, -3, 2_100_000), (3 * US_SURVEY_FOOT, 3 * US_SURVEY_FOOT), 2e-4),
        (27572, Affine(10, 0, 600_000, 0, -10, 2_200_000), (10, 10), 5e-4),
        (32610, Affine(6, 8, 500_000, 8, -6, 4_600_000), (10, 10), 5e-4),  # turned
        (3857, Affine(10, 0, 0, 0, -10, 8_399_737.89), (5, 5), 5e-3),  # latitude 60: half of what the numbers say
    ],
)
def test_the_ground_sampling_distance_is_in_metres(crs, transform, expected, tolerance):
    assert grid(crs, transform).gsd_m == pytest.approx(expected, rel=tolerance)


def test_the_ground_sampling_distance_of_degrees_is_geodesic_also_across_the_180th_meridian():
    place = grid(4326, Affine(0.01, 0, 179.975, 0, -0.02, 60), height=4, width=5)
    lon, lat = 179.975 + 0.025, 60 - 0.04
    wgs84 = Geod(ellps="WGS84")
    down, along = wgs84.inv(lon, lat, lon, lat - 0.02)[2], wgs84.inv(lon, lat, lon + 0.01, lat)[2]
    assert place.gsd_m == pytest.approx((down, along), rel=1e-6)
