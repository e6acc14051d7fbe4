"""The choice of a precision: by agreement on samples of the scene, in a fixed order, never by the clock."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from factory import BANDS, LEGEND, write_scene

from geoseg.errors import InputError
from geoseg.inference import precision as room
from geoseg.inference.contract import fit_scene
from geoseg.inference.precision import choose, open_for_scene
from geoseg.inference.samples import SIDE, Sample, _places, read_samples
from geoseg.io.scene import open_scene
from geoseg.models.bundle import load_bundle
from geoseg.models.runtime import RuntimeOptions
from geoseg.models.spec import ModelSpec

SPEC = ModelSpec(architecture="unet", encoder="resnet18", bands=BANDS, legend=LEGEND, gsd_m=30)


class Drawn:
    """A network with clear margins: the class of a pixel is its first channel; some pixels are given another class."""

    name = "drawn"
    streams = 1

    def __init__(self, moved=(), to=0):
        self.moved, self.to = moved, to

    def __call__(self, batch):
        classes = batch[:, 0].astype(int)
        classes[0].flat[list(self.moved)] = self.to
        return np.moveaxis(np.eye(3, dtype=np.float32)[classes], -1, 1)


def sample(of_class_1, of_class_2, *, valid=None):
    """A tile of 1,000 x 100 pixels: some of class 1 first, then of class 2, the rest of class 0."""
    classes = np.zeros(100_000, dtype=np.float32)
    classes[:of_class_1] = 1
    classes[of_class_1 : of_class_1 + of_class_2] = 2
    mask = np.ones((1000, 100), dtype=bool)
    if valid is not None:
        mask.flat[valid:] = False
    return Sample(channels=classes.reshape(1, 1000, 100), valid=mask)


def chosen(tile, **networks):
    """What is taken of these networks, in this order, and how often each was opened."""
    opened = []

    def ready(name):
        opened.append(name)
        return Drawn() if name == "fp32" else networks[name]

    runtime, choice = choose(ready, networks, [tile], LEGEND)
    assert len(opened) == len(set(opened))
    assert runtime is networks.get(choice.precision, runtime)
    return choice, opened


def test_the_first_that_agrees_is_taken_and_no_other_is_opened():
    choice, opened = chosen(sample(40_000, 20_000), int8=Drawn(), bf16=Drawn())
    assert choice.precision == "int8"
    assert choice.compared
    assert choice.reason.startswith("100.000% of 100000 sample pixels keep their class, no class loses more than 0.2%")
    assert opened == ["fp32", "int8"]


def test_what_moves_more_than_a_thousandth_is_refused():
    tile = sample(40_000, 20_000)
    refused = Drawn(moved=[*range(51), *range(60_000, 60_050)], to=2)
    assert chosen(tile, int8=refused, bf16=Drawn())[0].precision == "bf16"
    choice, _ = chosen(tile, bf16=refused)
    assert choice.precision == "fp32"
    assert "in bf16 99.899% of 100000 sample pixels keep their class" in choice.reason
    assert choice.compared
    assert chosen(tile, bf16=Drawn(moved=range(60_000, 60_050), to=2))[0].precision == "bf16"


def test_a_class_may_not_lose_even_where_all_in_all_the_maps_agree():
    tile = sample(4_000, 20_000)
    choice, _ = chosen(tile, bf16=Drawn(moved=range(10), to=2))
    assert choice.precision == "fp32"
    assert "99.990%" in choice.reason
    assert "developed loses 0.25% of its pixels" in choice.reason
    assert chosen(tile, bf16=Drawn(moved=range(8), to=2))[0].precision == "bf16"


def test_a_few_pixels_of_a_rare_class_say_nothing():
    assert chosen(sample(60, 20_000), bf16=Drawn(moved=range(5)))[0].precision == "bf16"
    assert chosen(sample(60, 20_000), bf16=Drawn(moved=range(6)))[0].precision == "fp32"


def test_invalid_pixels_do_not_count():
    tile = sample(40_000, 20_000, valid=60_000)
    choice, _ = chosen(tile, bf16=Drawn(moved=range(60_000, 70_000), to=2))
    assert choice.precision == "bf16"
    assert "100.000% of 60000" in choice.reason


# samples


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A scene without data in its left half."""
    import rasterio

    path = write_scene(tmp_path_factory.mktemp("scene") / "scene.tif", 1000, 1200)
    with rasterio.open(path, "r+") as file:
        data = file.read()
        data[:, :, :600] = 65535
        file.write(data)
    return open_scene(path)


