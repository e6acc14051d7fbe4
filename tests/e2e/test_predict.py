"""`geoseg predict` from the command line to the files, on synthetic and real scenes."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from factory import LEGEND, write_raster, write_scene
from rasterio.features import rasterize

from geoseg.core.tiling import plan_tiles
from geoseg.inference.maps import MapWriter
from geoseg.io.vector import vector_files
from geoseg.models.runtime.processor import has_bf16
from geoseg.models.zoo import default_bundle_path

needs_bf16 = pytest.mark.skipif(not has_bf16(), reason="this CPU has no instructions for bfloat16")


def read(path):
    with rasterio.open(path) as file:
        return file.read(), file.profile


def read_polygons(path):
    """The polygons; a GeoPackage also has a layer of styles, so the layer is named."""
    if path.suffix == ".parquet":
        return geopandas.read_parquet(path)
    return geopandas.read_file(path, layer="landcover") if path.suffix == ".gpkg" else geopandas.read_file(path)


def assert_polygons_equal_mask(polygons, mask):
    """The polygons are a coverage, and burnt into the mask's grid they are the mask."""
    frame = read_polygons(polygons)
    codes, profile = read(mask)
    assert shapely.coverage_is_valid(frame.geometry.values)
    assert shapely.is_valid(frame.geometry.values).all()
    burnt = rasterize(
        zip(frame.geometry, frame["code"], strict=True),
        out_shape=codes.shape[1:],
        transform=profile["transform"],
        fill=255,
        dtype="uint8",
    )
    np.testing.assert_array_equal(burnt, codes[0])
    return frame, codes[0], profile


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    path = write_scene(tmp_path_factory.mktemp("scene") / "scene.tif", 200, 170)
    with rasterio.open(path, "r+") as file:
        data = file.read()
        data[:, :20, :60] = 65535
        data[:, 100, 100] = 65535
        file.write(data)
    return path


@pytest.fixture
def outputs(tmp_path):
    return {"out": tmp_path / "map.gpkg", "mask": tmp_path / "map.tif", "probabilities": tmp_path / "p.tif"}


def arguments(outputs):
    return [part for name, path in outputs.items() for part in (f"--{name}", path)]


def test_mask_polygons_and_probabilities_agree(geoseg, scene, tiny_bundle, outputs, tmp_path):
    end = geoseg("predict", scene, "--model", tiny_bundle, *arguments(outputs), "--tile", 96, "--overlap", 32)
    assert end.code == 0, end.err
    frame, codes, profile = assert_polygons_equal_mask(outputs["out"], outputs["mask"])
    assert set(np.unique(codes)) <= {*LEGEND.codes.tolist(), 255}
    assert frame["area_m2"].sum() == pytest.approx((codes != 255).sum() * 900, rel=1e-9)
    assert frame["confidence"].between(1 / 3, 1).all()
    source, source_profile = read(scene)
    np.testing.assert_array_equal(codes == 255, (source == 65535).any(axis=0))
    assert (profile["crs"], profile["transform"]) == (source_profile["crs"], source_profile["transform"])
    probabilities, _ = read(outputs["probabilities"])
    valid = codes != 255
    assert (probabilities[:, ~valid] == 255).all()
    np.testing.assert_allclose(probabilities[:, valid].sum(axis=0, dtype=int), 254, atol=2)
    best = LEGEND.codes[probabilities.argmax(axis=0)]
    first, second = np.sort(probabilities, axis=0)[[-1, -2]]
    clear = valid & (first > second)
    np.testing.assert_array_equal(best[clear], codes[clear])
    assert {p.name for p in tmp_path.iterdir()} == {"map.gpkg", "map.tif", "map.qml", "map.tif.aux.xml", "p.tif"}


