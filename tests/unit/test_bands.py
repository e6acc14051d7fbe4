from __future__ import annotations

import numpy as np
import pytest

from geoseg.core.bands import COMMON_NAMES, Band, BandSet, common_name_of
from geoseg.core.indices import INDICES
from geoseg.core.sensors import SENSORS
from geoseg.errors import InputError

SHAPE = (3, 4)


def band_set(*pairs):
    return BandSet(tuple(Band(name=name, common_name=common) for name, common in pairs))


@pytest.fixture
def scene():
    """Three reflectance bands, their raw numbers, and two invalid pixels."""
    bands = BandSet(
        (
            Band(name="B4", common_name="red", scale=1e-4, offset=-0.1, mean=0.2, std=0.05, nodata=0),
            Band(name="B8", common_name="nir", scale=2e-4, mean=0.4, std=0.1),
            Band(name="height", mean=120, std=30),
        )
    )
    raw = np.random.default_rng(3).integers(1500, 6000, (3, *SHAPE)).astype(np.uint16)
    valid = np.ones(SHAPE, dtype=bool)
    valid[0, 1] = valid[2, 3] = False
    return bands, raw, valid


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SWIR1", "swir16"), ("swir 2", "swir22"), (" Red ", "red"), ("NIR", "nir"), ("Near Infrared", "nir"),
        ("Coastal Aerosol", "coastal"), ("R", "red"), ("rededge2", "rededge075"), ("Red Edge", "rededge"),
        ("panchromatic", "pan"), ("swir16", "swir16"), ("B4", None), ("infrared", None), ("", None), ("swir", None),
    ],
)  # fmt: skip
def test_descriptions_become_common_names(text, expected):
    assert common_name_of(text) == expected


def test_common_names_stand_for_themselves():
    assert {common_name_of(name.upper()) for name in COMMON_NAMES} == COMMON_NAMES


@pytest.mark.parametrize("wrong", [{"std": 0}, {"std": -1}, {"std": float("nan")}, {"scale": 0}])
def test_a_band_that_cannot_be_normalised_is_refused(wrong):
    with pytest.raises(InputError, match="band B4 needs a positive std and a scale other than 0"):
        Band(name="B4", **wrong)


def test_band_names_are_unique():
    with pytest.raises(InputError, match="must be unique, got a, b, a"):
        band_set(("a", "red"), ("b", "nir"), ("a", "blue"))


def test_selected_bands_come_in_the_order_asked_for():
    bands = band_set(("a", "red"), ("b", None), ("c", "nir"))
    assert bands.select([2, 0]).names == ("c", "a")
    assert bands.select([2, 0]).common_names == ("nir", "red")
    assert bands[1].name == "b"


@pytest.mark.parametrize(
    ("pairs", "wanted", "expected"),
    [
        ([("B3", "red"), ("B4", "nir")], ("B3", "nir"), 1),  # meaning before name: B3 and B4 differ by sensor
        ([("B4", "red"), ("B5", "nir08")], ("B8", "nir"), 1),
        ([("B4", "red"), ("B8", "nir")], ("B5", "nir08"), 1),
        ([("B8A", "nir08"), ("B8", "nir")], ("NIR", "nir"), 1),  # the exact one wins, wherever it is
        ([("B8", "nir"), ("B8A", "nir08")], ("NIR", "nir08"), 1),
        ([("b4", None), ("VV", None)], ("vv", None), 1),
        ([("red", None)], ("RED", "red"), 0),
        ([("B9", "nir09")], ("B8", "nir"), None),
        ([("x", None), ("y", None)], ("z", None), None),
    ],
)
def test_a_band_is_found_by_meaning_then_by_name(pairs, wanted, expected):
    assert band_set(*pairs).find(Band(name=wanted[0], common_name=wanted[1])) == expected


def test_a_common_name_that_several_bands_share_needs_the_name_too():
    old_catalogue = band_set(("B05", "rededge"), ("B06", "rededge"), ("B07", "rededge"))
    assert old_catalogue.find(Band(name="b06", common_name="rededge")) == 1
    assert old_catalogue.find(Band(name="B07", common_name="rededge078")) == 2
    assert old_catalogue.find(Band(name="RE", common_name="rededge")) is None


