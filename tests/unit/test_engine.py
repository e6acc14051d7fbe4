"""The engine: independent of tiling, nodata costs nothing, failing reads are tried again and then end the run."""

from __future__ import annotations

from dataclasses import astuple, replace

import numpy as np
import pytest
import rasterio
import shapely
from factory import BANDS, write_area, write_raster, write_scene

from geoseg.core.bands import BandStack
from geoseg.core.tiling import plan_tiles
from geoseg.errors import InputError
from geoseg.inference.engine import READ_ATTEMPTS, Job, infer
from geoseg.io.area import open_area
from geoseg.io.reader import SceneReader
from geoseg.io.scene import open_scene
from geoseg.models.runtime.augmented import TTA, augmented
from geoseg.models.runtime.averaged import AveragedRuntime


class Pointwise:
    """A model without context: two classes, from the first channel of each pixel alone."""

    name = "pointwise"
    streams = 2

    def __init__(self):
        self.calls = 0

    def __call__(self, batch):
        self.calls += 1
        first = 1 / (1 + np.exp(-batch[:, :1]))
        return np.concatenate([first, 1 - first], axis=1).astype(np.float32)


def job_of(scene, *, size=64, overlap=16):
    bands = type(scene.bands)(
        tuple(replace(b, mean=m.mean, std=m.std) for b, m in zip(scene.bands, BANDS, strict=True))
    )
    plan = plan_tiles(*scene.grid.shape, size=size, overlap=overlap, stride=8)
    return Job(scene=scene, bands=bands, indices=(), classes=2, plan=plan)


def run(job, model):
    probabilities = np.full((2, *job.scene.grid.shape), np.nan, dtype=np.float32)
    valid = np.zeros(job.scene.grid.shape, dtype=bool)
    for piece in infer(job, model, lambda *_: None):
        probabilities[:, *piece.window.slices] = piece.probabilities
        valid[piece.window.slices] = piece.valid
    assert np.isfinite(probabilities).all()
    return probabilities, valid


@pytest.fixture
def scene(tmp_path):
    return open_scene(write_scene(tmp_path / "scene.tif", 150, 110))


@pytest.mark.parametrize(("size", "overlap"), [(64, 0), (64, 16), (40, 32), (256, 64)])
def test_any_tiling_gives_the_same_probabilities(scene, size, overlap):
    whole, _ = run(job_of(scene, size=512, overlap=0), Pointwise())
    tiled, _ = run(job_of(scene, size=size, overlap=overlap), Pointwise())
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-6)


@pytest.fixture
def smooth_scene(tmp_path):
    """One without detail, which resampling would smooth, and with nodata."""
    row, col = np.mgrid[:150, :110]
    values = [0.1 + 0.03 * np.sin(row / 30 + k) * np.cos(col / 40) for k in range(4)]
    data = ((np.array(values) + 0.1) / 2e-5).astype(np.uint16)
    data[:, 70:85, 40:70] = 65535
    settings = {"names": BANDS.names, "scale": 2e-5, "offset": -0.1, "nodata": 65535}
    return open_scene(write_raster(tmp_path / "smooth.tif", data, **settings))


@pytest.mark.parametrize("tta", TTA)
@pytest.mark.parametrize(("size", "overlap"), [(64, 16), (40, 17)])
def test_any_tiling_gives_the_same_with_augmentation(smooth_scene, tta, size, overlap):
    whole, valid = run(job_of(smooth_scene, size=512, overlap=0), augmented(Pointwise(), tta, 8))
    tiled, _ = run(job_of(smooth_scene, size=size, overlap=overlap), augmented(Pointwise(), tta, 8))
    tolerance = 5e-3 if tta == "scales" else 1e-6
    np.testing.assert_allclose(tiled[:, valid], whole[:, valid], rtol=0, atol=tolerance)
    np.testing.assert_allclose(tiled.sum(axis=0)[valid], 1, rtol=0, atol=1e-6)