def test_files_carry_style_names_and_provenance(geoseg, scene, tiny_bundle, outputs):
    assert geoseg("predict", scene, "--model", tiny_bundle, *arguments(outputs)).code == 0
    with rasterio.open(outputs["mask"]) as mask:
        assert mask.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert mask.colormap(1)[1][:3] == LEGEND[0].rgb
        assert mask.nodata == 255
        provenance = json.loads(mask.tags()["GEOSEG_PROVENANCE"])
    assert provenance["inputs"].keys() == {"scene.tif", "tiny.geoseg"}
    assert "--mask" in provenance["command"]
    assert "forest" in outputs["mask"].with_suffix(".qml").read_text()
    with rasterio.open(outputs["probabilities"]) as probabilities:
        assert probabilities.descriptions == tuple(c.name for c in LEGEND)
        assert probabilities.scales == (pytest.approx(1 / 254),) * 3
    with sqlite3.connect(outputs["out"]) as database:
        ((style, default),) = database.execute("SELECT styleQML, useAsDefault FROM layer_styles").fetchall()
    assert default
    assert "water" in style


@pytest.mark.parametrize("suffix", [".fgb", ".parquet", ".geojson", ".geojsonl", ".geojsons", ".shp", ".pmtiles"])
def test_the_suffix_tells_the_format_and_all_hold_the_same(geoseg, scene, tiny_bundle, tmp_path, suffix):
    plain, other = tmp_path / "map.gpkg", tmp_path / "other" / f"map{suffix}"
    other.parent.mkdir()
    for path in (plain, other):
        assert geoseg("predict", scene, "--model", tiny_bundle, "--out", path).code == 0
    expected = read_polygons(plain).sort_values("id")
    found = read_polygons(other).sort_values("id").drop_duplicates("id")  # the edge of a tile may cut a polygon
    np.testing.assert_allclose(found["area_m2"], expected["area_m2"])
    assert (found["class"].values == expected["class"].values).all()
    assert found.crs.to_epsg() == {".pmtiles": 3857}.get(suffix, 4326 if suffix.startswith(".geojson") else 32612)
    assert {*other.parent.iterdir()} == {*vector_files(other)}


def test_the_files_beside_an_output_are_outputs_too(geoseg, scene, tiny_bundle, tmp_path):
    out = tmp_path / "map.shp"
    out.with_suffix(".dbf").write_text("precious")
    end = geoseg("predict", scene, "--model", tiny_bundle, "--out", out)
    assert (end.code, "map.dbf" in end.err, "--overwrite" in end.err) == (3, True, True)
    assert out.with_suffix(".dbf").read_text() == "precious"
    out.with_suffix(".qix").write_text("of an older file")
    assert geoseg("predict", scene, "--model", tiny_bundle, "--out", out, "--overwrite").code == 0
    assert {*tmp_path.iterdir()} == {*vector_files(out)}


def test_a_second_run_gives_the_same_pixels_whatever_the_runtime_threads(geoseg, scene, tiny_bundle, tmp_path):
    masks = [tmp_path / "a.tif", tmp_path / "b.tif"]
    for path, threads in zip(masks, (1, 2), strict=True):
        end = geoseg("predict", scene, "--model", tiny_bundle, "--mask", path, "--tile", 96, "--threads", threads)
        assert end.code == 0, end.err
    np.testing.assert_array_equal(read(masks[0])[0], read(masks[1])[0])


def test_all_runtimes_give_the_same_map(geoseg, scene, tiny_bundle, tmp_path):
    for runtime in ("torch", "openvino", "onnxruntime"):
        out = tmp_path / f"{runtime}.tif"
        assert geoseg("predict", scene, "--model", tiny_bundle, "--mask", out, "--runtime", runtime).code == 0
    first, *others = (read(tmp_path / f"{runtime}.tif")[0] for runtime in ("torch", "openvino", "onnxruntime"))
    assert all((first == other).mean() > 0.999 for other in others)


