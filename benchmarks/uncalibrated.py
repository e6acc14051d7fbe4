"""How should a scene without calibration be scaled? Agreement with the calibrated prediction on simulated 8-bit scenes.

Three areas of the training scene, of very different composition, are degraded to 8 bits in three ways (reflectance
times 255; radiance-like gains with offsets; the nominal gains of Landsat 7 ETM+, which differ by a factor of two
between bands), then brought back to reflectance by whole-scene statistics in several ways and mapped by a bundle.

    python benchmarks/uncalibrated.py ../shared/data/zion_landsat8 [--model FILE]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoseg.core.bands import BandSet
from geoseg.core.grid import Window
from geoseg.io.scene import open_scene
from geoseg.models.bundle import load_bundle
from geoseg.models.runtime import Runtime, open_runtime
from geoseg.models.spec import ModelSpec
from geoseg.models.zoo import default_bundle_path

Values = NDArray[np.floating]
Scaling = tuple[Values, Values]  # gain and offset of each band

AREAS = (
    ("zion_southwest.tif", None),
    ("zion_north.tif", Window(row=0, col=0, height=448, width=544)),
    ("zion_north.tif", Window(row=448, col=544, height=512, width=576)),
)


def eight_bits(reflectance: Values, gain: list[float], offset: list[float]) -> NDArray[np.uint8]:
    """DN = reflectance * gain + offset, rounded and clipped to 1..255."""
    dn = reflectance * np.array(gain)[:, None, None] + np.array(offset)[:, None, None]
    return np.clip(np.round(dn), 1, 255).astype(np.uint8)


DEGRADED: dict[str, tuple[list[float], list[float]]] = {
    "reflectance * 255": ([255, 255, 255, 255], [0, 0, 0, 0]),
    "radiance-like": ([400, 420, 380, 300], [8, 8, 6, 7]),
    "ETM+ nominal gains": ([816, 722, 785, 424], [0, 0, 0, 0]),
}


def by_mean_and_spread(means: Values, stds: Values, wanted: Values, spread: Values) -> Scaling:
    """Each band's mean and standard deviation matched."""
    gains = spread / stds
    return gains, wanted - means * gains


def by_gain(share: float) -> Callable[[Values, Values, Values, Values], Scaling]:
    """Gains from means: share 0 one gain for all bands, 1 each band its own, between in logarithms."""

    def scaling(means: Values, _stds: Values, wanted: Values, _spread: Values) -> Scaling:
        common = wanted.mean() / means.mean()
        return common * (wanted / means / common) ** share, np.zeros_like(means)

    return scaling


METHODS = {
    "mean and spread": by_mean_and_spread,
    "one gain (share 0)": by_gain(0.0),
    "half-way (share 0.5)": by_gain(0.5),
    "gain a band (share 1)": by_gain(1.0),
}


def classify(raw: Values, valid: NDArray[np.bool_], bands: BandSet, spec: ModelSpec, runtime: Runtime) -> Values:
    """Class indices (row, col) of one untiled pass."""
    channels = bands.normalise(raw, valid, spec.indices)
    height, width = valid.shape
    pads = [(0, 0), *((0, -length % spec.stride) for length in (height, width))]
    return runtime(np.pad(channels, pads)[None])[0].argmax(axis=0)[:height, :width]


def main() -> None:
    """Print a row for every simulated scene and the means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", type=Path, default=default_bundle_path())
    arguments = parser.parse_args()
    bundle = load_bundle(arguments.model)
    spec, runtime = bundle.spec, open_runtime(bundle)
    wanted, spread = (np.array([getattr(b, name) for b in spec.bands]) for name in ("mean", "std"))
    rows = []
    for file, window in AREAS:
        scene = open_scene(arguments.folder / file)
        raster = scene.read(window or scene.grid.window)
        reflectance = scene.bands.physical(raster.data)
        truth = classify(reflectance, raster.valid, spec.bands, spec, runtime)
        for kind, (gain, offset) in DEGRADED.items():
            dn = eight_bits(reflectance, gain, offset)
            values = dn[:, raster.valid].astype(np.float64)
            agreement = []
            for method in METHODS.values():
                gains, offsets = method(values.mean(axis=1), values.std(axis=1), wanted, spread)
                bands = BandSet(
                    tuple(
                        replace(b, scale=g, offset=o)
                        for b, g, o in zip(spec.bands, gains.tolist(), offsets.tolist(), strict=True)
                    )
                )
                agreement.append((classify(dn, raster.valid, bands, spec, runtime) == truth)[raster.valid].mean())
            rows.append(agreement)
            print(f"{file:<20} {kind:<20} " + "  ".join(f"{a:.3f}" for a in agreement), flush=True)
    print(f"{'mean':<41} " + "  ".join(f"{a:.3f}" for a in np.mean(rows, axis=0)))
    print("columns: " + ", ".join(METHODS))


if __name__ == "__main__":
    main()
