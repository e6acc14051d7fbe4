from __future__ import annotations

import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
import rasterio
from affine import Affine
from factory import BANDS, NORTH_UP, reflectance_dn, write_raster, write_scene
from pyproj import CRS
from rasterio.enums import ColorInterp

from geoseg.core.grid import Grid, Window
from geoseg.errors import InputError, MissingFileError
from geoseg.io.identify import BandFacts, SceneFacts, acquired_on, band_label, identify
from geoseg.io.scene import SceneOptions, open_scene

CORNER = Window(row=0, col=0, height=4, width=4)


def never():
    pytest.fail("the data were looked at although the metadata settle it")


def named(*names, tags=None, labels=(), options=SceneOptions(), look=never, **declared):  # noqa: B008
    facts = SceneFacts(bands=tuple(BandFacts(description=n, **declared) for n in names), tags=tags or {}, labels=labels)
    return identify(facts, options, looks_unshifted=look)


def scalings(bands):
    return {(band.scale, band.offset) for band in bands}


@pytest.mark.parametrize(
    ("tags", "labels", "found"),
    [
        ({"DATE_ACQUIRED": "1999-07-04"}, ("20200101",), date(1999, 7, 4)),
        ({}, ("LC08_L1TP_038034_20210829_02", "20200101"), date(2021, 8, 29)),
        ({}, ("tile_20210230_20210301",), date(2021, 3, 1)),
        ({"DATE_ACQUIRED": "unknown"}, ("scene 1234567890",), None),
    ],
    ids=["tag", "name", "no such day", "none"],
)
def test_the_day_comes_from_tags_then_from_names(tags, labels, found):
    assert acquired_on(SceneFacts(bands=(), tags=tags, labels=labels)) == found


def test_a_scene_knows_its_day(tmp_path):
    assert open_scene(write_scene(tmp_path / "S2A_20240601T101031.tif", 8, 8)).acquired == date(2024, 6, 1)
    assert open_scene(write_scene(tmp_path / "plain.tif", 8, 8)).acquired is None


# ---- which band is which


@pytest.mark.parametrize(
    ("stem", "label"),
    [
        ("B02", "B02"),
        ("T10SGJ_20200802T184921_B04_10m", "B04"),
        ("T10SGJ_20200802T184921_B8A", "B8A"),
        ("LC08_L2SP_038034_20150818_20200908_02_T1_SR_B4", "SR_B4"),
        ("LE07_L1TP_039031_B6_VCID_2", "B6_VCID_2"),
        ("orthophoto_red", "red"),
        ("nir", "nir"),
        ("scene_b", "scene_b"),
        ("elevation", "elevation"),
    ],
)
def test_band_label_of_a_file_name(stem, label):
    assert band_label(stem) == label


def test_common_names_need_no_sensor():
    bands, notes = named("Blue", "SWIR1", "height")
    assert bands.common_names == ("blue", "swir16", None)
    assert scalings(bands) == {(None, 0.0)}
    assert notes == ("bands by description",)


def test_numbers_that_sensors_disagree_on_stay_without_a_meaning():
    bands, notes = named("B1", "B2", "B3", "B4")
    assert bands.common_names == (None, None, None, None)
    assert scalings(bands) == {(None, 0.0)}
    assert "landsat-5-l1" in " ".join(notes)
    assert "pass --sensor" in " ".join(notes)


def test_a_platform_tag_settles_what_numbers_mean():
    bands, notes = named("B2", "B3", "B4", "B5", tags={"SPACECRAFT_ID": "LANDSAT_8"})
    assert bands.common_names == ("blue", "green", "red", "nir08")
    assert scalings(bands) == {(2e-5, -0.1)}
    assert notes[-1].startswith("assumed scaling 2e-05 with offset -0.1 from sensor landsat-8-l1")


def test_a_product_name_settles_what_numbers_mean():
    label = "LT05_L1TP_038034_19950818_20200908_02_T1"
    bands, notes = named("B1", "B4", "B6", labels=(label,), named_by_file=True)
    assert bands.common_names == ("blue", "nir", "lwir")
    assert scalings(bands) == {(None, 0.0)}
    assert notes == ("bands by file name; sensor landsat-5-l1 by band names",)


