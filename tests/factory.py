"""Small scenes, labels and bundles for tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import geopandas
import numpy as np
import rasterio
from affine import Affine

from geoseg.core.bands import Band, BandSet
from geoseg.core.legend import LandClass, Legend
from geoseg.core.provenance import Provenance
from geoseg.models.spec import ModelSpec

NORTH_UP = Affine(30, 0, 301905, 0, -30, 4154085)
LEGEND = Legend(
    (
        LandClass(code=1, name="water", colour="#466b9f"),
        LandClass(code=2, name="developed", colour="#d1393f"),
        LandClass(code=4, name="forest", colour="#1c6330"),
    )
)
BANDS = BandSet(
    tuple(
        Band(name=name, common_name=name, mean=mean, std=std)
        for name, mean, std in (("blue", 0.1, 0.03), ("green", 0.12, 0.03), ("red", 0.13, 0.05), ("nir", 0.25, 0.08))
    )
)
SPEC = ModelSpec(
    architecture="unet",
    encoder="tu-mobilenetv3_small_050",
    bands=BANDS,
    indices=("ndvi",),
    legend=LEGEND,
    gsd_m=30,
    decoder_channels=(32, 16, 16, 8, 8),
)
OTHER_SPEC = replace(
    SPEC, bands=BandSet(tuple(replace(band, mean=1.2 * band.mean, std=1.5 * band.std) for band in BANDS))
)


def write_bundle(path: Path, spec: ModelSpec, *, seed: int = 0) -> Path:
    """A bundle of an untrained network."""
    import torch

    from geoseg.models.build import build_model
    from geoseg.models.bundle import BundleContent, save_bundle

    torch.manual_seed(seed)
    content = BundleContent(spec=spec, card=f"# {path.stem}\n", provenance=Provenance.now(inputs={}))
    save_bundle(path, build_model(spec).eval(), content)
    return path


def reflectance_dn(height: int, width: int, *, seed: int = 0) -> np.ndarray:
    """DN of four bands (scale 2e-5, offset -0.1) whose reflectance is distributed as `BANDS` says."""
    rng = np.random.default_rng(seed)
    means = np.array([b.mean for b in BANDS])[:, None, None]
    stds = np.array([b.std for b in BANDS])[:, None, None]
    coarse = rng.normal(size=(4, -(-height // 8), -(-width // 8)))
    smooth = np.kron(coarse, np.ones((8, 8)))[:, :height, :width]
    values = means + stds * (0.8 * smooth + 0.4 * rng.normal(size=(4, height, width)))
    return np.clip((values + 0.1) / 2e-5, 1, 65534).astype(np.uint16)


def write_raster(
    path: Path,
    data: np.ndarray,
    *,
    names: tuple[str, ...] = (),
    scale: float | None = None,
    offset: float = 0.0,
    nodata: float | None = None,
    crs: str | None = "EPSG:32612",
    transform: Affine = NORTH_UP,
) -> Path:
    """A GeoTIFF of data (band, row, col)."""
    profile = {"driver": "GTiff", "count": len(data), "height": data.shape[1], "width": data.shape[2]}
    with rasterio.open(path, "w", **profile, dtype=data.dtype, crs=crs, transform=transform, nodata=nodata) as out:
        out.write(data)
        for i, name in enumerate(names, start=1):
            out.set_band_description(i, name)
        if scale is not None:
            out.scales, out.offsets = [scale] * len(data), [offset] * len(data)
    return path


def write_scene(path: Path, height: int = 96, width: int = 96, *, seed: int = 0, **changes: object) -> Path:
    """A calibrated four-band scene that fits `BANDS`; `changes` go to `write_raster`."""
    settings = {"names": BANDS.names, "scale": 2e-5, "offset": -0.1, "nodata": 65535} | changes
    return write_raster(path, reflectance_dn(height, width, seed=seed), **settings)


def write_area(path: Path, *polygons: object, crs: str = "EPSG:32612", written_in: str | None = None) -> Path:
    """A vector file of geometries in `crs`, written in another one where that is given."""
    frame = geopandas.GeoDataFrame({"name": [str(i) for i in range(len(polygons))]}, geometry=list(polygons), crs=crs)
    (frame if written_in is None else frame.to_crs(written_in)).to_file(path, engine="pyogrio")
    return path
