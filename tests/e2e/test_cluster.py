"""`geoseg predict --cluster`: many workers draw, pixel by pixel, the map that one machine draws."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
import shapely
from distributed import Client, LocalCluster
from factory import NORTH_UP, OTHER_SPEC, write_area, write_bundle, write_scene
from pyogrio import read_dataframe

from geoseg.errors import InputError
from geoseg.inference.contract import check_ensemble
from geoseg.inference.drawing import networks_for
from geoseg.inference.options import PredictOptions
from geoseg.inference.outputs import Outputs
from geoseg.inference.predict import predict
from geoseg.io.scene import open_scene
from geoseg.jobs.cluster import open_cluster
from geoseg.jobs.drawing import draw_on
from geoseg.jobs.warm import Model, WarmNetworks, traits, warm
from geoseg.models.bundle import load_bundle
from geoseg.models.ensemble import as_ensemble

SIZE = ("--tile", 64, "--overlap", 32)


def read(path):
    with rasterio.open(path) as file:
        return file.read()


def outputs(folder: Path) -> tuple[object, ...]:
    folder.mkdir(exist_ok=True)
    return "--mask", folder / "m.tif", "--probabilities", folder / "p.tif", "--out", folder / "m.gpkg"


def polygons(folder: Path):
    return read_dataframe(folder / "m.gpkg", layer="landcover")


def same(ours: Path, theirs: Path) -> None:
    for name in ("m.tif", "p.tif"):
        np.testing.assert_array_equal(read(ours / name), read(theirs / name))
    assert polygons(ours).equals(polygons(theirs))


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    path = write_scene(tmp_path_factory.mktemp("scene") / "scene.tif", 200, 170)
    with rasterio.open(path, "r+") as file:
        data = file.read()
        data[:, 60:100, 60:70] = 65535
        file.write(data)
    return path


@pytest.fixture(scope="module")
def cluster():
    """The address of a cluster of two workers, each a process."""
    kind = {"n_workers": 2, "threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(**kind) as started:
        yield started.scheduler_address


def test_the_map_is_that_of_one_machine(geoseg, scene, tiny_bundle, cluster, tmp_path):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    words = ("predict", scene, "--model", tiny_bundle, *SIZE)
    assert geoseg(*words, *outputs(theirs)).code == 0
    assert geoseg(*words, *outputs(ours), "--cluster", cluster).code == 0
    same(ours, theirs)
    assert sorted(path.name for path in ours.iterdir()) == sorted(path.name for path in theirs.iterdir())


def test_area_views_models_and_resampling_are_as_on_one_machine(geoseg, scene, tiny_bundle, cluster, tmp_path):
    other = write_bundle(tmp_path / "other.geoseg", OTHER_SPEC, seed=1)
    area = write_area(
        tmp_path / "area.geojson", shapely.buffer(shapely.Point(NORTH_UP @ (80, 110)), 1500), written_in="EPSG:4326"
    )
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    words = ("predict", scene, "--model", tiny_bundle, "--model", other, "--aoi", area, "--tta", "flips", *SIZE)
    assert geoseg(*words, *outputs(theirs)).code == 0
    assert geoseg(*words, *outputs(ours), "--cluster", cluster).code == 0
    same(ours, theirs)


def run(scene, bundle, folder, address, progress, *, resume=False):
    with open_cluster(address) as client:
        predict(
            open_scene(scene),
            load_bundle(bundle),
            Outputs(polygons=folder / "m.gpkg", mask=folder / "m.tif", probabilities=folder / "p.tif"),
            options=PredictOptions(tile=64, overlap=32, resume=resume),
            progress=progress,
            drawer=draw_on(client),
        )


def test_killed_workers_and_interruptions_do_not_change_the_map(geoseg, scene, tiny_bundle, tmp_path):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    assert geoseg("predict", scene, "--model", tiny_bundle, *SIZE, *outputs(theirs)).code == 0
    ours.mkdir()
    kind = {"n_workers": 2, "threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(**kind) as cluster:

        def kill_then_interrupt(_stage, done, _total):
            if done == 1:
                with Client(cluster.scheduler_address, set_as_default=False) as client:
                    pids = client.run(os.getpid)
                os.kill(min(pids.values()), signal.SIGKILL)
            if done == 4:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run(scene, tiny_bundle, ours, cluster.scheduler_address, kill_then_interrupt)
        assert [path.name for path in ours.iterdir()] == [".m.gpkg.geoseg"]
        steps = []
        run(scene, tiny_bundle, ours, cluster.scheduler_address, lambda *step: steps.append(step), resume=True)
    inferred = [step for step in steps if step[0] == "infer"]
    assert 0 < len(inferred) <= inferred[-1][2] - 4
    same(ours, theirs)


def test_a_cluster_that_is_not_there_is_named(geoseg, scene, tiny_bundle, tmp_path, monkeypatch):
    monkeypatch.setattr("geoseg.jobs.cluster._TIMEOUT", "1s")
    words = ("predict", scene, "--model", tiny_bundle, "--mask", tmp_path / "m.tif", "--cluster")
    for address, said in (
        ("tcp://127.0.0.1:9", "no scheduler answers"),
        ("nowhere", "needed is local:N"),
        ("local:0", "at least one worker"),
    ):
        end = geoseg(*words, address)
        assert end.code == 3
        assert said in end.err
        assert "Traceback" not in end.err


def test_adaptive_inference_is_for_one_machine(geoseg, scene, tiny_bundle, cluster, tmp_path):
    words = ("predict", scene, "--model", tiny_bundle, "--mask", tmp_path / "m.tif")
    end = geoseg(*words, "--adaptive", "--cluster", cluster)
    assert end.code == 3
    assert "leave out --adaptive" in end.err


def test_a_scene_that_workers_cannot_read_is_named(geoseg, scene, tiny_bundle, cluster, tmp_path, monkeypatch):
    own = tmp_path / "scene.tif"
    shutil.copy(scene, own)

    def gone(*arguments):
        own.unlink()
        return warm(*arguments)

    monkeypatch.setattr("geoseg.jobs.drawing.warm", gone)
    end = geoseg("predict", own, "--model", tiny_bundle, "--mask", tmp_path / "m.tif", "--cluster", cluster)
    assert end.code == 3
    assert str(own) in end.err


def test_a_model_is_shipped_to_workers_that_do_not_find_it(tiny_bundle, tmp_path):
    bundle = load_bundle(tiny_bundle)
    lost = Model(path=tmp_path / "lost.geoseg", sha256=bundle.sha256)
    with pytest.raises(InputError, match="does not find this model"):
        lost.load(tmp_path)
    shipped = replace(lost, content=tiny_bundle.read_bytes()).load(tmp_path)
    assert shipped.sha256 == bundle.sha256
    assert Model(path=tiny_bundle, sha256=bundle.sha256).load(tmp_path).path == tiny_bundle


def test_a_worker_that_would_draw_another_map_is_refused(scene, tiny_bundle, tmp_path):
    ensemble = as_ensemble(load_bundle(tiny_bundle))
    fit = check_ensemble(open_scene(scene), ensemble)
    options = PredictOptions(precision="fp32")
    wanted = traits(networks_for(fit, ensemble, options))
    models = (Model(path=tiny_bundle, sha256=ensemble.bundles[0].sha256),)
    worker = SimpleNamespace(local_directory=str(tmp_path))
    WarmNetworks(models, fit, options, wanted).setup(worker)
    with pytest.raises(InputError, match="version of openvino"):
        WarmNetworks(models, fit, options, wanted | {"version of openvino": "1.0"}).setup(worker)
