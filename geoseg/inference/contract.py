"""The input contract: does this scene fit this model, and what has to be changed so that it does?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from geoseg.core.bands import BandSet, BandStack
from geoseg.core.raster import Raster
from geoseg.errors import ContractError
from geoseg.io.identify import says_assumed
from geoseg.io.scene import Scene
from geoseg.models.ensemble import Ensemble
from geoseg.models.spec import ModelSpec

GSD_TOLERANCE = 0.1  # resample when the ground sampling distance differs by more than this share
SNAP_TOLERANCE = 0.01
COARSEST = 3.0  # times the model's GSD; beyond it the detail that the model was trained on is not in the scene
UNUSUAL_Z = 2.0  # scene mean this many training standard deviations off: said
IMPOSSIBLE_Z = 6.0  # this many: refused as wrongly scaled
SPREAD_RANGE = (0.005, 20.0)  # scene std in training stds; outside: refused as wrongly scaled
OWN_GAIN_SHARE = 0.5  # of an uncalibrated scene's bands; 0: one gain for all, 1: each band its own
ENOUGH_PIXELS = 1000  # fewer say nothing about spread


class Verdict(StrEnum):
    """What the contract says of one property of a scene."""

    FITS = "fits"
    FIXED = "fixed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a check: the property, the verdict, and what was found or done or is to be done."""

    subject: str
    verdict: Verdict
    text: str
    unsure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """`standardise`: scale by whole-scene means to the training data; None = only where the scene is not calibrated."""

    standardise: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A checked scene: the findings, and, where accepted, the scene to read and the bands that normalise it.

    `scene` is on the working grid with the model's bands in the model's order; `bands` carry the scene's calibration
    and the model's statistics. `source` is the same on the grid on which it came, `preview` a decimated read of that
    (None where bands are missing). `others` are the bands that normalise it for further models of an ensemble.
    """

    findings: tuple[Finding, ...]
    scene: Scene
    bands: BandSet
    source: Scene
    preview: Raster | None = None
    others: tuple[BandSet, ...] = ()

    @property
    def stack(self) -> BandSet | BandStack:
        """What normalises the scene for all models together."""
        return BandStack((self.bands, *self.others)) if self.others else self.bands

    @property
    def accepted(self) -> bool:
        """True when nothing was refused."""
        return all(finding.verdict is not Verdict.REFUSED for finding in self.findings)

    def require(self) -> Fit:
        """Itself when accepted.

        Raises:
            ContractError: with every refusal in one line.
        """
        if not self.accepted:
            reasons = [f"{f.subject}: {f.text}" for f in self.findings if f.verdict is Verdict.REFUSED]
            raise ContractError(f"{self.scene.name} does not fit the model: {'; '.join(reasons)}")
        return self


def check_scene(scene: Scene, spec: ModelSpec, options: CheckOptions = CheckOptions()) -> Fit:
    """Compare a scene with a model's contract, its values with the training data included."""
    fit = fit_scene(scene, spec, options)
    if fit.preview is None:
        return fit
    return replace(fit, findings=(*fit.findings, _judge_values(fit.bands, fit.preview)))


def check_ensemble(scene: Scene, ensemble: Ensemble, options: CheckOptions = CheckOptions()) -> Fit:
    """Compare a scene with the contracts of models that map it together; further ones are named in what they find."""
    first, *others = ensemble.bundles
    fit = check_scene(scene, first.spec, options)
    for name, bundle in zip(ensemble.names[1:], others, strict=True):
        fit = _fit_another(fit, name, bundle.spec, options)
    return fit


def _fit_another(fit: Fit, name: str, spec: ModelSpec, options: CheckOptions) -> Fit:
    """The fit of one more model, which differs from the first one's contract in mean and std alone."""
    if fit.preview is None:
        return fit
    bands, scaling = _fit_scaling(fit.source, spec, fit.preview, options)
    findings = (scaling, _judge_values(bands, fit.preview))
    own = (replace(found, text=f"{found.text} ({name})") for found in findings if found not in fit.findings)
    return replace(fit, findings=(*fit.findings, *own), others=(*fit.others, bands))


def fit_scene(scene: Scene, spec: ModelSpec, options: CheckOptions = CheckOptions()) -> Fit:
    """Bring a scene to a model's bands, grid, nodata and scaling, on the evidence of a decimated read of all of it."""
    scene, bands_finding = _fit_bands(scene, spec)
    findings = [
        bands_finding,
        Finding("dtype", Verdict.FITS, str(scene.dtype)),
        Finding("CRS", Verdict.FITS, scene.grid.crs.name),
    ]
    if bands_finding.verdict is Verdict.REFUSED:
        return Fit(findings=tuple(findings), scene=scene, bands=scene.bands, source=scene)
    scene, preview, nodata = _fit_nodata(scene)
    bands, scaling = _fit_scaling(scene, spec, preview, options)
    on_grid, gsd = _fit_grid(scene, spec)
    findings += [gsd, nodata, scaling]
    return Fit(findings=tuple(findings), scene=on_grid, bands=bands, source=scene, preview=preview)


