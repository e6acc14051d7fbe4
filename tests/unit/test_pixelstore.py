"""Pixels kept beside the labels: what is read is what the scene holds."""

from __future__ import annotations

import numpy as np
import pytest
from factory import BANDS, LEGEND, reflectance_dn, write_raster, write_scene
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geoseg.core.grid import Window
from geoseg.data.labels import as_label_options, open_labels
from geoseg.data.pixelstore import TILE, StoredPixels, store_pixels
from geoseg.data.store import store_labels
from geoseg.io.scene import open_scene

HEIGHT, WIDTH = 600, 1100


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A scene with a hole in it, labelled in two corners, and its kept pixels."""
    folder = tmp_path_factory.mktemp("kept")
    data = reflectance_dn(HEIGHT, WIDTH)
    data[:, 100:140, 300:350] = 65535
    write_raster(folder / "scene.tif", data, names=BANDS.names, scale=2e-5, offset=-0.1, nodata=65535)
    codes = np.full((1, HEIGHT, WIDTH), 255, dtype=np.uint8)
    codes[:, :200, :250], codes[:, 590:, 1090:] = 1, 2
    write_raster(folder / "labels.tif", codes, nodata=255)
    scene = open_scene(folder / "scene.tif")
    labels = store_labels(open_labels(as_label_options(folder / "labels.tif"), scene.grid, LEGEND), scene, folder)
    return scene, labels, store_pixels(scene, labels, 100)


def equal(one, two):
    np.testing.assert_array_equal(one.valid, two.valid)
    np.testing.assert_array_equal(one.data * one.valid, two.data * two.valid)
    assert one.data.dtype == two.data.dtype
    assert (one.grid, one.bands) == (two.grid, two.bands)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(row=st.integers(-100, 700), col=st.integers(-100, 1200), height=st.integers(1, 400), width=st.integers(1, 400))
def test_any_window_is_that_of_the_scene(kept, row, col, height, width):
    scene, _, stored = kept
    window = Window(row=row, col=col, height=height, width=width)
    with stored.reader() as reader:
        equal(reader.read(window), scene.read(window))


def test_tiles_around_labels_are_kept_and_no_others(kept):
    scene, _, stored = kept
    assert isinstance(stored, StoredPixels)
    np.testing.assert_array_equal(stored.places >= 0, [[1, 1, 0, 0, 0], [1, 1, 0, 1, 1], [0, 0, 0, 1, 1]])
    assert np.load(stored.path, mmap_mode="r").shape == (8, 5, TILE, TILE)
    assert (stored.name, stored.bands, stored.grid, stored.paths) == (scene.name, scene.bands, scene.grid, scene.paths)


def test_they_are_made_once(kept):
    scene, labels, stored = kept
    before = stored.path.stat().st_mtime_ns
    assert store_pixels(scene, labels, 100).path == stored.path
    assert stored.path.stat().st_mtime_ns == before
    assert store_pixels(scene, labels, 300).path != stored.path


def test_nothing_is_kept_where_the_disk_is_nearly_full_or_nothing_is_labelled(tmp_path, monkeypatch):
    scene = open_scene(write_scene(tmp_path / "scene.tif"))
    for code in (255, 1):
        write_raster(tmp_path / f"{code}.tif", np.full((1, 96, 96), code, dtype=np.uint8), nodata=255)
        labels = open_labels(as_label_options(tmp_path / f"{code}.tif"), scene.grid, LEGEND)
        stored = store_labels(labels, scene, tmp_path)
        monkeypatch.setattr(
            "geoseg.data.pixelstore.shutil.disk_usage", lambda _: type("Usage", (), {"free": 5 * 256 * 256})
        )
        assert store_pixels(scene, stored, 64) is scene
