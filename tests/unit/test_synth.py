from __future__ import annotations

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st

from geoseg.core.grid import Window
from geoseg.errors import OutputError
from geoseg.io.raster import read_labels_on
from geoseg.io.scene import open_scene
from geoseg.io.synth import SYNTH_LEGEND, Landscape, SynthOptions, synthesise

LANDSCAPE = Landscape(size=700, seed=3)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def whole():
    return LANDSCAPE.render(LANDSCAPE.grid.window)


@given(row=st.integers(0, 699), col=st.integers(0, 699), height=st.integers(1, 90), width=st.integers(1, 90))
@settings(max_examples=40)
def test_a_pixel_does_not_depend_on_the_window(whole, row, col, height, width):
    window = Window(row=row, col=col, height=min(height, 700 - row), width=min(width, 700 - col))
    data, codes = LANDSCAPE.render(window)
    np.testing.assert_array_equal(data, whole[0][:, *window.slices])
    np.testing.assert_array_equal(codes, whole[1][window.slices])


def test_the_seed_makes_the_scene(whole):
    window = Window(row=300, col=300, height=40, width=50)
    again, _ = Landscape(size=700, seed=3).render(window)
    other, _ = Landscape(size=700, seed=4).render(window)
    np.testing.assert_array_equal(again, whole[0][:, *window.slices])
    assert (other != again).mean() > 0.9


def test_it_looks_like_land(whole):
    data, codes = whole
    reflectance = data * 2e-5 - 0.1
    invalid = codes == 255
    np.testing.assert_array_equal(invalid, (data == 65535).any(axis=0))
    np.testing.assert_array_equal(invalid, (data == 65535).all(axis=0))
    assert 0.08 < invalid.mean() < 0.16
    assert set(np.unique(codes)) <= {*SYNTH_LEGEND.codes.tolist(), 255}
    assert reflectance[:, ~invalid].min() > -0.1
    assert reflectance[:, ~invalid].max() < 0.8
    mean = {code: reflectance[:, codes == code].mean(axis=1) for code in np.unique(codes) if code != 255}
    ndvi = {code: (nir - red) / (nir + red) for code, (_, _, red, nir) in mean.items()}
    assert ndvi[4] > ndvi[3]
    smooth = (codes[:, 1:] == codes[:, :-1]).mean()
    assert smooth > 0.9, "classes form regions"


@pytest.mark.parametrize("seed", range(5))
def test_all_classes_occur_in_a_scene_of_usual_size(seed):
    landscape = Landscape(size=2048, seed=seed)
    rows = np.linspace(0, 2048 - 128, 6, dtype=int)
    windows = [Window(row=int(r), col=int(c), height=128, width=128) for r in rows for c in rows]
    found = set().union(*(np.unique(landscape.render(window)[1]).tolist() for window in windows))
    assert len(found - {255}) >= 7
    assert {1, 4, 7} <= found


def test_files_are_scene_and_truth(tmp_path):
    path, truth = tmp_path / "s.tif", tmp_path / "t.tif"
    synthesise(path, options=SynthOptions(size=600, seed=1, truth=truth))
    assert names_in(tmp_path) == ["s.tif", "t.tif", "t.tif.aux.xml"]
    scene = open_scene(path)
    assert scene.bands.common_names == ("blue", "green", "red", "nir")
    assert {(b.scale, b.offset, b.nodata) for b in scene.bands} == {(2e-5, -0.1, 65535)}
    assert scene.grid.gsd_m == pytest.approx((30, 30), rel=0.01)
    data, codes = Landscape(size=600, seed=1).render(scene.grid.window)
    raster = scene.read(scene.grid.window)
    np.testing.assert_array_equal(raster.data, data)
    np.testing.assert_array_equal(raster.valid, codes != 255)
    np.testing.assert_array_equal(read_labels_on(truth, scene.grid), codes)
    for file in (path, truth):
        with rasterio.open(file) as dataset:
            assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"


def test_six_bands_and_odd_sizes(tmp_path):
    synthesise(tmp_path / "s.tif", options=SynthOptions(size=1, bands=6))
    synthesise(tmp_path / "s.tif", options=SynthOptions(size=37, bands=6, overwrite=True))
    scene = open_scene(tmp_path / "s.tif")
    assert scene.grid.shape == (37, 37)
    assert scene.bands.common_names[4:] == ("swir16", "swir22")


def test_existing_outputs_are_kept(tmp_path):
    for scene, truth in (("old.tif", None), ("new.tif", "old.tif")):
        (tmp_path / "old.tif").write_text("old")
        options = SynthOptions(size=8, truth=None if truth is None else tmp_path / truth)
        with pytest.raises(OutputError, match=r"old\.tif: exists already"):
            synthesise(tmp_path / scene, options=options)
        assert names_in(tmp_path) == ["old.tif"]
        assert (tmp_path / "old.tif").read_text() == "old"


def test_outputs_must_be_two_tifs_in_a_folder(tmp_path):
    with pytest.raises(OutputError, match="one path for scene and truth"):
        synthesise(tmp_path / "s.tif", options=SynthOptions(size=8, truth=tmp_path / "s.tif"))
    with pytest.raises(OutputError, match=r"found the suffix '\.png'"):
        synthesise(tmp_path / "s.png", options=SynthOptions(size=8))
    with pytest.raises(OutputError, match="there is no folder"):
        synthesise(tmp_path / "absent" / "s.tif", options=SynthOptions(size=8))
