"""Lengths of time for people."""

from __future__ import annotations


def duration_text(seconds: float) -> str:
    """Seconds, minutes or hours, whichever is short."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
