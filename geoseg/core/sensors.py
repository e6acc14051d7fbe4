"""Sensors and their products: band names, common names, and the scaling to reflectance that a product defines.

Sources: Sentinel-2 Products Specification Document (S2-PDGS-TAS-DI-PSD, quantification value 10000; from processing
baseline 04.00 on, 25 January 2022, the stored DN carry an offset of -1000); Landsat Collection 2 data format control
books (LSDS-1822, LSDS-1618, LSDS-1619: surface reflectance = DN * 0.0000275 - 0.2; OLI level 1 reflectance without
sun-angle correction = DN * 0.00002 - 0.1); USGS NAIP; Planet imagery product specification (surface reflectance
* 10000).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from geoseg.core.bands import Band, BandSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor:
    """A product: its bands as (name, STAC common name) in the order of the file, and its scaling where it has one."""

    name: str
    bands: tuple[tuple[str, str | None], ...]
    scale: float | None = None
    offset: float = 0.0
    gsd_m: float

    def band_set(self) -> BandSet:
        """All bands with the product's scaling; thermal bands, which are no reflectance, without."""
        return BandSet(tuple(self._band(name, common) for name, common in self.bands))

    def _band(self, name: str, common: str | None) -> Band:
        is_thermal = common is not None and common.startswith("lwir")
        scale, offset = (None, 0.0) if is_thermal else (self.scale, self.offset)
        return Band(name=name, common_name=common, scale=scale, offset=offset)


def _pairs(text: str) -> tuple[tuple[str, str | None], ...]:
    return tuple((name, common or None) for name, _, common in (word.partition("=") for word in text.split()))


_S2_L1C = _pairs(
    "B01=coastal B02=blue B03=green B04=red B05=rededge071 B06=rededge075 B07=rededge078 B08=nir B8A=nir08 "
    "B09=nir09 B10=cirrus B11=swir16 B12=swir22"
)
_S2_L2A = tuple(pair for pair in _S2_L1C if pair[0] != "B10")
_TM = _pairs("B1=blue B2=green B3=red B4=nir B5=swir16 B6=lwir B7=swir22")
_ETM = _pairs("B1=blue B2=green B3=red B4=nir B5=swir16 B6_VCID_1=lwir B6_VCID_2 B7=swir22 B8=pan")
_OLI = _pairs("B1=coastal B2=blue B3=green B4=red B5=nir08 B6=swir16 B7=swir22 B8=pan B9=cirrus B10=lwir11 B11=lwir12")
_TM_SR = _pairs("SR_B1=blue SR_B2=green SR_B3=red SR_B4=nir SR_B5=swir16 SR_B7=swir22")
_OLI_SR = _pairs("SR_B1=coastal SR_B2=blue SR_B3=green SR_B4=red SR_B5=nir08 SR_B6=swir16 SR_B7=swir22")
_SR = {"scale": 2.75e-5, "offset": -0.2, "gsd_m": 30.0}

SENSORS: dict[str, Sensor] = {
    sensor.name: sensor
    for sensor in (
        Sensor(name="sentinel-2-l1c", bands=_S2_L1C, scale=1e-4, offset=-0.1, gsd_m=10),
        Sensor(name="sentinel-2-l2a", bands=_S2_L2A, scale=1e-4, offset=-0.1, gsd_m=10),
        Sensor(name="sentinel-2-l1c-before-04.00", bands=_S2_L1C, scale=1e-4, gsd_m=10),
        Sensor(name="sentinel-2-l2a-before-04.00", bands=_S2_L2A, scale=1e-4, gsd_m=10),
        # Level 1 of TM and ETM+ is 8-bit with gains of each scene (in its MTL file): no fixed scaling to write here.
        Sensor(name="landsat-4-l1", bands=_TM, gsd_m=30),
        Sensor(name="landsat-5-l1", bands=_TM, gsd_m=30),
        Sensor(name="landsat-7-l1", bands=_ETM, gsd_m=30),
        Sensor(name="landsat-8-l1", bands=_OLI, scale=2e-5, offset=-0.1, gsd_m=30),
        Sensor(name="landsat-9-l1", bands=_OLI, scale=2e-5, offset=-0.1, gsd_m=30),
        Sensor(name="landsat-4-l2", bands=_TM_SR, **_SR),
        Sensor(name="landsat-5-l2", bands=_TM_SR, **_SR),
        Sensor(name="landsat-7-l2", bands=_TM_SR, **_SR),
        Sensor(name="landsat-8-l2", bands=_OLI_SR, **_SR),
        Sensor(name="landsat-9-l2", bands=_OLI_SR, **_SR),
        Sensor(name="naip", bands=_pairs("R=red G=green B=blue N=nir"), gsd_m=1),
        Sensor(name="planetscope-4b", bands=_pairs("Blue=blue Green=green Red=red NIR=nir"), scale=1e-4, gsd_m=3),
        Sensor(
            name="planetscope-8b",
            bands=_pairs(
                "coastal_blue=coastal blue=blue green_i=green05 green=green yellow=yellow red=red "
                "rededge=rededge nir=nir"
            ),
            scale=1e-4,
            gsd_m=3,
        ),
    )
}


def canonical_band_name(text: str) -> str:
    """A band name for comparison: "B02", "b2" and "band 2" are one, as are "SR_B4" and "sr_b4"."""
    name = re.sub(r"[\s_-]+", "_", text.strip().lower())
    name = re.sub(r"^band_?(?=\d)", "b", name)
    return re.sub(r"(?<=b)0+(?=\d)", "", name)


def sensors_with(names: Iterable[str]) -> tuple[Sensor, ...]:
    """The sensors whose bands include every one of these names, in the order of the table.

    Only numbered names are evidence, so that one name without a digit gives no sensor at all: "red" belongs to
    every sensor and tells nothing.
    """
    wanted = {canonical_band_name(name) for name in names}
    if not wanted or not all(any(ch.isdigit() for ch in name) for name in wanted):
        return ()
    return tuple(s for s in SENSORS.values() if wanted <= {canonical_band_name(name) for name, _ in s.bands})


def describe_band(sensor: Sensor, name: str) -> Band | None:
    """The sensor's band of this name (in any spelling), with the name as given; None where there is none."""
    for band in sensor.band_set():
        if canonical_band_name(band.name) == canonical_band_name(name):
            return replace(band, name=name)
    return None