def test_landsat_surface_reflectance_by_names_and_product():
    label = "LC08_L2SP_038034_20150818_20200908_02_T1"
    bands, _ = named("SR_B2", "SR_B5", labels=(label,))
    assert bands.common_names == ("blue", "nir08")
    assert scalings(bands) == {(2.75e-5, -0.2)}


def test_sensors_with_one_scaling_need_no_decision():
    bands, notes = named("SR_B6", "SR_B7", "SR_B1")
    assert bands.common_names == ("swir16", "swir22", "coastal")
    assert scalings(bands) == {(2.75e-5, -0.2)}
    assert "landsat-8-l2 or landsat-9-l2" in notes[-1]


def test_a_platform_without_a_level_leaves_the_scaling_open():
    bands, notes = named("red", "nir", tags={"PLATFORM": "LANDSAT_5"})
    assert bands.common_names == ("red", "nir")
    assert scalings(bands) == {(None, 0.0)}
    assert "no scaling assumed for bands red, nir" in notes[-1]
    assert "--sensor" in notes[-1]


def test_zero_padded_numbers_with_b08_are_sentinel_2():
    bands, _ = named("B02", "B03", "B04", "B08", labels=("S2A_MSIL2A_20200802T184921_N0214_R113_T10SGJ_x",))
    assert bands.common_names == ("blue", "green", "red", "nir")


def test_zero_padded_numbers_may_also_be_harmonised_landsat():
    bands, notes = named("B02", "B03", "B04", "B05")
    assert bands.common_names == ("blue", "green", "red", None)
    assert "band B05 left without a meaning" in " ".join(notes)
    assert scalings(bands) == {(None, 0.0)}


S2 = ("B02", "B03", "B04", "B08", "B8A")


@pytest.mark.parametrize(
    ("evidence", "offset", "word"),
    [
        ({"tags": {"PROCESSING_BASELINE": "03.01"}}, 0.0, "03.01"),
        ({"tags": {"PROCESSING_BASELINE": "04.00"}}, -0.1, "04.00"),
        ({"tags": {"PROCESSING_BASELINE": "05.09", "DATETIME": "2019-01-01"}}, -0.1, "05.09"),
        ({"labels": ("S2A_MSIL2A_20200802T184921_N0214_R113_T10SGJ_20200802T233910",)}, 0.0, "02.14"),
        ({"labels": ("S2B_MSIL1C_20230802T184921_N0509_R113_T10SGJ_20230802T233910",)}, -0.1, "05.09"),
        ({"labels": ("B02", "crop20200802")}, 0.0, "2020-08-02"),
        ({"tags": {"DATETIME": "2021-07-08T10:00:00Z"}}, 0.0, "2021-07-08"),
        ({"labels": ("S2A_MSIL2A_20230802T1_N9999_R113",), "look": lambda: True}, 0.0, "unknown"),
        ({"labels": ("crop20230802",), "look": lambda: True}, 0.0, "below 1000"),
        ({"labels": ("crop20230802",), "look": lambda: False}, -0.1, "as if offset"),
        ({"look": lambda: True}, 0.0, "unknown"),
        ({"look": lambda: False}, -0.1, "unknown"),
    ],
)
def test_the_offset_of_sentinel_2(evidence, offset, word):
    bands, notes = named(*S2, **evidence)
    assert bands.common_names == ("blue", "green", "red", "nir", "nir08")
    assert scalings(bands) == {(1e-4, offset)}
    assert "assumed" in notes[-1]
    assert word in notes[-1]


def test_declared_scaling_wins_over_the_sensor():
    bands, notes = named(*S2, scale=0.5, offset=3.0)
    assert scalings(bands) == {(0.5, 3.0)}
    assert not any("assumed" in note for note in notes)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_no_scaling_is_assumed_for_bytes_and_floats(dtype):
    assert scalings(named(*S2, dtype=dtype)[0]) == {(None, 0.0)}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (SceneOptions(scale=0.01), (0.01, 0.0)),
        (SceneOptions(scale=0.01, offset=-2.0), (0.01, -2.0)),
        (SceneOptions(sensor="landsat-8-l1", offset=-0.3), (2e-5, -0.3)),
        (SceneOptions(offset=7.0), (1.0, 7.0)),
        (SceneOptions(sensor="sentinel-2-l2a"), (1e-4, -0.1)),
        (SceneOptions(sensor="sentinel-2-l2a-before-04.00"), (1e-4, 0.0)),
    ],
)
def test_options_win_for_scaling(options, expected):
    assert scalings(named("blue", "red", options=options)[0]) == {expected}