def test_results_come_back_to_the_scenes_own_grid(geoseg, tiny_bundle, tmp_path):
    fine = Affine(10, 0, 301905, 0, -10, 4154085)
    scene = write_scene(tmp_path / "fine.tif", 301, 200, transform=fine)
    with rasterio.open(scene, "r+") as file:
        data = file.read()
        data[:, :, :31] = 65535
        file.write(data)
    model, own = tmp_path / "model.tif", tmp_path / "own.tif"
    assert geoseg("predict", scene, "--model", tiny_bundle, "--mask", model).code == 0
    polygons = tmp_path / "own.gpkg"
    assert (
        geoseg("predict", scene, "--model", tiny_bundle, "--mask", own, "--out", polygons, "--grid", "scene").code == 0
    )
    coarse, coarse_profile = read(model)
    assert coarse.shape == (1, 101, 67)
    assert coarse_profile["transform"].a == 30
    _, codes, profile = assert_polygons_equal_mask(polygons, own)
    assert profile["transform"] == fine
    assert codes.shape == (301, 200)
    np.testing.assert_array_equal(codes == 255, (read(scene)[0] == 65535).any(axis=0))
    centres = coarse[0].repeat(3, axis=0).repeat(3, axis=1)[:301, :200]
    assert (codes == centres)[:, 33:].mean() > 0.8


@pytest.mark.parametrize(
    "transform",
    [
        Affine(30, 0, 301905, 0, 30, 4100000),
        Affine.translation(301905, 4154085) @ Affine.rotation(25) @ Affine.scale(30, -30),
    ],
    ids=["south-up", "rotated"],
)
def test_south_up_and_rotated_scenes(geoseg, tiny_bundle, tmp_path, transform):
    scene = write_scene(tmp_path / "scene.tif", 70, 90, transform=transform)
    plain = write_scene(tmp_path / "plain.tif", 70, 90)
    for path in (scene, plain):
        end = geoseg("predict", path, "--model", tiny_bundle, "--mask", path.with_name(f"{path.stem}-mask.tif"))
        assert end.code == 0, end.err
    turned, profile = read(tmp_path / "scene-mask.tif")
    np.testing.assert_array_equal(turned, read(tmp_path / "plain-mask.tif")[0])
    assert profile["transform"].almost_equals(transform, precision=1e-6)
    out = tmp_path / "map.gpkg"
    assert geoseg("predict", scene, "--model", tiny_bundle, "--out", out).code == 0
    frame = read_polygons(out)
    assert frame.geometry.area.sum() == pytest.approx(70 * 90 * 900)
    assert frame.geometry.is_valid.all()


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 70), (70, 1), (33, 31)])
def test_tiny_scenes(geoseg, tiny_bundle, tmp_path, height, width):
    # one pixel has no spread to judge scaling by, so all of these are as calibrated and taken as they are
    scene = write_scene(tmp_path / "scene.tif", 80, 80)
    data = read(scene)[0][:, :height, :width]
    scene = write_raster(
        tmp_path / "tiny.tif", data, names=("blue", "green", "red", "nir"), scale=2e-5, offset=-0.1, nodata=65535
    )
    end = geoseg("predict", scene, "--model", tiny_bundle, "--mask", tmp_path / "m.tif", "--out", tmp_path / "m.gpkg")
    assert end.code == 0, end.err
    assert_polygons_equal_mask(tmp_path / "m.gpkg", tmp_path / "m.tif")


@pytest.mark.parametrize("more", [[], ["--simplify-method", "douglas-peucker"]])
def test_simplified_polygons_stay_a_coverage(geoseg, scene, tiny_bundle, tmp_path, more):
    plain, simple = tmp_path / "plain.gpkg", tmp_path / "simple.gpkg"
    assert geoseg("predict", scene, "--model", tiny_bundle, "--out", plain).code == 0
    assert geoseg("predict", scene, "--model", tiny_bundle, "--out", simple, "--simplify", 60, *more).code == 0
    before, after = read_polygons(plain), read_polygons(simple)
    assert shapely.coverage_is_valid(after.geometry.values)
    assert after.geometry.area.sum() == pytest.approx(before.geometry.area.sum())
    assert (
        shapely.get_num_coordinates(after.geometry.values).sum()
        < 0.95 * shapely.get_num_coordinates(before.geometry.values).sum()
    )


