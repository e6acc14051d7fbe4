"""Spectral indices of reflectance, as functions and as one table.

Every function takes reflectance arrays of one shape and returns float32 of that shape. Where a denominator is
closer to zero than 1e-6 the index is 0, never infinite; NaN in a band stays NaN. The formulas use nothing but
operators, so that they take float32 tensors of torch as well, on any device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Reflectance: TypeAlias = NDArray[np.floating[Any]]
IndexArray: TypeAlias = NDArray[np.float32]

_TINY = 1e-6


def _ratio(numerator: Reflectance, denominator: Reflectance) -> IndexArray:
    vanishes = abs(denominator) < _TINY
    safe = denominator * ~vanishes + vanishes
    return _single(numerator / safe * ~vanishes)


def _single(values: Reflectance) -> IndexArray:
    """As float32; tensors are already."""
    return values.astype(np.float32) if isinstance(values, np.ndarray) else values


def _difference_ratio(a: Reflectance, b: Reflectance) -> IndexArray:
    return _ratio(a - b, a + b)


def ndvi(nir: Reflectance, red: Reflectance) -> IndexArray:
    """Vegetation: (nir - red) / (nir + red). Rouse et al. 1974, NASA SP-351, p. 309."""
    return _difference_ratio(nir, red)


def ndwi(green: Reflectance, nir: Reflectance) -> IndexArray:
    """Open water: (green - nir) / (green + nir). McFeeters 1996, doi:10.1080/01431169608948714."""
    return _difference_ratio(green, nir)


def mndwi(green: Reflectance, swir16: Reflectance) -> IndexArray:
    """Open water among buildings: (green - swir16) / (green + swir16). Xu 2006, doi:10.1080/01431160600589179."""
    return _difference_ratio(green, swir16)


def ndmi(nir: Reflectance, swir16: Reflectance) -> IndexArray:
    """Canopy moisture: (nir - swir16) / (nir + swir16). Wilson and Sader 2002, doi:10.1016/S0034-4257(01)00318-2."""
    return _difference_ratio(nir, swir16)


def ndbi(swir16: Reflectance, nir: Reflectance) -> IndexArray:
    """Built-up land: (swir16 - nir) / (swir16 + nir). Zha et al. 2003, doi:10.1080/01431160304987."""
    return _difference_ratio(swir16, nir)


def nbr(nir: Reflectance, swir22: Reflectance) -> IndexArray:
    """Burns: (nir - swir22) / (nir + swir22). Lopez Garcia and Caselles 1991, doi:10.1080/10106049109354290."""
    return _difference_ratio(nir, swir22)


def ndsi(green: Reflectance, swir16: Reflectance) -> IndexArray:
    """Snow: (green - swir16) / (green + swir16). Hall et al. 1995, doi:10.1016/0034-4257(95)00137-P."""
    return _difference_ratio(green, swir16)


def evi(nir: Reflectance, red: Reflectance, blue: Reflectance) -> IndexArray:
    """Dense vegetation: 2.5 (nir - red) / (nir + 6 red - 7.5 blue + 1). Huete et al. 2002, S0034-4257(02)00096-2."""
    return _ratio(2.5 * (nir - red), nir + 6 * red - 7.5 * blue + 1)


def evi2(nir: Reflectance, red: Reflectance) -> IndexArray:
    """EVI without blue: 2.5 (nir - red) / (nir + 2.4 red + 1). Jiang et al. 2008, doi:10.1016/j.rse.2008.06.006."""
    return _ratio(2.5 * (nir - red), nir + 2.4 * red + 1)


def savi(nir: Reflectance, red: Reflectance) -> IndexArray:
    """Sparse vegetation, L = 0.5: 1.5 (nir - red) / (nir + red + 0.5). Huete 1988, 0034-4257(88)90106-X."""
    return _ratio(1.5 * (nir - red), nir + red + 0.5)


def msavi(nir: Reflectance, red: Reflectance) -> IndexArray:
    """SAVI with its own L: (2 nir + 1 - sqrt((2 nir + 1)^2 - 8 (nir - red))) / 2. Qi et al. 1994, MSAVI2.

    doi:10.1016/0034-4257(94)90134-1. A negative radicand, possible only for reflectance outside [0, 1], counts as 0.
    """
    twice = 2 * nir + 1
    radicand = twice**2 - 8 * (nir - red)
    return _single((twice - (radicand * (radicand > 0)) ** 0.5) / 2)


def bsi(swir16: Reflectance, red: Reflectance, nir: Reflectance, blue: Reflectance) -> IndexArray:
    """Bare soil: ((swir16 + red) - (nir + blue)) / their sum. Rikimaru et al. 2002, Tropical Ecology 43, p. 39-47."""
    return _difference_ratio(swir16 + red, nir + blue)


@dataclass(frozen=True, slots=True)
class Index:
    """A formula and the common names of the bands it takes, in the order of its arguments."""

    formula: Callable[..., IndexArray]
    bands: tuple[str, ...]


INDICES: dict[str, Index] = {
    "ndvi": Index(ndvi, ("nir", "red")),
    "ndwi": Index(ndwi, ("green", "nir")),
    "mndwi": Index(mndwi, ("green", "swir16")),
    "ndmi": Index(ndmi, ("nir", "swir16")),
    "ndbi": Index(ndbi, ("swir16", "nir")),
    "nbr": Index(nbr, ("nir", "swir22")),
    "evi": Index(evi, ("nir", "red", "blue")),
    "evi2": Index(evi2, ("nir", "red")),
    "savi": Index(savi, ("nir", "red")),
    "msavi": Index(msavi, ("nir", "red")),
    "bsi": Index(bsi, ("swir16", "red", "nir", "blue")),
    "ndsi": Index(ndsi, ("green", "swir16")),
}