def test_a_sensor_names_the_bands_in_its_order():
    bands, _ = named("", "", "", "", options=SceneOptions(sensor="naip"), dtype="uint8")
    assert bands.common_names == ("red", "green", "blue", "nir")


def test_thermal_bands_get_no_reflectance_scaling():
    bands, _ = named("B4", "B10", options=SceneOptions(sensor="landsat-8-l1"))
    assert [band.scale for band in bands] == [2e-5, None]


def test_a_description_used_twice_is_no_name():
    bands, notes = named("reflectance", "reflectance")
    assert bands.names == ("1", "2")
    assert "twice" in notes[0]


def test_unknown_sensor_lists_the_known():
    with pytest.raises(InputError, match=r"unknown sensor 'landsat-99'; known are sentinel-2-l1c, .*naip"):
        named("B1", options=SceneOptions(sensor="landsat-99"))


# ---- real scenes


def test_zion_by_descriptions(shared_data):
    scene = open_scene(shared_data / "zion_landsat8" / "zion_north.tif")
    assert scene.name == "zion_north"
    assert scene.bands.common_names == ("blue", "green", "red", "nir")
    assert scalings(scene.bands) == {(2e-5, -0.1)}
    assert {band.nodata for band in scene.bands} == {65535}
    assert scene.grid.shape == (980, 1128)
    assert scene.grid.crs == CRS.from_epsg(32612)
    assert not scene.needs_resampling


def test_a_folder_of_band_files_of_two_resolutions(shared_data):
    folder = shared_data / "rcv_sentinel2" / "crop20200802"
    scene = open_scene(folder)
    assert scene.name == "crop20200802"
    assert scene.bands.names == ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B11", "B12", "B8A")
    assert scene.bands.common_names[7] == "swir16"
    assert scalings(scene.bands) == {(1e-4, 0.0)}
    assert scene.grid.transform == Affine(10, 0, 716050, 0, -10, 4428230)
    assert scene.needs_resampling
    assert not scene.select([0, 1, 2, 6]).needs_resampling
    assert scene == replace(open_scene(sorted(folder.glob("*.tif"))), name="crop20200802")
    assert len(scene.paths) == 10


def test_sentinel_2_without_any_date_is_judged_by_its_data(shared_data, tmp_path):
    for name in ("B02", "B8A"):
        shutil.copy(shared_data / "rcv_sentinel2" / "crop20200802" / f"{name}.tif", tmp_path)
    scene = open_scene(tmp_path / "B02.tif", options=SceneOptions(bands={"B02": 1}))
    assert scalings(scene.bands) == {(None, 0.0)}, "B02 alone may be Landsat's as well"
    scene = open_scene([tmp_path / "B02.tif", tmp_path / "B8A.tif"])
    assert scalings(scene.bands) == {(1e-4, 0.0)}
    assert "below 1000" in scene.notes[-1]
    with rasterio.open(tmp_path / "B02.tif", "r+") as file:
        file.write(file.read() + np.int16(1000))
    with rasterio.open(tmp_path / "B8A.tif", "r+") as file:
        file.write(file.read() + np.int16(1000))
    assert scalings(open_scene([tmp_path / "B02.tif", tmp_path / "B8A.tif"]).bands) == {(1e-4, -0.1)}


def test_landsat_7_by_band_names(landsat7_sample):
    scene = open_scene(landsat7_sample)
    assert scene.bands.common_names == ("blue", "green", "red", "nir", "swir16", None, "swir22")
    assert scalings(scene.bands) == {(None, 0.0)}
    assert scene.notes == ("bands by description; sensor landsat-7-l1 by band names",)


def test_aerial_photographs_by_declared_colours(shared_data):
    scene = open_scene(shared_data / "newbrunswick_aerial" / "23322E759967N_clipped_1m_1of2.tif")
    assert scene.bands.names == ("red", "green", "blue")
    assert scene.notes == ("bands from the declared colour interpretation",)


# ---- options and folders


def test_explicit_bands_choose_and_order(tmp_path):
    path = write_raster(tmp_path / "s.tif", np.arange(3, dtype="uint8")[:, None, None] * np.ones((1, 4, 5), "uint8"))
    scene = open_scene(path, options=SceneOptions(bands={"nir": 3, "red": 1}))
    assert scene.bands.common_names == ("nir", "red")
    assert scene.read(CORNER).data[:, 0, 0].tolist() == [2, 0]


