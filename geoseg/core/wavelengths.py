"""Where in the spectrum a band looks, by its common name."""

from __future__ import annotations

_RANGES_UM = {
    "coastal": (0.40, 0.45), "blue": (0.45, 0.53), "green": (0.51, 0.60), "green05": (0.51, 0.55),
    "yellow": (0.58, 0.62), "red": (0.62, 0.69), "rededge": (0.69, 0.79), "rededge071": (0.69, 0.73),
    "rededge075": (0.73, 0.76), "rededge078": (0.76, 0.79), "nir": (0.76, 1.00), "nir08": (0.80, 0.90),
    "nir09": (0.90, 1.00), "cirrus": (1.35, 1.40), "swir16": (1.55, 1.75), "swir22": (2.08, 2.35),
    "lwir": (10.4, 12.5), "lwir11": (10.5, 11.5), "lwir12": (11.5, 12.5), "pan": (0.40, 1.00),
}  # fmt: skip


def wavelength_um(common_name: str | None) -> float | None:
    """The middle of the range, in µm, that a common name of the STAC `eo` extension v2.0 stands for; None if unknown.

    Source: the table of common band names, github.com/stac-extensions/eo. The extension takes the middle of a band's
    range as its centre wavelength; a sensor's own band of that name may lie some hundredths of a µm beside it.
    """
    bounds = _RANGES_UM.get(common_name or "")
    return None if bounds is None else (bounds[0] + bounds[1]) / 2


def is_thermal(common_name: str | None) -> bool:
    """Whether a band sees the ground's own heat instead of sunlight."""
    return common_name is not None and common_name.startswith("lwir")
