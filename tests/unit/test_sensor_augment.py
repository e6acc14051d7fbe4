"""Radiometric augmentation: against formulas of numpy and scipy, and whatever invalid pixels hold."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from factory import BANDS, write_raster, write_scene
from pydantic import TypeAdapter, ValidationError
from scipy.ndimage import gaussian_filter

from geoseg.data.augment.batch import Batch
from geoseg.data.augment.random import Random
from geoseg.data.augment.sensor.blur import Blur
from geoseg.data.augment.sensor.clahe import Clahe
from geoseg.data.augment.sensor.dropout import BandDropout
from geoseg.data.augment.sensor.gain import Gain
from geoseg.data.augment.sensor.gamma import Gamma, power_curve
from geoseg.data.augment.sensor.histogram import HistogramMatch, match_quantiles, reference_quantiles
from geoseg.data.augment.sensor.noise import Noise
from geoseg.data.augment.sensor.quantiles import valid_quantiles
from geoseg.data.augment.technique import Change, Warp, augment
from geoseg.errors import InputError
from geoseg.io.scene import open_scene

TECHNIQUES = {
    "gain": Gain(chance=1),
    "gamma": Gamma(chance=1, band_gamma=0.1),
    "noise": Noise(chance=1, level=(0.05, 0.1), shot=(0.05, 0.1)),
    "blur": Blur(chance=1),
    "dropout": BandDropout(chance=1, at_most=2),
    "histogram": HistogramMatch(chance=1),
    "clahe": Clahe(chance=1),
}
SHAPES = [(1, 1), (3, 2), (33, 57), (64, 64), (70, 96)]


@pytest.fixture(params=TECHNIQUES)
def technique(request):
    return TECHNIQUES[request.param]


def a_batch(chips=3, rows=33, cols=57, *, seed=0, invalid=0.2, bands=BANDS):
    """Smooth ground with noise, some values below 0 and some above 1."""
    rng = np.random.default_rng(seed)
    means, stds = (np.array([getattr(b, key) for b in bands])[:, None, None] for key in ("mean", "std"))
    coarse = rng.normal(size=(chips, len(bands), -(-rows // 8), -(-cols // 8)))
    smooth = np.kron(coarse, np.ones((8, 8)))[..., :rows, :cols]
    values = means + stds * (smooth + 0.5 * rng.normal(size=smooth.shape))
    values[rng.random(values.shape) < 0.02] *= -1
    values[rng.random(values.shape) < 0.02] += 1
    valid = rng.random((chips, rows, cols)) >= invalid
    labels = rng.integers(0, 3, (chips, rows, cols)).astype(np.uint8)
    return Batch(
        values=torch.from_numpy(values.astype(np.float32)),
        valid=torch.from_numpy(valid),
        labels=torch.from_numpy(labels),
        soft=None,
        sun=torch.full((chips, 2), torch.nan),
        bands=bands,
        classes=3,
        gsd_m=30.0,
    )


def applied(technique, batch, seed=0):
    return technique.apply(batch, Random.seeded(seed))


def at_valid(batch):
    return batch.values.transpose(0, 1)[:, batch.valid]


# every technique


def test_techniques_are_changes_and_no_warps(technique):
    assert isinstance(technique, Change)
    assert not isinstance(technique, Warp)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("chips", [1, 3])
def test_any_size_gives_finite_values_of_the_same_size(technique, shape, chips):
    batch = a_batch(chips, *shape)
    changed = applied(technique, batch)
    assert changed.values.shape == batch.values.shape
    assert changed.values.dtype == torch.float32
    assert torch.isfinite(at_valid(changed)).all()


def test_only_values_change_and_the_given_batch_does_not(technique):
    batch = a_batch()
    copy = batch.values.clone()
    changed = applied(technique, batch)
    assert torch.equal(batch.values, copy)
    assert not torch.allclose(at_valid(changed), at_valid(batch), atol=1e-4)
    for name in ("valid", "labels", "soft", "sun", "bands", "classes", "gsd_m"):
        assert getattr(changed, name) is getattr(batch, name)


def test_the_same_seed_gives_the_same_chips_and_another_one_others(technique):
    batch = a_batch()
    assert torch.equal(applied(technique, batch, 7).values, applied(technique, batch, 7).values)
    assert not torch.equal(applied(technique, batch, 7).values, applied(technique, batch, 8).values)


@pytest.mark.parametrize("garbage", [math.nan, math.inf, -math.inf, 65535.0, 3e38])
@pytest.mark.parametrize("shape", [(33, 57), (70, 96)])
def test_what_invalid_pixels_hold_has_no_influence(technique, garbage, shape):
    batch = a_batch(3, *shape)
    spoilt = replace(batch, values=batch.values.where(batch.valid[:, None], garbage))
    clean = applied(technique, batch)
    dirty = applied(technique, spoilt)
    assert torch.equal(at_valid(clean), at_valid(dirty))
    assert torch.equal(clean.model_input(("ndvi",)), dirty.model_input(("ndvi",)))


def test_a_chip_without_a_valid_pixel_harms_no_other(technique):
    batch = a_batch(3, 64, 64)
    valid = batch.valid.clone()
    valid[1] = False
    changed = applied(technique, replace(batch, valid=valid, values=batch.values.where(valid[:, None], torch.nan)))
    assert torch.isfinite(at_valid(changed)).all()
    assert (changed.model_input(())[1] == 0).all()


def test_chips_of_one_value_stay_finite(technique):
    batch = a_batch(2, 32, 32, invalid=0)
    for value in (0.0, 0.3, -0.1):
        flat = replace(batch, values=torch.full_like(batch.values, value))
        assert torch.isfinite(applied(technique, flat).values).all()


@pytest.mark.parametrize("name", ["gain", "gamma", "noise", "histogram", "clahe", "dropout"])
def test_nothing_is_clamped_to_reflectance_of_0_to_1(name):
    batch = a_batch(4, 64, 64)
    changed = at_valid(applied(TECHNIQUES[name], batch))
    assert (changed < 0).float().mean() > 0.005
    assert (changed > 1).float().mean() > 0.005


def test_options_are_checked():
    for wrong in ({"chance": 1.5}, {"gain": -1}, {"nonsense": 1}):
        with pytest.raises(ValidationError):
            TypeAdapter(Gain).validate_python(wrong)
    with pytest.raises(ValidationError):
        Blur(sigma=(2, 1))
    with pytest.raises(ValidationError):
        HistogramMatch(strength=(0.5, 1.5))


def test_chance_leaves_the_other_chips_alone(technique):
    batch = a_batch(64, 16, 16)
    series = augment(batch, [replace(technique, chance=0.5)], Random.seeded(0))
    same = (series.values == batch.values).flatten(1).all(dim=1)
    assert 15 < same.sum() < 64


# gain


def test_gain_is_distributed_as_its_options_say():
    options = {"gain": 0.2, "band_gain": 0.1, "offset": 0.02}
    batch = a_batch(4000, 1, 2)
    x = batch.values.clone()
    x[..., 0], x[..., 1] = 0.0, 1.0
    y = applied(Gain(chance=1, **options), replace(batch, values=x)).values[:, :, 0].numpy()
    new = np.concatenate([np.log(y[..., 1] - y[..., 0]).T, y[..., 0].T])

    scale = np.repeat([0.2, 0.02], 4)
    np.testing.assert_allclose(new.mean(axis=1) / scale, 0, atol=0.1)
    of_four = 1 + 0.25 * np.eye(4)  # what all bands share, and half as much for each
    expected = np.kron(np.eye(2), of_four)  # gains and offsets know nothing of each other
    np.testing.assert_allclose(np.cov(new / scale[:, None]), expected, atol=0.12)


def test_gain_without_spread_is_the_identity():
    batch = a_batch()
    assert torch.equal(applied(Gain(gain=0, band_gain=0, offset=0), batch).values, batch.values)


# gamma


def test_power_curve_is_the_formula_with_three_fixed_points():
    values = torch.linspace(-2, 3, 101)
    bright, exponent = torch.tensor(0.8), torch.tensor(1.3)
    expected = 0.8 * np.sign(values.numpy()) * np.abs(values.numpy() / 0.8) ** 1.3
    curved = power_curve(values, bright, exponent)
    np.testing.assert_allclose(curved, expected, rtol=1e-5)
    assert (curved.diff() > 0).all()
    fixed = torch.tensor([-0.8, 0.0, 0.8])
    assert power_curve(fixed, bright, exponent) == pytest.approx(fixed)


def test_gamma_bends_every_band_around_its_bright_end():
    batch = a_batch(3, 48, 64)
    changed = applied(Gamma(gamma=0.4, band_gamma=0.2), batch)
    random = Random.seeded(0)
    exponents = (0.4 * random.normal(3, 1) + 0.2 * random.normal(3, 4)).exp().numpy()
    for i in range(3):
        old = batch.values[i][:, batch.valid[i]].numpy()
        bright = np.quantile(np.abs(old), 0.98, axis=1)[:, None]
        expected = bright * np.sign(old) * np.abs(old / bright) ** exponents[i][:, None]
        np.testing.assert_allclose(changed.values[i][:, batch.valid[i]], expected, rtol=1e-3, atol=1e-6)


# noise


def test_noise_has_the_standard_deviation_that_its_options_say():
    batch = a_batch(2, 200, 200)
    steady = batch.values.clone()
    steady[0], steady[1] = 0.0, 0.4
    batch = replace(batch, values=steady)
    changed = applied(Noise(level=(0.3, 0.3), shot=(0.5, 0.5)), batch)
    for i, band in enumerate(BANDS):
        dark, light = (changed.values - batch.values)[:, i].numpy()
        assert dark.std() == pytest.approx(0.3 * band.std, rel=0.03)
        typical = max(band.mean, band.std)
        assert light.std() == pytest.approx(band.std * math.sqrt(0.09 + 0.25 * 0.4 / typical), rel=0.03)
        assert abs(dark.mean()) < 0.01 * band.std


def test_noise_of_pixels_and_bands_is_independent():
    batch = a_batch(1, 100, 100, invalid=0)
    noise = (applied(Noise(level=(1, 1)), batch).values - batch.values)[0]
    assert np.corrcoef(noise.flatten(1))[np.triu_indices(4, 1)] == pytest.approx(0, abs=0.05)
    assert np.corrcoef(noise[0, :, 1:].flatten(), noise[0, :, :-1].flatten())[0, 1] == pytest.approx(0, abs=0.05)


# blur


def test_blur_is_scipys_in_the_interior():
    batch = a_batch(2, 40, 50, invalid=0)
    changed = applied(Blur(sigma=(1.5, 1.5)), batch)
    expected = gaussian_filter(batch.values.numpy(), (0, 0, 1.5, 1.5), truncate=5 / 1.5)
    np.testing.assert_allclose(changed.values[..., 5:-5, 5:-5], expected[..., 5:-5, 5:-5], atol=1e-5)


def test_blur_is_a_mean_of_valid_pixels_weighted_by_distance():
    batch = a_batch(1, 33, 57, invalid=0.5)
    changed = applied(Blur(sigma=(1.0, 1.0)), batch)
    weight = batch.valid[0].numpy().astype(np.float64)
    values = np.where(batch.valid[0], batch.values[0].double(), 0)
    summed = gaussian_filter(values, (0, 1, 1), truncate=3, mode="constant")
    total = gaussian_filter(weight, 1, truncate=3, mode="constant")
    expected = (summed / np.maximum(total, 1e-9))[:, batch.valid[0]]
    np.testing.assert_allclose(changed.values[0][:, batch.valid[0]], expected, atol=1e-5)


def test_blur_of_width_0_is_the_identity_and_a_flat_chip_stays_flat_to_its_border():
    batch = a_batch()
    assert applied(Blur(sigma=(0, 0)), batch).values == pytest.approx(batch.values)
    flat = replace(batch, values=torch.full_like(batch.values, 0.3))
    assert applied(Blur(sigma=(3, 3)), flat).values == pytest.approx(flat.values)


def test_each_chip_has_its_own_width():
    one = a_batch(1, 64, 64, invalid=0)
    batch = one.take(torch.zeros(6, dtype=torch.int64))
    rough = applied(Blur(sigma=(0.0, 3.0)), batch).values.diff(dim=-1).abs().mean(dim=(1, 2, 3))
    assert len(set(rough.tolist())) == 6


# dropout


def test_dropped_bands_are_0_for_the_model_and_one_is_left():
    batch = a_batch(200, 4, 4, invalid=0)
    seen = applied(BandDropout(at_most=9), batch).model_input(())
    dropped = (seen == 0).flatten(2).all(dim=2)
    counts = dropped.sum(dim=1)
    assert set(counts.tolist()) == {1, 2, 3}
    assert dropped.float().mean(dim=0) == pytest.approx(0.5, abs=0.12)
    kept = (~dropped)[..., None, None].expand_as(seen)
    assert torch.equal(seen[kept], batch.model_input(())[kept])


def test_one_band_is_never_dropped():
    batch = a_batch(3, bands=BANDS.select([1]))
    assert torch.equal(applied(BandDropout(), batch).values, batch.values)


# quantiles and histogram matching


@pytest.mark.parametrize("shape", [(1, 1), (33, 57), (64, 64)])
def test_quantiles_are_numpys(shape):
    batch = a_batch(3, *shape, invalid=0.3)
    levels = torch.linspace(0, 1, 11)
    found = valid_quantiles(batch.values, batch.valid, levels)
    for values, valid, row in zip(batch.values, batch.valid, found, strict=True):
        if valid.any():
            np.testing.assert_allclose(row, np.quantile(values[:, valid], levels, axis=1).T, rtol=1e-4, atol=1e-5)
        else:
            assert row.isnan().all()


def test_quantiles_of_large_chips_are_estimates_from_all_over_the_chip():
    values = torch.arange(256.0).expand(1, 1, 256, 256)
    valid = torch.ones(1, 256, 256, dtype=torch.bool)
    levels = torch.tensor([0.0, 0.25, 0.5, 0.98])
    for ramp in (values, values.transpose(2, 3)):
        found = valid_quantiles(ramp, valid, levels)[0, 0]
        assert found == pytest.approx(255 * levels, abs=2)


def test_full_match_to_the_partner_is_numpys_quantile_mapping():
    batch = a_batch(2, 48, 64)
    changed = applied(HistogramMatch(strength=(1, 1)), batch)
    levels = np.linspace(0, 1, 64)
    for i in range(2):
        for band in range(4):
            own, other = (batch.values[k, band][batch.valid[k]].numpy() for k in (i, 1 - i))
            expected = np.interp(own, np.quantile(own, levels), np.quantile(other, levels))
            np.testing.assert_allclose(changed.values[i, band][batch.valid[i]], expected, atol=2e-5)


def test_part_of_a_match_lies_on_the_way():
    batch = a_batch(2, 48, 64)
    full, half = (applied(HistogramMatch(strength=(s, s)), batch).values for s in (1.0, 0.5))
    assert half == pytest.approx((full + batch.values) / 2, abs=1e-6)
    assert torch.equal(applied(HistogramMatch(strength=(0, 0)), batch).values, batch.values)


def test_matching_keeps_order_ties_and_the_distance_of_outliers():
    own = torch.tensor([[[0.0, 0.1, 0.1, 0.1, 0.5]]])
    wanted = torch.tensor([[[1.0, 2.0, 3.0, 4.0, 8.0]]])
    values = torch.tensor([-0.25, 0.0, 0.05, 0.1, 0.3, 0.5, 0.75]).view(1, 1, 1, 7)
    moved = match_quantiles(values, own, wanted).flatten()
    assert moved == pytest.approx(torch.tensor([0.75, 1.0, 2.0, 3.0, 5.5, 8.0, 8.25]))


def test_a_chip_alone_has_no_partner_and_stays_as_it_is():
    batch = a_batch(1)
    assert applied(HistogramMatch(), batch).values == pytest.approx(batch.values, abs=1e-6)


def test_every_chip_has_another_partner():
    batch = a_batch(5, 16, 16, invalid=0)
    shifted = replace(batch, values=batch.values * 0 + torch.arange(5.0)[:, None, None, None])
    for seed in range(5):
        levels = applied(HistogramMatch(strength=(1, 1)), shifted, seed).values[:, 0, 0, 0].tolist()
        assert sorted(levels) == [0, 1, 2, 3, 4]
        assert all(level != i for i, level in enumerate(levels))


def test_match_to_a_reference_scene_gives_its_quantiles_band_by_name(tmp_path):
    path = write_scene(tmp_path / "reference.tif", 64, 64, seed=5)
    scene = open_scene(path)
    values = scene.bands.physical(scene.read(scene.grid.window).data)
    order = [2, 0, 3, 1]
    batch = a_batch(2, 48, 64, bands=BANDS.select(order))
    changed = applied(HistogramMatch(strength=(1, 1), reference=path), batch)
    for position, band in enumerate(order):
        found = changed.values[0, position][batch.valid[0]]
        levels = [0.1, 0.5, 0.9]
        np.testing.assert_allclose(np.quantile(found, levels), np.quantile(values[band], levels), atol=5e-3)


def test_reference_without_the_bands_a_calibration_or_pixels_is_refused(tmp_path):
    part = write_raster(tmp_path / "part.tif", np.ones((1, 8, 8), np.float32), names=("red",))
    with pytest.raises(InputError, match=r"found the bands red, needed blue, green, nir as well"):
        reference_quantiles(part, BANDS)
    bare = write_scene(tmp_path / "bare.tif", scale=None)
    with pytest.raises(InputError, match="no calibration known for blue"):
        reference_quantiles(bare, BANDS)
    empty = write_raster(
        tmp_path / "empty.tif", np.full((4, 8, 8), 65535, np.uint16), names=BANDS.names, scale=2e-5, nodata=65535
    )
    with pytest.raises(InputError, match="found no valid pixel"):
        reference_quantiles(empty, BANDS)


# clahe


def test_clahe_raises_local_contrast_and_keeps_the_bounds():
    rows = torch.linspace(0, 1, 64)[:, None]
    texture = torch.from_numpy(np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32))
    batch = a_batch(1, 64, 64, invalid=0)
    batch = replace(batch, values=(0.1 + 0.3 * rows + 0.01 * texture).expand(1, 4, 64, 64).contiguous())
    changed = applied(Clahe(strength=(1, 1), limit=10), batch)
    contrast = [
        values.unfold(2, 8, 8).unfold(3, 8, 8).std(dim=(-1, -2)).mean() for values in (batch.values, changed.values)
    ]
    assert contrast[1] > 1.3 * contrast[0]
    assert changed.values.min() >= batch.values.min() - 0.02
    assert changed.values.max() <= batch.values.max() + 0.02


def test_clahe_follows_an_affine_change_of_values():
    batch = a_batch(2, 64, 64)
    other = replace(batch, values=batch.values * 4 - 1)
    first, second = (applied(Clahe(strength=(1, 1)), b).values for b in (batch, other))
    off = ((first * 4 - 1) - second)[batch.valid[:, None].expand_as(first)].abs()
    assert off.quantile(0.99) < 0.02 * 4  # a value at the border of a grey level may fall to the other side


def test_clahe_leaves_values_beyond_the_upper_end_and_rounds_nothing():
    batch = a_batch(1, 64, 64, invalid=0)
    changed = applied(Clahe(strength=(1, 1)), batch)
    beyond = batch.values[0] > torch.quantile(batch.values[0].flatten(1), 0.99, dim=1)[:, None, None]
    assert beyond.sum() > 100
    assert changed.values[0][beyond] == pytest.approx(batch.values[0][beyond], abs=1e-5)
    assert len(changed.values[0, 0].unique()) == len(batch.values[0, 0].unique())


def test_mostly_invalid_chips_change_little_where_they_are_valid():
    batch = a_batch(2, 64, 64, invalid=0)
    valid = torch.zeros_like(batch.valid)
    valid[:, 40:44, 40:44] = True
    sparse = applied(Clahe(strength=(1, 1)), replace(batch, valid=valid))
    dense = applied(Clahe(strength=(1, 1)), batch)
    moved = [(changed.values - batch.values)[:, :, 40:44, 40:44].abs().mean() for changed in (sparse, dense)]
    assert moved[0] < 0.6 * moved[1]
