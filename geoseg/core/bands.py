"""What the channels of a scene mean, and the one place where raw numbers become model input."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg.core.chunks import cached_rows
from geoseg.core.indices import INDICES
from geoseg.errors import InputError

# Spellings in use, mapped to the common names of the STAC `eo` extension v2.0 (which has no plain "swir1").
_SYNONYMS = {
    "b": "blue", "g": "green", "r": "red",
    "nir1": "nir", "near infrared": "nir", "near-infrared": "nir", "nir narrow": "nir08",
    "swir1": "swir16", "swir_1": "swir16", "swir 1": "swir16",
    "swir2": "swir22", "swir_2": "swir22", "swir 2": "swir22",
    "rededge1": "rededge071", "rededge2": "rededge075", "rededge3": "rededge078",
    "red edge": "rededge", "red-edge": "rededge",
    "coastal aerosol": "coastal", "coastal blue": "coastal", "panchromatic": "pan", "thermal": "lwir",
}  # fmt: skip
COMMON_NAMES = frozenset({
    "coastal", "blue", "green", "green05", "yellow", "red", "rededge", "rededge071", "rededge075", "rededge078",
    "nir", "nir08", "nir09", "cirrus", "swir16", "swir22", "lwir", "lwir11", "lwir12", "pan",
})  # fmt: skip


def common_name_of(text: str) -> str | None:
    """The STAC common name that a band description stands for ("SWIR1" -> "swir16"), or None."""
    name = text.strip().lower()
    name = _SYNONYMS.get(name, name)
    return name if name in COMMON_NAMES else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """One channel of a scene or of a model.

    `value = raw * scale + offset` gives the physical value (reflectance, for optical sensors); `scale` None means
    that no calibration is known. `mean` and `std` are of the physical value, over the training data. A raw number
    equal to `nodata` is invalid.
    """

    name: str
    common_name: str | None = None
    scale: float | None = None
    offset: float = 0.0
    mean: float = 0.0
    std: float = 1.0
    nodata: float | None = None

    def __post_init__(self) -> None:
        if not self.std > 0 or (self.scale is not None and self.scale == 0):
            msg = f"band {self.name} needs a positive std and a scale other than 0, got {self.std} and {self.scale}"
            raise InputError(msg)
        numbers = (self.scale or 0.0, self.offset, self.mean, self.std)
        if not all(math.isfinite(number) for number in numbers):
            raise InputError(f"band {self.name}: scale, offset, mean and std must be finite, got {numbers}")


@dataclass(frozen=True, slots=True)
class BandSet:
    """Bands in order; the order is meaning. Names are unique."""

    bands: tuple[Band, ...]

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.bands):
            msg = f"band names must be unique, got {', '.join(self.names)}"
            raise InputError(msg)

    def __len__(self) -> int:
        return len(self.bands)

    def __iter__(self) -> Iterator[Band]:
        return iter(self.bands)

    def __getitem__(self, i: int) -> Band:
        return self.bands[i]

    @property
    def names(self) -> tuple[str, ...]:
        """Names in order."""
        return tuple(band.name for band in self.bands)

    @property
    def text(self) -> str:
        """Names for people, with the common names that differ."""
        return ", ".join(b.name if b.common_name in (None, b.name) else f"{b.name} ({b.common_name})" for b in self)

    @property
    def common_names(self) -> tuple[str | None, ...]:
        """STAC common names in order, None where a band has none."""
        return tuple(band.common_name for band in self.bands)

    def find(self, wanted: Band) -> int | None:
        """Position of the band that matches `wanted` by common name, else by name, else None.

        A wanted `nir` accepts `nir08` where no `nir` is there (Landsat 8 and 9 call their only near infrared so),
        and the other way round. Where several bands share the common name (older catalogues call three bands of
        Sentinel-2 `rededge`), only the one that also has the wanted name matches: a guess would be silent.
        """
        near = {"nir": "nir08", "nir08": "nir"}.get(wanted.common_name or "")
        named = [i for i, name in enumerate(self.names) if name.lower() == wanted.name.lower()]
        for common in (wanted.common_name, near):
            matches = [i for i, name in enumerate(self.common_names) if name is not None and name == common]
            if len(matches) > 1:
                return next((i for i in matches if i in named), None)
            if matches:
                return matches[0]
        return named[0] if named else None

    def select(self, positions: Iterable[int]) -> BandSet:
        """The bands at these positions, in that order."""
        return BandSet(tuple(self.bands[i] for i in positions))

    def physical(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        """Raw numbers (band, row, col) to physical values, float32; bands without a scale pass unchanged."""
        values = np.empty(raw.shape, dtype=np.float32)
        with np.errstate(invalid="ignore", over="ignore"):  # a nodata number of float64 is infinite in float32
            for i, band in enumerate(self):  # one after the other: a band fits into the processor's cache
                values[i] = raw[i]
                values[i] *= np.float32(1.0 if band.scale is None else band.scale)
                values[i] += np.float32(band.offset)
        return values

    def normalise(
        self, raw: NDArray[Any], valid: NDArray[np.bool_], indices: tuple[str, ...] = ()
    ) -> NDArray[np.float32]:
        """Raw numbers to model input: standardised bands, then spectral indices clipped to [-1, 1].

        Args:
            raw: DN as stored, shape (band, row, col).
            valid: True = valid, shape (row, col). Invalid pixels become 0, the training mean, in every channel.
            indices: names from `geoseg.core.indices.INDICES`, computed from the physical values.

        Returns:
            float32, shape (band + index, row, col).
        """
        channels = np.empty((len(self) + len(indices), *valid.shape), dtype=np.float32)
        with np.errstate(invalid="ignore", over="ignore"):  # NaN and inf are marked invalid and zeroed
            for some in cached_rows(*valid.shape):  # what is made in between stays in the cache
                self.standardise(self.physical(raw[:, some]), valid[some], indices, out=channels[:, some])
        return channels

    def standardise(self, values: Any, valid: Any, indices: tuple[str, ...], *, out: Any) -> None:  # noqa: ANN401
        """Physical values to model input: the part of `normalise` that training shares, whose chips are augmented.

        Args:
            values: physical values, shape (band, ...); numpy arrays or torch tensors, like `valid` and `out`.
            valid: True = valid, shape (...). Invalid pixels become 0 in every channel.
            indices: names from `geoseg.core.indices.INDICES`.
            out: float32, shape (band + index, ...), is filled.
        """
        for i, name in enumerate(indices, start=len(self)):
            out[i] = self.index(name, values).clip(-1, 1)
        for i, band in enumerate(self):
            out[i] = (values[i] - band.mean) / band.std
        out[:, ~valid] = 0

    def index(self, name: str, values: Any) -> Any:  # noqa: ANN401
        """A spectral index by name from physical values (band, ...), numpy or torch.

        Raises:
            KeyError: for an index that is not in `INDICES`.
            InputError: where a band that the index needs is missing.
        """
        index = INDICES[name]
        positions = [self.find(Band(name=common, common_name=common)) for common in index.bands]
        if None in positions:
            msg = f"{name} needs the bands {', '.join(index.bands)}; found {', '.join(self.names)}"
            raise InputError(msg)
        return index.formula(*(values[i] for i in positions if i is not None))


@dataclass(frozen=True, slots=True)
class BandStack:
    """The same bands, standardised for each of several networks by statistics and calibration of its own."""

    sets: tuple[BandSet, ...]

    def normalise(
        self, raw: NDArray[Any], valid: NDArray[np.bool_], indices: tuple[str, ...] = ()
    ) -> NDArray[np.float32]:
        """The input of one network after the other; see `BandSet.normalise`.

        Returns:
            float32, shape (networks * (band + index), row, col).
        """
        return np.concatenate([bands.normalise(raw, valid, indices) for bands in self.sets])
