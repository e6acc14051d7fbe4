"""Where a writer writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A file to write, in a folder of its own, and the name that it will have.

    Whatever else a writer leaves in the folder under the same stem goes with the file.
    """

    path: Path
    name: str
