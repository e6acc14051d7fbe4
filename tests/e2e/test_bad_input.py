"""Bad input: one clear line, exit code 3, nothing left behind."""

from __future__ import annotations

import json
import pickle
import zipfile

import numpy as np
import pytest
import rasterio
from affine import Affine
from factory import BANDS, reflectance_dn, write_raster, write_scene


@pytest.fixture
def refused(geoseg, tiny_bundle, tmp_path):
    """Predict and expect one line on stderr that contains `words`, exit code 3 and no new file."""

    def check(scene, *words, model=tiny_bundle, out="map.gpkg", arguments=()):
        folder = tmp_path / "out"
        folder.mkdir(exist_ok=True)
        before = sorted(folder.iterdir())
        end = geoseg("predict", scene, "--model", model, "--out", folder / out, *arguments)
        assert end.code == 3, end
        assert end.out == ""
        assert len(end.err.strip().splitlines()) == 1, end.err
        assert "Traceback" not in end.err
        for word in words:
            assert str(word) in end.err, end.err
        assert sorted(folder.iterdir()) == before

    return check


@pytest.fixture
def scene(tmp_path):
    return write_scene(tmp_path / "scene.tif")


def test_missing_scene(refused, tmp_path):
    refused(tmp_path / "nothing.tif", "nothing.tif")


def test_not_a_raster(refused, tmp_path):
    path = tmp_path / "notes.tif"
    path.write_text("these are notes")
    refused(path, "notes.tif")


def test_truncated_tiff(refused, tmp_path):
    path = write_scene(tmp_path / "scene.tif", 300, 300)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(path, "scene.tif")


def test_zero_bands(refused, tmp_path):
    path = tmp_path / "empty.vrt"
    path.write_text('<VRTDataset rasterXSize="8" rasterYSize="8"><SRS>EPSG:32612</SRS></VRTDataset>')
    refused(path, "empty.vrt", "band")


def test_no_crs(refused, tmp_path):
    refused(write_scene(tmp_path / "scene.tif", crs=None), "CRS")


@pytest.mark.filterwarnings("ignore:The given matrix is equal to Affine.identity")
@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
def test_no_geotransform(refused, tmp_path):
    refused(write_scene(tmp_path / "scene.tif", transform=Affine.identity()), "scene.tif")


def test_too_few_bands(refused, tmp_path):
    data = reflectance_dn(40, 40)[:3]
    path = write_raster(tmp_path / "scene.tif", data, names=BANDS.names[:3], scale=2e-5, offset=-0.1)
    refused(path, "no match for nir", "--bands")


def test_unmatched_bands(refused, tmp_path):
    path = write_raster(tmp_path / "scene.tif", reflectance_dn(40, 40), names=("one", "two", "three", "four"))
    refused(path, "no match for blue, green, red, nir", "--bands")


def test_band_number_that_is_not_there(refused, scene):
    refused(scene, "nir=9", arguments=("--bands", "blue=1,green=2,red=3,nir=9"))


def test_a_nodata_value_that_pixels_cannot_have(refused, scene):
    refused(scene, "uint16 cannot be -9999", arguments=("--nodata", "-9999"))


def test_unknown_sensor(refused, scene):
    refused(scene, "sputnik", "sentinel-2-l2a", arguments=("--sensor", "sputnik"))


@pytest.mark.parametrize("dtype", ["complex64", "int64"])
def test_unsupported_dtype(refused, tmp_path, dtype):
    data = reflectance_dn(40, 40).astype(dtype)
    refused(write_raster(tmp_path / "scene.tif", data, names=BANDS.names), dtype)


def test_all_nodata_gives_a_valid_empty_result_with_a_warning(geoseg, tiny_bundle, tmp_path):
    import geopandas

    data = np.full((4, 70, 50), 65535, dtype=np.uint16)
    path = write_raster(tmp_path / "s.tif", data, names=BANDS.names, scale=2e-5, offset=-0.1, nodata=65535)
    out, mask = tmp_path / "map.gpkg", tmp_path / "map.tif"
    end = geoseg("predict", path, "--model", tiny_bundle, "--out", out, "--mask", mask)
    assert end.code == 0
    assert "no valid pixel" in end.err
    assert len(geopandas.read_file(out, layer="landcover")) == 0
    with rasterio.open(mask) as result:
        assert (result.read(1) == 255).all()


