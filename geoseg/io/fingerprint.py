"""A short name for a file's content, for provenance."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from geoseg.errors import MissingFileError

_BLOCK = 64 * 1024
_BLOCKS = 64


def fingerprints(paths: Iterable[Path]) -> dict[str, str]:
    """Fingerprints by file name, or by path where two files share a name; what is no local file is "not hashed"."""
    files = list(dict.fromkeys(paths))
    names = [path.name for path in files]
    return {
        path.name if names.count(path.name) == 1 else str(path): fingerprint(path) if path.is_file() else "not hashed"
        for path in files
    }


def fingerprint(path: str | Path) -> str:
    """sha256 (hex) over a file's size and its content: all of it up to 4 MiB, else 64 evenly spread blocks of 64 KiB.

    The blocks include the first and the last one. Large scenes are thus told apart in milliseconds; a change between
    the blocks that leaves the size alone goes unseen, so this is no protection against forgery.

    Raises:
        MissingFileError: if the file is not there.
    """
    file = Path(path)
    if not file.is_file():
        raise MissingFileError(f"{file}: no such file; check the path")
    size = file.stat().st_size
    digest = hashlib.sha256(f"{size}\n".encode())
    with file.open("rb") as stream:
        if size <= _BLOCK * _BLOCKS:
            digest.update(stream.read())
        else:
            for i in range(_BLOCKS):
                stream.seek(i * (size - _BLOCK) // (_BLOCKS - 1))
                digest.update(stream.read(_BLOCK))
    return digest.hexdigest()
