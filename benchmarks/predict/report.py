"""The results as a Markdown table and as a picture."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from records import Record
from runners import TORCHGEO

HEADER = (
    "runner", "runs (discarded)", "wall s", "floor s", "wall / floor", "times as fast as torchgeo's loop",
    "computed / scene", "peak MB", "agreement", "mIoU", "seam (truth)",
)  # fmt: skip


def table(records: Sequence[Record]) -> str:
    """A table a size and setup, the fastest first, and the floors below."""
    parts: dict[tuple[int, str], list[Record]] = defaultdict(list)
    for record in sorted(records, key=lambda r: r.size):
        parts[record.size, json.dumps(record.setup)].append(record)
    return "\n".join(_part(part) for part in parts.values())


def _part(records: Sequence[Record]) -> str:
    size, setup = records[0].size, records[0].setup
    versions = ", ".join(f"{name} {number}" for name, number in setup["versions"].items())
    torchgeo = [r.seconds for r in _runs(records, TORCHGEO)]
    names = _by_wall(records)
    gone = sorted({r.runner for r in records} - set(names))
    rows = [_row(records, name, median(torchgeo) if torchgeo else None) for name in names]
    rows += [[name, f"0 ({_discarded(records, name)})", *["-"] * (len(HEADER) - 2)] for name in gone]
    rows += [_floor_row(records, name) for name in sorted({r.floor for r in records})]
    lines = [f"| {' | '.join(cells)} |" for cells in (HEADER, ["---"] * len(HEADER), *rows)]
    title = f"### {size} x {size} pixels, {setup['device']}, {setup['cores']} cores"
    return "\n".join([title, "", *lines, "", f"With {versions}.", ""])


def _row(records: Sequence[Record], name: str, torchgeo: float | None) -> list[str]:
    runs = _runs(records, name)
    wall = _median(runs, _wall)
    seams = [(r.seam, r.seam_of_truth) for r in runs if r.seam is not None and r.seam_of_truth is not None]
    return [
        name,
        f"{len(runs)} ({_discarded(records, name)})",
        f"{wall:.2f}",
        f"{_median(runs, lambda r: r.floor_seconds):.2f}",
        f"{_median(runs, lambda r: r.seconds / r.floor_seconds):.2f}",
        f"{torchgeo / wall:.2f}" if torchgeo else "-",
        f"{_median(runs, lambda r: r.redundancy):.2f}",
        f"{_median(runs, lambda r: r.peak_mb):.0f}",
        f"{_median(runs, lambda r: r.agreement):.2%}",
        f"{_median(runs, lambda r: r.miou):.4f}",
        f"{seams[-1][0]:.3f} ({seams[-1][1]:.3f})" if seams else "-",
    ]


def _floor_row(records: Sequence[Record], name: str) -> list[str]:
    found = [seconds for r in records if r.floor == name for seconds in (r.floor_before, r.floor_after)]
    return [f"*{name}*", "", f"{median(found):.2f}", *[""] * (len(HEADER) - 3)]


def _runs(records: Sequence[Record], name: str) -> list[Record]:
    return [r for r in records if r.runner == name and r.kept]


def _by_wall(records: Sequence[Record]) -> list[str]:
    """Runners with runs that were kept, the fastest first."""
    return sorted({r.runner for r in records if r.kept}, key=lambda name: _median(_runs(records, name), _wall))


def _discarded(records: Sequence[Record], name: str) -> int:
    return sum(r.runner == name and not r.kept for r in records)


def _wall(record: Record) -> float:
    return record.seconds


def _median(runs: Sequence[Record], value: Callable[[Record], float]) -> float:
    return median(value(run) for run in runs)


def plot(records: Sequence[Record], out: Path) -> bool:
    """A bar a runner with its wall time and a mark for its floor, a panel a size, of the last setup.

    Returns:
        False if there is no matplotlib, or nothing to draw.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 (matplotlib may be missing)
    except ImportError:
        return False
    kept = [r for r in records if r.kept and r.setup == records[-1].setup]
    sizes = sorted({r.size for r in kept})
    if not sizes:
        return False
    figure = Figure(figsize=(6 * len(sizes), 5), layout="constrained")
    panels = figure.subplots(1, len(sizes), squeeze=False)[0]
    for panel, size in zip(panels, sizes, strict=True):
        runs = [r for r in kept if r.size == size]
        names = _by_wall(runs)[::-1]
        colours = ["#2a788e" if name.startswith("geoseg") else "#b0b0b0" for name in names]
        panel.barh(names, [_median(_runs(runs, name), _wall) for name in names], color=colours)
        floors = [_median(_runs(runs, name), lambda r: r.floor_seconds) for name in names]
        panel.plot(floors, names, "|", color="black", markersize=14, markeredgewidth=2, label="its floor")
        panel.set(title=f"{size} x {size} px, {records[-1].setup['device']}", xlabel="seconds, whole process")
        panel.legend(loc="upper right")
    figure.savefig(out, dpi=120)
    return True
