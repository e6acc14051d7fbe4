from __future__ import annotations

import subprocess
import sys
from itertools import product
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import rasterio
from affine import Affine
from factory import LEGEND, NORTH_UP, write_raster
from pyproj import CRS

from geoseg.core.grid import Grid, Window
from geoseg.errors import InputError, MissingFileError, OutputError
from geoseg.io.fingerprint import fingerprint
from geoseg.io.raster import RasterSpec, RasterWriter, read_grid, read_labels_on, read_strips, write_cog

UTM = CRS.from_epsg(32612)
PALETTE = {c.code: (*c.rgb, 255) for c in LEGEND} | {255: (0, 0, 0, 0)}


def grid(height=70, width=90, transform=NORTH_UP):
    return Grid(crs=UTM, transform=transform, height=height, width=width)


def mask_spec(**changes):
    settings = {
        "grid": grid(),
        "dtype": "uint8",
        "band_names": ("class",),
        "nodata": 255,
        "palette": PALETTE,
        "class_names": {c.code: c.name for c in LEGEND},
        "tags": {"GEOSEG_PROVENANCE": '{"seed": 1}'},
        "overviews": "mode",
    }
    return RasterSpec(**settings | changes)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def write_all(path, spec, data):
    with RasterWriter(path, spec) as writer:
        writer.write(spec.grid.window, data)
    return path


# ---- the working file


def test_windows_may_come_in_any_order(tmp_path):
    rng = np.random.default_rng(0)
    data = rng.integers(0, 1000, (2, 1100, 700)).astype("uint16")
    spec = RasterSpec(grid=grid(1100, 700), dtype="uint16", band_names=("a", "b"), nodata=9)
    windows = [Window(row=r, col=c, height=110, width=70) for r, c in product(range(0, 1100, 110), range(0, 700, 70))]
    with RasterWriter(tmp_path / "w.tif", spec) as writer:
        for i in rng.permutation(len(windows)):
            writer.write(windows[i], data[:, *windows[i].slices])
    with rasterio.open(tmp_path / "w.tif") as file:
        np.testing.assert_array_equal(file.read(), data)
        assert file.block_shapes == [(512, 512)] * 2
        assert file.descriptions == ("a", "b")
    assert read_grid(tmp_path / "w.tif") == spec.grid


def test_what_was_never_written_is_nodata(tmp_path):
    with RasterWriter(tmp_path / "w.tif", mask_spec()) as writer:
        writer.write(Window(row=2, col=3, height=1, width=2), np.array([[1, 2]], dtype="uint8"))
    with rasterio.open(tmp_path / "w.tif") as file:
        found = file.read(1)
    assert found[2, 3:5].tolist() == [1, 2]
    assert (found == 255).sum() == found.size - 2


@pytest.mark.parametrize(
    ("window", "data"),
    [
        (Window(row=0, col=0, height=2, width=2), np.zeros((2, 3), "uint8")),
        (Window(row=0, col=0, height=2, width=2), np.zeros((2, 2), "int16")),
        (Window(row=0, col=0, height=2, width=2), np.zeros((2, 2, 2), "uint8")),
        (Window(row=69, col=0, height=2, width=2), np.zeros((2, 2), "uint8")),
        (Window(row=-1, col=0, height=2, width=2), np.zeros((2, 2), "uint8")),
    ],
)
def test_data_must_fit(tmp_path, window, data):
    with RasterWriter(tmp_path / "w.tif", mask_spec()) as writer, pytest.raises(ValueError, match=r"w\.tif"):
        writer.write(window, data)


def test_strips_are_the_raster_from_top_to_bottom(tmp_path):
    data = np.random.default_rng(0).integers(0, 200, (70, 90)).astype("uint8")
    path = write_all(tmp_path / "w.tif", mask_spec(), data)
    strips = list(read_strips(path, rows=32))
    assert [window.row for window, _ in strips] == [0, 32, 64]
    assert [strip.shape for _, strip in strips] == [(32, 90), (32, 90), (6, 90)]
    np.testing.assert_array_equal(np.concatenate([strip for _, strip in strips]), data)
    for (_, a), (_, b) in zip(read_strips(path, rows=30), read_strips(path, rows=30), strict=True):
        np.testing.assert_array_equal(a, b)


# ---- the Cloud Optimized GeoTIFF


