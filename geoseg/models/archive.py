"""The zip of a bundle: which entries there may be, how large, and how it is written so that it never half exists."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from geoseg.errors import BundleError, MissingFileError, OutputError

# Largest size of each entry in bytes, in the order in which they are written; no other entry may be there.
LIMITS = {
    "model.json": 4 << 20,
    "card.md": 1 << 20,
    "graph.onnx": 64 << 20,
    "graph-int8.xml": 64 << 20,
    "graph-int8.bin": 4 << 30,
    "weights.safetensors": 8 << 30,
}
_NEEDED = ("model.json", "weights.safetensors", "card.md")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same content gives the same bytes


@contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """A bundle's zip, checked before anything in it is read; damage found while reading is reported alike.

    Raises:
        MissingFileError: if there is no such file.
        BundleError: if it is no zip, is damaged, or its entries are not those of a bundle.
    """
    if not path.is_file():
        raise MissingFileError(f"the bundle {path} is not there; give the path of a .geoseg file")
    try:
        with zipfile.ZipFile(path) as archive:
            _check_entries(path.name, archive.infolist())
            yield archive
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise BundleError(f"{path.name} is not a whole .geoseg file ({error}); get it again") from None


def write_archive(path: Path, entries: Mapping[str, bytes], *, overwrite: bool) -> None:
    """Write a bundle's zip under a temporary name and move it to `path`.

    Raises:
        OutputError: if `path` exists and `overwrite` is not set, or it cannot be written.
    """
    check_free(path, overwrite=overwrite)
    part = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
            for name in LIMITS:
                if name in entries:
                    archive.writestr(zipfile.ZipInfo(name, _EPOCH), entries[name])
        part.replace(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror or error}); choose another folder") from error
    finally:
        part.unlink(missing_ok=True)


def check_free(path: Path, *, overwrite: bool) -> None:
    """Raise OutputError where `path` exists already and may not be overwritten."""
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists already; choose another name or allow to overwrite it")


def _check_entries(bundle: str, entries: list[zipfile.ZipInfo]) -> None:
    names = [entry.filename for entry in entries]
    for entry in entries:
        name = entry.filename
        if name not in LIMITS or names.count(name) > 1:
            what = "twice" if name in LIMITS else "not part of a bundle"
            raise BundleError(f"{bundle} holds {name!r}, {what}; only {', '.join(LIMITS)} may be there, once each")
        if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size or entry.flag_bits & 1:
            raise BundleError(f"{bundle} holds {name} compressed or encrypted; bundle the weights again")
        if entry.file_size > LIMITS[name]:
            raise BundleError(f"{bundle} holds {entry.file_size} bytes of {name}, more than {LIMITS[name]}; refused")
    missing = [name for name in _NEEDED if name not in names]
    if missing:
        raise BundleError(f"{bundle} lacks {', '.join(missing)}; bundle the weights again")