def test_explicit_bands_count_files(tmp_path):
    files = [write_raster(tmp_path / f"x{i}.tif", np.full((1, 4, 4), i, "uint8")) for i in (5, 6, 7)]
    scene = open_scene(files, options=SceneOptions(bands={"red": 3, "green": 1}))
    assert scene.read(CORNER).data[:, 0, 0].tolist() == [7, 5]


def test_a_folder_leaves_out_what_is_no_band(tmp_path):
    for name in ("red", "nir", "QA_PIXEL"):
        write_raster(tmp_path / f"{name}.tif", np.ones((1, 4, 4), "uint16"))
    scene = open_scene(tmp_path)
    assert scene.bands.names == ("nir", "red")
    assert any("QA_PIXEL.tif" in note for note in scene.notes)


def test_a_relative_path_is_read_from_anywhere(tmp_path, monkeypatch):
    write_scene(tmp_path / "s.tif", 8, 8)
    monkeypatch.chdir(tmp_path)
    scene = open_scene("s.tif")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert scene.read(CORNER).valid.all()


def test_a_scene_is_a_value(tmp_path):
    scene = open_scene(write_scene(tmp_path / "s.tif", 8, 8))
    copy = pickle.loads(pickle.dumps(scene))  # noqa: S301
    assert copy == scene
    np.testing.assert_array_equal(copy.read(CORNER).data, scene.read(CORNER).data)


# ---- what is valid


def dn(height=6, width=7, bands=2):
    return np.random.default_rng(0).integers(10, 200, (bands, height, width)).astype("uint8")


def test_nodata_of_any_band_makes_a_pixel_invalid(tmp_path):
    data = dn()
    data[0, 1, 1] = data[1, 2, 2] = 0
    raster = open_scene(write_raster(tmp_path / "s.tif", data, nodata=0)).read(CORNER)
    assert not raster.valid[1, 1]
    assert not raster.valid[2, 2]
    assert raster.valid.sum() == 14


def test_given_nodata_overrides_the_declared(tmp_path):
    data = dn()
    data[0, 1, 1], data[0, 2, 2] = 0, 7
    path = write_raster(tmp_path / "s.tif", data, nodata=0)
    valid = open_scene(path, options=SceneOptions(nodata=7)).read(CORNER).valid
    assert valid[1, 1]
    assert not valid[2, 2]


def test_two_scenes_are_not_one(tmp_path):
    for name in ("a.tif", "b.tif"):
        write_raster(tmp_path / name, dn(bands=3), names=("blue", "green", "red"))
    with pytest.raises(InputError, match="one scene at a time"):
        open_scene([tmp_path / "a.tif", tmp_path / "b.tif"])


@pytest.mark.parametrize("nodata", [-9999, 0.5, float("nan")])
def test_a_nodata_value_that_pixels_cannot_have_is_refused(tmp_path, nodata):
    path = write_raster(tmp_path / "s.tif", dn())
    with pytest.raises(InputError, match="cannot be"):
        open_scene(path, options=SceneOptions(nodata=nodata))


def test_an_alpha_band_is_a_mask_and_no_band(tmp_path):
    data = dn(bands=4)
    data[3, 1, 1] = 0
    path = write_raster(tmp_path / "s.tif", data)
    with rasterio.open(path) as file:
        assert file.colorinterp[3] == ColorInterp.alpha, "GDAL takes four bands of bytes for RGBA"
    scene = open_scene(path)
    assert scene.bands.names == ("red", "green", "blue")
    valid = scene.read(CORNER).valid
    assert not valid[1, 1]
    assert valid.sum() == 15


def test_alpha_named_as_data_is_data(tmp_path):
    data = dn(bands=4)
    data[3, 1, 1] = 0
    path = write_raster(tmp_path / "s.tif", data, names=("red", "green", "blue", "nir"))
    scene = open_scene(path)
    assert scene.bands.names == ("red", "green", "blue", "nir")
    assert scene.read(CORNER).valid.all()
    with pytest.raises(InputError, match="band 4 is declared as alpha and cannot be resampled"):
        scene.on_grid(scene.grid.rescaled(0.5, 0.5)).read(CORNER)