def calibrate(statistics: BandSet, scene: BandSet) -> BandSet:
    """The calibration and nodata of a scene's bands with the mean and std of a model's, band by band."""
    return BandSet(
        tuple(
            replace(band, scale=own.scale, offset=own.offset, nodata=own.nodata)
            for band, own in zip(statistics, scene, strict=True)
        )
    )


def _fit_bands(scene: Scene, spec: ModelSpec) -> tuple[Scene, Finding]:
    """The scene with the model's bands in the model's order; the scene unchanged where one is missing."""
    positions = [scene.bands.find(band) for band in spec.bands]
    missing = [band.name for band, at in zip(spec.bands, positions, strict=True) if at is None]
    found = [p for p in positions if p is not None]
    if missing:
        text = (
            f"found {scene.bands.text}; the model needs {', '.join(spec.bands.names)} and has no match for "
            f"{', '.join(missing)}; say which is which: --bands {','.join(f'{name}=N' for name in spec.bands.names)}"
        )
        return scene, Finding("bands", Verdict.REFUSED, text)
    told = [note for note in scene.notes if not says_assumed(note)]
    notes = f" ({'; '.join(told)})" if told else ""
    if len({scene.sources[i] for i in found}) < len(found):
        text = f"one band would serve twice: {', '.join(scene.bands.names[i] for i in found)}; use --bands"
        return scene, Finding("bands", Verdict.REFUSED, text)
    if found == list(range(len(scene.bands))):
        return scene, Finding("bands", Verdict.FITS, ", ".join(scene.bands.names) + notes)
    taken = ", ".join(f"{band.name}={scene.bands.names[i]}" for band, i in zip(spec.bands, found, strict=True))
    return scene.select(found), Finding("bands", Verdict.FIXED, f"taken by name: {taken}{notes}")


def _fit_grid(scene: Scene, spec: ModelSpec) -> tuple[Scene, Finding]:
    """The scene on its own grid when its GSD is within 10 % of the model's, else resampled to the model's GSD."""
    down, along = scene.grid.gsd_m
    found = f"{down:.4g} m" if abs(down / along - 1) < 0.02 else f"{down:.4g} x {along:.4g} m"
    factors = [_factor(gsd, spec.gsd_m) for gsd in (down, along)]
    if factors == [1.0, 1.0]:
        return scene, Finding("GSD", Verdict.FITS, f"{found}, the model was trained at {spec.gsd_m:g} m")
    if max(down, along) > COARSEST * (1 + SNAP_TOLERANCE) * spec.gsd_m:
        text = f"{found} is too coarse: the model was trained at {spec.gsd_m:g} m, and the detail is not in the scene"
        return scene, Finding("GSD", Verdict.REFUSED, f"{text}; use a scene of at most {COARSEST * spec.gsd_m:g} m")
    resampled = scene.on_grid(scene.grid.rescaled(*factors))
    return resampled, Finding("GSD", Verdict.FIXED, f"{found} resampled to the model's {spec.gsd_m:g} m")


def _factor(gsd: float, wanted: float) -> float:
    """How many times larger pixels must become: 1 within tolerance; else a whole number, or part of one, if within 1 %.

    Whole numbers let pixels nest: on the ellipsoid a UTM pixel of 10 m is 9.998 m.
    """
    if abs(gsd / wanted - 1) <= GSD_TOLERANCE:
        return 1.0
    factor = wanted / gsd
    nearest = max(1, round(max(factor, 1 / factor)))
    whole = nearest if factor >= 1 else 1 / nearest
    return whole if abs(factor / whole - 1) < SNAP_TOLERANCE else factor


def _fit_nodata(scene: Scene) -> tuple[Scene, Raster, Finding]:
    """Zero in every band is no ground: where no nodata value is declared, such pixels are taken as nodata."""
    preview = scene.preview()
    declared = sorted({f"{band.nodata:g}" for band in scene.bands if band.nodata is not None})
    if declared or scene.dtype.kind == "f":
        text = f"{', '.join(declared) or 'NaN'}; {1 - preview.valid.mean():.1%} of the scene"
        return scene, preview, Finding("nodata", Verdict.FITS, text)
    scene = scene.with_black_as_nodata()
    black = preview.valid & ~preview.data.any(axis=0)
    preview = replace(preview, valid=preview.valid & ~black)
    if not black.any():
        return scene, preview, Finding("nodata", Verdict.FITS, f"none declared; {preview.valid.mean():.1%} valid")
    text = f"none declared; pixels that are 0 in every band ({black.mean():.1%}) are taken as nodata"
    return scene, preview, Finding("nodata", Verdict.FIXED, text)


