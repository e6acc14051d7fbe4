"""Where a result may go: asked before any work is done."""

from __future__ import annotations

import os
from pathlib import Path

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