def test_missing_bundle(refused, scene, tmp_path):
    refused(scene, "nothing.geoseg", model=tmp_path / "nothing.geoseg")


def test_truncated_bundle(refused, scene, tiny_bundle, tmp_path):
    path = tmp_path / "half.geoseg"
    path.write_bytes(tiny_bundle.read_bytes()[: tiny_bundle.stat().st_size // 2])
    refused(scene, "half.geoseg", model=path)


def repack(source, target, *, change=lambda name, content: content, extra=()):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
        for name, content in extra:
            new.writestr(name, content)
    return target


def test_bundle_of_another_schema_version(refused, scene, tiny_bundle, tmp_path):
    def bump(name, content):
        if name != "model.json":
            return content
        item = json.loads(content)
        item["properties"]["geoseg:schema_version"] = 99
        return json.dumps(item)

    refused(scene, "99", model=repack(tiny_bundle, tmp_path / "future.geoseg", change=bump))


def test_bundle_that_holds_a_pickle(refused, scene, tiny_bundle, tmp_path):
    extra = [("extra.pkl", pickle.dumps({"a": 1}))]
    refused(scene, "extra.pkl", model=repack(tiny_bundle, tmp_path / "p.geoseg", extra=extra))


def test_pickle_named_as_a_bundle(refused, scene, tmp_path):
    path = tmp_path / "model.geoseg"
    path.write_bytes(pickle.dumps({"weights": [1, 2, 3]}))
    refused(scene, "model.geoseg", model=path)


def test_existing_output(refused, scene, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "map.gpkg").write_text("precious")
    refused(scene, "exists", "--overwrite")
    assert (tmp_path / "out" / "map.gpkg").read_text() == "precious"


@pytest.mark.parametrize("option", ["--mask", "--probabilities"])
def test_an_output_may_not_be_an_input(geoseg, scene, tiny_bundle, tmp_path, option):
    before = scene.read_bytes()
    end = geoseg("predict", scene, "--model", tiny_bundle, option, tmp_path / "." / "scene.tif", "--overwrite")
    assert end.code == 3
    assert "is an input" in end.err
    assert scene.read_bytes() == before


def test_one_file_for_two_outputs(geoseg, scene, tiny_bundle, tmp_path):
    out = tmp_path / "m.tif"
    end = geoseg("predict", scene, "--model", tiny_bundle, "--mask", out, "--probabilities", out)
    assert (end.code, "twice" in end.err) == (3, True)


def test_output_in_a_folder_that_is_not_there(refused, scene):
    refused(scene, "no folder", out="deep/map.gpkg")


def test_output_where_a_file_stands_for_the_folder(refused, scene, tmp_path):
    (tmp_path / "file").write_text("")
    refused(scene, "file", out="../file/map.gpkg")


def test_unknown_suffix(refused, scene):
    refused(scene, ".xyz", ".gpkg", out="map.xyz")


def test_names_that_no_file_can_have(geoseg, scene, tiny_bundle, tmp_path):
    for name in ("", tmp_path / f"{'x' * 300}.tif"):
        end = geoseg("predict", scene, "--model", tiny_bundle, "--mask", name)
        assert (end.code, len(end.err.strip().splitlines())) == (3, 1), end


def test_unknown_raster_suffix(refused, scene, tmp_path):
    refused(scene, ".png", ".tif", arguments=("--mask", tmp_path / "out" / "map.png"))


def test_usage_errors_end_with_2(geoseg, scene):
    assert geoseg("predict", scene, "--tiles", "5").code == 2
    assert geoseg("predict", scene, "--out", "m.gpkg", "--bands", "blue").code == 2
    for odd in ("blue=\u00b2,green=2", "blue=1,blue=2"):
        assert geoseg("predict", scene, "--out", "m.gpkg", "--bands", odd).code == 2
    assert geoseg("predict", scene, "--mask", "m.tif", "--simplify", 3).code == 2
    assert geoseg("predict", scene, "--mask", "m.tif", "--smooth", 1).code == 2
    assert geoseg("predict", scene, "--out", "m.gpkg", "--simplify-method", "bends").code == 2
    without_output = geoseg("predict", scene)
    assert without_output.code == 2
    assert "--out" in without_output.err
    assert geoseg("nonsense").code == 2


def train_config(tmp_path, labels, **changes):
    import yaml

    config = {
        "scenes": [{"path": "scene.tif", "labels": labels}],
        "classes": [
            {"code": 1, "name": "water", "colour": "#0000ff"},
            {"code": 2, "name": "land", "colour": "#00ff00"},
        ],
        "model": {"bands": list(BANDS.names), "gsd_m": 30, "encoder": "resnet18"},
    } | changes
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture
def training_refused(geoseg, tmp_path):
    def check(config, *words):
        end = geoseg("train", config, "--out", tmp_path / "run")
        assert end.code == 3, end
        told = [line for line in end.err.strip().splitlines() if not line.startswith("labels: ")]  # progress
        assert len(told) == 1, end.err
        for word in words:
            assert word in end.err, end.err
        assert not (tmp_path / "run").exists()

    return check


def test_labels_that_do_not_overlap_their_scene(training_refused, scene, tmp_path):
    far = Affine(30, 0, 500000, 0, -30, 4154085)
    write_raster(tmp_path / "labels.tif", np.ones((1, 96, 96), np.uint8), transform=far, nodata=255)
    training_refused(train_config(tmp_path, "labels.tif"), "labels.tif", "no labelled pixel")


def test_label_codes_absent_from_the_legend(training_refused, scene, tmp_path):
    labels = np.ones((1, 96, 96), np.uint8)
    labels[0, 5, 5] = 42
    write_raster(tmp_path / "labels.tif", labels, nodata=255)
    training_refused(train_config(tmp_path, "labels.tif"), "42", "the legend has 1, 2")


def test_label_polygons_with_unknown_classes_or_columns(training_refused, scene, tmp_path):
    import geopandas
    from shapely.geometry import box

    frame = geopandas.GeoDataFrame(
        {"kind": ["swamp"]}, geometry=[box(301905, 4152000, 303000, 4154085)], crs="EPSG:32612"
    )
    frame.to_file(tmp_path / "labels.gpkg")
    labels = {"path": "labels.gpkg"}
    training_refused(train_config(tmp_path, labels | {"column": "kind"}), "swamp", "water")
    training_refused(train_config(tmp_path, labels | {"column": "sort"}), "sort", "kind")
    training_refused(train_config(tmp_path, labels), "column")


def test_config_errors_are_named_all_at_once(training_refused, scene, tmp_path):
    config = train_config(tmp_path, "labels.tif", epochs=3, model={"bands": [], "gsd_m": -1})
    training_refused(config, "epochs", "model.bands", "model.gsd_m")


@pytest.mark.parametrize(
    "changes",
    [
        {"split": {"shares": [0.8, 0, 0.2]}},
        {"split": {"shares": [1.5, -0.2, -0.3]}},
        {"sampling": {"per_epoch": 4}, "fit": {"batch_size": 8}},
    ],
)
def test_configs_that_cannot_train(training_refused, scene, tmp_path, changes):
    training_refused(train_config(tmp_path, "labels.tif", **changes), "config.yaml")


def test_training_on_numbers_without_calibration(training_refused, tmp_path):
    write_scene(tmp_path / "scene.tif", scale=None)
    write_raster(tmp_path / "labels.tif", np.ones((1, 96, 96), np.uint8), nodata=255)
    training_refused(train_config(tmp_path, "labels.tif"), "no calibration known", "scale")


def test_a_split_that_leaves_a_fold_empty(training_refused, scene, tmp_path):
    write_raster(tmp_path / "labels.tif", np.ones((1, 96, 96), np.uint8), nodata=255)
    split = {"block_m": 1000, "buffer_m": 499}
    training_refused(train_config(tmp_path, "labels.tif", split=split), "leaves no labelled pixel", "buffer")


def test_missing_config(training_refused, tmp_path):
    training_refused(tmp_path / "nothing.yaml", "nothing.yaml")


def test_sample_without_its_package(geoseg, monkeypatch, tmp_path):
    monkeypatch.setattr("geoseg.io.sample.find_spec", lambda _name: None)
    end = geoseg("sample", tmp_path / "scene.tif")
    assert end.code == 3
    assert "pip install 'geoseg[view]'" in end.err
    assert not list(tmp_path.iterdir())


def test_disk_full_or_unwritable_work_folder(geoseg, scene, tiny_bundle, tmp_path, monkeypatch):
    def fail(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("geoseg.io.output.mkdtemp", fail)
    end = geoseg("predict", scene, "--model", tiny_bundle, "--out", tmp_path / "map.gpkg")
    assert end.code == 3
    assert "No space left" in end.err
    assert not (tmp_path / "map.gpkg").exists()
