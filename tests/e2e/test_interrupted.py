"""Predictions that end early: what is left, what is said, and that resumed ones give the same as whole ones."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
from factory import write_raster, write_scene
from filelock import FileLock

from geoseg.errors import InputError
from geoseg.inference.maps import MapWriter
from geoseg.io.reader import SceneReader

ROWS_OF_TILES = 6
KILLED = """
import os, signal, sys
from geoseg.cli.app import main
from geoseg.inference import journal
from geoseg.inference.maps import MapWriter

write, mark, counts = MapWriter.write, journal.Journal.mark, {"write": 0, "mark": 0}

def deadly(name, function):
    def counted(*args):
        counts[name] += 1
        if (name, counts[name]) == DEATH:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args)
    return counted

DEATH = (sys.argv[1], int(sys.argv[2]))
MapWriter.write, journal.Journal.mark = deadly("write", write), deadly("mark", mark)
sys.argv[1:] = sys.argv[3:]
main()
"""


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    path = write_scene(tmp_path_factory.mktemp("scene") / "scene.tif", 200, 170)
    with rasterio.open(path, "r+") as file:
        data = file.read()
        data[:, :20, :60] = 65535
        file.write(data)
    return path


def command(scene: Path, bundle: Path, folder: Path, *more: object) -> list[str]:
    outputs = ("--mask", folder / "m.tif", "--probabilities", folder / "p.tif", "--out", folder / "m.gpkg")
    return [str(word) for word in ("predict", scene, "--model", bundle, *outputs, "--tile", 64, "--overlap", 32, *more)]


def pixels(folder: Path) -> list[np.ndarray]:
    found = []
    for name in ("m.tif", "p.tif"):
        with rasterio.open(folder / name) as file:
            found.append(file.read())
    return found


@pytest.fixture(scope="module")
def whole(scene, tiny_bundle, tmp_path_factory):
    """The pixels of a prediction that nobody interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    subprocess.run([sys.executable, "-m", "geoseg", *command(scene, tiny_bundle, folder)], check=True)
    return pixels(folder)


