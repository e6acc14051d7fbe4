"""Several models on one scene: which belong together, what each of them gets, and the mean of what they say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from factory import BANDS, LEGEND, OTHER_SPEC, SPEC, reflectance_dn, write_raster, write_scene

from geoseg.core.bands import BandSet, BandStack
from geoseg.core.legend import Legend
from geoseg.core.provenance import Provenance
from geoseg.errors import ContractError, InputError
from geoseg.inference import networks as room
from geoseg.inference.contract import check_ensemble, check_scene
from geoseg.inference.networks import open_networks
from geoseg.inference.precision import Choice
from geoseg.io.scene import open_scene
from geoseg.models.bundle import Bundle
from geoseg.models.ensemble import Ensemble, as_ensemble
from geoseg.models.runtime import RuntimeOptions
from geoseg.models.runtime.averaged import AveragedRuntime


def bundle(name="a", spec=SPEC, *, folder="models"):
    """A bundle without a file."""
    return Bundle(
        path=Path(folder) / f"{name}.geoseg",
        name=name,
        spec=spec,
        provenance=Provenance(versions={}),
        card="",
        statistics={},
        has_graph=False,
        sha256=f"{folder}/{name}",
    )


# which belong together


def test_statistics_networks_and_strides_may_differ():
    other = replace(OTHER_SPEC, architecture="fpn", decoder_channels=None, stride=96)
    ensemble = Ensemble(bundles=(bundle("a"), bundle("b", other)))
    assert ensemble.spec == replace(SPEC, stride=96)
    assert Ensemble(bundles=(bundle("a", replace(SPEC, stride=64)), bundle("b", other))).spec.stride == 192
    assert ensemble.hashes == {"a.geoseg": "models/a", "b.geoseg": "models/b"}


def test_one_is_an_ensemble():
    one = bundle()
    assert as_ensemble(one).bundles == (one,)
    assert as_ensemble(one).spec == SPEC
    assert as_ensemble(as_ensemble(one)) == as_ensemble(one)


def test_files_of_one_name_are_told_apart():
    found = Ensemble(bundles=(bundle(folder="one"), bundle(folder="two"), bundle("b")))
    assert found.names == ("one/a.geoseg", "two/a.geoseg", "b.geoseg")
    assert len(found.hashes) == 3


REVERSED = BandSet(tuple(reversed(BANDS.bands)))
RENAMED = Legend((LEGEND[0], replace(LEGEND[1], name="built-up"), LEGEND[2]))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"bands": REVERSED}, "found the bands nir, red, green, blue, needed blue, green, red, nir"),
        ({"bands": BANDS.select((0, 1, 2)), "indices": ()}, "bands blue, green, red, needed blue, green, red, nir"),
        (
            {"bands": BandSet((*BANDS.bands[:3], replace(BANDS[3], common_name="nir08")))},
            "nir (nir08), needed blue, green, red, nir",
        ),
        ({"indices": ()}, "found the indices none, needed ndvi"),
        ({"indices": ("ndwi", "ndvi")}, "found the indices ndwi, ndvi, needed ndvi"),
        ({"legend": RENAMED}, "found the classes 1 water, 2 built-up, 4 forest, needed 1 water, 2 developed, 4 forest"),
        ({"legend": Legend(LEGEND.classes[::-1])}, "found the classes 4 forest, 2 developed, 1 water"),
        ({"legend": Legend(LEGEND.classes[:2])}, "found the classes 1 water, 2 developed, needed"),
        ({"gsd_m": 10.0}, "found the GSD 10 m, needed 30 m"),
    ],
)
def test_what_differs_is_named(changes, said):
    with pytest.raises(InputError, match=r"b\.geoseg cannot be averaged with a\.geoseg") as error:
        Ensemble(bundles=(bundle("a"), bundle("b", replace(SPEC, **changes))))
    assert said in str(error.value)
    assert "same order, and the same GSD" in str(error.value)


def test_every_difference_is_named_and_colours_are_none():
    with pytest.raises(InputError, match=r"the indices none.*; found the GSD 10 m"):
        Ensemble(bundles=(bundle("a"), bundle("b", replace(SPEC, indices=(), gsd_m=10))))
    painted = Legend(tuple(replace(c, colour="#000000") for c in LEGEND))
    ensemble = Ensemble(bundles=(bundle("a"), bundle("b", replace(SPEC, legend=painted))))
    assert ensemble.spec.legend == LEGEND


def test_none_and_the_same_one_twice_are_refused():
    with pytest.raises(InputError, match="found no model"):
        Ensemble(bundles=())
    twin = replace(bundle("b"), sha256=bundle("a").sha256)
    with pytest.raises(InputError, match=r"b\.geoseg is the same model as a\.geoseg; name each model once"):
        Ensemble(bundles=(bundle("a"), twin))
    with pytest.raises(InputError, match="is the same model as"):
        Ensemble(bundles=(bundle("a"), bundle("a")))


# what each of them gets


ENSEMBLE = Ensemble(bundles=(bundle("a"), bundle("b", OTHER_SPEC)))


def test_each_gets_channels_by_its_own_statistics(tmp_path):
    fit = check_ensemble(open_scene(write_scene(tmp_path / "scene.tif")), ENSEMBLE).require()
    raw, valid = reflectance_dn(96, 96), np.ones((96, 96), dtype=bool)
    valid[:5] = False
    found = fit.stack.normalise(raw, valid, SPEC.indices)
    own = [check_scene(fit.source, spec).bands.normalise(raw, valid, SPEC.indices) for spec in (SPEC, OTHER_SPEC)]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.concatenate(own))
    assert not found[:, :5].any()
    assert np.abs(found[:4] - found[5:9]).max() > 0.3
    np.testing.assert_array_equal(found[4], found[9], err_msg="the index is of reflectance")


def test_of_one_model_the_stack_is_its_bands(tmp_path):
    scene = open_scene(write_scene(tmp_path / "scene.tif"))
    fit = check_ensemble(scene, as_ensemble(bundle()))
    assert fit.findings == check_scene(scene, SPEC).findings
    assert fit.stack == fit.bands == check_scene(scene, SPEC).bands


def test_without_calibration_each_is_led_to_its_own_training_means(tmp_path):
    path = write_raster(tmp_path / "s.tif", reflectance_dn(96, 96) // 300, names=BANDS.names, nodata=255)
    scene = open_scene(path)
    fit = check_ensemble(scene, ENSEMBLE).require()
    assert isinstance(fit.stack, BandStack)
    assert fit.bands == check_scene(scene, SPEC).bands
    assert fit.others == (check_scene(scene, OTHER_SPEC).bands,)
    assert fit.bands[0].scale != fit.others[0][0].scale


def test_findings_that_differ_name_the_model(tmp_path):
    fit = check_ensemble(open_scene(write_scene(tmp_path / "scene.tif")), ENSEMBLE)
    values = [finding.text for finding in fit.findings if finding.subject == "values"]
    assert len(values) == 2
    assert not values[0].endswith("(b.geoseg)")
    assert values[1].endswith("(b.geoseg)")
    assert len([finding for finding in fit.findings if finding.subject != "values"]) == 6


def test_a_scene_that_one_of_them_refuses_is_refused(tmp_path):
    far = replace(SPEC, bands=BandSet(tuple(replace(band, mean=band.mean + 9 * band.std) for band in BANDS)))
    scene = open_scene(write_scene(tmp_path / "scene.tif"))
    fit = check_ensemble(scene, Ensemble(bundles=(bundle("a"), bundle("far", far))))
    with pytest.raises(ContractError, match=r"values: means .* \(far\.geoseg\)"):
        fit.require()
    short = open_scene(write_raster(tmp_path / "short.tif", reflectance_dn(40, 40)[:2], names=BANDS.names[:2]))
    with pytest.raises(ContractError, match="has no match for red, nir"):
        check_ensemble(short, ENSEMBLE).require()


# the mean of what they say


class Scaled:
    """Two classes from its two channels, times a factor."""

    def __init__(self, factor, name="scaled", streams=3):
        self.factor, self.name, self.streams = factor, name, streams

    def __call__(self, batch):
        assert batch.shape[1] == 2
        return batch * np.float32(self.factor)


def test_the_mean_of_networks_each_with_its_own_channels():
    batch = np.random.default_rng(0).random((2, 6, 8, 16)).astype(np.float32)
    before = batch.copy()
    found = AveragedRuntime([Scaled(1), Scaled(2), Scaled(4, streams=2)])
    expected = (batch[:, :2] + 2 * batch[:, 2:4] + 4 * batch[:, 4:]) / 3
    result = found(batch)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, rtol=1e-6)
    np.testing.assert_array_equal(batch, before)
    assert found.name == "mean of 3 networks (scaled)"
    assert found.streams == 2
    assert AveragedRuntime([Scaled(1, "x"), Scaled(1, "y")]).name == "mean of 2 networks (x; y)"


@pytest.fixture
def opened(monkeypatch):
    """Fits and bundles that were opened, with choices by the bundle's name."""
    calls = []
    choices = {
        "a": Choice(precision="bf16", reason="agrees", compared=True),
        "b": Choice(precision="fp32", reason="bf16 does not agree", compared=True),
        "c": Choice(precision="fp32", reason="the scene is small"),
        "d": Choice(precision="fp32", reason="the scene is small"),
    }

    def open_for_scene(fit, bundle, options, precision):
        calls.append((fit, bundle.name, precision))
        return Scaled(1, f"network in {choices[bundle.name].precision}"), choices[bundle.name]

    monkeypatch.setattr(room, "open_for_scene", open_for_scene)
    return calls


