"""OpenVINO, kept from reporting to its makers, and from spoiling signals.

On import it sends its version and the use of it to a web service, through the package openvino_telemetry, and leaves an
identity in the home folder, unless that package cannot be imported.
"""

from __future__ import annotations

import sys
from functools import cache

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None makes an import fail

import openvino as ov  # noqa: E402, TID251 (everybody else takes it from here)

__all__ = ["core", "ov"]


@cache
def core() -> ov.Core:
    """The only core of this process, which stays until its end.

    A core gives the process a stack for signal handlers and, when it goes, brings back the one that it found. Where
    cores go in another order than they came, that is the freed memory of another one, and the next signal (as when a
    process that reads chips ends) is a crash: seen in OpenVINO 2026.4.
    """
    found = ov.Core()
    found.set_property({"ENABLE_MMAP": False})  # so that nothing points into files afterwards
    return found