def test_a_class_map_keeps_everything(tmp_path):
    spec = mask_spec(grid=grid(1100, 1300))
    data = np.random.default_rng(0).choice(np.array([1, 2, 4, 255], "uint8"), (110, 130)).repeat(10, 0).repeat(10, 1)
    plain = mask_spec(grid=spec.grid, palette=None, class_names={}, tags={})
    write_cog(write_all(tmp_path / "w.tif", plain, data), tmp_path / "map.tif", spec)
    with rasterio.open(tmp_path / "map.tif") as file:
        np.testing.assert_array_equal(file.read(1), data)
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert file.block_shapes == [(512, 512)]
        assert file.overviews(1) == [2, 4]
        assert file.nodata == 255
        assert file.descriptions == ("class",)
        assert file.tags()["GEOSEG_PROVENANCE"] == '{"seed": 1}'
        assert file.tags(1)["CLASS_2"] == "developed"
        colours = file.colormap(1)
        assert {code: colours[code][:3] for code in (1, 2, 4)} == {c.code: c.rgb for c in LEGEND}
        small = file.read(1, out_shape=(550, 650))
    assert set(np.unique(small)) <= {1, 2, 4, 255}, "overviews hold codes only"
    assert "<Category>forest</Category>" in (tmp_path / "map.tif.aux.xml").read_text()
    table = ET.parse(tmp_path / "map.tif.aux.xml").find("PAMRasterBand/GDALRasterAttributeTable")  # noqa: S314  (ours)
    rows = [[cell.text for cell in row] for row in table.iterfind("Row")]
    assert rows == [[str(c.code), c.name, *map(str, c.rgb), "255"] for c in LEGEND]
    assert read_grid(tmp_path / "map.tif") == spec.grid


def test_quantities_keep_scale_and_are_averaged(tmp_path):
    names = ("water", "developed", "barren", "forest")
    spec = RasterSpec(
        grid=grid(600, 600), dtype="uint8", band_names=names, nodata=255, scale=1 / 254, overviews="average"
    )
    data = np.zeros((4, 600, 600), "uint8")
    data[:, ::2] = 100
    write_cog(write_all(tmp_path / "w.tif", spec, data), tmp_path / "p.tif", spec)
    with rasterio.open(tmp_path / "p.tif") as file:
        np.testing.assert_array_equal(file.read(), data)
        assert file.descriptions == names
        assert file.scales == (1 / 254,) * 4
        assert {c.name for c in file.colorinterp} == {"gray", "undefined"}, "four bands of bytes are no RGBA"
        assert (file.read(1, out_shape=(300, 300)) == 50).all()
        assert not (tmp_path / "p.tif.aux.xml").exists()


def test_float_and_offset_survive(tmp_path):
    spec = RasterSpec(grid=grid(), dtype="float32", band_names=("a",), nodata=float("nan"), scale=2.0, offset=-1.0)
    data = np.random.default_rng(0).normal(size=(70, 90)).astype("float32")
    write_cog(write_all(tmp_path / "w.tif", spec, data), tmp_path / "f.tif", spec)
    with rasterio.open(tmp_path / "f.tif") as file:
        np.testing.assert_array_equal(file.read(1), data)
        assert (file.scales, file.offsets) == ((2.0,), (-1.0,))
        assert np.isnan(file.nodata)


def test_the_output_appears_alone_and_replaces(tmp_path):
    working = write_all(tmp_path / "w.tif", mask_spec(), np.full((70, 90), 1, "uint8"))
    out = tmp_path / "out"
    out.mkdir()
    (out / "m.tif").write_text("old")
    (out / "m.tif.aux.xml").write_text("old")
    write_cog(working, out / "m.tif", mask_spec(class_names={}))
    assert names_in(out) == ["m.tif"]
    assert read_grid(out / "m.tif") == grid()


def test_a_failing_copy_leaves_the_old_output(tmp_path):
    working = write_all(
        tmp_path / "w.tif",
        mask_spec(grid=grid(1000, 1000)),
        np.random.default_rng(0).integers(0, 9, (1000, 1000), "uint8"),
    )
    working.write_bytes(working.read_bytes()[:-90_000])
    out = tmp_path / "out"
    out.mkdir()
    (out / "m.tif").write_text("old")
    with pytest.raises((InputError, OutputError)):
        write_cog(working, out / "m.tif", mask_spec(grid=grid(1000, 1000)))
    assert names_in(out) == ["m.tif"]
    assert (out / "m.tif").read_text() == "old"


def test_folders_that_cannot_be_written(tmp_path):
    working = write_all(tmp_path / "w.tif", mask_spec(), np.full((70, 90), 1, "uint8"))
    (tmp_path / "file").write_text("x")
    for folder in ("absent", "file"):
        with pytest.raises(OutputError, match=rf"{folder}.*m\.tif: cannot"):
            write_cog(working, tmp_path / folder / "m.tif", mask_spec())
        with (
            pytest.raises(OutputError, match=rf"{folder}.*m\.tif: cannot"),
            RasterWriter(tmp_path / folder / "m.tif", mask_spec()),
        ):
            pass


