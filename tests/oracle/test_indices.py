from __future__ import annotations

import numpy as np
import pytest

from geoseg.core.indices import INDICES

spyndex = pytest.importorskip("spyndex", reason="the catalogue of spectral indices is not installed")

THEIR_NAME = {"bsi": "BI"}
THEIR_BANDS = {"blue": "B", "green": "G", "red": "R", "nir": "N", "swir16": "S1", "swir22": "S2"}
CONSTANTS = {"L": 0.5, "g": 2.5, "C1": 6.0, "C2": 7.5}


def reflectance(seed=1, low=0.005, high=0.8):
    rng = np.random.default_rng(seed)
    return {band: rng.uniform(low, high, (20, 30)) for band in THEIR_BANDS}


def compute(name, bands):
    index = INDICES[name]
    return index.formula(*(bands[common] for common in index.bands))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", INDICES)
def test_an_index_is_that_of_the_catalogue(name, dtype):
    bands = {band: values.astype(dtype) for band, values in reflectance().items()}
    constants = CONSTANTS | ({"L": 1.0} if name.startswith("evi") else {})  # EVI's L is another constant than SAVI's
    params = constants | {THEIR_BANDS[band]: values.astype(np.float64) for band, values in bands.items()}
    theirs = spyndex.computeIndex(index=THEIR_NAME.get(name, name.upper()), params=params)
    ours = compute(name, bands)
    assert ours.dtype == np.float32
    denominator = 0.02 if name == "evi" else 1  # the denominator of EVI can be small
    np.testing.assert_allclose(ours, theirs, rtol=1e-5 / denominator, atol=1e-6)


def test_the_catalogue_and_the_table_name_the_same_bands():
    for name, index in INDICES.items():
        theirs = set(spyndex.indices[THEIR_NAME.get(name, name.upper())].bands)
        assert theirs - {"L", "g", "C1", "C2"} == {THEIR_BANDS[band] for band in index.bands}, name


@pytest.mark.parametrize("name", INDICES)
def test_an_index_of_blackness_is_zero(name):
    black = {band: np.zeros((2, 2)) for band in THEIR_BANDS}
    assert (compute(name, black) == 0).all()


@pytest.mark.parametrize(
    ("name", "bands"),
    [
        ("ndvi", {"nir": 0.25, "red": -0.25}),
        ("evi", {"nir": 0.5, "red": 0.0, "blue": 0.2}),  # 0.5 - 7.5 * 0.2 + 1
        ("evi2", {"nir": 0.2, "red": -0.5}),
        ("savi", {"nir": 0.0, "red": -0.5}),
        ("bsi", {"swir16": 0.25, "red": 0.25, "nir": -0.25, "blue": -0.25}),
    ],
)
def test_a_vanishing_denominator_gives_zero(name, bands):
    arrays = {band: np.array([value]) for band, value in bands.items()}
    assert compute(name, arrays).tolist() == [0]


def test_msavi_of_a_negative_radicand_is_finite():
    values = compute("msavi", {"nir": np.array([0.5]), "red": np.array([-0.1])})
    assert values.tolist() == [1]  # (2 nir + 1) / 2


@pytest.mark.parametrize("name", INDICES)
def test_a_missing_number_in_any_band_stays_missing(name):
    for missing in INDICES[name].bands:
        bands = reflectance()
        bands[missing][3, 4] = np.nan
        index = compute(name, bands)
        assert np.isnan(index[3, 4])
        assert np.isnan(index).sum() == 1


@pytest.mark.parametrize("name", sorted({*INDICES} - {"evi", "evi2", "savi", "msavi"}))
def test_differences_over_sums_lie_between_minus_one_and_one(name):
    assert np.abs(compute(name, reflectance(low=0.0, high=1.0))).max() <= 1