def _fit_scaling(scene: Scene, spec: ModelSpec, preview: Raster, options: CheckOptions) -> tuple[BandSet, Finding]:
    """The bands that turn this scene's DN into this model's input."""
    uncalibrated = [band.name for band in scene.bands if band.scale is None]
    if uncalibrated and scene.dtype.kind == "f" and _looks_like_reflectance(preview):
        uncalibrated = []
    calibrated = calibrate(spec.bands, scene.bands)
    if options.standardise is False and uncalibrated:
        text = f"no calibration known for {', '.join(uncalibrated)}; give scale and offset (as --scale, --offset)"
        return calibrated, Finding("scaling", Verdict.REFUSED, text)
    if not (options.standardise or uncalibrated):
        scales = ", ".join(sorted({f"DN * {b.scale:g} {b.offset:+g}" for b in calibrated if b.scale is not None}))
        assumed = [note for note in scene.notes if says_assumed(note)]
        if assumed:
            return calibrated, Finding("scaling", Verdict.FIXED, f"{scales} ({'; '.join(assumed)})", unsure=True)
        return calibrated, Finding("scaling", Verdict.FITS, scales or "reflectance as stored")
    if not preview.valid.any():
        return calibrated, Finding("scaling", Verdict.FITS, "no valid pixel to judge")
    if min(band.mean for band in spec.bands) <= 0:
        text = "the model's training means are not all positive, so no gain can lead to them; give --scale and --offset"
        return calibrated, Finding("scaling", Verdict.REFUSED, text)
    why = "asked for" if options.standardise else f"no calibration known for {', '.join(uncalibrated)}"
    text = f"{why}: scaled by the whole scene's means to those of the training data"
    return _standardised(calibrated, preview), Finding("scaling", Verdict.FIXED, text, unsure=True)


def _looks_like_reflectance(preview: Raster) -> bool:
    values = preview.data[:, preview.valid]
    low, high = np.percentile(values, [1, 99]) if values.size else (np.nan, np.nan)
    return bool(low > -0.5 and high < 2)


def _standardised(bands: BandSet, preview: Raster) -> BandSet:
    """Bands scaled by gains, since unknown units differ by gains; the gains come from means over the whole scene.

    Two causes make a scene's means differ from the training data's: units, and another composition (more water, less
    forest). One common gain would keep the ratios between bands, a gain for each band would force them to those of
    the training data; in doubt between the two causes the gains are half-way, in logarithms.
    """
    means = np.maximum(bands.physical(preview.data)[:, preview.valid].mean(axis=1, dtype=np.float64), 1e-9)
    wanted = np.array([band.mean for band in bands])
    common = wanted.mean() / means.mean()
    gains = common * (wanted / means / common) ** OWN_GAIN_SHARE
    return BandSet(
        tuple(
            replace(band, scale=(band.scale or 1.0) * gain, offset=band.offset * gain)
            for band, gain in zip(bands, gains.tolist(), strict=True)
        )
    )


def _judge_values(bands: BandSet, preview: Raster) -> Finding:
    """Distance of the scene's values from the training distribution, in training standard deviations."""
    if not preview.valid.any():
        return Finding("values", Verdict.FITS, "no valid pixel: the result will be empty", unsure=True)
    values = bands.physical(preview.data)[:, preview.valid]
    z = [(float(v.mean()) - b.mean) / b.std for v, b in zip(values, bands, strict=True)]
    spread = [float(v.std()) / b.std for v, b in zip(values, bands, strict=True)]
    strange_spread = not SPREAD_RANGE[0] < min(spread) <= max(spread) < SPREAD_RANGE[1]
    off = max(map(abs, z))
    if not off <= IMPOSSIBLE_Z or (strange_spread and values.shape[1] >= ENOUGH_PIXELS):
        found = ", ".join(f"{b.name} {v.mean():.4g}" for b, v in zip(bands, values, strict=True))
        needed = ", ".join(f"{b.name} {b.mean:.4g}" for b in bands)
        text = f"means {found} where the model expects about {needed}; give --scale and --offset, or use --standardise"
        return Finding("values", Verdict.REFUSED, text)
    distances = ", ".join(f"{b.name} {value:+.1f}" for b, value in zip(bands, z, strict=True))
    text = f"means lie {distances} standard deviations from the training data"
    if off > UNUSUAL_Z:
        return Finding("values", Verdict.FITS, f"{text}: unlike it, so look at the result with care", unsure=True)
    return Finding("values", Verdict.FITS, text)
