"""Where a result comes from: written into every bundle and every output."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_LIBRARIES = ("geoseg", "numpy", "rasterio", "torch", "openvino", "onnxruntime")


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Versions, input hashes (sha256 by name), command line, seed and date (ISO 8601, UTC).

    `runtime` is what ran a network, on which device and in which precision; None where none was run.
    """

    versions: Mapping[str, str]
    inputs: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
    seed: int | None = None
    date: str = ""
    runtime: str | None = None

    @classmethod
    def now(cls, *, inputs: Mapping[str, str], command: str = "", seed: int | None = None) -> Provenance:
        """A record of this moment, with the versions installed here."""
        versions = {"python": platform.python_version()}
        for library in _LIBRARIES:
            try:
                versions[library] = version(library)
            except PackageNotFoundError:
                continue
        date = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(versions=versions, inputs=dict(inputs), command=command, seed=seed, date=date)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON and raster tags."""
        return asdict(self)
