"""`geoseg run`: many scenes of one job, of which only new and changed ones are mapped."""

from __future__ import annotations

import configparser
import json
import os
import re
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest
import rasterio
import yaml
from factory import write_scene
from filelock import FileLock

from geoseg.jobs.config import JobConfig, read_job
from geoseg.jobs.manifest import Entry, open_manifest
from geoseg.jobs.run import pending


@pytest.fixture
def job(tmp_path, tiny_bundle):
    """A job of three scenes, which one pattern matches."""
    (tmp_path / "in").mkdir()
    for name in "abc":
        write_scene(tmp_path / "in" / f"{name}.tif", 70, 60, seed=ord(name))
    return write_job(tmp_path, tiny_bundle)


def write_job(folder, bundle, **changes):
    content = {
        "scenes": ["in/*.tif"],
        "model": str(bundle),
        "outputs": {"mask": "out/{name}.tif", "polygons": "out/{name}.gpkg"},
        "options": {"precision": "fp32"},
    }
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(content | changes))
    return path


def states(end):
    return {scene["name"]: scene["state"] for scene in json.loads(end.out)["scenes"]}


def test_a_second_run_does_only_what_is_new_or_changed(geoseg, job, tmp_path, tiny_bundle):
    end = geoseg("run", job, "--json")
    assert end.code == 0
    assert states(end) == dict.fromkeys("abc", "done")
    with rasterio.open(tmp_path / "out" / "b.tif") as mask:
        assert mask.shape == (70, 60)
    assert states(geoseg("run", job, "--json")) == dict.fromkeys("abc", "unchanged")

    write_scene(tmp_path / "in" / "d.tif", 70, 60, seed=1)
    write_scene(tmp_path / "in" / "a.tif", 72, 60, seed=2)
    (tmp_path / "out" / "b.gpkg").unlink()
    assert geoseg("run", job, "--dry-run").out.endswith("3 scenes would be mapped\n")
    assert states(geoseg("run", job, "--json")) == {"a": "done", "b": "done", "c": "unchanged", "d": "done"}

    write_job(tmp_path, tiny_bundle, options={"precision": "fp32", "min_area": 5000})
    assert states(geoseg("run", job, "--json")) == dict.fromkeys("abcd", "done")


def test_failures_are_recorded_and_do_not_stop_the_others(geoseg, job, tmp_path):
    (tmp_path / "in" / "b.tif").write_bytes(b"no raster")
    log, metrics = tmp_path / "log.jsonl", tmp_path / "geoseg.prom"
    end = geoseg("run", job, "--json", "--log", log, "--metrics", metrics)
    assert end.code == 4
    assert states(end) == {"a": "done", "b": "failed", "c": "done"}
    failed = json.loads(log.read_text().splitlines()[1])
    assert failed["attempts"] == 2
    assert "b.tif" in failed["error"]
    assert 'geoseg_scenes{state="failed"} 1\n' in metrics.read_text()
    assert 'geoseg_scenes{state="done"} 2\n' in metrics.read_text()

    write_scene(tmp_path / "in" / "b.tif", 70, 60)
    end = geoseg("run", job, "--json")
    assert end.code == 0
    assert states(end) == {"a": "unchanged", "b": "done", "c": "unchanged"}


def test_limits_leave_scenes_untried(geoseg, job, tmp_path):
    for name in "ab":
        (tmp_path / "in" / f"{name}.tif").write_bytes(b"no raster")
    os.utime(tmp_path / "in" / "a.tif", (0, time.time() - 10 * 86_400))
    end = geoseg("run", job, "--json", "--since", "7d", "--max-failures", 1)
    assert end.code == 4
    assert states(end) == {"a": "old", "b": "failed", "c": "not tried"}
    assert states(geoseg("run", job, "--json", "--since", "2999-01-01")) == dict.fromkeys("abc", "old")
    assert geoseg("run", job, "--since", "soon").code == 2


