"""How far a prediction has come: a file beside its working rasters, so that it can go on after any end."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from geoseg.core.identity import differences, listed
from geoseg.errors import GeosegError, OutputError
from geoseg.io.output import replacing

_NAME = "journal.json"
_LOCK = "lock"
_ADVICE = "go on with --resume, or start anew with --overwrite"


class Journal:
    """The rows of tiles whose pixels are on the disk, counted from the top.

    It appears anew, as a whole, after every row: whenever the process is killed, what it says is true.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _NAME
        self._identity: dict[str, str] = {}
        self.done = 0

    def take_up(self, identity: Mapping[str, str]) -> None:
        """Know again what was finished of the same work; where nothing was, begin.

        Args:
            identity: what the pixels depend on, by name.

        Raises:
            OutputError: the file is damaged, or of another work.
        """
        self._identity = dict(identity)
        if not self._path.is_file():
            return
        known = _read(self._path)
        found = differences(known.identity, self._identity)
        if found:
            raise OutputError(
                f"{self._path.parent}: belongs to another prediction ({listed(found)}); undo that to resume, or start "
                "anew with --overwrite"
            )
        self.done = known.done

    def mark(self, done: int) -> None:
        """So many rows of tiles are on the disk.

        Raises:
            OutputError: the disk refuses.
        """
        self.done = done
        text = json.dumps({"identity": self._identity, "done": done}, indent=1)
        try:
            with replacing(self._path) as temporary:
                temporary.write_text(text, encoding="utf-8")
        except OSError as error:
            raise OutputError(f"{self._path}: cannot be written ({error.strerror}); check the free space") from error


@contextmanager
def work_folder(out: Path, *, resume: bool, overwrite: bool) -> Iterator[Path]:
    """A hidden folder beside an output, for one process at a time; removed at the end, if not kept for another start.

    It is kept where a work ends early of which something is finished.

    Args:
        out: the output.
        resume: go on with what an earlier end has left there, if there is something.
        overwrite: else throw it away.

    Raises:
        OutputError: the folder cannot be made, is in use, or holds what is neither to be resumed nor thrown away.
    """
    folder = out.with_name(f".{_plain(out.name)}.geoseg")
    with _alone_in(folder, out):
        if not resume:
            if _unfinished(folder) and not overwrite:
                raise OutputError(f"{out}: an earlier run was not finished; {_ADVICE}")
            _empty(folder)
        try:
            yield folder
        except GeosegError as error:
            if _unfinished(folder) and _ADVICE not in str(error):
                raise type(error)(f"{error} (what is finished is kept: {_ADVICE})") from error
            raise
        else:
            (folder / _NAME).unlink(missing_ok=True)


def _plain(name: str) -> str:
    """A name without marks that mean something to the libraries that are to write into the folder."""
    plain = re.sub(r"[^\w.-]", "_", name)
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _unfinished(folder: Path) -> bool:
    return (folder / _NAME).is_file()


@contextmanager
def _alone_in(folder: Path, out: Path) -> Iterator[None]:
    try:
        folder.mkdir(exist_ok=True)
        lock = FileLock(folder / _LOCK, blocking=False)
        lock.acquire()
    except Timeout as error:
        raise OutputError(f"{out}: another run is writing it; wait for its end, or choose another name") from error
    except OSError as error:
        raise OutputError(f"{out}: cannot write into {out.parent} ({error.strerror}); choose another folder") from error
    try:
        yield
    finally:
        if not _unfinished(folder):
            shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != _LOCK:
            path.unlink()


class _Known(NamedTuple):
    identity: dict[str, str]
    done: int


def _read(path: Path) -> _Known:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        identity, done = content["identity"], content["done"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{path}: is damaged; start anew with --overwrite") from error
    if not isinstance(identity, dict) or not isinstance(done, int) or done < 0:
        raise OutputError(f"{path}: is damaged; start anew with --overwrite")
    return _Known({str(name): str(value) for name, value in identity.items()}, done)
