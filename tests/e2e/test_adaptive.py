"""`geoseg predict --adaptive`: what a coarse look settles is not inferred in full, and the map is nearly the same."""

from __future__ import annotations

import json

import numpy as np
import pytest
import rasterio
from factory import BANDS, write_raster

from geoseg.core.grid import Window
from geoseg.inference import adaptive
from geoseg.inference.adaptive import CoarseMap
from geoseg.inference.journal import Journal

OPEN_WATER, SHRUBLAND = (8300, 8000, 6700, 6200), (9863, 10160, 11056, 15424)


def read(path):
    with rasterio.open(path) as file:
        return file.read()


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """Water, a piece of ground full of detail at the right, and some nodata in the water."""
    rng = np.random.default_rng(0)
    data = np.empty((4, 512, 1100))
    data[:] = np.array(OPEN_WATER)[:, None, None]
    patches = np.kron(rng.random((64, 25)) < 0.5, np.ones((8, 8)))
    data[:, :, 900:] += (np.array(SHRUBLAND) - OPEN_WATER)[:, None, None] * patches
    data += rng.normal(0, 3, data.shape)
    data[:, 200:203, 100:150] = 65535
    settings = {"names": BANDS.names, "scale": 2e-5, "offset": -0.1, "nodata": 65535}
    return write_raster(tmp_path_factory.mktemp("scene") / "scene.tif", data.astype(np.uint16), **settings)


@pytest.fixture(autouse=True)
def _certain(monkeypatch):
    """An untrained network is never sure, and less steady than a trained one."""
    monkeypatch.setattr(adaptive, "AGREEING", 0.99)
    monkeypatch.setattr(adaptive, "CERTAIN", 0.0)


@pytest.fixture
def full(geoseg, scene, tiny_bundle, tmp_path):
    out = tmp_path / "full.tif"
    assert geoseg("predict", scene, "--model", tiny_bundle, "--mask", out, "--tile", 256, "--overlap", 32).code == 0
    return out


def test_a_coarse_look_settles_open_water(geoseg, scene, tiny_bundle, full, tmp_path):
    outputs = ("--mask", tmp_path / "m.tif", "--probabilities", tmp_path / "p.tif")
    end = geoseg("predict", scene, "--model", tiny_bundle, *outputs, "--adaptive", "--json")
    found = json.loads(end.out)
    assert 0 < found["adapted"]["settled"] < found["adapted"]["tiles"]
    assert found["adapted"]["agreement"] >= adaptive.AGREEING
    ours, theirs = read(tmp_path / "m.tif"), read(full)
    np.testing.assert_array_equal(ours == 255, theirs == 255)
    assert (ours == theirs).mean() > 0.99
    np.testing.assert_array_equal(ours[:, :, 960:], theirs[:, :, 960:])  # inferred in full
    np.testing.assert_array_equal(read(tmp_path / "p.tif")[:, 201, 120], 255)


def test_a_coarse_look_that_does_not_agree_is_not_used(geoseg, scene, tiny_bundle, full, tmp_path, monkeypatch):
    monkeypatch.setattr(adaptive, "AGREEING", 1.1)
    out = tmp_path / "m.tif"
    end = geoseg("predict", scene, "--model", tiny_bundle, "--mask", out, "--adaptive")
    assert "not to be trusted" in end.out
    np.testing.assert_array_equal(read(out), read(full))


def test_an_interrupted_one_goes_on(geoseg, scene, tiny_bundle, tmp_path, monkeypatch):
    whole, out = tmp_path / "whole.tif", tmp_path / "m.tif"
    assert geoseg("predict", scene, "--model", tiny_bundle, "--mask", whole, "--adaptive").code == 0

    mark = Journal.mark

    def interrupt(self, done):
        mark(self, done)
        if self._path.parent.name != "coarse":
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "mark", interrupt)
        assert geoseg("predict", scene, "--model", tiny_bundle, "--mask", out, "--adaptive").code == 130
    assert (
        "adaptive"
        in geoseg(
            "predict", scene, "--model", tiny_bundle, "--mask", out, "--tile", 256, "--overlap", 32, "--resume"
        ).err
    )
    assert geoseg("predict", scene, "--model", tiny_bundle, "--mask", out, "--adaptive", "--resume").code == 0
    np.testing.assert_array_equal(read(out), read(whole))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f"{name}{suffix}" for name in ("m", "whole") for suffix in (".tif", ".qml", ".tif.aux.xml")
    )


def test_the_plan_says_that_fewer_tiles_may_be_computed(geoseg, scene, tiny_bundle, tmp_path):
    end = geoseg("predict", scene, "--model", tiny_bundle, "--mask", tmp_path / "m.tif", "--adaptive", "--dry-run")
    assert "adaptive: fewer tiles" in end.out


def coarse_map(probabilities):
    steps = np.rint(np.array(probabilities) * 65534)
    return CoarseMap(steps=np.where(np.isnan(steps), 65535, steps).astype(np.uint16))


def test_only_one_sure_class_settles(monkeypatch):
    monkeypatch.setattr(adaptive, "CERTAIN", 0.7)
    sure = np.full((4, 4), 0.9)
    unsure, another, unknown = sure.copy(), sure.copy(), sure.copy()
    unsure[1, 2], another[3, 3], unknown[0, 0] = 0.65, 0.05, np.nan
    window = Window(row=1, col=2, height=11, width=10)
    for first, settled in ((sure, True), (unsure, False), (another, False), (unknown, True), (sure * np.nan, False)):
        assert coarse_map([first, 1 - first]).settles(window) is settled
    assert coarse_map([unsure, 1 - unsure]).settles(Window(row=6, col=0, height=6, width=6))


def test_pixels_take_the_probabilities_of_their_coarse_pixel():
    first = np.array([[0.1, 0.2], [0.3, np.nan]])
    found = coarse_map([first, 1 - first]).probabilities(Window(row=2, col=2, height=3, width=6))
    expected = [[0.1, 0.2, 0.2, 0.2, 0.2, 0.2], [0.3, 0.2, 0.2, 0.2, 0.2, 0.2], [0.3, 0.2, 0.2, 0.2, 0.2, 0.2]]
    np.testing.assert_allclose(found[0], expected, atol=1e-4)  # 0.2 is the mean of the three that are known
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-4)