def kill(words: list[str], name: str, number: int) -> None:
    """Predict in another process, which dies without notice at that call of `MapWriter.write` or `Journal.mark`."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    end = subprocess.run(
        [sys.executable, "-c", KILLED, name, str(number), *words], check=False, capture_output=True, env=environment
    )
    assert end.returncode == -signal.SIGKILL, end.stderr.decode()


def work_of(folder: Path) -> Path:
    return folder / ".m.gpkg.geoseg"


def test_a_killed_prediction_goes_on_and_ends_as_if_nothing_had_been(geoseg, scene, tiny_bundle, whole, tmp_path):
    words = command(scene, tiny_bundle, tmp_path)
    kill(words, "write", 13)  # in the third row of tiles
    assert json.loads((work_of(tmp_path) / "journal.json").read_text())["done"] == 2
    assert {path.name for path in tmp_path.iterdir()} == {".m.gpkg.geoseg"}
    refused = geoseg(*words)
    assert refused.code == 3
    assert "an earlier run was not finished; go on with --resume, or start anew with --overwrite" in refused.err
    kill([*words, "--resume"], "mark", 1)  # again, when a row was written but is not in the journal
    resumed = geoseg(*words, "--resume")
    assert resumed.code == 0, resumed.err
    for found, expected in zip(pixels(tmp_path), whole, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert not work_of(tmp_path).exists()


def test_what_is_finished_is_not_inferred_again(geoseg, scene, tiny_bundle, whole, tmp_path, monkeypatch):
    words = command(scene, tiny_bundle, tmp_path)
    kill(words, "mark", ROWS_OF_TILES)  # all is written, the last row of tiles is not in the journal
    rows = []
    write = MapWriter.write
    monkeypatch.setattr(MapWriter, "write", lambda self, piece: (rows.append(piece.window.row), write(self, piece)))
    resumed = geoseg(*words, "--resume")
    assert resumed.code == 0, resumed.err
    assert len(set(rows)) == 1
    assert rows[0] > 100
    np.testing.assert_array_equal(pixels(tmp_path)[1], whole[1])


def test_another_prediction_does_not_go_on_there(geoseg, scene, tiny_bundle, tmp_path):
    words = command(scene, tiny_bundle, tmp_path)
    kill(words, "write", 13)
    other = write_scene(tmp_path / "scene.tif", 200, 170, seed=1)
    changed = {
        "content of scene.tif was": command(other, tiny_bundle, tmp_path, "--resume"),
        "rows.overlap was 32, is": [*words, "--resume", "--overlap", "20"],
        "bands.0.scale was 2e-05, is 3e-05": [*words, "--resume", "--scale", "3e-5", "--offset", "-0.1"],
        "probabilities was kept, is not kept": [*words[:6], *words[8:], "--resume"],
    }
    for said, changed_words in changed.items():
        end = geoseg(*changed_words)
        assert (end.code, said in end.err) == (3, True), (said, end.err)
        assert "belongs to another prediction" in end.err
    anew = geoseg(*changed["rows.overlap was 32, is"][:-3], "--overlap", "20", "--overwrite")
    assert anew.code == 0, anew.err
    assert not work_of(tmp_path).exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"identity": {}, "done": "3"}', '{"identity": 1, "done": 3}'])
def test_a_damaged_journal_is_no_start(geoseg, scene, tiny_bundle, tmp_path, content):
    work_of(tmp_path).mkdir()
    (work_of(tmp_path) / "journal.json").write_text(content)
    end = geoseg(*command(scene, tiny_bundle, tmp_path), "--resume")
    assert end.code == 3
    assert "journal.json: is damaged; start anew with --overwrite" in end.err
    assert not (tmp_path / "m.tif").exists()


def test_resuming_nothing_is_a_start(geoseg, scene, tiny_bundle, whole, tmp_path):
    assert geoseg(*command(scene, tiny_bundle, tmp_path), "--resume").code == 0
    np.testing.assert_array_equal(pixels(tmp_path)[0], whole[0])


def test_two_runs_do_not_write_one_output(geoseg, scene, tiny_bundle, tmp_path):
    work_of(tmp_path).mkdir()
    with FileLock(work_of(tmp_path) / "lock"):
        for more in ((), ("--resume",), ("--overwrite",)):
            end = geoseg(*command(scene, tiny_bundle, tmp_path), *more)
            assert end.code == 3
            assert "m.gpkg: another run is writing it" in end.err
    assert not (tmp_path / "m.tif").exists()


def test_a_damaged_block_in_the_middle_is_named_and_the_rest_is_kept(
    geoseg, scene, tiny_bundle, whole, tmp_path, monkeypatch
):
    read = SceneReader.read

    def damaged(self, window):
        if window.row > 90:
            raise InputError(f"{scene}: cannot be read at row {window.row}")
        return read(self, window)

    words = command(scene, tiny_bundle, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(SceneReader, "read", damaged)
        end = geoseg(*words)
    assert end.code == 3
    assert "cannot be read at row" in end.err
    assert "what is finished is kept: go on with --resume" in end.err.splitlines()[-1]
    assert not (tmp_path / "m.tif").exists()
    assert geoseg(*words, "--resume").code == 0
    np.testing.assert_array_equal(pixels(tmp_path)[1], whole[1])


def test_a_scene_that_is_cut_off_is_named(geoseg, scene, tiny_bundle, tmp_path):
    shutil.copy(scene, tmp_path / "scene.tif")
    os.truncate(tmp_path / "scene.tif", scene.stat().st_size // 2)
    end = geoseg(*command(tmp_path / "scene.tif", tiny_bundle, tmp_path))
    assert end.code == 3
    assert "scene.tif" in end.err.splitlines()[-1]
    assert not (tmp_path / "m.tif").exists()


def test_an_output_folder_that_goes_away_is_an_error(geoseg, scene, tiny_bundle, tmp_path, monkeypatch):
    folder = tmp_path / "out"
    folder.mkdir()
    write = MapWriter.write

    def write_where_nothing_is(self, piece):
        shutil.rmtree(folder, ignore_errors=True)
        write(self, piece)

    monkeypatch.setattr(MapWriter, "write", write_where_nothing_is)
    end = geoseg(*command(scene, tiny_bundle, folder))
    assert end.code == 3
    assert "cannot be written" in end.err.splitlines()[-1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_an_ended_run_says_so_and_can_go_on(tiny_bundle, tmp_path, number):
    scene = write_scene(tmp_path / "scene.tif", 3000, 3000)
    words = ["predict", scene, "--model", tiny_bundle, "--mask", tmp_path / "m.tif", "--tile", "96"]
    run = subprocess.Popen(
        [sys.executable, "-m", "geoseg", *map(str, words)], stderr=subprocess.PIPE, cwd=tmp_path, text=True
    )
    journal = tmp_path / ".m.tif.geoseg" / "journal.json"
    deadline = time.monotonic() + 120
    while not journal.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    run.send_signal(number)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 128 + number
    assert f"ended by {number.name}; no output was changed" in said.splitlines()[-1]
    assert {path.name for path in tmp_path.iterdir()} == {"scene.tif", ".m.tif.geoseg"}
    assert json.loads(journal.read_text())["done"] > 0


@pytest.mark.parametrize("out", ["map.gpkg", "map.parquet"])
def test_polygonizing_that_is_ended_says_so_and_leaves_nothing(tmp_path, out):
    codes = np.random.default_rng(0).integers(0, 3, (1, 2000, 2000), dtype=np.uint8)
    words = ["polygonize", write_raster(tmp_path / "codes.tif", codes), "--out", tmp_path / out, "--threads", "3"]
    run = subprocess.Popen([sys.executable, "-m", "geoseg", *map(str, words)], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while sum(path.stat().st_size for path in tmp_path.glob("*/*")) < 2**20 and time.monotonic() < deadline:
        time.sleep(0.02)
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 128 + signal.SIGINT
    assert said == "geoseg: ended by SIGINT; no output was changed\n"
    assert [path.name for path in tmp_path.iterdir()] == ["codes.tif"]


SMALL_DISK = """
mount -t tmpfs -o size=400k tmpfs "$DISK" || exit 77
"$@"
echo "ended with $?"
ls -A "$DISK"
mount -o remount,size=16m "$DISK" && "$@" --resume && cp "$DISK"/* "$KEPT"
"""


@pytest.mark.skipif(shutil.which("unshare") is None, reason="a small disk is made by unshare, of util-linux")
def test_a_full_disk_ends_the_run_and_room_lets_it_go_on(scene, tiny_bundle, whole, tmp_path):
    disk, kept = tmp_path / "disk", tmp_path / "kept"
    disk.mkdir()
    kept.mkdir()
    words = ("unshare", "-rm", "sh", "-c", SMALL_DISK, "sh", sys.executable, "-m", "geoseg")
    environment = os.environ | {"DISK": str(disk), "KEPT": str(kept)}
    end = subprocess.run(
        [*words, *command(scene, tiny_bundle, disk)], env=environment, capture_output=True, text=True, check=False
    )
    if end.returncode == 77 or end.stderr.startswith("unshare"):
        pytest.skip("no right to make a small disk")
    assert "ended with 3\n.m.gpkg.geoseg\n" in end.stdout
    assert "go on with --resume" in end.stderr
    assert "Traceback" not in end.stderr
    assert end.returncode == 0
    for ours, theirs in zip(pixels(kept), whole, strict=True):
        np.testing.assert_array_equal(ours, theirs)
