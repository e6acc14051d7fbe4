"""The default bundle, shipped inside the package."""

from __future__ import annotations

from pathlib import Path

DEFAULT_BUNDLE = "landcover8-30m.geoseg"


def default_bundle_path() -> Path:
    """Where the default bundle lies: eight NLCD level-1 classes from blue, green, red, nir at about 30 m."""
    return Path(__file__).with_name(DEFAULT_BUNDLE)
