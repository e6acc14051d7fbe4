"""Parts of arrays that stay in a processor's cache while they are worked on."""

from __future__ import annotations

from collections.abc import Iterator

_CACHED = 1 << 15  # pixels


def cached_rows(height: int, width: int) -> Iterator[slice]:
    """A few rows at a time, from top to bottom; one at least."""
    rows = max(1, _CACHED // max(width, 1))
    return (slice(first, first + rows) for first in range(0, height, rows))