@pytest.mark.parametrize("nodata", [None, 0])
def test_a_mask_band_joins_nodata(tmp_path, nodata):
    data = dn(16, 16)
    data[0, 1, 1] = 0
    mask = np.full((16, 16), 255, "uint8")
    mask[8:, 8:] = 0
    path = write_raster(tmp_path / "s.tif", data, nodata=nodata)
    with rasterio.open(path, "r+") as file:
        file.write_mask(mask)
    scene = open_scene(path)
    valid = scene.read(scene.grid.window).valid
    np.testing.assert_array_equal(valid, (mask > 0) & ((data[0] > 0) | (nodata is None)))
    finer = scene.on_grid(scene.grid.rescaled(0.5, 0.5))
    valid = finer.read(finer.grid.window).valid
    assert not valid[17:, 17:].any()
    assert valid[4:15].all()


def test_nan_and_infinity_are_invalid(tmp_path):
    data = dn().astype("float32")
    data[0, 0, 0], data[1, 1, 1], data[0, 2, 2] = np.nan, np.inf, -9999
    valid = open_scene(write_raster(tmp_path / "s.tif", data, nodata=-9999)).read(CORNER).valid
    np.testing.assert_array_equal(~valid, np.diag([True, True, True, False]))


def test_black_borders_on_request_only(tmp_path):
    data = dn(16, 16)
    data[:, :, :4] = 0
    data[0, 8, 8] = 0
    scene = open_scene(write_raster(tmp_path / "s.tif", data))
    assert scene.read(scene.grid.window).valid.all()
    valid = scene.with_black_as_nodata().read(scene.grid.window).valid
    np.testing.assert_array_equal(valid, data.any(axis=0))
    finer = (
        scene.on_grid(scene.grid.rescaled(0.5, 0.5))
        .with_black_as_nodata()
        .read(Window(row=2, col=2, height=9, width=9))
    )
    np.testing.assert_array_equal(finer.valid, np.broadcast_to(np.arange(2, 11) >= 8, (9, 9)))
    assert (finer.data[:, finer.valid] >= 10).all(), "black bled into the image"


# ---- grids and windows


@pytest.mark.parametrize(
    ("shape", "transform", "crs"),
    [
        ((5, 7), Affine(30, 0, 3e5, 0, 30, 4e6), "EPSG:32612"),
        ((5, 7), Affine(20, 8, 3e5, 8, -20, 4e6), "EPSG:32612"),
        ((5, 7), Affine(1e-4, 0, -112, 0, -1e-4, 41), "EPSG:4326"),
        ((9, 1), Affine(30, 0, 3e5, 0, -30, 4e6), "EPSG:32612"),
        ((1, 1), Affine(30, 0, 3e5, 0, -30, 4e6), "EPSG:32612"),
    ],
)
def test_any_natural_grid_is_read(tmp_path, shape, transform, crs):
    data = dn(*shape)
    scene = open_scene(write_raster(tmp_path / "s.tif", data, crs=crs, transform=transform))
    assert scene.grid == Grid(crs=CRS(crs), transform=transform, height=shape[0], width=shape[1])
    raster = scene.read(Window(row=-2, col=-3, height=20, width=30))
    np.testing.assert_array_equal(raster.data[:, 2 : 2 + shape[0], 3 : 3 + shape[1]], data)
    assert raster.valid.sum() == shape[0] * shape[1]
    assert raster.data.sum() == data.sum()
    assert raster.grid.transform @ (3, 2) == pytest.approx(transform @ (0, 0))


def test_a_window_beside_the_scene_is_empty(tmp_path):
    scene = open_scene(write_scene(tmp_path / "s.tif", 8, 8))
    raster = scene.read(Window(row=8, col=100, height=3, width=2))
    assert raster.data.shape == (4, 3, 2)
    assert not raster.data.any()
    assert not raster.valid.any()


def test_files_of_different_extent_are_valid_where_all_are(tmp_path):
    write_raster(tmp_path / "red.tif", np.ones((1, 8, 8), "uint8"))
    write_raster(tmp_path / "nir.tif", np.ones((1, 8, 8), "uint8"), transform=NORTH_UP @ Affine.translation(3, 2))
    scene = open_scene([tmp_path / "red.tif", tmp_path / "nir.tif"])
    valid = np.zeros((8, 8), bool)
    valid[2:, 3:] = True
    np.testing.assert_array_equal(scene.read(scene.grid.window).valid, valid)