def test_two_runs_at_once_refuse_each_other(geoseg, job):
    with FileLock(job.with_name("job.manifest.sqlite.lock")):
        end = geoseg("run", job)
    assert end.code == 3
    assert "another run of this job" in end.err


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"outputs": {"mask": "out/map.tif"}}, "output of two scenes"),
        ({"outputs": {}}, "no outputs"),
        ({"scenes": ["nothing/*.tif"]}, "no file matches"),
        ({"scenes": [{"path": "in/*.tif", "name": "x"}]}, "cannot all be called x"),
        ({"scene": []}, "there is no such option"),
        ({"options": {"tiles": 5}}, "options.tiles"),
        ({"model": "gone.geoseg"}, "gone.geoseg"),
    ],
)
def test_mistakes_in_a_job_are_named(geoseg, job, tmp_path, tiny_bundle, changes, said):
    end = geoseg("run", write_job(tmp_path, tiny_bundle, **changes))
    assert end.code == 3
    assert said in end.err
    assert "Traceback" not in end.err


def test_a_scene_that_comes_twice_counts_once(geoseg, job, tmp_path, tiny_bundle):
    write_job(tmp_path, tiny_bundle, scenes=["in/a.tif", {"path": "in/*.tif"}])
    assert list(states(geoseg("run", job, "--json"))) == ["a", "b", "c"]


def test_a_file_that_is_no_manifest_is_named(geoseg, job):
    job.with_name("job.manifest.sqlite").write_bytes(b"something else" * 100)
    end = geoseg("run", job)
    assert end.code == 3
    assert "is no manifest" in end.err


def test_a_long_manifest_knows_what_is_new(tmp_path, tiny_bundle):
    for number in range(300):
        (tmp_path / f"{number}.tif").write_bytes(b"x")
    content = {
        "scenes": [f"{tmp_path}/*.tif"],
        "model": str(tiny_bundle),
        "outputs": {"mask": f"{tmp_path}/o/{{name}}.tif"},
    }
    job = JobConfig.model_validate(content)
    with open_manifest(tmp_path / "m.sqlite") as manifest:
        assert len(pending(job, manifest)) == 300
        entry = Entry(
            scene=str(tmp_path / "7.tif"), identity="other", state="done", outputs={}, attempts=1, seconds=1.0
        )
        manifest.put(entry)
        assert len(pending(job, manifest)) == 300
        assert manifest.entries()[entry.scene] == entry
    with sqlite3.connect(tmp_path / "m.sqlite") as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


JOBS = Path(__file__).parents[2] / "configs" / "jobs"


def test_the_examples_for_schedulers_are_well_formed(geoseg):
    """The commands in them are parsed by geoseg itself."""
    assert read_job(JOBS / "nightly.yaml").outputs.mask == JOBS.resolve() / "maps" / "{name}.tif"
    cron = [line for line in (JOBS / "crontab").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"([\d*/,-]+ ){5}cd \S+ && geoseg run .+", line) for line in cron)
    units = configparser.ConfigParser(strict=True)
    units.optionxform = str
    units.read([JOBS / "geoseg.service", JOBS / "geoseg.timer"])
    assert units["Timer"]["OnCalendar"]
    subprocess.run(["bash", "-n", JOBS / "slurm-array.sh"], check=True)
    cronjob = yaml.safe_load((JOBS / "kubernetes-cronjob.yaml").read_text())
    container = cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    commands = [
        cron[0].partition("&& ")[2].split(),
        units["Service"]["ExecStart"].split("/bin/")[1].split(),
        container["command"],
        *(line.split() for line in (JOBS / "slurm-array.sh").read_text().splitlines() if line.startswith("geoseg ")),
    ]
    for program, command, *words in commands:
        assert program == "geoseg"
        known = geoseg(command, "--help").out
        assert all(word in known for word in words if word.startswith("--"))
