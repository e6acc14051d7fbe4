from __future__ import annotations

import numpy as np
import pytest
import rasterio

from geoseg.core.bands import COMMON_NAMES
from geoseg.core.sensors import SENSORS, canonical_band_name, describe_band, sensors_with

LANDSAT_7_SAMPLE = ("B1", "B2", "B3", "B4", "B5", "B6_VCID_2", "B7")


def names_of(sensors):
    return [sensor.name for sensor in sensors]


def reflectance(sensor, band, dn):
    described = describe_band(SENSORS[sensor], band)
    assert described is not None
    assert described.scale is not None
    return dn * described.scale + described.offset


@pytest.mark.parametrize("sensor", SENSORS.values(), ids=SENSORS)
def test_the_bands_of_a_sensor_cannot_be_confused(sensor):
    names = [canonical_band_name(name) for name, _ in sensor.bands]
    commons = [common for _, common in sensor.bands if common]
    assert len(set(names)) == len(names)
    assert len(set(commons)) == len(commons)
    assert set(commons) <= COMMON_NAMES
    assert len(sensor.band_set()) == len(sensor.bands)


@pytest.mark.parametrize("sensor", SENSORS.values(), ids=SENSORS)
def test_thermal_bands_are_no_reflectance(sensor):
    for band in sensor.band_set():
        is_thermal = (band.common_name or "").startswith("lwir")
        assert (band.scale, band.offset) == ((None, 0) if is_thermal else (sensor.scale, sensor.offset))


def test_landsat_8_has_two_thermal_bands_without_a_scale():
    bands = SENSORS["landsat-8-l1"].band_set()
    assert [band.name for band in bands if band.scale is None] == ["B10", "B11"]


@pytest.mark.parametrize(
    ("sensor", "band", "dn", "expected"),
    [
        ("sentinel-2-l2a", "B04", 3000, 0.2),
        ("sentinel-2-l2a-before-04.00", "B04", 3000, 0.3),
        ("sentinel-2-l1c", "B8A", 1000, 0.0),
        ("sentinel-2-l1c-before-04.00", "B10", 10000, 1.0),
        ("landsat-8-l1", "B5", 5000, 0.0),  # the offset of -0.1 over the gain of 2e-5
        ("landsat-9-l2", "SR_B5", 43636, 1.0),  # the ends of the valid range in the format control book
        ("landsat-5-l2", "SR_B3", 7273, 0.0),
        ("planetscope-8b", "nir", 2500, 0.25),
    ],
)
def test_numbers_of_a_product_become_reflectance(sensor, band, dn, expected):
    assert reflectance(sensor, band, dn) == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize("sensor", ["landsat-4-l1", "landsat-5-l1", "landsat-7-l1", "naip"])
def test_products_without_a_fixed_scaling_invent_none(sensor):
    assert all(band.scale is None for band in SENSORS[sensor].band_set())


def test_the_numbers_of_the_landsat_7_sample_tell_its_sensor():
    assert names_of(sensors_with(LANDSAT_7_SAMPLE)) == ["landsat-7-l1"]


def test_the_descriptions_inside_the_landsat_7_sample_tell_its_sensor(landsat7_sample):
    with rasterio.open(landsat7_sample) as scene:
        sensors = sensors_with(scene.descriptions)
        bands = [describe_band(sensors[0], name) for name in scene.descriptions]
    assert names_of(sensors) == ["landsat-7-l1"]
    assert [band and band.common_name for band in bands] == ["blue", "green", "red", "nir", "swir16", None, "swir22"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("SR_B2", "SR_B3", "SR_B4", "SR_B1", "SR_B6"), ["landsat-8-l2", "landsat-9-l2"]),
        (("sr_b1", "sr_b7", "sr_b5"), [f"landsat-{n}-l2" for n in (4, 5, 7, 8, 9)]),
        (("B8A",), [name for name in SENSORS if name.startswith("sentinel-2")]),
        (("B8A", "B10"), ["sentinel-2-l1c", "sentinel-2-l1c-before-04.00"]),
        (("B2", "B99"), []),
        (("red", "green"), []),
        (("B2", "red"), []),
        ((), []),
    ],
)
def test_names_match_the_sensors_that_have_all_of_them(names, expected):
    assert names_of(sensors_with(names)) == expected


@pytest.mark.parametrize("spelling", ["B02", "B2", "b2", "b02", "Band 2", "band_2", "BAND-02", "Band2", " B02 "])
def test_the_spellings_of_a_band_number_are_one(spelling):
    band = describe_band(SENSORS["sentinel-2-l2a"], spelling)
    assert band is not None
    assert (band.name, band.common_name, band.scale) == (spelling, "blue", 1e-4)


@pytest.mark.parametrize("name", ["B20", "B", "band", "B0", "SR_B2", ""])
def test_a_name_that_the_sensor_does_not_have_is_none(name):
    assert describe_band(SENSORS["sentinel-2-l2a"], name) is None


def test_a_zero_is_no_leading_zero_where_no_digit_follows():
    assert describe_band(SENSORS["naip"], "B0") is None  # and not its blue, which is called B


def test_numbers_with_a_zero_of_their_own_stay_apart():
    assert canonical_band_name("B10") == "b10" != canonical_band_name("B1")
    assert canonical_band_name("SR_B04") == canonical_band_name("sr b4") == "sr_b4"
    assert canonical_band_name("B08A") == canonical_band_name("b8a")


def test_band_sets_of_a_sensor_turn_numbers_into_reflectance():
    bands = SENSORS["landsat-8-l1"].band_set()
    raw = np.full((len(bands), 1, 2), 10000, dtype=np.uint16)
    values = bands.physical(raw)
    thermal = [name in ("B10", "B11") for name in bands.names]
    np.testing.assert_allclose(values[:, 0, 0], np.where(thermal, 10000, 0.1), rtol=1e-5)