def test_bands_of_several_files_keep_their_order(tmp_path):
    for value, name in enumerate(("red", "blue", "nir"), start=1):
        write_raster(tmp_path / f"{name}.tif", np.full((1, 4, 4), value, "uint8"))
    scene = open_scene([tmp_path / f"{name}.tif" for name in ("red", "blue", "nir")])
    assert scene.read(CORNER).data[:, 0, 0].tolist() == [1, 2, 3]
    assert scene.select([2, 0]).read(CORNER).data[:, 0, 0].tolist() == [3, 1]


def test_preview_is_small_and_on_the_same_ground(tmp_path):
    data = reflectance_dn(300, 120)
    data[:, :150] = 65535
    scene = open_scene(write_raster(tmp_path / "s.tif", data, nodata=65535))
    preview = scene.preview(60)
    assert preview.data.shape == (4, 60, 24)
    np.testing.assert_allclose(preview.grid.bounds, scene.grid.bounds)
    np.testing.assert_array_equal(preview.valid, np.broadcast_to(np.arange(60)[:, None] >= 30, (60, 24)))
    assert set(preview.data[0][preview.valid]) <= set(data[0].ravel())
    assert scene.preview(1000).data.shape == data.shape


def test_preview_of_mixed_resolutions(shared_data):
    scene = open_scene(shared_data / "rcv_sentinel2" / "crop20200802")
    preview = scene.preview(50)
    assert preview.data.shape == (10, 50, 50)
    assert preview.valid.mean() > 0.95
    whole = scene.read(scene.grid.window)
    means = [raster.data[:, raster.valid].mean(axis=1) for raster in (preview, whole)]
    np.testing.assert_allclose(means[0], means[1], rtol=0.03)


def test_every_thread_may_have_its_reader(tmp_path):
    scene = open_scene(write_scene(tmp_path / "s.tif", 200, 200))
    whole = scene.read(scene.grid.window).data

    def read(row):
        window = Window(row=row, col=0, height=10, width=200)
        with scene.reader() as reader:
            return reader.read(window).data

    with ThreadPoolExecutor(4) as pool:
        strips = list(pool.map(read, range(0, 200, 10)))
    np.testing.assert_array_equal(np.concatenate(strips, axis=1), whole)


def test_readers_may_end_in_any_order(tmp_path):
    scene = open_scene(write_scene(tmp_path / "s.tif", 20, 20))
    first, second = scene.reader(), scene.reader()
    first.__enter__()
    reader = second.__enter__()
    first.__exit__(None, None, None)
    assert reader.read(CORNER).valid.all()
    second.__exit__(None, None, None)


# ---- xarray


@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")  # rioxarray 0.19 with affine 3
def test_xarray_is_lazy_and_georeferenced(tmp_path):
    data = reflectance_dn(20, 30)
    data[1, 3, 4] = 65535
    scene = open_scene(write_raster(tmp_path / "s.tif", data, names=BANDS.names, scale=2e-5, offset=-0.1, nodata=65535))
    array = scene.to_xarray(chunks=(8, 16), indices=("ndvi",))
    assert array.dims == ("band", "y", "x")
    assert array.band.values.tolist() == ["blue", "green", "red", "nir", "ndvi"]
    assert array.data.chunksize == (5, 8, 16)
    assert array.rio.crs.to_epsg() == 32612
    assert array.rio.transform() == NORTH_UP
    assert float(array.x[0]) == NORTH_UP.c + 15
    values = array.compute()
    assert np.isnan(values[:, 3, 4]).all()
    assert int(np.isnan(values).sum()) == 5
    red, nir = data[2:4, 0, 0] * 2e-5 - 0.1
    np.testing.assert_allclose(values[[2, 3, 4], 0, 0], [red, nir, (nir - red) / (nir + red)], rtol=1e-4)


def test_xarray_of_a_rotated_grid_has_no_axes(tmp_path):
    scene = open_scene(write_scene(tmp_path / "s.tif", 8, 8, transform=Affine(20, 8, 3e5, 8, -20, 4e6)))
    array = scene.to_xarray()
    assert "x" not in array.coords
    assert array.rio.transform(recalc=False) == scene.grid.transform


