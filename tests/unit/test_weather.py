"""Weather: clouds are where they should be, shadows fall away from the sun, spectra are those of the physics."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import one_hot

from geoseg.core.bands import Band, BandSet
from geoseg.core.legend import UNLABELLED
from geoseg.data.augment.batch import Batch
from geoseg.data.augment.random import Random
from geoseg.data.augment.technique import Change, augment
from geoseg.data.augment.weather.clouds import Clouds
from geoseg.data.augment.weather.fog import Fog
from geoseg.data.augment.weather.haze import Haze
from geoseg.data.augment.weather.missing import MissingLines
from geoseg.data.augment.weather.optics import opacity, skylight, spectrum
from geoseg.data.augment.weather.rain import Rain
from geoseg.data.augment.weather.shadow import CloudShadow
from geoseg.data.augment.weather.snow import Snow
from geoseg.data.augment.weather.stripes import Stripes
from geoseg.data.augment.weather.sun import away_from, shadow_shift, sun_of

ALL = {
    "clouds": Clouds(chance=1),
    "cloud_shadow": CloudShadow(chance=1),
    "fog": Fog(chance=1),
    "haze": Haze(chance=1),
    "missing_lines": MissingLines(chance=1),
    "rain": Rain(chance=1),
    "snow": Snow(chance=1),
    "stripes": Stripes(chance=1),
}
OPTICAL = ("blue", "green", "red", "nir", "swir16", "swir22")
BLUE, GREEN, RED, NIR, SWIR16, SWIR22, THERMAL = range(7)


def bands(names=(*OPTICAL, "lwir11")):
    means = dict(zip(OPTICAL, (0.06, 0.08, 0.09, 0.25, 0.2, 0.12), strict=True)) | {"lwir11": 290.0, "": 0.1}
    return BandSet(
        tuple(
            Band(name=name or f"band {i}", common_name=name or None, mean=means[name], std=means[name] / 4)
            for i, name in enumerate(names)
        )
    )


def batch(chips=8, rows=96, cols=96, *, names=(*OPTICAL, "lwir11"), sun=(150.0, 40.0), gsd_m=30.0, soft=False):
    """Ground that varies a little about the training means, with a hole of nodata."""
    chosen = bands(names)
    generator = torch.Generator().manual_seed(3)
    means = torch.tensor([b.mean for b in chosen])[:, None, None]
    values = means * (1 + 0.2 * torch.randn((chips, len(chosen), rows, cols), generator=generator))
    valid = torch.ones((chips, rows, cols), dtype=torch.bool)
    valid[:, 5:9, 5:20] = False
    labels = torch.randint(0, 3, (chips, rows, cols), generator=generator)
    shares = one_hot(labels, 3).permute(0, 3, 1, 2).float() * valid[:, None]
    labels[~valid] = UNLABELLED
    return Batch(
        values=values,
        valid=valid,
        labels=labels.to(torch.uint8),
        soft=shares if soft else None,
        sun=torch.tensor(sun).expand(chips, 2).clone(),
        bands=chosen,
        classes=3,
        gsd_m=gsd_m,
    )


def flat(chips=8, size=128, level=0.1, **changes):
    """Ground of one reflectance everywhere."""
    one = batch(chips, size, size, names=OPTICAL, **changes)
    return replace(one, values=torch.full_like(one.values, level), valid=torch.ones_like(one.valid))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("soft", [False, True])
def test_what_is_given_stays_and_seeds_count(name, soft):
    before = batch(soft=soft)
    copy = [t.clone() for t in (before.values, before.valid, before.labels, before.sun)]
    one, two, other = (ALL[name].apply(before, Random.seeded(seed)) for seed in (1, 1, 2))
    now = (before.values, before.valid, before.labels, before.sun)
    assert all(torch.equal(a, b) for a, b in zip(now, copy, strict=True))
    assert isinstance(ALL[name], Change)
    for field in ("values", "valid", "labels"):
        assert torch.equal(getattr(one, field), getattr(two, field))
    assert not (torch.equal(one.values, other.values) and torch.equal(one.valid, other.valid))
    assert one.values.dtype == torch.float32
    assert one.values.isfinite().all()
    assert not (one.valid & ~before.valid).any(), "nothing becomes valid"
    if soft:
        assert torch.equal(one.soft.sum(dim=1) > 0, (one.labels != UNLABELLED))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("shape", "names", "gsd_m"),
    [
        ((64, 100), OPTICAL, 30.0),
        ((70, 64), ("",), 10.0),
        ((96, 96), ("red", "green", "blue"), 0.3),
        ((33, 33), OPTICAL, 250.0),
    ],
)
def test_any_chip_will_do(name, shape, names, gsd_m):
    before = batch(1, *shape, names=names, gsd_m=gsd_m, sun=(float("nan"),) * 2)
    after = ALL[name].apply(before, Random.seeded(0))
    assert after.values.shape == before.values.shape
    assert after.values.isfinite().all()
    nothing = replace(before, valid=torch.zeros_like(before.valid), labels=torch.full_like(before.labels, UNLABELLED))
    assert ALL[name].apply(nothing, Random.seeded(0)).values.isfinite().all()


@pytest.mark.parametrize("name", ["clouds", "cloud_shadow", "fog", "haze", "rain", "snow"])
def test_thermal_bands_see_no_sunlight(name):
    before = batch()
    after = ALL[name].apply(before, Random.seeded(0))
    assert torch.equal(after.values[:, THERMAL], before.values[:, THERMAL])
    assert not torch.equal(after.values[:, GREEN], before.values[:, GREEN])
    assert torch.equal(after.valid, before.valid)


@pytest.mark.parametrize("name", ALL)
def test_values_beyond_one_are_not_clamped(name):
    before = batch(4)
    bright = replace(before, values=before.values.clone())
    bright.values[:, GREEN] = 3.0
    bright.values[:, RED] = -0.5
    after = ALL[name].apply(bright, Random.seeded(1))
    assert after.values[:, GREEN].max() > 1.2
    assert after.values[:, RED].min() < -0.05


# Clouds and shadows.


@pytest.mark.parametrize("cover", [0.1, 0.3, 0.6])
@pytest.mark.parametrize("gsd_m", [30.0, 0.5])
def test_clouds_cover_what_was_asked_with_soft_edges(cover, gsd_m):
    before = flat(32, gsd_m=gsd_m)
    clouds = Clouds(chance=1, cover=(cover, cover), shadow=False, cirrus=0, thickness=(40, 40))
    after = clouds.apply(before, Random.seeded(0)).values[:, GREEN]
    share = ((after - 0.1).abs() > 1e-5).float().mean()
    assert share == pytest.approx(cover, abs=0.03)
    steps = torch.cat([after.diff(dim=1).abs().flatten(), after.diff(dim=2).abs().flatten()])
    assert after.max() > 0.5
    assert steps[steps > 0.01].quantile(0.98) < 0.35, "no hard edges"
    levels = torch.histc(after[after > 0.11], bins=8, min=0.11, max=float(after.max()))
    assert (levels > 0).all(), "every level between clear and white"


@pytest.mark.parametrize("azimuth", [0.0, 90.0, 180.0, 270.0, 135.0])
def test_shadows_fall_away_from_the_sun_as_far_as_height_and_sun_say(azimuth):
    before = flat(24, 192, sun=(azimuth, 45.0))
    clouds = Clouds(chance=1, cover=(0.1, 0.1), cirrus=0, height_m=(600, 600), size_m=(900, 900), thickness=(40, 40))
    after = clouds.apply(before, Random.seeded(4)).values
    white = (after[:, NIR] > 0.14).float()
    dark = (after[:, NIR] < 0.08).float()
    assert white.mean() > 0.02
    assert dark.mean() > 0.02
    spectra = torch.fft.rfft2(dark) * torch.fft.rfft2(white).conj()
    matches = torch.fft.irfft2(spectra, s=(192, 192)).sum(dim=0)
    row, col = divmod(int(matches.argmax()), 192)
    down, right = (row + 96) % 192 - 96, (col + 96) % 192 - 96
    distance = 600 / 30  # px, with the sun at 45 degrees
    assert right == pytest.approx(-math.sin(math.radians(azimuth)) * distance, abs=2.5)
    assert down == pytest.approx(math.cos(math.radians(azimuth)) * distance, abs=2.5)


def test_shadows_are_longer_under_a_low_sun_and_unknown_suns_are_drawn():
    sun = torch.tensor([[90.0, 60.0], [90.0, 20.0], [90.0, 1.0]])
    shifts = shadow_shift(sun.clamp(min=5), torch.full((3,), 1000.0), 10.0)
    torch.testing.assert_close(shifts[:, 0], -100 / torch.tensor([60.0, 20.0, 5.0]).deg2rad().tan())
    torch.testing.assert_close(shifts[:, 1], torch.zeros(3), atol=1e-3, rtol=0)
    torch.testing.assert_close(away_from(sun).norm(dim=1), torch.ones(3))
    unknown = sun_of(batch(200, 8, 8, sun=(float("nan"),) * 2), Random.seeded(0))
    assert unknown.isfinite().all()
    assert unknown[:, 0].std() > 80
    known = sun_of(batch(5, 8, 8), Random.seeded(0))
    assert torch.equal(known, torch.tensor([[150.0, 40.0]]).expand(5, 2))


def test_labels_are_ignored_under_thick_cloud_only():
    before = batch(24)
    clouds = Clouds(chance=1, cover=(0.4, 0.4), thickness=(40, 40), cirrus=0, thick=0.6)
    after = clouds.apply(before, Random.seeded(0))
    kept = replace(clouds, labels="keep").apply(before, Random.seeded(0))
    assert torch.equal(kept.labels, before.labels)
    assert torch.equal(kept.values, after.values)
    hidden = (after.labels == UNLABELLED) & (before.labels != UNLABELLED)
    assert 0.05 < hidden.float().mean() < 0.4
    contrast = (after.values[:, GREEN] - before.values[:, GREEN])[hidden]
    assert contrast.min() > 0.1, "it is white there"
    clear = (after.values[:, GREEN] - before.values[:, GREEN]).abs() < 0.02
    assert not (hidden & clear).any()
    under_shadow = replace(clouds, shadow_labels="ignore").apply(before, Random.seeded(0))
    more = (under_shadow.labels == UNLABELLED) & ~hidden & (before.labels != UNLABELLED)
    assert more.any()
    assert (after.values[:, NIR] / before.values[:, NIR])[more].mean() < 1.2


def test_clouds_are_white_up_to_the_near_infrared_and_darker_beyond():
    before = flat(16)
    after = Clouds(chance=1, cirrus=0, shadow=False, thickness=(40, 40)).apply(before, Random.seeded(0)).values
    thick = after[:, GREEN] > 0.5
    blue, nir, swir16, swir22 = (float(after[:, i][thick].mean()) for i in (BLUE, NIR, SWIR16, SWIR22))
    assert blue == pytest.approx(nir, rel=0.15)
    assert nir > swir16 > swir22


def test_cirrus_is_thin():
    before = flat(16)
    icy, wet = (
        Clouds(chance=1, cirrus=c, shadow=False, thickness=(40, 40)).apply(before, Random.seeded(0)) for c in (1, 0)
    )
    assert icy.values.max() < 0.6 < wet.values.max()
    assert (icy.labels == UNLABELLED).float().mean() < 0.02


def test_shadows_darken_the_infrared_most_and_never_brighten():
    before = flat(16)
    after = CloudShadow(chance=1, cover=(0.5, 0.5)).apply(before, Random.seeded(0))
    left = after.values / before.values
    assert left.max() <= 1 + 1e-6
    deep = left[:, NIR] < 0.6
    assert deep.float().mean() > 0.03
    blue, red, nir, swir = (left[:, i][deep].mean() for i in (BLUE, RED, NIR, SWIR22))
    assert blue > red > nir > swir
    assert torch.equal(after.labels, before.labels)
    ignoring = CloudShadow(chance=1, cover=(0.5, 0.5), labels="ignore").apply(before, Random.seeded(0))
    unlabelled = (ignoring.labels == UNLABELLED) & (before.labels != UNLABELLED)
    assert unlabelled.any()
    assert left[:, NIR][unlabelled].max() < 0.7


def test_opacity_and_skylight_follow_their_formulas():
    tau = torch.tensor([0.0, 1.0, 10.0])
    torch.testing.assert_close(opacity(tau), 1 - torch.exp(-(1 - 0.85**2) * tau))
    um = torch.tensor([0.48, 0.86])[:, None, None]
    high, low = skylight(um, torch.tensor([60.0, 15.0]))[..., 0, 0]
    assert 0.1 < high[0] < 0.3, "a tenth to a quarter of blue light comes from a clear sky"
    assert high[1] < 0.08
    assert (low > high).all()
    curve = spectrum(((0.5, 1.0), (1.0, 0.0)), torch.tensor([0.3, 0.75, 2.0]))
    torch.testing.assert_close(curve, torch.tensor([1.0, 0.5, 0.0]))


# Haze, fog, rain, snow.


def test_haze_adds_light_most_of_it_blue_and_takes_contrast():
    before = batch(16)
    after = Haze(chance=1, thickness=(0.4, 0.4), exponent=(1.3, 1.3), variation=0).apply(before, Random.seeded(0))
    dark = replace(before, values=torch.zeros_like(before.values))
    added = Haze(chance=1, thickness=(0.4, 0.4), exponent=(1.3, 1.3), variation=0).apply(dark, Random.seeded(0)).values
    light = [added[:, i].mean() for i in (BLUE, GREEN, RED, NIR, SWIR16, SWIR22)]
    assert light == sorted(light, reverse=True)
    assert light[0] > 4 * light[4]
    assert (after.values.std(dim=(2, 3)) < before.values.std(dim=(2, 3)) + 1e-9)[:, :6].all()
    assert torch.equal(after.labels, before.labels)
    thick, thin = (
        Haze(chance=1, thickness=(t, t), variation=0).apply(dark, Random.seeded(0)).values[:, BLUE].mean()
        for t in (0.6, 0.1)
    )
    assert thick > 3 * thin


def test_fog_hides_contrast_in_patches_and_is_grey():
    before = batch(16, names=("red", "green", "blue"), gsd_m=0.2)
    before.values[:] = torch.tensor([0.1, 0.5]).repeat(48)  # every other column is bright
    after = Fog(chance=1, density=(0.5, 0.5)).apply(before, Random.seeded(0))
    lost = 1 - after.values.diff(dim=3).abs().mean(dim=(2, 3)) / 0.4
    assert (after.values.mean(dim=(2, 3)) > before.values.mean(dim=(2, 3)) + 0.05).all()
    assert lost.min() > 0.2
    assert lost.mean() == pytest.approx(0.5, abs=0.12)
    red, green, blue = after.values.mean(dim=(0, 2, 3)).tolist()
    assert max(red, green, blue) - min(red, green, blue) < 0.1
    assert torch.equal(after.labels, before.labels)


def test_rain_streaks_lie_in_their_direction():
    before = flat(16, level=0.2)
    upright = Rain(chance=1, slant=(0, 0), strength=(0.5, 0.5), drops=(0.1, 0.1), length=(20, 20))
    after = upright.apply(before, Random.seeded(0)).values[:, GREEN]
    assert after.diff(dim=1).abs().mean() < 0.4 * after.diff(dim=2).abs().mean(), "streaks run down the columns"
    lying = replace(upright, slant=(90, 90)).apply(before, Random.seeded(0)).values[:, GREEN]
    assert lying.diff(dim=2).abs().mean() < 0.4 * lying.diff(dim=1).abs().mean()
    none = replace(upright, drops=(0, 0), veil=(0, 0), darkening=(0, 0)).apply(before, Random.seeded(0))
    torch.testing.assert_close(none.values, before.values)


def test_snow_is_white_in_visible_light_and_dark_in_the_short_wave_infrared():
    before = flat(16, level=0.15)
    after = Snow(chance=1, cover=(0.5, 0.5), depth=(0.95, 0.95)).apply(before, Random.seeded(0))
    deep = after.values[:, GREEN] > 0.6
    assert 0.1 < deep.float().mean() < 0.55
    ndsi = (after.values[:, GREEN] - after.values[:, SWIR16]) / (after.values[:, GREEN] + after.values[:, SWIR16])
    assert ndsi[deep].min() > 0.4, "snow by the usual threshold of the NDSI (Hall et al. 1995)"
    assert torch.equal(after.labels, before.labels)
    ignoring = Snow(chance=1, cover=(0.5, 0.5), depth=(0.95, 0.95), labels="ignore").apply(before, Random.seeded(0))
    assert 0.05 < (ignoring.labels == UNLABELLED).float().mean() < 0.5


def test_snow_lies_on_bright_ground_first():
    before = flat(16, level=0.05)
    before.values[:, :, :, :64] = 0.2
    after = Snow(chance=1, cover=(0.3, 0.3), openness=3.0).apply(before, Random.seeded(0))
    white = after.values[:, GREEN] > 0.4
    assert white[:, :, :64].float().mean() > 5 * white[:, :, 64:].float().mean()


# Sensors.


@pytest.mark.parametrize(("along", "constant"), [("columns", 2), ("rows", 3)])
def test_stripes_are_constant_along_their_lines_and_differ_by_band(along, constant):
    before = flat(8)
    difference = Stripes(chance=1, along=along, gain=(0, 0)).apply(before, Random.seeded(0)).values - before.values
    assert difference.std(dim=constant).max() < 1e-6
    assert difference.std(dim=5 - constant).min() > 0
    assert not torch.allclose(difference[:, 0], difference[:, 1])
    in_turns = Stripes(chance=1, along=along, gain=(0, 0), detectors=16).apply(before, Random.seeded(0)).values
    lines = (in_turns - before.values).select(constant, 0)
    torch.testing.assert_close(lines[..., 16:32], lines[..., :16])


@pytest.mark.parametrize("kind", ["lines", "wedges"])
def test_missing_lines_are_nodata(kind):
    before = batch(200, 128, 128)
    after = MissingLines(chance=1, kind=kind, lost=(0.1, 0.1)).apply(before, Random.seeded(0))
    lost = before.valid & ~after.valid
    assert torch.equal(after.values, before.values)
    assert lost.float().mean() == pytest.approx(0.1, abs=0.02)
    assert (after.labels[lost] == UNLABELLED).all()
    assert torch.equal(after.labels[~lost], before.labels[~lost])
    kept = MissingLines(chance=1, kind=kind, labels="keep").apply(before, Random.seeded(0))
    assert torch.equal(kept.labels, before.labels)
    if kind == "lines":
        rows, cols = (~after.valid).all(dim=2).any(dim=1), (~after.valid).all(dim=1).any(dim=1)
        assert (rows ^ cols | ~lost.flatten(1).any(dim=1)).all(), "whole rows or whole columns"


def test_a_share_of_the_chips_is_changed():
    before = batch(200, 32, 32)
    after = augment(before, [Haze(chance=0.3)], Random.seeded(0))
    changed = (after.values != before.values).flatten(1).any(dim=1).float().mean()
    assert changed == pytest.approx(0.3, abs=0.1)