def test_samples_are_valid_spread_and_always_the_same(scene):
    fit = fit_scene(scene, SPEC)
    first, second = (list(read_samples(fit, SPEC, 5)) for _ in range(2))
    assert len(first) == 5
    assert len({tile.channels.tobytes() for tile in first}) == 5
    for one, two in zip(first, second, strict=True):
        assert one.channels.shape == (4, SIDE, SIDE)
        assert one.valid.mean() >= 0.5
        np.testing.assert_array_equal(one.channels, two.channels)
        assert np.abs(one.channels.mean()) < 1, "normalised"


def test_no_two_samples_overlap_and_they_reach_all_corners(scene):
    for height, width in ((1000, 1200), (300, 5000), (256, 256), (100, 90), (8000, 8000)):
        places = _places(replace(scene.grid, height=height, width=width), SIDE)
        assert len(set(places)) == len(places) == min(max(height // 256, 1), 6) * min(max(width // 256, 1), 6)
        assert all(one.intersect(two) is None for one, two in itertools.combinations(places, 2))
        rows, cols = ({getattr(place, name) for place in places} for name in ("row", "col"))
        assert {min(rows), min(cols)} == {0}
        assert len(rows) == 1 or max(rows) == height - SIDE
        assert len(cols) == 1 or max(cols) == width - SIDE
        first = places[: len(places) // 4]
        assert len(rows) < 4 or len({place.row for place in first}) > 3


def test_a_scene_smaller_than_a_sample_gives_one_if_it_fills_half_of_it(tmp_path):
    for size, count in ((200, 1), (100, 0)):
        scene = open_scene(write_scene(tmp_path / f"{size}.tif", size, size))
        assert len(list(read_samples(fit_scene(scene, SPEC), SPEC, 8))) == count


# opening a bundle for a scene


@pytest.fixture
def opened(monkeypatch):
    """The precisions that were opened, with a network that tells classes by their channel."""
    names = []

    def open_runtime(bundle, options):
        names.append(options.precision)
        return Drawn()

    monkeypatch.setattr(room, "open_runtime", open_runtime)
    monkeypatch.setattr(room, "faster_precisions", lambda bundle, options: ("bf16", "fp16"))
    monkeypatch.setattr(Drawn, "__call__", lambda self, batch: np.stack([batch[:, 0], -batch[:, 0], batch[:, 1]], 1))
    return names


@pytest.fixture
def bundle(tiny_bundle):
    return load_bundle(tiny_bundle)


def test_a_small_scene_stays_fp32_and_opens_nothing_else(scene, bundle, opened):
    _, choice = open_for_scene(fit_scene(scene, SPEC), bundle, RuntimeOptions())
    assert (choice.precision, choice.reason, choice.compared) == ("fp32", "the scene is small", False)
    assert opened == ["fp32"]


def test_a_large_scene_gets_what_agrees(scene, bundle, opened, monkeypatch):
    monkeypatch.setattr(room, "WORTH_PX", 500_000)
    choices = [open_for_scene(fit_scene(scene, SPEC), bundle, RuntimeOptions())[1] for _ in range(2)]
    assert choices[0] == choices[1]
    assert choices[0].precision == "bf16"
    assert opened == ["fp32", "bf16"] * 2


def test_nodata_makes_a_scene_small(scene, bundle, opened, monkeypatch):
    monkeypatch.setattr(room, "WORTH_PX", 700_000)
    assert scene.grid.height * scene.grid.width > 700_000
    _, choice = open_for_scene(fit_scene(scene, SPEC), bundle, RuntimeOptions())
    assert choice.reason == "the scene is small"


def test_too_few_valid_samples_are_not_judged_on(tmp_path, bundle, opened, monkeypatch):
    monkeypatch.setattr(room, "WORTH_PX", 10_000)
    scene = open_scene(write_scene(tmp_path / "scene.tif", 200, 200))
    _, choice = open_for_scene(fit_scene(scene, SPEC), bundle, RuntimeOptions())
    assert choice.reason == "too few valid pixels to compare others with it"
    assert opened == ["fp32"]


def test_nothing_is_compared_where_nothing_is_faster(scene, bundle, opened, monkeypatch):
    monkeypatch.setattr(room, "WORTH_PX", 500_000)
    monkeypatch.setattr(room, "faster_precisions", lambda bundle, options: ())
    _, choice = open_for_scene(fit_scene(scene, SPEC), bundle, RuntimeOptions())
    assert (choice.precision, choice.reason) == ("fp32", "nothing is faster here")
    assert opened == ["fp32"]


def test_what_is_asked_for_is_taken(scene, bundle, opened):
    _, choice = open_for_scene(fit_scene(scene, SPEC), bundle, RuntimeOptions(), "bf16")
    assert (choice.precision, choice.reason) == ("bf16", "asked for")
    assert opened == ["bf16"]
    with pytest.raises(InputError, match="precision 'fp8' is unknown"):
        open_for_scene(fit_scene(scene, SPEC), bundle, RuntimeOptions(), "fp8")
