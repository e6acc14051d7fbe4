"""The benchmark of predict: what it counts is counted right. Its runs are made by hand, not here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio import Affine

FOLDER = Path(__file__).parents[2] / "benchmarks" / "predict"
SIZE = 300  # more than a strip of 256 rows


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))


def write(path, codes):
    profile = {"driver": "GTiff", "height": SIZE, "width": SIZE, "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", **profile, transform=Affine(30, 0, 0, 0, -30, 0)) as out:
        out.write(codes, 1)
    return path


def scored(tmp_path, truth, mapped, lines):
    from scoring import score
    from setting import Ground

    files = {"truth": truth, "map": mapped, "reference": truth.copy()}
    paths = {name: write(tmp_path / f"{name}.tif", codes) for name, codes in files.items()}
    valid = int((truth != 255).sum())
    ground = Ground(size=SIZE, scene=paths["truth"], truth=paths["truth"], valid=valid)
    return score(paths["map"], paths["reference"], ground, lines)


def test_a_map_is_scored_where_there_is_ground(tmp_path):
    truth = np.full((SIZE, SIZE), 1, dtype=np.uint8)
    truth[:, 150:] = 2
    truth[280:] = 255
    mapped = truth.copy()
    mapped[280:] = 3  # is no ground, so nothing is said of it
    mapped[250:280, :75] = 2
    found = scored(tmp_path, truth, mapped, ([], []))
    wrong, half = 30 * 75, 280 * 150
    assert found.agreement == pytest.approx(1 - wrong / (2 * half))
    assert found.miou == pytest.approx(((half - wrong) / half + half / (half + wrong)) / 2)
    assert found.seam is None


def test_a_seam_shows(tmp_path):
    rng = np.random.default_rng(0)
    truth = np.ones((SIZE, SIZE), dtype=np.uint8)
    speckled = np.where(rng.random((SIZE, SIZE)) < 0.05, 2, truth).astype(np.uint8)
    lines = [100, 256], [200]
    clean = scored(tmp_path, speckled, speckled, lines)
    seamed = speckled.copy()
    seamed[256, ::2] += 1
    assert clean.seam == clean.seam_of_truth
    assert clean.seam == pytest.approx(1, abs=0.25)
    assert scored(tmp_path, speckled, seamed, lines).seam > 1.8 * clean.seam


def test_the_seam_figure_is_a_ratio_of_rates():
    from scoring import Changes

    codes = np.array([[2, 1, 1, 1], [1, 1, 1, 1], [2, 2, 2, 2], [2, 2, 2, 2]], dtype=np.uint8)
    found = Changes.none(4)
    found.count(0, codes)
    assert found.seam(([2], [])) == pytest.approx((4 / 4) / (2 / 20))
    assert found.seam(([], [])) is None
    codes[0, 0] = 1
    even = Changes.none(4)
    even.count(0, codes)
    assert even.seam(([2], [])) is None  # nothing changes elsewhere


@pytest.mark.parametrize("strip", [7, 100, 256])
def test_changes_are_those_of_the_whole_map_however_it_is_cut(strip):
    from scoring import Changes

    codes = np.random.default_rng(1).choice([1, 2, 255], (SIZE, SIZE)).astype(np.uint8)
    found = Changes.none(SIZE)
    for row in range(0, SIZE, strip):
        found.count(row, codes[max(row - 1, 0) : row + strip])
    known = codes != 255
    for counts, axis in ((found.rows, 0), (found.cols, 1)):
        a, b = (np.moveaxis(values, axis, 0) for values in (codes, known))
        pairs, changes = b[1:] & b[:-1], a[1:] != a[:-1]
        np.testing.assert_array_equal(counts[0], [0, *pairs.sum(axis=1)])
        np.testing.assert_array_equal(counts[1], [0, *(pairs & changes).sum(axis=1)])


def test_what_predict_offers_is_read_from_its_help():
    from runners import PEERS, Offer, runners

    words = (sys.executable, "-m", "geoseg", "predict", "--help")
    offer = Offer.read(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    assert {"openvino", "torch"} <= set(offer.runtimes)
    assert {"fp32", "bf16"} <= set(offer.precisions)
    assert "auto" not in offer.runtimes + offer.precisions
    found = runners(offer, [""])
    assert len({runner.name for runner in found}) == len(found)
    assert set(PEERS) <= set(found)
    assert [runner.name for runner in runners(offer, ["torchgeo"])] == ["torchgeo sampler loop"]


@pytest.mark.parametrize(("name", "floor"), [
    ("openvino on CPU, int8", "bare forward, openvino int8"),
    ("torch on NVIDIA, H200, bf16", "bare forward, torch bf16"),
])  # fmt: skip
def test_the_floor_is_that_of_what_geoseg_names(name, floor):
    from runners import picked

    assert picked({"runtime": name}).name == floor


def record(runner, seconds, *, kept=True, setup=1):
    from records import Record

    versions = {"model": "m", "device": "cpu", "cores": setup, "versions": {"geoseg": "1"}}
    return Record(
        runner=runner, size=600, setup=versions, seconds=seconds, floor="bare forward, torch fp32", floor_before=1.0,
        floor_after=3.0, kept=kept, redundancy=1.5, peak_mb=100.0, agreement=0.999, miou=0.5, seam=1.01,
        seam_of_truth=0.99, runtime="torch on CPU",
    )  # fmt: skip


def test_the_table_shows_medians_of_kept_runs(tmp_path):
    from records import append, moved, read
    from report import table

    runs = [
        record("torchgeo sampler loop", 60),
        *(record("ours", s) for s in (9, 10, 30)),
        record("ours", 99, kept=False),
    ]
    for run in (*runs, record("never", 5, kept=False), record("ours", 7, setup=64)):
        append(tmp_path / "results.jsonl", run)
    found = read(tmp_path / "results.jsonl")
    assert found[: len(runs)] == runs
    text = table(found)
    assert text.count("### 600 x 600 pixels") == 2
    assert "| ours | 3 (1) | 10.00 | 2.00 | 5.00 | 6.00 | 1.50 | 100 | 99.90% | 0.5000 | 1.010 (0.990) |" in text
    assert "| ours | 1 (0) | 7.00 | 2.00 | 3.50 | - |" in text
    assert "| never | 0 (1) | - |" in text
    assert "| *bare forward, torch fp32* |  | 2.00 |" in text
    assert moved(9.5, 10.5) == pytest.approx(0.1)


def test_a_process_is_measured_with_its_children():
    from child import run

    hold = "import time; b = bytearray(80_000_000); time.sleep(1)"
    child = f"import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', {hold!r}])"
    script = f"{child}; {hold}; child.wait(); print('[1]')"
    finished = run((sys.executable, "-c", script))
    assert finished.code == 0
    assert finished.answer == [1]
    assert 160 < finished.peak_mb < 400
    assert finished.seconds > 1


def test_a_failed_process_says_why():
    from child import run

    assert run((sys.executable, "-c", "raise SystemExit('no ground here')")).complaint == "no ground here"
    assert run((sys.executable, "-c", "raise SystemExit(3)")).complaint == "exit code 3 without a word"