def test_networks_with_bands_of_their_own_are_averaged(scene):
    job = job_of(scene)
    shifted = type(job.bands)(tuple(replace(band, mean=band.mean + band.std) for band in job.bands))
    apart = [run(replace(job, bands=bands), Pointwise())[0] for bands in (job.bands, shifted)]
    both = replace(job, bands=BandStack((job.bands, shifted)))
    found, _ = run(both, AveragedRuntime([Pointwise(), Pointwise()]))
    np.testing.assert_allclose(found, np.mean(apart, axis=0), rtol=0, atol=1e-6)
    assert np.abs(apart[0] - apart[1]).max() > 0.1


def test_two_runs_are_bit_identical(scene):
    one, two = (run(job_of(scene), Pointwise())[0] for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_tiles_without_valid_pixels_are_not_computed(tmp_path):
    path = write_scene(tmp_path / "scene.tif", 256, 64)
    with rasterio.open(path, "r+") as out:
        data = out.read()
        data[:, :128] = 65535
        out.write(data)
    model = Pointwise()
    job = job_of(open_scene(path), size=64, overlap=0)
    _, valid = run(job, model)
    assert len(job.plan) == 4
    assert model.calls == 2
    assert not valid[:128].any()
    assert valid[128:].all()


def test_a_read_that_fails_once_is_tried_again(scene, monkeypatch):
    expected, _ = run(job_of(scene), Pointwise())
    failures = iter([True] * (READ_ATTEMPTS - 1))
    original = SceneReader.read

    def flaky(self, window):
        if next(failures, False):
            raise InputError("a bad moment")
        return original(self, window)

    monkeypatch.setattr(SceneReader, "read", flaky)
    np.testing.assert_array_equal(run(job_of(scene), Pointwise())[0], expected)


def test_a_read_that_keeps_failing_ends_the_run(scene, monkeypatch):
    def broken(self, window):
        raise InputError("a bad block")

    monkeypatch.setattr(SceneReader, "read", broken)
    with pytest.raises(InputError, match="a bad block"):
        run(job_of(scene), Pointwise())


def test_progress_counts_every_tile(scene):
    seen = []
    job = job_of(scene)
    for _ in infer(job, Pointwise(), lambda *step: seen.append(step)):
        pass
    assert seen == [("infer", n, len(job.plan)) for n in range(1, len(job.plan) + 1)]


class Striding:
    """A model that looks at every eighth pixel, and so at others where tiles start elsewhere."""

    name = "striding"
    streams = 1

    def __call__(self, batch):
        coarse = 1 / (1 + np.exp(-batch[:, :1, ::8, ::8]))
        first = np.repeat(np.repeat(coarse, 8, axis=2), 8, axis=3)
        return np.concatenate([first, 1 - first], axis=1).astype(np.float32)


@pytest.mark.parametrize(("size", "overlap"), [(64, 16), (40, 32), (48, 0)])
def test_tiles_start_where_a_model_that_strides_sees_the_same(scene, size, overlap):
    whole, _ = run(job_of(scene, size=512, overlap=0), Striding())
    tiled, _ = run(job_of(scene, size=size, overlap=overlap), Striding())
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-6)


def test_beyond_the_scene_a_model_sees_it_mirrored(scene):
    seen = []

    class Watching(Pointwise):
        def __call__(self, batch):
            seen.append(batch[0].copy())
            return super().__call__(batch)

    run(job_of(scene, size=512, overlap=0), Watching())
    (tile,) = seen
    height, width = scene.grid.shape
    assert tile.shape[1:] == (152, 112)
    np.testing.assert_array_equal(tile[:, height:], tile[:, height - 1 : height - 3 : -1])
    np.testing.assert_array_equal(tile[:, :, width:], tile[:, :, width - 1 : width - 3 : -1])


# An area of interest: a disc about the scene's middle, which leaves out its corners and some tiles.


@pytest.fixture
def disc(scene, tmp_path):
    """The area, and where it is."""
    x, y = scene.grid.transform @ (55, 70)
    area = open_area(write_area(tmp_path / "disc.gpkg", shapely.buffer(shapely.Point(x, y), 30 * 30.7)), scene.grid)
    rows, cols = np.mgrid[:150, :110] + 0.5
    polygon = shapely.buffer(shapely.Point(55, 70), 30.7)
    return area, shapely.contains_xy(polygon, cols, rows)


