"""The runs: every runner by turns, each between two measurements of its floor."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from child import Finished
from records import Record, append, moved, read
from runners import Bench, Floor, Runner, floor_seconds, own_runner, picked
from scoring import Lines, score
from setting import Ground


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How often, in which file the results are kept, and by what share a floor may move."""

    repeats: int
    results: Path
    tolerance: float


def kept(bench: Bench, runner: Runner, size: int, plan: Plan) -> int:
    """How many runs of it the file holds; those that were discarded do not count."""
    mine = (runner.name, size, bench.setup)
    return sum(r.kept and (r.runner, r.size, r.setup) == mine for r in read(plan.results))


def missing(bench: Bench, candidates: Sequence[Runner], size: int, plan: Plan) -> list[Runner]:
    """Those of which there are too few runs of this size."""
    return [runner for runner in candidates if kept(bench, runner, size, plan) < plan.repeats]


def usable(bench: Bench, candidates: Sequence[Runner], ground: Ground) -> Iterator[Runner]:
    """Those that can draw a small scene here, and whose floor can be measured; of the others it is said why not."""
    with tempfile.TemporaryDirectory(dir=ground.scene.parent) as folder:
        for runner in candidates:
            problem = _problem(bench, runner, ground, Path(folder, "map.tif"))
            if problem is None:
                yield runner
            else:
                print(f"skipped: {runner.name}: {problem}", flush=True)


def _problem(bench: Bench, runner: Runner, ground: Ground, out: Path) -> str | None:
    if runner.int8 and bench.model.int8 is None:
        return "there is no 8-bit graph"
    drawn = bench.draw(runner, ground, out)
    if drawn.code:
        return drawn.complaint
    timed = None if runner.floor is None else replace(bench, passes=1).time_floor(runner.floor, ground)
    return f"its floor: {timed.complaint}" if timed and timed.code else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Site:
    """Where one scene's runs are made and judged: against a map that geoseg drew in fp32."""

    bench: Bench
    ground: Ground
    plan: Plan
    folder: Path

    @property
    def map(self) -> Path:
        return self.folder / "map.tif"

    @property
    def reference(self) -> Path:
        return self.folder / "reference.tif"

    def draw(self, runner: Runner, out: Path) -> Finished:
        return _successful(self.bench.draw(runner, self.ground, out), runner.name)

    def time(self, floor: Floor) -> float:
        """Seconds of the floor for this scene's ground."""
        return floor_seconds(_successful(self.bench.time_floor(floor, self.ground), floor.name), self.ground)

    def expect(self, runner: Runner) -> _Expected:
        """A runner with its floor; geoseg tells on the scene itself what it would pick, and how it would cut it."""
        if runner.script is not None and runner.floor is not None:
            return _Expected(runner, runner.floor, None)
        plan = _successful(self.bench.plan(runner, self.ground, self.map), runner.name).answer
        return _Expected(runner, picked(plan), plan)


def measure(bench: Bench, candidates: Sequence[Runner], ground: Ground, plan: Plan) -> None:
    """All runs of one scene that the file does not hold yet; by turns, so that each meets the machine's every mood."""
    with tempfile.TemporaryDirectory(dir=ground.scene.parent) as folder:
        site = _Site(bench=bench, ground=ground, plan=plan, folder=Path(folder))
        wanted = missing(bench, candidates, ground.size, plan)
        if not wanted:
            return
        site.draw(own_runner(bench.offer.runtimes[0], "fp32"), site.reference)
        expected = sorted((site.expect(runner) for runner in wanted), key=lambda e: e.floor.name)
        last: _Timed | None = None
        for repeat in range(plan.repeats):
            for one in expected:
                if kept(bench, one.runner, ground.size, plan) <= repeat:
                    last = _run(site, one, last)


class _Expected(NamedTuple):
    """A runner, its floor, and where it is geoseg its plan; the peers tell afterwards what they computed."""

    runner: Runner
    floor: Floor
    plan: Mapping[str, Any] | None

    def lines(self, answer: Mapping[str, Any]) -> Lines:
        """Rows and columns at which tiles meet."""
        return (answer["rows"], answer["cols"]) if self.plan is None else self.plan["borders"]

    def redundancy(self, answer: Mapping[str, Any], ground: Ground) -> float:
        """Pixels that are computed, over pixels of the scene."""
        if self.plan is None:
            return float(answer["redundancy"])
        return float(self.plan["computed"] * math.prod(self.plan["tile"]) / ground.size**2)


class _Timed(NamedTuple):
    floor: Floor
    seconds: float


def _run(site: _Site, expected: _Expected, last: _Timed | None) -> _Timed:
    """One run between two floors; the one before may be the one after the run before."""
    runner, floor, _ = expected
    before = last.seconds if last and last.floor == floor else site.time(floor)
    finished = site.draw(runner, site.map)
    after = site.time(floor)
    answer = finished.answer
    same = runner.script is not None or picked(answer) == floor
    record = Record(
        runner=runner.name,
        size=site.ground.size,
        setup=site.bench.setup,
        seconds=finished.seconds,
        floor=floor.name,
        floor_before=before,
        floor_after=after,
        kept=same and moved(before, after) <= site.plan.tolerance,
        redundancy=expected.redundancy(answer, site.ground),
        peak_mb=finished.peak_mb,
        runtime=answer["runtime"],
        **asdict(score(site.map, site.reference, site.ground, expected.lines(answer))),
    )
    append(site.plan.results, record)
    _say(record)
    return _Timed(floor, after)


def _successful(finished: Finished, name: str) -> Finished:
    if finished.code:
        raise SystemExit(f"{name} ended with exit code {finished.code}:\n{finished.err.strip()}")
    return finished


def _say(record: Record) -> None:
    step = moved(record.floor_before, record.floor_after)
    state = "kept" if record.kept else f"discarded ({record.runtime}; the floor moved by {step:.0%})"
    times = f"{record.seconds:.2f} s, floor {record.floor_seconds:.2f} s"
    print(f"{record.size} {record.runner}: {times}, {state}", flush=True)
