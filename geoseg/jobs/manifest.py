"""What a job has done: a record of every scene in an SQLite file, so that a second run does only what is new."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from geoseg.errors import OutputError
from geoseg.io.fingerprint import fingerprint

_TABLE = """
CREATE TABLE IF NOT EXISTS scenes (
  scene TEXT PRIMARY KEY, identity TEXT NOT NULL, state TEXT NOT NULL, error TEXT, outputs TEXT NOT NULL,
  attempts INTEGER NOT NULL, seconds REAL NOT NULL, finished REAL NOT NULL
) WITHOUT ROWID
"""
_PUT = "INSERT OR REPLACE INTO scenes VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What became of a scene: "done" or "failed" (with an error), by which attempt and in how many seconds.

    `scene` is its first file, `outputs` are sizes and times of change (ns) by path, and a fingerprint.
    """

    scene: str
    identity: str
    state: str
    error: str | None = None
    outputs: dict[str, tuple[int, int, str]]
    attempts: int
    seconds: float

    @property
    def whole(self) -> bool:
        """Whether its results are there as they were written."""
        return self.state == "done" and all(
            _look(Path(path)) == (size, changed) for path, (size, changed, _) in self.outputs.items()
        )


class Manifest:
    """The records of a job; see `open_manifest`."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def entries(self) -> dict[str, Entry]:
        """All records by scene."""
        rows = self._database.execute("SELECT scene, identity, state, error, outputs, attempts, seconds FROM scenes")
        return {
            scene: Entry(
                scene=scene,
                identity=identity,
                state=state,
                error=error,
                outputs={path: (size, changed, mark) for path, (size, changed, mark) in json.loads(outputs).items()},
                attempts=attempts,
                seconds=seconds,
            )
            for scene, identity, state, error, outputs, attempts, seconds in rows
        }

    def put(self, entry: Entry) -> None:
        """Record what became of a scene; what was said of it before is forgotten.

        Raises:
            OutputError: the file cannot be written.
        """
        values = (entry.scene, entry.identity, entry.state, entry.error, json.dumps(entry.outputs))
        try:
            with self._database:
                self._database.execute(_PUT, (*values, entry.attempts, entry.seconds, time.time()))
        except sqlite3.Error as error:
            raise OutputError(f"the manifest cannot be written ({error}); check free space and rights") from error


@contextmanager
def open_manifest(path: Path) -> Iterator[Manifest]:
    """Open or begin a manifest, for one process at a time.

    Raises:
        OutputError: another run holds it, it is no manifest, or it cannot be written.
    """
    try:
        lock = FileLock(path.with_name(f"{path.name}.lock"), blocking=False)
        lock.acquire()
    except Timeout as error:
        raise OutputError(f"{path}: another run of this job is at work; wait for its end") from error
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); choose another `manifest`") from error
    try:
        with closing(sqlite3.connect(path)) as database:
            try:
                database.execute("PRAGMA journal_mode=WAL")
                database.execute(_TABLE)
            except sqlite3.Error as error:
                raise OutputError(f"{path}: is no manifest ({error}); move it away, or choose another") from error
            yield Manifest(database)
    finally:
        lock.release()


def written(paths: tuple[Path, ...]) -> dict[str, tuple[int, int, str]]:
    """Size, time of change (ns) and fingerprint of outputs, by path."""
    return {str(path): (*_look(path), fingerprint(path)) for path in paths}


def _look(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return -1, -1
    return found.st_size, found.st_mtime_ns