def test_any_output_name_is_safe_also_that_of_a_working_file(geoseg, scene, tiny_bundle, tmp_path):
    plain, tricky = tmp_path / "plain.gpkg", tmp_path / "tricky.gpkg"
    (tmp_path / "other").mkdir()
    names = ["--mask", tmp_path / "model-confidence.tif", "--probabilities", tmp_path / "other" / "model-codes.tif"]
    assert geoseg("predict", scene, "--model", tiny_bundle, "--out", plain).code == 0
    assert geoseg("predict", scene, "--model", tiny_bundle, "--out", tricky, *names).code == 0
    one, two = read_polygons(plain), read_polygons(tricky)
    np.testing.assert_array_equal(one["confidence"], two["confidence"])
    assert one.geometry.equals(two.geometry)


def test_marks_in_names_that_mean_something_to_libraries(geoseg, scene, tiny_bundle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a!b.gpkg", "a;b.fgb", "a b'\"ü.gpkg"):
        assert geoseg("predict", scene, "--model", tiny_bundle, "--out", tmp_path / name).code == 0
    assert {p.name for p in tmp_path.iterdir()} == {"a!b.gpkg", "a;b.fgb", "a b'\"ü.gpkg"}


def test_outputs_on_another_file_system_arrive_whole(geoseg, scene, tiny_bundle, tmp_path):
    elsewhere = Path("/dev/shm")  # noqa: S108  (a temporary folder is made inside)
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system here")
    with tempfile.TemporaryDirectory(dir=elsewhere) as other:
        mask, out = Path(other) / "m.tif", tmp_path / "m.gpkg"
        assert geoseg("predict", scene, "--model", tiny_bundle, "--out", out, "--mask", mask).code == 0
        assert_polygons_equal_mask(out, mask)
        assert {p.name for p in Path(other).iterdir()} == {"m.tif", "m.qml", "m.tif.aux.xml"}


def test_a_full_disk_in_the_middle_leaves_nothing(geoseg, scene, tiny_bundle, tmp_path, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device", "m.tif")

    monkeypatch.setattr("geoseg.inference.outputs.shutil.move", full)
    end = geoseg("predict", scene, "--model", tiny_bundle, "--mask", tmp_path / "m.tif")
    assert (end.code, len(end.err.strip().splitlines())) == (3, 2), end.err
    assert "No space left" in end.err
    assert "go on with --resume" in end.err
    assert [path.name for path in tmp_path.iterdir()] == [".m.tif.geoseg"]


def test_working_files_that_a_full_disk_spoilt_are_no_damaged_scene(geoseg, scene, tiny_bundle, tmp_path, monkeypatch):
    original = MapWriter.__exit__

    def spoil(self, *error):
        original(self, *error)
        codes = next(tmp_path.glob(".m.tif.geoseg/model-codes.vrt"))
        codes.write_bytes(codes.read_bytes()[:200])

    monkeypatch.setattr(MapWriter, "__exit__", spoil)
    end = geoseg("predict", scene, "--model", tiny_bundle, "--mask", tmp_path / "m.tif")
    assert end.code == 3
    assert "check the free space" in end.err
    assert not (tmp_path / "m.tif").exists()


def test_overwrite_replaces_everything(geoseg, scene, tiny_bundle, tmp_path):
    out = tmp_path / "map.gpkg"
    out.write_text("old")
    assert geoseg("predict", scene, "--model", tiny_bundle, "--out", out, "--overwrite").code == 0
    assert len(read_polygons(out)) > 0


def test_an_interrupted_run_leaves_no_output(geoseg, scene, tiny_bundle, tmp_path, monkeypatch):
    def interrupt(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("geoseg.inference.predict.measure", interrupt)
    assert geoseg("predict", scene, "--model", tiny_bundle, "--mask", tmp_path / "m.tif").code == 130
    assert [path.name for path in tmp_path.iterdir()] == [".m.tif.geoseg"]


def test_json_summary(geoseg, scene, tiny_bundle, tmp_path):
    end = geoseg("predict", scene, "--model", tiny_bundle, "--mask", tmp_path / "m.tif", "--json")
    summary = json.loads(end.out)
    codes, _ = read(tmp_path / "m.tif")
    assert sum(summary["figures"]["area_m2"].values()) == pytest.approx((codes != 255).sum() * 900)
    assert summary["figures"]["nodata_share"] == pytest.approx((codes == 255).mean())
    assert {f["subject"] for f in summary["findings"]} >= {"bands", "GSD", "scaling", "values"}


def test_the_result_says_what_it_was_computed_in_and_why(geoseg, scene, tiny_bundle, outputs):
    end = geoseg("predict", scene, "--model", tiny_bundle, *arguments(outputs), "--json")
    assert end.code == 0, end.err
    summary = json.loads(end.out)
    assert summary["runtime"] == "openvino on CPU, fp32"
    assert (summary["precision"], summary["precision_reason"]) == ("fp32", "the scene is small")
    for path in (outputs["mask"], outputs["probabilities"]):
        with rasterio.open(path) as file:
            assert json.loads(file.tags()["GEOSEG_PROVENANCE"])["runtime"] == "openvino on CPU, fp32"
    with sqlite3.connect(outputs["out"]) as database:
        assert any("openvino on CPU, fp32" in str(row) for row in database.execute("SELECT * FROM gpkg_metadata"))
    end = geoseg("predict", scene, "--model", tiny_bundle, "--mask", outputs["mask"], "--overwrite")
    assert "fp32: the scene is small" in end.out.splitlines()


def test_a_precision_that_is_not_there_ends_before_anything_is_written(geoseg, scene, tiny_bundle, tmp_path):
    mask = tmp_path / "m.tif"
    end = geoseg("predict", scene, "--model", tiny_bundle, "--mask", mask, "--precision", "fp16", "--device", "cpu")
    assert end.code == 3
    assert "not in fp16: it takes the runtime torch on a CUDA device" in end.err
    assert not list(tmp_path.iterdir())
    end = geoseg("predict", scene, "--model", tiny_bundle, "--mask", mask, "--precision", "int4")
    assert end.code == 2


@needs_bf16
def test_bf16_is_used_when_it_is_asked_for(geoseg, scene, tiny_bundle, tmp_path):
    for precision in ("fp32", "bf16"):
        out = tmp_path / f"{precision}.tif"
        end = geoseg("predict", scene, "--model", tiny_bundle, "--probabilities", out, "--precision", precision)
        assert end.code == 0, end.err
        assert f"openvino on CPU, {precision}" in end.out
        assert f"{precision}: asked for" in end.out
    plain, fewer = (read(tmp_path / f"{precision}.tif")[0].astype(int) for precision in ("fp32", "bf16"))
    assert 0 < np.abs(plain - fewer).max() < 40


# real scenes, with the bundle that ships inside the package


@needs_bf16
def test_auto_keeps_fp32_where_bf16_would_move_a_class(geoseg, shared_data, tmp_path, monkeypatch):
    """With the default bundle, bf16 moves some of the shrubland of this scene to other classes."""
    monkeypatch.setattr("geoseg.models.runtime.has_amx", lambda: True)  # so that bf16 is considered
    monkeypatch.setattr("geoseg.inference.precision.WORTH_PX", 500_000)
    scene = shared_data / "zion_landsat8" / "zion_north.tif"
    summaries = []
    for name in ("a.tif", "b.tif"):
        end = geoseg("predict", scene, "--mask", tmp_path / name, "--json")
        assert end.code == 0, end.err
        summaries.append(json.loads(end.out))
    assert summaries[0]["precision_reason"] == summaries[1]["precision_reason"]
    assert summaries[0]["precision"] == "fp32"
    assert "in bf16 99." in summaries[0]["precision_reason"]
    assert "loses" in summaries[0]["precision_reason"]


def test_zion_southwest(geoseg, shared_data, tmp_path):
    scene = shared_data / "zion_landsat8" / "zion_southwest.tif"
    end = geoseg("predict", scene, "--out", tmp_path / "m.gpkg", "--mask", tmp_path / "m.tif")
    assert end.code == 0, end.err
    frame, codes, _ = assert_polygons_equal_mask(tmp_path / "m.gpkg", tmp_path / "m.tif")
    assert frame["area_m2"].sum() == pytest.approx((codes != 255).sum() * 900, rel=1e-6)
    assert (codes == 5).mean() > 0.5, "this desert is mostly shrubland"


def test_landsat7_sample_in_degrees_and_eight_bits(geoseg, landsat7_sample, tmp_path):
    end = geoseg("predict", landsat7_sample, "--out", tmp_path / "m.gpkg", "--mask", tmp_path / "m.tif")
    assert end.code == 0, end.err
    assert "no calibration known" in end.out
    frame, codes, profile = assert_polygons_equal_mask(tmp_path / "m.gpkg", tmp_path / "m.tif")
    assert profile["crs"].to_epsg() == 4326
    water = frame.loc[frame["class"] == "water", "area_m2"].sum() / frame["area_m2"].sum()
    assert 0.05 < water < 0.6, "the Great Salt Lake is in the picture"
    with rasterio.open(landsat7_sample) as file:
        left, bottom, right, top = file.bounds
    geod = frame.crs.get_geod()
    whole, _ = geod.geometry_area_perimeter(shapely.box(left, bottom, right, top))
    assert frame["area_m2"].sum() == pytest.approx(whole * (codes != 255).mean(), rel=0.01)


def test_sentinel2_folder_of_mixed_resolution(geoseg, shared_data, tmp_path):
    folder = shared_data / "rcv_sentinel2" / "crop20200802"
    end = geoseg("predict", folder, "--mask", tmp_path / "m.tif", "--out", tmp_path / "m.gpkg", "--grid", "scene")
    assert end.code == 0, end.err
    _, codes, profile = assert_polygons_equal_mask(tmp_path / "m.gpkg", tmp_path / "m.tif")
    assert profile["transform"].a == 10
    assert codes.shape == (651, 651)


def test_the_default_bundle_is_small_and_its_tiles_leave_no_seams(geoseg, shared_data, tmp_path):
    assert default_bundle_path().stat().st_size <= 16 * 2**20
    scene, mask = shared_data / "zion_landsat8" / "zion_north.tif", tmp_path / "m.tif"
    assert geoseg("predict", scene, "--mask", mask, "--tile", 256).code == 0
    codes, _ = read(mask)
    plan = plan_tiles(*codes.shape[1:], size=256, overlap=64, stride=32)
    changes = codes[0, :, 1:] != codes[0, :, :-1]
    seams = np.array(plan.cols.borders[1:-1]) - 1
    elsewhere = np.delete(changes, seams, axis=1).mean()
    assert changes[:, seams].mean() == pytest.approx(elsewhere, rel=0.25)


def test_a_dry_run_tells_the_plan_and_writes_nothing(geoseg, scene, tiny_bundle, outputs, tmp_path):
    end = geoseg(
        "predict", scene, "--model", tiny_bundle, *arguments(outputs), "--tile", 64, "--overlap", 16, "--dry-run"
    )
    assert end.code == 0, end.err
    assert "200 x 170 px in 6 x 5 tiles of 64 x 64 px" in end.out
    assert not list(tmp_path.iterdir())
    told = geoseg(
        "predict", scene, "--model", tiny_bundle, *arguments(outputs), "--memory", "1.5 GB", "--dry-run", "--json"
    )
    plan = json.loads(told.out)
    assert plan["tiles"] == [1, 1]
    assert 0 < plan["memory_bytes"] <= 1_500_000_000
    assert plan["disk_bytes"] == 200 * 170 * (3 + 2 * len(LEGEND))
    assert plan["seconds"] > 0


@pytest.mark.parametrize(("size", "said"), [("lots", "expected a size such as 2GB"), ("-2GB", "expected a size")])
def test_sizes_that_are_none(geoseg, scene, tmp_path, size, said):
    end = geoseg("predict", scene, "--mask", tmp_path / "m.tif", "--memory", size)
    assert end.code == 2
    assert said in " ".join(end.err.split())
