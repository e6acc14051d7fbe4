"""What a scheduler's log and metrics learn of a run."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from geoseg.errors import OutputError
from geoseg.io.output import replacing
from geoseg.jobs.run import DONE, FAILED, LEFT, OLD, UNCHANGED, Outcome

_STATES = (DONE, FAILED, UNCHANGED, OLD, LEFT)


def log_outcome(path: Path, outcome: Outcome) -> None:
    """Append an outcome to a file of JSON lines, with the time (ISO 8601, UTC).

    Raises:
        OutputError: the file cannot be written.
    """
    line = {"time": datetime.now(UTC).isoformat(timespec="seconds"), **outcome.to_dict()}
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); choose another file for --log") from error


def write_metrics(path: Path, outcomes: Iterable[Outcome]) -> None:
    """The figures of a run for Prometheus' textfile collector; the file appears anew, as a whole.

    The format is that of https://prometheus.io/docs/instrumenting/exposition_formats/.

    Raises:
        OutputError: the file cannot be written.
    """
    outcomes = tuple(outcomes)
    counts = Counter(outcome.state for outcome in outcomes)
    lines = [
        "# HELP geoseg_scenes Scenes of the last run by what became of them.",
        "# TYPE geoseg_scenes gauge",
        *(f'geoseg_scenes{{state="{state}"}} {counts[state]}' for state in _STATES),
        "# HELP geoseg_run_seconds Seconds that the scenes of the last run took.",
        "# TYPE geoseg_run_seconds gauge",
        f"geoseg_run_seconds {sum(outcome.seconds for outcome in outcomes):.3f}",
        "# HELP geoseg_run_timestamp_seconds When the last run ended.",
        "# TYPE geoseg_run_timestamp_seconds gauge",
        f"geoseg_run_timestamp_seconds {time.time():.0f}",
    ]
    try:
        with replacing(path) as temporary:
            temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); choose another file for --metrics") from error
