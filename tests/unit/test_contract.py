"""The input contract: what fits, what is fixed (and how), what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from affine import Affine
from factory import BANDS, LEGEND, NORTH_UP, reflectance_dn, write_raster, write_scene

from geoseg.errors import ContractError
from geoseg.inference.contract import CheckOptions, Verdict, check_scene
from geoseg.io.scene import SceneOptions, open_scene
from geoseg.models.spec import ModelSpec

SPEC = ModelSpec(architecture="unet", encoder="resnet18", bands=BANDS, indices=("ndvi",), legend=LEGEND, gsd_m=30)
VERDICTS = {"bands", "dtype", "CRS", "GSD", "nodata", "scaling", "values"}


def verdicts(fit):
    return {finding.subject: finding.verdict for finding in fit.findings}


def text_of(fit, subject):
    return next(finding.text for finding in fit.findings if finding.subject == subject)


def test_a_scene_like_the_training_data_fits_in_everything(tmp_path):
    fit = check_scene(open_scene(write_scene(tmp_path / "scene.tif")), SPEC)
    assert verdicts(fit) == dict.fromkeys(VERDICTS, Verdict.FITS)
    assert not any(finding.unsure for finding in fit.findings)
    assert fit.require() is fit


def test_bands_are_reordered_by_name_and_the_values_follow(tmp_path):
    data = reflectance_dn(40, 50)
    plain = open_scene(write_raster(tmp_path / "a.tif", data, names=BANDS.names, scale=2e-5, offset=-0.1))
    mixed_names = ("nir", "red", "swir16", "green", "blue")
    mixed = write_raster(
        tmp_path / "b.tif", data[[3, 2, 0, 1, 0]], names=mixed_names, scale=2e-5, offset=-0.1, nodata=65535
    )
    fit = check_scene(open_scene(mixed), SPEC)
    assert verdicts(fit)["bands"] is Verdict.FIXED
    assert "nir" in text_of(fit, "bands")
    window = plain.grid.window
    np.testing.assert_array_equal(fit.scene.read(window).data, plain.read(window).data)


def test_a_missing_band_is_refused_with_the_option_to_use(tmp_path):
    scene = open_scene(write_scene(tmp_path / "scene.tif")).select([0, 1, 2])
    fit = check_scene(scene, SPEC)
    assert verdicts(fit)["bands"] is Verdict.REFUSED
    with pytest.raises(ContractError, match=r"no match for nir.*--bands blue=N,green=N,red=N,nir=N"):
        fit.require()


def test_one_band_may_not_serve_twice(tmp_path):
    options = SceneOptions(bands={"blue": 1, "green": 2, "red": 3, "nir": 3})
    fit = check_scene(open_scene(write_scene(tmp_path / "scene.tif"), options=options), SPEC)
    assert verdicts(fit)["bands"] is Verdict.REFUSED
    assert "twice" in text_of(fit, "bands")


def test_unnamed_bands_are_refused_not_guessed(tmp_path):
    path = write_raster(tmp_path / "scene.tif", reflectance_dn(40, 40), scale=2e-5, offset=-0.1, nodata=65535)
    assert not check_scene(open_scene(path), SPEC).accepted
    mapping = SceneOptions(bands={"blue": 1, "green": 2, "red": 3, "nir": 4})
    assert check_scene(open_scene(path, options=mapping), SPEC).accepted


@pytest.mark.parametrize(("pixel", "verdict"), [(27.5, "fits"), (32.5, "fits"), (10, "fixed"), (60, "fixed")])
def test_gsd_within_ten_percent_fits_else_the_scene_is_resampled(tmp_path, pixel, verdict):
    path = write_scene(tmp_path / "scene.tif", transform=Affine(pixel, 0, 301905, 0, -pixel, 4154085))
    fit = check_scene(open_scene(path), SPEC)
    assert verdicts(fit)["GSD"].value == verdict
    assert fit.scene.grid.gsd_m == pytest.approx((30, 30) if verdict == "fixed" else (pixel, pixel), rel=1e-3)
    assert fit.source.grid.gsd_m == pytest.approx((pixel, pixel), rel=1e-3)


def test_a_far_too_coarse_scene_is_refused(tmp_path):
    path = write_scene(tmp_path / "scene.tif", transform=Affine(250, 0, 301905, 0, -250, 4154085))
    assert verdicts(check_scene(open_scene(path), SPEC))["GSD"] is Verdict.REFUSED


def uncalibrated_fit(tmp_path, gains):
    """The fit of an 8-bit scene whose DN are reflectance times `gains`, one for each band."""
    reflectance = reflectance_dn(64, 64) * 2e-5 - 0.1
    eight_bit = np.clip(reflectance * np.array(gains)[:, None, None], 1, 255).astype(np.uint8)
    return check_scene(open_scene(write_raster(tmp_path / "scene.tif", eight_bit, names=BANDS.names)), SPEC)


def test_an_uncalibrated_scene_is_scaled_by_its_own_means_and_said_to_be_unsure(tmp_path):
    fit = uncalibrated_fit(tmp_path, [500, 500, 500, 500])
    scaling = next(f for f in fit.findings if f.subject == "scaling")
    assert (scaling.verdict, scaling.unsure) == (Verdict.FIXED, True)
    np.testing.assert_allclose([band.scale for band in fit.bands], 1 / 500, rtol=0.1)
    raster = fit.scene.read(fit.scene.grid.window)
    np.testing.assert_allclose(fit.bands.normalise(raster.data, raster.valid).mean(axis=(1, 2)), 0, atol=0.3)


def test_differing_gains_of_bands_are_half_undone(tmp_path):
    even, uneven = (uncalibrated_fit(tmp_path, gains).bands for gains in ([500] * 4, [500, 500, 500, 250]))
    ratio = [(b[3].scale / b[0].scale) for b in (even, uneven)]
    assert ratio[1] / ratio[0] == pytest.approx(2**0.5, rel=0.02)


def test_standardising_can_be_forbidden_and_forced(tmp_path):
    data = reflectance_dn(64, 64)
    uncalibrated = open_scene(write_raster(tmp_path / "a.tif", data, names=BANDS.names))
    assert verdicts(check_scene(uncalibrated, SPEC, CheckOptions(standardise=False)))["scaling"] is Verdict.REFUSED
    calibrated = open_scene(write_scene(tmp_path / "b.tif"))
    assert verdicts(check_scene(calibrated, SPEC, CheckOptions(standardise=True)))["scaling"] is Verdict.FIXED


def test_standardising_a_calibrated_scene_keeps_its_offset(tmp_path):
    scene = open_scene(write_scene(tmp_path / "scene.tif"))
    plain, forced = check_scene(scene, SPEC), check_scene(scene, SPEC, CheckOptions(standardise=True))
    raster = scene.read(scene.grid.window)
    before, after = (fit.bands.physical(raster.data) for fit in (plain, forced))
    np.testing.assert_allclose(after / before, np.broadcast_to((after / before)[:, :1, :1], after.shape), rtol=1e-3)
    np.testing.assert_allclose(after.mean(axis=(1, 2)), [b.mean for b in BANDS], rtol=0.1)


def test_a_model_without_positive_means_cannot_standardise(tmp_path):
    bands = type(BANDS)(tuple(replace(band, mean=0.0, std=1.0) for band in BANDS))
    scene = open_scene(write_raster(tmp_path / "scene.tif", reflectance_dn(64, 64), names=BANDS.names))
    assert verdicts(check_scene(scene, replace(SPEC, bands=bands)))["scaling"] is Verdict.REFUSED


def test_wrong_scaling_is_refused_with_both_means_in_the_message(tmp_path):
    scene = open_scene(write_scene(tmp_path / "scene.tif", scale=2e-4, offset=-0.1))
    with pytest.raises(ContractError, match=r"means blue .* where the model expects about blue 0\.1"):
        check_scene(scene, SPEC).require()


def test_unusual_values_are_said_but_not_refused(tmp_path):
    scene = open_scene(write_scene(tmp_path / "scene.tif", offset=0.0))
    fit = check_scene(scene, SPEC)
    values = next(f for f in fit.findings if f.subject == "values")
    assert fit.accepted
    assert values.unsure


def test_a_scaling_that_was_only_assumed_is_said_to_be_unsure(tmp_path):
    dn = ((reflectance_dn(64, 64) * 2e-5 - 0.1) * 10000).clip(1).astype(np.int16)
    path = write_raster(tmp_path / "scene.tif", dn, names=("B02", "B03", "B04", "B08"))
    fit = check_scene(open_scene(path), SPEC)
    scaling = next(finding for finding in fit.findings if finding.subject == "scaling")
    assert (scaling.verdict, scaling.unsure) == (Verdict.FIXED, True)
    assert "assumed scaling" in scaling.text
    assert "sentinel-2" in scaling.text
    assert verdicts(fit)["values"] is Verdict.FITS


def test_float_reflectance_without_scale_is_taken_as_it_is(tmp_path):
    reflectance = (reflectance_dn(64, 64) * 2e-5 - 0.1).astype(np.float32)
    fit = check_scene(open_scene(write_raster(tmp_path / "scene.tif", reflectance, names=BANDS.names)), SPEC)
    assert verdicts(fit)["scaling"] is Verdict.FITS
    assert verdicts(fit)["values"] is Verdict.FITS


def test_black_pixels_without_a_nodata_value_are_taken_as_nodata_and_said(tmp_path):
    data = reflectance_dn(64, 64)
    data[:, :10] = 0
    data[0, 30] = 0  # zero in one band alone is ground
    path = write_scene(tmp_path / "scene.tif")
    path = write_raster(tmp_path / "black.tif", data, names=BANDS.names, scale=2e-5, offset=-0.1)
    fit = check_scene(open_scene(path), SPEC)
    assert verdicts(fit)["nodata"] is Verdict.FIXED
    valid = fit.scene.read(fit.scene.grid.window).valid
    assert not valid[:10].any()
    assert valid[10:].all()


def test_an_empty_scene_is_accepted_and_said(tmp_path):
    data = np.full((4, 32, 32), 65535, dtype=np.uint16)
    path = write_raster(tmp_path / "empty.tif", data, names=BANDS.names, scale=2e-5, offset=-0.1, nodata=65535)
    fit = check_scene(open_scene(path), SPEC)
    assert fit.accepted
    assert "empty" in text_of(fit, "values")


def test_a_scene_in_degrees_is_resampled_to_square_ground(tmp_path):
    degrees = Affine(30 / 111_320, 0, -112.9, 0, -30 / 111_320, 41.0)
    fit = check_scene(open_scene(write_scene(tmp_path / "s.tif", crs="EPSG:4326", transform=degrees)), SPEC)
    assert verdicts(fit)["GSD"] is Verdict.FIXED
    down, along = fit.scene.grid.gsd_m
    assert (down, along) == (pytest.approx(30, rel=0.01), pytest.approx(30, rel=0.01))


def test_statistics_come_from_the_bundle_and_calibration_from_the_scene(tmp_path):
    fit = check_scene(open_scene(write_scene(tmp_path / "scene.tif", transform=NORTH_UP)), SPEC)
    assert [(b.scale, b.offset) for b in fit.bands] == [(pytest.approx(2e-5), pytest.approx(-0.1))] * 4
    assert [(b.mean, b.std) for b in fit.bands] == [(b.mean, b.std) for b in BANDS]