def test_xarray_refuses_an_index_without_its_bands(tmp_path):
    scene = open_scene(write_scene(tmp_path / "s.tif", 8, 8))
    with pytest.raises(ValueError, match="ndmi needs the bands nir, swir16"):
        scene.to_xarray(indices=("ndmi",))


# ---- errors


@pytest.fixture
def refused(capfd):
    """Open (and read) and expect an InputError of one line that holds these words, and nothing from GDAL on stderr."""

    def check(source, *words, kind=InputError, options=SceneOptions(), read=False):  # noqa: B008
        def use():
            scene = open_scene(source, options=options)
            if read:
                scene.read(scene.grid.window)

        with pytest.raises(InputError) as caught:
            use()
        assert type(caught.value) is kind
        message = str(caught.value)
        assert "\n" not in message
        for word in words:
            assert str(word) in message, message
        assert capfd.readouterr() == ("", "")

    return check


def test_missing(refused, tmp_path):
    refused(tmp_path / "a.tif", tmp_path / "a.tif", "no such file", kind=MissingFileError)
    refused([tmp_path / "a.tif"], "no such file", kind=MissingFileError)
    refused([], "empty list")


def test_not_a_raster(refused, tmp_path):
    path = tmp_path / "notes.tif"
    path.write_text("not a raster at all")
    refused(path, path, "GDAL cannot read this")


def test_folder_without_rasters(refused, tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    refused(tmp_path, tmp_path, "no raster")


@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_truncated(refused, tmp_path, share):
    path = write_scene(tmp_path / "s.tif", 400, 400)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    refused(path, path, read=True)


def test_damage_is_named_with_its_window(tmp_path, capfd):
    path = write_raster(tmp_path / "s.tif", reflectance_dn(400, 400))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    scene = open_scene(path)
    window = Window(row=390, col=10, height=20, width=20)
    with pytest.raises(InputError, match=r"s\.tif: cannot read rows 390 to 399, columns 10 to 29 \(.*IReadBlock"):
        scene.read(window)
    with pytest.raises(InputError, match=r"s\.tif: cannot read rows"):
        scene.on_grid(scene.grid.rescaled(2, 2)).read(Window(row=180, col=0, height=20, width=20))
    assert capfd.readouterr() == ("", "")


def test_a_container_without_bands_of_its_own(refused, tmp_path):
    path = tmp_path / "tables.gpkg"
    profile = {"driver": "GPKG", "count": 1, "height": 8, "width": 8, "dtype": "uint8", "crs": "EPSG:32612"}
    profile |= {"transform": NORTH_UP, "append_subdataset": "YES"}
    for table in ("north", "south"):
        with rasterio.open(path, "w", **profile, raster_table=table) as out:
            out.write(dn(8, 8, 1))
    refused(path, "no raster band", "north", "south")


def test_no_place(refused, tmp_path):
    refused(write_raster(tmp_path / "a.tif", dn(), crs=None), "no CRS")
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        path = write_raster(tmp_path / "b.tif", dn(), transform=Affine.identity())
    refused(path, "no geotransform")
    local = 'LOCAL_CS["hall",UNIT["metre",1],AXIS["x",EAST],AXIS["y",NORTH]]'
    refused(write_raster(tmp_path / "c.tif", dn(), crs=local), "hall", "projected or geographic")


@pytest.mark.parametrize("dtype", ["complex64", "int64", "uint64"])
def test_unsupported_dtypes(refused, tmp_path, dtype):
    refused(write_raster(tmp_path / "s.tif", dn().astype(dtype)), f"found data type {dtype}", "float32")


@pytest.mark.parametrize("index", [0, 3, -1])
def test_mapping_out_of_range(refused, tmp_path, index):
    path = write_raster(tmp_path / "s.tif", dn())
    refused(path, f"band red={index} is not there", "1 to 2", options=SceneOptions(bands={"red": index}))


def test_different_crs(refused, tmp_path):
    write_raster(tmp_path / "red.tif", dn(bands=1))
    write_raster(tmp_path / "nir.tif", dn(bands=1), crs="EPSG:32611")
    refused(tmp_path, "red.tif", "UTM zone 11N", "UTM zone 12N")


def test_unknown_sensor(refused, tmp_path):
    refused(write_raster(tmp_path / "s.tif", dn()), "sputnik", "naip", options=SceneOptions(sensor="sputnik"))
