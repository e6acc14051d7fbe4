"""Who draws the map: `geoseg predict` in every runtime and precision on offer, three peers, and the floors."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from child import Finished, run
from setting import PROCESSES, Ground, Model

FEWEST_PASSES = 8  # so that a small scene's floor is no matter of chance
PACKAGES = ("geoseg", "torch", "torchgeo", "openvino", "onnxruntime", "rasterio", "numpy")
INT8 = "int8"
_SIDE = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """Bare forward passes in one runtime and precision."""

    runtime: str
    precision: str

    @property
    def name(self) -> str:
        """For people and for the file of results."""
        return f"bare forward, {self.runtime} {self.precision}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """A name, the floor that it is compared with, and its own part of the command line.

    `script` None is `geoseg predict`; with `int8` it takes the bundle that has an 8-bit graph. `floor` None means the
    floor of what geoseg itself picks on a scene.
    """

    name: str
    floor: Floor | None
    script: str | None = None
    words: tuple[str, ...] = ()
    int8: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What `geoseg predict` can be asked for, but for "auto"."""

    runtimes: tuple[str, ...]
    precisions: tuple[str, ...]

    @classmethod
    def read(cls, text: str) -> Offer:
        """The offer in the text of `geoseg predict --help`."""
        flat = " ".join(text.split())
        return cls(runtimes=_choices(flat, "--runtime"), precisions=_choices(flat, "--precision"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What all runs share: the model, the device, what geoseg offers, and the most forward passes of a floor."""

    model: Model
    device: str
    offer: Offer
    passes: int

    @property
    def setup(self) -> dict[str, Any]:
        """What has to be the same for runs to be compared."""
        versions = {name: version(name) for name in PACKAGES}
        cores = len(os.sched_getaffinity(0))
        return {"model": self.model.sha256, "device": self.device, "cores": cores, "versions": versions}

    def draw(self, runner: Runner, ground: Ground, out: Path) -> Finished:
        """Draw a map of a scene, as a process of its own."""
        if runner.script is None:
            return run(self._predict(runner, ground, out))
        task = ("--scene", ground.scene, "--model", self.model.files, "--out", out, "--device", self.device)
        return run((sys.executable, PROCESSES / runner.script, *task))

    def plan(self, runner: Runner, ground: Ground, out: Path) -> Finished:
        """What `geoseg predict` would do; for runners that have no script."""
        return run((*self._predict(runner, ground, out), "--dry-run"))

    def time_floor(self, floor: Floor, ground: Ground) -> Finished:
        """Bare forward passes, as a process of its own: as many as the scene's ground fills tiles, or the most."""
        passes = min(max(math.ceil(ground.valid / _SIDE**2), FEWEST_PASSES), self.passes)
        what = ("--runtime", floor.runtime, "--precision", floor.precision, "--device", self.device)
        script = PROCESSES / "bare_forward.py"
        return run((sys.executable, script, *what, "--model", self.model.files, "--passes", passes))

    def _predict(self, runner: Runner, ground: Ground, out: Path) -> tuple[object, ...]:
        bundle = self.model.int8 if runner.int8 else self.model.bundle
        files = ("--model", bundle, "--mask", out, "--overwrite", "--json", "--device", self.device)
        return sys.executable, "-m", "geoseg", "predict", ground.scene, *files, *runner.words


def floor_seconds(finished: Finished, ground: Ground) -> float:
    """What the bare forward pass of a scene's ground takes."""
    return float(finished.answer["seconds"]) * ground.valid / _SIDE**2


PLAIN = Floor(runtime="plain torch", precision="fp32")
PEERS = (
    Runner(name="torchgeo sampler loop", floor=PLAIN, script="torchgeo_loop.py"),
    Runner(name="rasterio loop, 50 % Hann", floor=PLAIN, script="rasterio_loop.py"),
    Runner(
        name="ONNX Runtime sliding window",
        floor=Floor(runtime="onnxruntime", precision="fp32"),
        script="onnxruntime_window.py",
    ),
)
TORCHGEO = PEERS[0].name


def runners(offer: Offer, only: Sequence[str]) -> list[Runner]:
    """All whose name has one of the texts `only` in it, those with the same floor side by side."""
    own = [own_runner(runtime, precision) for runtime in offer.runtimes for precision in offer.precisions]
    auto = [Runner(name="geoseg predict, as it comes", floor=None)]
    if INT8 in offer.precisions:
        auto.append(Runner(name="geoseg predict, as it comes, 8-bit graph", floor=None, int8=True))
    chosen = [runner for runner in (*auto, *own, *PEERS) if any(text in runner.name for text in only)]
    return sorted(chosen, key=lambda runner: runner.floor.name if runner.floor else "")


def own_runner(runtime: str, precision: str) -> Runner:
    """`geoseg predict` in one runtime and precision."""
    return Runner(
        name=f"geoseg predict, {runtime} {precision}",
        floor=Floor(runtime=runtime, precision=precision),
        words=("--runtime", runtime, "--precision", precision),
        int8=precision == INT8,
    )


def picked(answer: Mapping[str, Any]) -> Floor:
    """The floor of the runtime that geoseg names in its plan or its summary, as in "openvino on CPU, bf16"."""
    name = str(answer["runtime"])
    return Floor(runtime=name.split(maxsplit=1)[0], precision=name.rpartition(", ")[2])


def _choices(text: str, option: str) -> tuple[str, ...]:
    """The values of an option but for "auto", from `--option <auto|one|other>`."""
    found = re.search(rf"{option} [<\[]([\w|]+)[>\]]", text)
    return tuple(value for value in found[1].split("|") if value != "auto") if found else ()