FULL_DISK = """
import resource, sys
import numpy as np
from affine import Affine
from pyproj import CRS
from geoseg.core.grid import Grid
from geoseg.errors import OutputError
from geoseg.io.raster import RasterSpec, RasterWriter
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
grid = Grid(crs=CRS.from_epsg(32612), transform=Affine(30, 0, 3e5, 0, -30, 4e6), height=700, width=700)
try:
    with RasterWriter(sys.argv[1], RasterSpec(grid=grid, dtype="uint8", band_names=("a",))) as writer:
        writer.write(grid.window, np.random.default_rng(0).integers(0, 255, (700, 700), dtype="uint8"))
except OutputError as error:
    print("refused", error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of file sizes on Windows")
def test_a_full_disk_is_an_error(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, tmp_path / "w.tif"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"refused {tmp_path / 'w.tif'}: cannot be written")


# ---- label rasters


def test_labels_on_their_own_grid_are_as_stored(tmp_path):
    codes = np.random.default_rng(0).integers(0, 9, (1, 70, 90)).astype("uint8")
    codes[0, 5] = 255
    path = write_raster(tmp_path / "l.tif", codes, nodata=3)
    expected = np.where(codes[0] == 3, 255, codes[0])
    np.testing.assert_array_equal(read_labels_on(path, grid()), expected)
    window = Window(row=-3, col=80, height=10, width=20)
    part = read_labels_on(path, grid(), window)
    np.testing.assert_array_equal(part[3:, :10], expected[:7, 80:])
    assert (part[:3] == 255).all()
    assert (part[:, 10:] == 255).all()


@pytest.mark.parametrize("nodata", [None, 0])
def test_labels_come_by_nearest_pixel_and_end_where_they_end(tmp_path, nodata):
    codes = np.arange(1, 26, dtype="uint8").reshape(1, 5, 5)
    path = write_raster(tmp_path / "l.tif", codes, nodata=nodata, transform=Affine(60, 0, 301905, 0, -60, 4154085))
    found = read_labels_on(path, grid(12, 12))
    np.testing.assert_array_equal(found[:10, :10], codes[0].repeat(2, 0).repeat(2, 1))
    assert (found[10:] == 255).all()
    assert (found[:, 10:] == 255).all()
    same_ground = read_labels_on(path, grid(10, 10), Window(row=3, col=4, height=2, width=2))
    np.testing.assert_array_equal(same_ground, found[3:5, 4:6])


def test_real_labels_of_another_crs(shared_data):
    folder = shared_data / "zion_landsat8"
    codes = read_labels_on(folder / "zion_north_nlcd8.tif", read_grid(folder / "zion_north.tif"))
    counts = np.bincount(codes.ravel(), minlength=256)
    assert counts[1:9].tolist() == [1079, 12384, 63685, 726976, 293541, 4031, 3421, 323]
    fourteen = read_labels_on(folder / "zion_north_nlcd2011.tif", read_grid(folder / "zion_north.tif"))
    np.testing.assert_array_equal(codes == 1, fourteen == 11)


@pytest.mark.parametrize(("number", "dtype"), [(256, "uint16"), (-1, "int16"), (2.5, "float32")])
def test_numbers_that_are_no_codes(tmp_path, number, dtype):
    codes = np.full((1, 8, 8), 3, dtype)
    codes[0, 2, 2] = number
    path = write_raster(tmp_path / "l.tif", codes)
    with pytest.raises(InputError, match=rf"l\.tif: found the number {number:g}, needed class codes"):
        read_labels_on(path, grid())


def test_nodata_may_be_any_number(tmp_path):
    codes = np.full((1, 8, 8), 3, "int16")
    codes[0, 2, 2] = -9999
    path = write_raster(tmp_path / "l.tif", codes, nodata=-9999)
    found = read_labels_on(path, grid(8, 8))
    assert found[2, 2] == 255
    assert (found == 3).sum() == 63


def test_label_rasters_have_one_band_and_a_place(tmp_path):
    with pytest.raises(InputError, match="found 2 bands"):
        read_labels_on(write_raster(tmp_path / "a.tif", np.ones((2, 8, 8), "uint8")), grid())
    with pytest.raises(InputError, match="no CRS"):
        read_labels_on(write_raster(tmp_path / "b.tif", np.ones((1, 8, 8), "uint8"), crs=None), grid())
    with pytest.raises(MissingFileError):
        read_labels_on(tmp_path / "c.tif", grid())


# ---- fingerprints


def test_fingerprints_tell_contents_apart(tmp_path):
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"abc")
    content = bytearray(np.random.default_rng(0).bytes(6 * 2**20))
    large.write_bytes(content)
    first = fingerprint(large)
    assert first == fingerprint(str(large))
    assert len(first) == 64
    assert fingerprint(small) != first
    for position in (0, len(content) - 1):
        changed = bytearray(content)
        changed[position] ^= 1
        large.write_bytes(changed)
        assert fingerprint(large) != first
    large.write_bytes(content[:-1])
    assert fingerprint(large) != first
    with pytest.raises(MissingFileError):
        fingerprint(tmp_path / "absent")
