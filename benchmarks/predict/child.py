"""A command as a process of its own: its time from start to end, its memory, and what it said."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psutil

PAUSE_S = 0.1
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
_KIBIBYTES = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """Seconds of a process, its peak of resident memory in MB (10^6 bytes) with its children's, and its output."""

    code: int
    seconds: float
    peak_mb: float
    out: str
    err: str

    @property
    def answer(self) -> Mapping[str, Any]:
        """The JSON that it printed."""
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def complaint(self) -> str:
        """The last thing that it said before it failed."""
        said = (self.err.strip() or self.out.strip()).splitlines()
        return said[-1] if said else f"exit code {self.code} without a word"


def run(command: Sequence[object]) -> Finished:
    """Run a command to its end. Every runtime chooses its threads itself, whatever the environment says."""
    words = [str(word) for word in command]
    environment = {name: value for name, value in os.environ.items() if name not in THREADS}
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        start = time.perf_counter()
        process = subprocess.Popen(words, stdout=out, stderr=err, env=environment)
        watch = _Watch(process.pid)
        watch.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)  # it has been waited for
        watch.stop()
        for file in (out, err):
            file.seek(0)
        peak = max(_counted(usage), watch.peak)
        return Finished(code=process.returncode, seconds=seconds, peak_mb=peak / 1e6, out=out.read(), err=err.read())


def _counted(usage: resource.struct_rusage) -> int:
    """The peak in bytes that the kernel counted for a process; 0 where that is this one's, its parent's."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return usage.ru_maxrss * _KIBIBYTES if usage.ru_maxrss > own else 0


class _Watch(threading.Thread):
    """Looks at a process and its children now and then; `peak` is the largest sum of resident bytes.

    What the kernel itself counts for a process is exact, but leaves out that children live at the same time.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self._pid = pid
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(PAUSE_S):
            with suppress(psutil.Error):
                parent = psutil.Process(self._pid)
                family = [parent, *parent.children(recursive=True)]
                self.peak = max(self.peak, sum(_resident(process) for process in family))

    def stop(self) -> None:
        self._over.set()
        self.join()


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0  # it has ended meanwhile
