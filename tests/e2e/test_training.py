"""Trainings that are interrupted, go wrong or are only planned, through the command line, on a small scene."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load

NAMES = ["water", "developed", "barren", "forest", "shrubland", "herbaceous", "cultivated", "wetlands"]
MODEL = {
    "encoder": "resnet18",
    "decoder_channels": [16, 16, 8, 8, 8],
    "bands": ["blue", "green", "red", "nir"],
    "gsd_m": 30,
    "options": {"dropout": 0.2},
}
KILLED_IN_THE_SECOND_EPOCH = """
import os, signal, sys
from geoseg.training.task import SegmentationTask
from geoseg.cli.app import main

step = SegmentationTask.training_step

def deadly(self, batch, batch_index):
    if (self.current_epoch, batch_index) == (1, 1):
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, batch, batch_index)

SegmentationTask.training_step = deadly
main()
"""


@pytest.fixture
def config(tmp_path, geoseg):
    """A small training on a synthetic scene; `write(**changes)` gives the path of the config."""
    assert geoseg("synth", tmp_path / "scene.tif", "--size", 192, "--truth", tmp_path / "truth.tif").code == 0

    def write(name="config.yaml", **changes):
        content = {
            "scenes": [{"path": "scene.tif", "labels": "truth.tif"}],
            "classes": [{"code": k, "name": n, "colour": f"#0000{k:02x}"} for k, n in enumerate(NAMES, start=1)],
            "model": MODEL,
            "split": {"block_m": 960, "buffer_m": 0},
            "chips": {"size": 32},
            "augment": {"flip": {}, "gamma": {}},
        } | changes
        content["sampling"] = {"per_epoch": 12, "hard": 1.0} | changes.get("sampling", {})
        content["fit"] = {"epochs": 3, "batch_size": 4} | changes.get("fit", {})
        path = tmp_path / name
        path.write_text(yaml.safe_dump(content))
        return path

    return write


def weights_of(run: Path) -> bytes:
    with zipfile.ZipFile(run / "model.geoseg") as bundle:
        return bundle.read("weights.safetensors")


def log_of(run: Path) -> list[dict[str, str]]:
    with (run / "log" / "metrics.csv").open() as stream:
        return list(csv.DictReader(stream))


def kill(config: Path, run: Path) -> None:
    """Train in another process, which dies without notice in the second epoch."""
    end = subprocess.run(
        [sys.executable, "-c", KILLED_IN_THE_SECOND_EPOCH, "train", str(config), "--out", str(run)],
        check=False, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert end.returncode == -signal.SIGKILL, end.stderr.decode()


def test_a_killed_training_goes_on_and_ends_as_if_nothing_had_been(geoseg, config, tmp_path):
    path = config()
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    end = geoseg("train", path, "--out", whole)
    assert end.code == 0, end.err
    kill(path, killed)
    assert [row["epoch"] for row in log_of(killed)] == ["0"]
    assert not (killed / "model.geoseg").exists()
    refused = geoseg("train", path, "--out", killed)
    assert refused.code == 3
    assert "--resume" in refused.err
    assert "--overwrite" in refused.err
    other = geoseg("train", config("other.yaml", fit={"learning_rate": 0.5}), "--out", killed, "--resume")
    assert other.code == 3
    assert "fit.learning_rate was 0.002, is 0.5" in other.err
    resumed = geoseg("train", path, "--out", killed, "--resume")
    assert resumed.code == 0, resumed.err
    assert log_of(killed) == log_of(whole)
    assert len(log_of(whole)) == 3
    assert weights_of(killed) == weights_of(whole)
    assert resumed.out.splitlines()[:-1] == end.out.splitlines()[:-1]
    again = geoseg("train", path, "--out", killed, "--resume")
    assert (again.code, weights_of(killed) == weights_of(whole)) == (0, True)
    both = geoseg("train", path, "--out", killed, "--resume", "--overwrite")
    assert both.code == 2


def test_averaged_clipped_and_accumulated_trainings_are_resumed_alike(geoseg, config, tmp_path):
    fit = {"ema": 0.9, "clip": 0.5, "accumulate": 2, "encoder_rate": 0.1, "precision": "bf16", "patience": 3}
    path = config(fit=fit)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    end = geoseg("train", path, "--out", whole)
    assert end.code == 0, end.err
    assert [row["step"] for row in log_of(whole)] == ["2", "4", "6"], "three batches make two steps"
    kill(path, killed)
    resumed = geoseg("train", path, "--out", killed, "--resume")
    assert resumed.code == 0, resumed.err
    assert (log_of(killed), weights_of(killed)) == (log_of(whole), weights_of(whole))


def test_a_training_that_gets_no_better_stops_and_does_not_go_on(geoseg, config, tmp_path):
    still = {"learning_rate": 1e-12, "weight_decay": 0.0, "patience": 2, "epochs": 9}
    path = config(fit=still, model={**MODEL, "options": {"norm": "group"}})
    for _ in range(2):
        end = geoseg("train", path, "--out", tmp_path / "run", "--resume")
        assert end.code == 0, end.err
        assert [row["epoch"] for row in log_of(tmp_path / "run")] == ["0", "1", "2"]


def test_the_averaged_weights_are_kept(geoseg, config, tmp_path):
    end = geoseg("train", config(fit={"epochs": 1, "ema": 0.999}), "--out", tmp_path / "run")
    assert end.code == 0, end.err
    best = torch.load(tmp_path / "run" / "checkpoints" / "best.ckpt", weights_only=True)
    last = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    name = "segmentation_head.0.weight"
    assert torch.equal(best[name], last[f"_average.network.{name}"])
    assert not torch.equal(best[name], last[f"network.{name}"])


def test_refitting_changes_the_last_layer_and_nothing_else(geoseg, config, tmp_path):
    runs = {}
    for name, fit in (("plain", {}), ("refit", {"refit": {"epochs": 2, "learning_rate": 0.01}})):
        end = geoseg("train", config(fit=fit | {"epochs": 1}), "--out", tmp_path / name)
        assert end.code == 0, end.err
        runs[name] = load(weights_of(tmp_path / name))
    changed = {key for key, value in runs["plain"].items() if not torch.equal(value, runs["refit"][key])}
    assert changed == {"segmentation_head.0.weight", "segmentation_head.0.bias"}
    assert [row["epoch"] for row in log_of(tmp_path / "refit" / "refit")] == ["0", "1"]
    again = geoseg("train", config(fit=fit | {"epochs": 1}), "--out", tmp_path / "refit", "--resume")
    assert again.code == 0, again.err
    assert weights_of(tmp_path / "refit") != weights_of(tmp_path / "plain")
    resumed = load(weights_of(tmp_path / "refit"))
    assert all(torch.equal(resumed[key], value) for key, value in runs["refit"].items())


@pytest.mark.parametrize(
    ("fit", "said"),
    [
        ({"ema": 1.0}, "fit.ema"),
        ({"accumulate": 0}, "fit.accumulate"),
        ({"clip": 0}, "fit.clip"),
        ({"patience": 0}, "fit.patience"),
        ({"encoder_rate": 0}, "fit.encoder_rate"),
        ({"devices": 0}, "fit.devices"),
        ({"refit": {"epochs": 0}}, "fit.refit.epochs"),
        ({"refit": {"epochs": 1}, "accumulate": 3}, "make 1 steps"),
        ({"precision": "fp8"}, "fit.precision"),
        ({"epochs": 1, "accumulate": 3}, "fit.accumulate and fit.devices make 1 steps, at least 2 are needed"),
    ],
)
def test_mistakes_in_the_fit_section_are_named(geoseg, config, tmp_path, fit, said):
    end = geoseg("train", config(fit=fit), "--out", tmp_path / "run")
    assert end.code == 3
    assert said in end.err
    assert not (tmp_path / "run").exists()


def test_overwriting_starts_anew_even_where_it_is_killed_again(geoseg, config, tmp_path):
    path = config(fit={"epochs": 1})
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints" / "last.ckpt").write_bytes(b"no checkpoint")
    damaged = geoseg("train", path, "--out", run, "--resume")
    assert damaged.code == 3
    assert "last.ckpt: cannot be read" in damaged.err
    end = geoseg("train", path, "--out", run, "--overwrite")
    assert end.code == 0, end.err


def test_a_network_that_diverges_ends_with_one_line_that_says_where(geoseg, config, tmp_path):
    end = geoseg("train", config(fit={"learning_rate": 1e30}), "--out", tmp_path / "run")
    assert end.code == 3
    line = end.err.splitlines()[-1]
    assert re.search(r"the loss is not a finite number in epoch 0, step [12], at scene rows \d+-\d+, cols", line)
    assert line.endswith("the network has diverged; lower fit.learning_rate")


@pytest.mark.skipif(torch.cuda.is_available(), reason="these processes would want a GPU each")
def test_two_processes_learn_what_one_learns_from_batches_twice_as_large(geoseg, config, tmp_path):
    model = MODEL | {"options": {"norm": "group"}}  # batch norm would see other chips
    plain = {"model": model, "augment": {}, "loss": {"cross_entropy": {}}}
    alone, together = tmp_path / "alone", tmp_path / "together"
    fits = {alone: {"batch_size": 4}, together: {"batch_size": 2, "devices": 2, "refit": {"epochs": 1}}}
    for run, fit in fits.items():
        end = geoseg("train", config(f"{run.name}.yaml", fit=fit, **plain), "--out", run)
        assert end.code == 0, end.err
        assert "Warning" not in end.err
    one, two = log_of(alone), log_of(together)
    assert [row["step"] for row in one] == [row["step"] for row in two] == ["3", "6", "9"]
    for name, close in {"train_loss": 0.01, "val_miou": 0.02}.items():  # a mean of two means weighs pixels otherwise
        assert [float(row[name]) for row in two] == pytest.approx([float(row[name]) for row in one], abs=close), name
    assert len(log_of(together / "refit")) == 1
    again = geoseg("train", tmp_path / "together.yaml", "--out", together, "--resume")
    assert again.code == 0, again.err
    assert log_of(together) == two


def test_an_error_in_one_of_several_processes_is_one_line(geoseg, config, tmp_path):
    fit = {"learning_rate": 1e30, "batch_size": 2, "devices": 2}
    end = geoseg("train", config(fit=fit), "--out", tmp_path / "run")
    assert end.code == 3
    assert "the network has diverged; lower fit.learning_rate" in end.err.splitlines()[-1]
    assert "Traceback" not in end.err


def test_more_gpus_than_there_are_are_refused(geoseg, config, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    end = geoseg("train", config(fit={"batch_size": 2, "devices": 2}), "--out", tmp_path / "run")
    assert end.code == 3
    assert "fit.devices is 2, this machine has 1 GPU" in end.err


def test_a_dry_run_tells_the_plan_and_writes_nothing(geoseg, config, tmp_path):
    path = config(fit={"accumulate": 2})
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    end = geoseg("train", path, "--dry-run", "--json")
    assert end.code == 0, end.err
    plan = json.loads(end.out)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before
    assert plan["scenes"] == {"scene": [192, 192]}
    assert plan["chips"]["train"] == 12
    assert (plan["epochs"], plan["steps"]) == (3, 6)
    assert sum(plan["drawn"].values()) == pytest.approx(1)
    assert plan["cost"]["memory_bytes"] > 4 * plan["cost"]["parameters"] > 4e7
    batches = 3 * 3 * plan["cost"]["train_batch_s"]
    assert plan["seconds"] > batches > 0
    text = geoseg("train", path, "--dry-run", "--out", tmp_path / "run").out
    assert "12 train" in text
    assert "3 epochs, 6 steps" in text
    assert "estimates from a few real steps on this cpu" in text
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before
    whole = geoseg("train", path, "--out", tmp_path / "run", "--json")
    assert json.loads(whole.out)["pixels"] == plan["pixels"]
    assert len(json.loads(whole.out)["notes"]) == len(plan["notes"])


def test_a_training_needs_a_folder(geoseg, config):
    end = geoseg("train", config())
    assert end.code == 2
    assert "--out" in end.err


def test_curves_for_tensorboard_need_the_package(geoseg, config, tmp_path, monkeypatch):
    path = config(fit={"epochs": 1, "tensorboard": True})
    if find_spec("tensorboard") is not None:
        end = geoseg("train", path, "--out", tmp_path / "run")
        assert end.code == 0, end.err
        assert list((tmp_path / "run" / "tensorboard").glob("events*"))
    monkeypatch.setattr("geoseg.training.tensorboard.find_spec", lambda _name: None)
    end = geoseg("train", path, "--out", tmp_path / "other")
    assert end.code == 3
    assert "pip install tensorboard" in end.err
    assert not (tmp_path / "other").exists()