class Blurring(Pointwise):
    """A model that looks around: a mean over 9 rows, which reaches over every border."""

    def __call__(self, batch):
        padded = np.pad(batch[:, :1], ((0, 0), (0, 0), (4, 4), (0, 0)), mode="edge")
        mean = np.lib.stride_tricks.sliding_window_view(padded, 9, axis=2).mean(axis=-1)
        return super().__call__(mean)


@pytest.mark.parametrize("model", [Pointwise, Blurring])
@pytest.mark.parametrize(("size", "overlap"), [(64, 0), (64, 16), (40, 32), (32, 8), (256, 64)])
def test_inside_of_an_area_all_is_as_without_and_outside_is_nothing(scene, disc, size, overlap, model):
    area, inside = disc
    job = job_of(scene, size=size, overlap=overlap)
    everywhere, _ = run(job, model())
    found, valid = run(replace(job, area=area), model())
    np.testing.assert_array_equal(valid, inside)
    np.testing.assert_array_equal(found[:, inside], everywhere[:, inside])


@pytest.mark.parametrize(("size", "overlap"), [(64, 0), (40, 32), (32, 8)])
def test_any_tiling_gives_the_same_area(scene, disc, size, overlap):
    area, inside = disc
    whole, _ = run(replace(job_of(scene, size=512, overlap=0), area=area), Pointwise())
    tiled, valid = run(replace(job_of(scene, size=size, overlap=overlap), area=area), Pointwise())
    np.testing.assert_array_equal(valid, inside)
    np.testing.assert_allclose(tiled[:, inside], whole[:, inside], rtol=0, atol=1e-6)


def test_tiles_outside_of_an_area_are_neither_read_nor_computed(scene, disc, monkeypatch):
    area, inside = disc
    job = replace(job_of(scene, size=32, overlap=8), area=area)
    met = [tile.read for tile in job.plan if inside[tile.read.slices].any()]
    read, model = [], Pointwise()
    original = SceneReader.read
    monkeypatch.setattr(SceneReader, "read", lambda self, window: (read.append(window), original(self, window))[1])
    run(job, model)
    assert 0 < len(met) < len(job.plan)
    assert model.calls == len(met)
    assert sorted(map(astuple, read)) == sorted(map(astuple, met))


def test_tiles_that_are_valid_only_outside_of_the_area_are_not_computed(tmp_path):
    path = write_scene(tmp_path / "scene.tif", 128, 64)
    with rasterio.open(path, "r+") as out:
        data = out.read()
        data[:, 64:, 20:] = 65535
        out.write(data)
    scene = open_scene(path)
    left, top = scene.grid.transform @ (30, 10)
    right, bottom = scene.grid.transform @ (60, 128)
    area = open_area(write_area(tmp_path / "a.gpkg", shapely.box(left, bottom, right, top)), scene.grid)
    model = Pointwise()
    _, valid = run(replace(job_of(scene, size=64, overlap=0), area=area), model)
    assert model.calls == 1
    expected = np.zeros((128, 64), dtype=bool)
    expected[10:64, 30:60] = True
    np.testing.assert_array_equal(valid, expected)


def test_an_area_that_was_interrupted_goes_on(scene, disc):
    area, _ = disc
    job = replace(job_of(scene, size=32, overlap=8), area=area)
    whole = [(piece.window, piece.valid, piece.probabilities) for piece in infer(job, Pointwise(), lambda *_: None)]
    rest = list(infer(replace(job, done=2), Pointwise(), lambda *_: None))
    assert 0 < len(rest) < len(whole)
    for piece, (window, valid, probabilities) in zip(rest, whole[-len(rest) :], strict=True):
        assert piece.window == window
        np.testing.assert_array_equal(piece.valid, valid)
        np.testing.assert_array_equal(piece.probabilities[:, valid], probabilities[:, valid])
