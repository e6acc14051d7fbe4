"""Tiles that keep to the memory, and plans that are refused before any work."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoseg.core.grid import Grid
from geoseg.errors import InputError, OutputError
from geoseg.inference.plan import require_room
from geoseg.inference.tiles import TileOptions, choose_tiles, load_of, memory_of
from geoseg.models.bundle import load_bundle
from geoseg.models.ensemble import Ensemble, as_ensemble
from geoseg.models.footprint import Footprint
from geoseg.models.zoo import default_bundle_path

BUNDLE = load_bundle(default_bundle_path())


def grid(height: int, width: int) -> Grid:
    from affine import Affine
    from pyproj import CRS

    return Grid(crs=CRS.from_epsg(32612), transform=Affine(30, 0, 3e5, 0, -30, 4e6), height=height, width=width)


@given(st.integers(10, 30_000), st.integers(10, 30_000), st.integers(1, 90), st.floats(50, 4000), st.floats(0.9, 8))
def test_plans_keep_to_the_memory(height, width, reach, per_pixel, gigabytes):
    bundle = replace(BUNDLE, footprint=Footprint(reach_px=reach, bytes_per_pixel=per_pixel))
    load, memory = load_of(as_ensemble(bundle)), round(gigabytes * 1e9)
    plan = choose_tiles(grid(height, width), load, TileOptions(memory=memory))
    carried = 2 * 4 * bundle.spec.classes * plan.rows.blend * width
    assert memory_of(plan, load) <= memory + carried
    assert plan.rows.size % bundle.spec.stride == plan.cols.size % bundle.spec.stride == 0


def test_more_memory_gives_larger_tiles_up_to_a_limit():
    bundle = replace(BUNDLE, footprint=Footprint(reach_px=20, bytes_per_pixel=400.0))
    sizes = [
        choose_tiles(grid(20_000, 20_000), load_of(as_ensemble(bundle)), TileOptions(memory=memory)).rows.size
        for memory in (500_000_000, 800_000_000, 1_200_000_000, 4_000_000_000, 16_000_000_000)
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2]
    assert sizes[3] == sizes[4] <= 1024


def test_the_overlap_follows_the_reach_and_what_is_said_counts():
    near, far = (
        load_of(as_ensemble(replace(BUNDLE, footprint=Footprint(reach_px=reach, bytes_per_pixel=300.0))))
        for reach in (10, 40)
    )
    scene = grid(4000, 4000)
    assert choose_tiles(scene, near, TileOptions()).rows.blend == 32
    assert choose_tiles(scene, far, TileOptions()).rows.blend == 96
    said = choose_tiles(scene, far, TileOptions(tile=256, overlap=8))
    assert (said.rows.size, said.rows.blend) == (256, 8)
    assert choose_tiles(scene, far, TileOptions(tile=128)).rows.blend == 32, "not more than a quarter of a tile"


def test_views_and_networks_are_part_of_the_load():
    """Networks add up and the one that looks farthest counts; scales see tiles of 1.25 times the side, and at 0.75."""
    small, large = (
        replace(BUNDLE, sha256=str(reach), footprint=Footprint(reach_px=reach, bytes_per_pixel=20.0 * reach))
        for reach in (30, 60)
    )
    plain, other = load_of(as_ensemble(small)), load_of(as_ensemble(large))
    both = load_of(Ensemble(bundles=(small, large)))
    assert both.reach_px == 60
    assert plain.bytes_per_pixel + other.bytes_per_pixel > both.bytes_per_pixel > other.bytes_per_pixel + 2 * 600
    turned, scaled = (load_of(as_ensemble(large), tta) for tta in ("d4", "scales"))
    assert (turned.reach_px, scaled.reach_px) == (60, 80)
    assert turned.bytes_per_pixel - other.bytes_per_pixel == 2 * 4 * other.classes
    assert scaled.bytes_per_pixel - other.bytes_per_pixel > 0.5625 * 2 * 1200
    scene, options = grid(9000, 9000), TileOptions(memory=900_000_000)
    assert choose_tiles(scene, scaled, options).rows.size < choose_tiles(scene, other, options).rows.size
    assert memory_of(choose_tiles(scene, scaled, options), scaled) <= 900_000_000 + 2 * 4 * 8 * 200 * 9000


def test_too_little_memory_is_refused_with_what_is_needed():
    with pytest.raises(InputError, match=r"0\.10 GB of memory hold no tile .* needed are 0\.\d\d GB; give more"):
        choose_tiles(grid(100, 100), load_of(as_ensemble(BUNDLE)), TileOptions(memory=100_000_000))


def test_a_run_that_would_not_fit_is_refused(tmp_path, monkeypatch):
    require_room(1000, 1000, tmp_path)
    with pytest.raises(InputError, match=r"takes about 100000\.0 GB of memory, .* are free; give less with --memory"):
        require_room(10**14, 0, tmp_path)
    usage = namedtuple("usage", "total used free")  # noqa: PYI024 (as shutil has it)
    monkeypatch.setattr("geoseg.inference.plan.shutil.disk_usage", lambda _: usage(10**12, 10**12 - 10**9, 10**9))
    with pytest.raises(OutputError, match=r"takes 2\.0 GB of working files, 1\.0 GB are free; make room"):
        require_room(0, 2 * 10**9, tmp_path)
