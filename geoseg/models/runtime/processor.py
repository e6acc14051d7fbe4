"""What the CPU can compute in."""

from __future__ import annotations

import re
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")


def has_bf16() -> bool:
    """Whether the CPU has instructions for bfloat16, which OpenVINO then computes in unless told otherwise."""
    from geoseg.models.openvino import core, ov  # noqa: PLC0415 (each runtime loads its library alone)

    return bool(core().get_property("CPU", "INFERENCE_PRECISION_HINT") == ov.Type.bf16)


def has_amx() -> bool:
    """Whether the CPU multiplies tiles of bfloat16 (AMX), as Linux tells; False where nobody tells."""
    if not _CPUINFO.is_file():
        return False
    return re.search(r"^flags\s*:.*\bamx_bf16\b", _CPUINFO.read_text(encoding="utf-8"), re.MULTILINE) is not None
