"""OpenVINO, kept from reporting to its makers.

On import it sends its version and the use of it to a web service, through the package openvino_telemetry, and leaves an
identity in the home folder, unless that package cannot be imported.
"""

from __future__ import annotations

import sys

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None makes an import fail

import openvino as ov  # noqa: E402, TID251 (everybody else takes it from here)

__all__ = ["ov"]