def networks(tmp_path, *names, tta="none"):
    specs = (SPEC, OTHER_SPEC)[: len(names)]
    ensemble = Ensemble(bundles=tuple(bundle(name, spec) for name, spec in zip(names, specs, strict=True)))
    fit = check_ensemble(open_scene(write_scene(tmp_path / "scene.tif")), ensemble)
    return fit, open_networks(fit, ensemble, RuntimeOptions(), "auto", tta)


def test_each_network_is_opened_with_its_own_fit_and_all_choices_are_told(opened, tmp_path):
    fit, found = networks(tmp_path, "a", "b")
    assert [(own.bands, own.others, name, asked) for own, name, asked in opened] == [
        (fit.bands, (), "a", "auto"),
        (fit.others[0], (), "b", "auto"),
    ]
    assert found.choice.precision == "bf16 and fp32"
    assert found.choice.reason == "a.geoseg in bf16: agrees; b.geoseg in fp32: bf16 does not agree"
    assert found.runtime.name == "mean of 2 networks (network in bf16; network in fp32)"


def test_where_all_agree_it_is_said_once(opened, tmp_path):
    _, found = networks(tmp_path, "c", "d", tta="d4")
    assert found.choice == Choice(precision="fp32", reason="the scene is small")
    assert found.runtime.name == "mean of 2 networks (network in fp32); mean of 8 views (d4)"


def test_a_comparison_was_without_augmentation_and_says_so(opened, tmp_path):
    assert networks(tmp_path, "a", tta="none")[1].choice.reason == "agrees"
    choice = networks(tmp_path, "a", tta="flips")[1].choice
    assert (choice.precision, choice.reason) == ("bf16", "agrees; compared without test-time augmentation")
    assert networks(tmp_path, "c", tta="flips")[1].choice.reason == "the scene is small"


def test_everything_that_numbers_depend_on_is_in_the_identity(opened, tmp_path):
    plain = networks(tmp_path, "a")[1].identity
    assert plain["runtime"] == "network in bf16"
    assert plain["test-time augmentation"] == "none"
    assert plain["bands.0.mean"] == "0.1"
    assert networks(tmp_path, "a", tta="d4")[1].identity == plain | {"test-time augmentation": "d4"}
    both = networks(tmp_path, "a", "b")[1].identity
    assert float(both["bands for b.geoseg.0.mean"]) == pytest.approx(0.12)
    assert {name for name in plain if both[name] != plain[name]} == {"runtime"}
