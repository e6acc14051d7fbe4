"""From scenes and labels to folds, sheets and trainings, through the command line, on synthetic and real scenes."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import numpy as np
import pytest
import yaml
from factory import write_raster

CONFIGS = Path(__file__).parents[2] / "configs"
NAMES = ["water", "developed", "barren", "forest", "shrubland", "herbaceous", "cultivated", "wetlands"]


@pytest.fixture
def config(tmp_path, geoseg):
    """A small training on a synthetic scene; `write(**changes)` gives the path of the config."""
    assert geoseg("synth", tmp_path / "scene.tif", "--size", 256, "--truth", tmp_path / "truth.tif").code == 0

    def write(**changes):
        content = {
            "name": "tiny",
            "scenes": [{"path": "scene.tif", "labels": "truth.tif"}],
            "classes": [{"code": k, "name": n, "colour": f"#0000{k:02x}"} for k, n in enumerate(NAMES, start=1)],
            "model": {
                "encoder": "tu-mobilenetv3_small_050",
                "decoder_channels": [32, 16, 16, 8, 8],
                "bands": ["blue", "green", "red", "nir"],
                "gsd_m": 30,
            },
            "split": {"block_m": 1200, "buffer_m": 60},
            "chips": {"size": 64},
            "sampling": {"per_epoch": 16},
            "fit": {"epochs": 1, "batch_size": 4},
        } | changes
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return write


def test_split_saves_blocks_and_reports_what_leaks(geoseg, config, tmp_path):
    out = tmp_path / "split.gpkg"
    end = geoseg("split", config(), "--out", out)
    assert end.code == 0, end.err
    assert "squares of 1200 m, a buffer of 60 m" in end.out
    assert "autocorrelation range" in end.out
    assert "lost to the buffer" in end.out
    blocks = geopandas.read_file(out, layer="blocks")
    assert set(blocks["fold"]) == {"train", "val", "test"}
    again = geoseg("split", config(split={"file": "split.gpkg"}), "--json")
    assert again.code == 0, again.err
    first = json.loads(geoseg("split", config(), "--json").out)
    assert json.loads(again.out)["leakage"]["pixels"] == first["leakage"]["pixels"]
    assert min(first["leakage"]["distances_m"].values()) >= 60
    assert geoseg("split", config(), "--out", out).code == 3
    assert geoseg("split", config(), "--out", out, "--overwrite").code == 0
    assert geoseg("split", config(), "--out", tmp_path / "split.shp").code == 3


def test_split_takes_turns(geoseg, config):
    path = config(split={"block_m": 1200, "folds": 4})
    runs = [json.loads(geoseg("split", path, "--fold", i, "--json").out) for i in range(4)]
    assert len({json.dumps(run["leakage"]["pixels"]["test"]) for run in runs}) == 4
    assert geoseg("split", path, "--fold", 4).code == 3


@pytest.mark.slow
def test_split_measures_what_leaking_is_worth(geoseg, config):
    end = geoseg("split", config(), "--score", "--json")
    assert end.code == 0, end.err
    gap = json.loads(end.out)["leakage"]["gap"]
    assert gap["score"] == "test mIoU"
    assert gap["difference"] == pytest.approx(gap["random"] - gap["blocked"])
    assert gap["random"] != gap["blocked"]
    assert "for leaking" in geoseg("split", config(), "--score").out


def test_sheet_draws_augmentations(geoseg, config, tmp_path):
    pytest.importorskip("matplotlib")
    from matplotlib.image import imread

    sizes = []
    augment = {"flip": {}, "clouds": {"chance": 1.0}}
    for arguments in ((), ("--technique", "haze"), ("--every", "--draws", 1)):
        out = tmp_path / f"sheet{len(sizes)}.png"
        end = geoseg("sheet", config(augment=augment), "--out", out, *arguments)
        assert end.code == 0, end.err
        sizes.append(imread(out).shape[0])
    assert sizes[1] < sizes[0] < sizes[2], "a row for each technique"
    unknown = geoseg("sheet", config(), "--out", tmp_path / "x.png", "--technique", "cloud")
    assert unknown.code == 3
    assert "did you mean clouds" in unknown.err
    nothing = geoseg("sheet", config(), "--out", tmp_path / "x.png")
    assert (nothing.code, "no `augment` section" in nothing.err) == (3, True)


def test_the_committed_schema_is_that_of_the_code(geoseg):
    printed = geoseg("schema")
    assert printed.code == 0
    assert json.loads((CONFIGS / "train.schema.json").read_text(encoding="utf-8")) == json.loads(printed.out)


def test_the_schema_accepts_the_committed_configs():
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((CONFIGS / "train.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    configs = sorted(CONFIGS.glob("*.yaml"))
    assert len(configs) >= 3
    for path in configs:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        jsonschema.validate(content, schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(content | {"epochs": 3}, schema)


def quick(path: Path, shared_data: Path, tmp_path: Path, **fit) -> Path:
    """A committed config with a few steps, its data in `shared_data`, its cache in `tmp_path`."""
    text = path.read_text(encoding="utf-8").replace("../../shared/data", str(shared_data))
    content = yaml.safe_load(text)
    content["sampling"]["per_epoch"] = 8
    content["fit"] |= {"epochs": 1, "batch_size": 4} | fit
    content["cache"] = "cache"
    quick_path = tmp_path / path.name
    quick_path.write_text(yaml.safe_dump(content))
    return quick_path


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rcv-sentinel2", "newbrunswick-aerial", "buildings-aerial", "water-aerial"])
def test_the_committed_configs_train(geoseg, shared_data, tmp_path, name):
    config = quick(CONFIGS / f"{name}.yaml", shared_data, tmp_path)
    end = geoseg("train", config, "--out", tmp_path / "run")
    assert end.code == 0, end.err
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["result"]["test_miou"] is not None
    assert min(report["leakage"]["distances_m"].values()) > 0
    info = geoseg("info", tmp_path / "run" / "model.geoseg")
    assert info.code == 0


@pytest.mark.slow
def test_a_torchgeo_dataset_trains(geoseg, config, tmp_path):
    for folder, name in (("images", "scene"), ("masks", "truth")):
        (tmp_path / folder).mkdir()
        (tmp_path / f"{name}.tif").rename(tmp_path / folder / f"{name}.tif")
    source = {"dataset": "RasterDataset", "filename_glob": "*.tif"}
    datasets = [
        {
            "image": source | {"paths": "images"},
            "mask": source | {"paths": "masks"},
            "options": {"bands": ["blue", "green", "red", "nir"], "scale": 2e-5, "offset": -0.1},
        }
    ]
    path = config(scenes=[], datasets=datasets)
    end = geoseg("train", path, "--out", tmp_path / "run")
    assert end.code == 0, end.err
    assert "(torchgeo)" in geoseg("info", tmp_path / "run" / "model.geoseg").out or end.out


@pytest.mark.slow
def test_the_documents_torchgeo_code_runs(geoseg, config, tmp_path, monkeypatch, capsys):
    config()
    monkeypatch.chdir(tmp_path)
    text = (CONFIGS.parent / "docs" / "ground-truth.md").read_text(encoding="utf-8")
    block = text.split("```python")[1].split("```")[0]
    exec(compile(block, "ground-truth.md", "exec"), {})  # noqa: S102  (our own page)
    assert capsys.readouterr().out.startswith("torch.Size([4, 4, 64, 64]) torch.Size([4, 64, 64])")


@pytest.mark.slow
def test_soft_labels_hard_ground_and_workers_train(geoseg, config, tmp_path):
    import rasterio

    with rasterio.open(tmp_path / "truth.tif") as truth:
        codes, transform, crs = truth.read(1), truth.transform, truth.crs
    shares = np.stack([np.where(codes == k, 0.8, 0.2 / 7) for k in range(1, 9)]).astype(np.float32)
    shares[:, codes == 255] = np.nan
    write_raster(
        tmp_path / "shares.tif", shares, names=tuple(NAMES), nodata=np.nan, transform=transform, crs=crs.to_wkt()
    )
    labels = {"path": "shares.tif", "probabilities": True}
    sampling = {"per_epoch": 16, "hard": 1.0, "minimum_share": 0.05, "balance": "scenes"}
    fit = {"epochs": 2, "batch_size": 4, "workers": 1}
    path = config(scenes=[{"path": "scene.tif", "labels": labels}], sampling=sampling, fit=fit)
    end = geoseg("train", path, "--out", tmp_path / "run")
    assert end.code == 0, end.err


def refused(geoseg, path, tmp_path, *words):
    for command in (("train", path, "--out", tmp_path / "run"), ("split", path)):
        end = geoseg(*command)
        *progress, line = end.err.strip().splitlines()
        assert (end.code, line.startswith("geoseg: ")) == (3, True), end
        assert all(told.startswith("labels: ") for told in progress), end.err
        for word in words:
            assert word in line, line
    assert not (tmp_path / "run").exists()


def test_a_legend_of_one_class_is_refused(geoseg, config, tmp_path):
    one = [{"code": 1, "name": "water", "colour": "#0000ff"}]
    refused(geoseg, config(classes=one), tmp_path, "one class (water)", "background")


def test_blocks_larger_than_the_scene_are_refused(geoseg, config, tmp_path):
    refused(geoseg, config(split={"block_m": 100_000}), tmp_path, "one block", "smaller block_m")


def test_a_buffer_that_leaves_nothing_is_refused(geoseg, config, tmp_path):
    path = config(split={"block_m": 1200, "buffer_m": 3000})
    refused(geoseg, path, tmp_path, "buffer of 3000 m leaves no", "smaller")


def test_an_empty_layer_is_refused(geoseg, config, tmp_path):
    import shapely

    frame = geopandas.GeoDataFrame({"kind": ["a"]}, geometry=[shapely.box(0, 0, 1, 1)], crs="EPSG:32612")
    frame.iloc[:0].to_file(tmp_path / "empty.gpkg", engine="pyogrio")
    path = config(scenes=[{"path": "scene.tif", "labels": {"path": "empty.gpkg", "column": "kind"}}])
    refused(geoseg, path, tmp_path, "empty.gpkg")


def test_regions_without_names_are_refused(geoseg, config, tmp_path):
    refused(geoseg, config(split={"attribute": "region"}), tmp_path, "region")


def test_chips_larger_than_the_scene_train(geoseg, config, tmp_path):
    path = config(chips={"size": 320}, sampling={"per_epoch": 2}, fit={"epochs": 2, "batch_size": 2})
    end = geoseg("train", path, "--out", tmp_path / "run")
    assert end.code == 0, end.err


def test_mistakes_in_augmentations_are_named_all_at_once(geoseg, config, tmp_path):
    augment = {"flip": {"chance": 2}, "clouds": {"cover": [0.5, 0.1], "colour": 3}, "sepia": {}}
    refused(geoseg, config(augment=augment), tmp_path, "flip.chance", "clouds.cover", "clouds.colour", "sepia")


def test_a_loss_that_begins_late_is_logged_from_then_on(geoseg, config, tmp_path):
    losses = {"cross_entropy": {}, "lovasz": {"weight": {"start": 0, "end": 1, "within": [0.5, 1]}}}
    path = config(loss=losses, sampling={"per_epoch": 8}, fit={"epochs": 2, "batch_size": 4})
    end = geoseg("train", path, "--out", tmp_path / "run")
    assert end.code == 0, end.err
    lines = (tmp_path / "run" / "log" / "metrics.csv").read_text().splitlines()
    rows = [dict(zip(lines[0].split(","), line.split(","), strict=True)) for line in lines[1:]]
    told = [(row["epoch"], row["train_lovasz"]) for row in rows if row["train_cross_entropy"]]
    assert [epoch for epoch, value in told if value == ""] == ["0"]
    assert float(dict(told)["1"]) > 0


def test_mistakes_in_losses_are_named(geoseg, config, tmp_path):
    refused(geoseg, config(loss={}), tmp_path, "loss: no loss is named", "lovasz")
    refused(geoseg, config(loss={"focal": {"gama": 2}}), tmp_path, "focal.gama")