def test_physical_values_are_scaled_and_bands_without_a_scale_pass(scene):
    bands, raw, _ = scene
    values = bands.physical(raw)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values[0], raw[0] * 1e-4 - 0.1, rtol=1e-5)
    np.testing.assert_allclose(values[1], raw[1] * 2e-4, rtol=1e-5)
    np.testing.assert_array_equal(values[2], raw[2])


def test_physical_values_leave_the_raw_numbers_alone():
    raw = np.ones((1, *SHAPE), dtype=np.float32)
    BandSet((Band(name="a", scale=2.0),)).physical(raw)
    assert (raw == 1).all()


def test_normalise_is_the_written_formula(scene):
    bands, raw, valid = scene
    channels = bands.normalise(raw, valid, ("ndvi",))
    red, nir = raw[0] * 1e-4 - 0.1, raw[1] * 2e-4
    expected = np.stack([(red - 0.2) / 0.05, (nir - 0.4) / 0.1, (raw[2] - 120.0) / 30, (nir - red) / (nir + red)])
    expected[:, ~valid] = 0
    assert channels.dtype == np.float32
    assert channels.shape == (4, *SHAPE)
    np.testing.assert_allclose(channels, expected, rtol=1e-4, atol=1e-5)


def test_a_pixel_becomes_the_same_number_whatever_surrounds_it(scene):
    bands, raw, valid = scene
    whole = bands.normalise(raw, valid, ("ndvi",))
    part = bands.normalise(raw[:, 1:, 2:], valid[1:, 2:], ("ndvi",))
    np.testing.assert_array_equal(part, whole[:, 1:, 2:])


@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf, -1.7e308, 1e38])
def test_invalid_pixels_are_zero_in_every_channel_whatever_they_hold(scene, hole):
    bands, raw, valid = scene
    holed = raw.astype(np.float64)
    holed[:, ~valid] = hole
    channels = bands.normalise(holed, valid, ("ndvi", "savi", "msavi"))
    assert (channels[:, ~valid] == 0).all()
    np.testing.assert_allclose(channels[:, valid], bands.normalise(raw, valid, ("ndvi", "savi", "msavi"))[:, valid])


def test_a_hole_in_one_band_alone_does_not_reach_the_model(scene):
    bands, raw, valid = scene
    holed = raw.astype(np.float32)
    holed[1, ~valid] = np.nan
    assert np.isfinite(bands.normalise(holed, valid, ("ndvi",))).all()


def test_index_channels_are_clipped():
    bands = band_set(("red", "red"), ("nir", "nir"))
    raw = np.array([[[-0.3, 0.9]], [[0.4, -0.8]]], dtype=np.float32)  # reflectance below zero: NDVI of 7 and -17
    channels = bands.normalise(raw, np.ones((1, 2), dtype=bool), ("ndvi",))
    assert channels[2].tolist() == [[1, -1]]


def test_an_index_without_its_band_says_what_is_missing():
    with pytest.raises(InputError, match=r"ndvi needs the bands nir, red; found B3, B4"):
        band_set(("B3", "green"), ("B4", "red")).index("ndvi", np.ones((2, 1, 1), dtype=np.float32))


def test_an_unknown_index_is_an_error():
    with pytest.raises(KeyError, match="ndxi"):
        band_set(("B3", "green")).index("ndxi", np.ones((1, 1, 1), dtype=np.float32))


@pytest.mark.parametrize("name", INDICES)
def test_every_index_finds_its_bands_by_meaning_in_any_order(name):
    reflectance = np.random.default_rng(4).uniform(0.01, 0.9, (12, *SHAPE)).astype(np.float32)
    bands = SENSORS["sentinel-2-l2a"].band_set()
    by_common = dict(zip(bands.common_names, reflectance, strict=True))
    expected = INDICES[name].formula(*(by_common[common] for common in INDICES[name].bands))
    backwards = list(range(12))[::-1]
    np.testing.assert_array_equal(bands.select(backwards).index(name, reflectance[backwards]), expected)


@pytest.mark.parametrize("change", [{"offset": np.inf}, {"mean": np.nan}, {"scale": np.inf}, {"std": np.inf}])
def test_numbers_of_a_band_are_finite(change):
    with pytest.raises(InputError, match="finite"):
        Band(name="red", **change)
