"""Where a result may go: asked before any work is done, and a folder beside it for what is not finished."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from geoseg.errors import OutputError


def check_writable(path: Path, *, overwrite: bool) -> None:
    """Refuse an output that cannot be written.

    Raises:
        OutputError: `path` is a folder, or exists (without `overwrite`), or its folder is missing or read-only.
    """
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; name a file")
    if path.exists() and not overwrite:
        raise OutputError(f"{path}: exists already; choose another name or add --overwrite")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: there is no folder {path.parent}; make it first")
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"{path}: the folder {path.parent} is not writable; choose another one")


@contextmanager
def folder_beside(out: Path) -> Iterator[Path]:
    """A hidden folder beside an output, on the same file system so that a rename finishes it; removed at the end.

    Raises:
        OutputError: the folder cannot be made.
    """
    try:
        folder = Path(mkdtemp(prefix=".geoseg.tmp-", dir=out.parent))
    except OSError as error:
        raise OutputError(f"{out}: cannot write into {out.parent} ({error.strerror}); choose another folder") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """A name beside an output to write it under; renamed to `out` at the end, removed where that is not reached."""
    temporary = out.with_name(f".{out.name}.tmp-{os.getpid()}")
    try:
        yield temporary
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)
