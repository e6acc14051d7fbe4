"""Test-time augmentation: the mean of transformed runs, by independent computations, and its symmetries."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geoseg.errors import InputError
from geoseg.inference.options import PredictOptions
from geoseg.models.bundle import load_bundle
from geoseg.models.runtime import open_runtime
from geoseg.models.runtime.augmented import SCALES, TTA, AugmentedRuntime, augmented
from geoseg.models.runtime.averaged import AveragedRuntime

STRIDE = 8
TURNS = [(quarter, mirrored) for mirrored in (False, True) for quarter in range(4)]


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


class Pointwise:
    """Three classes, from the channels of each pixel alone."""

    name = "pointwise"
    streams = 2

    def __call__(self, batch):
        return softmax(np.stack([batch[:, 0], -batch[:, 1], 0.5 * batch[:, 0] * batch[:, 1]], axis=1))


class Lopsided:
    """Three classes, from a filter that has no symmetry at all; takes multiples of the stride only."""

    name = "lopsided"
    streams = 1

    def __init__(self):
        generator = torch.Generator().manual_seed(3)
        self.weight = torch.randn((3, 2, 5, 3), generator=generator)
        self.shapes = []

    def __call__(self, batch):
        assert batch.dtype == np.float32
        assert not any(length % STRIDE for length in batch.shape[2:])
        self.shapes.append(batch.shape)
        with torch.inference_mode():
            logits = torch.nn.functional.conv2d(torch.from_numpy(batch), self.weight, padding=(2, 1))
        return softmax(logits.numpy())


def tiles(rows=48, cols=32, count=2):
    return np.random.default_rng(1).normal(size=(count, 2, rows, cols)).astype(np.float32)


def turned(values, quarter, mirrored):
    values = np.rot90(values, quarter, axes=(2, 3))
    return np.ascontiguousarray(values[..., ::-1] if mirrored else values)


def turned_back(values, quarter, mirrored):
    return np.rot90(values[..., ::-1] if mirrored else values, -quarter, axes=(2, 3))


def assert_probabilities(found, batch):
    assert found.dtype == np.float32
    assert found.shape == (len(batch), 3, *batch.shape[2:])
    assert found.min() >= 0
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=0, atol=2e-6)


@pytest.mark.parametrize("tta", TTA)
def test_a_pointwise_network_is_not_changed(tta):
    """Where values change slowly, since scales smooth what changes within a few pixels."""
    row, col = np.mgrid[:48, :32].astype(np.float32)
    batch = np.stack([np.sin(row / 40), np.cos(col / 30) + row / 50])[None]
    found = augmented(Pointwise(), tta, STRIDE)(batch)
    assert_probabilities(found, batch)
    np.testing.assert_allclose(found, Pointwise()(batch), rtol=0, atol=5e-3 if tta == "scales" else 1e-6)


@pytest.mark.parametrize("tta", ["flips", "d4"])
def test_without_resampling_a_pointwise_network_is_not_changed_by_anything(tta):
    batch = tiles()
    np.testing.assert_allclose(augmented(Pointwise(), tta, STRIDE)(batch), Pointwise()(batch), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("tta", "turns"),
    [("flips", [(0, False), (2, False), (0, True), (2, True)]), ("d4", TURNS)],
)
def test_it_is_the_mean_of_turned_runs(tta, turns):
    batch, network = tiles(), Lopsided()
    expected = np.mean([turned_back(network(turned(batch, *turn)), *turn) for turn in turns], axis=0)
    asked = Lopsided()
    found = augmented(asked, tta, STRIDE)(batch)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert_probabilities(found, batch)
    assert len(asked.shapes) == len(turns)
    assert np.abs(found - network(batch)).max() > 0.1, "the network has no symmetry"


def test_scales_are_the_mean_of_resized_runs():
    batch, network = tiles(rows=64, cols=32), Lopsided()

    def resized(values, shape):
        values = torch.nn.functional.interpolate(torch.from_numpy(values), shape, mode="bilinear", antialias=True)
        return values.numpy()

    views = [resized(network(resized(batch, shape)), (64, 32)) for shape in ((48, 24), (80, 40))]
    asked = Lopsided()
    found = augmented(asked, "scales", STRIDE)(batch)
    np.testing.assert_allclose(found, np.mean([network(batch), *views], axis=0), rtol=0, atol=3e-6)
    assert_probabilities(found, batch)
    assert [shape[2:] for shape in asked.shapes] == [(64, 32), (48, 24), (80, 40)]
    assert np.abs(found - network(batch)).max() > 0.1


@pytest.mark.parametrize("tta", ["flips", "d4"])
@pytest.mark.parametrize("turn", TURNS)
def test_a_turned_tile_gives_the_turned_result(tta, turn):
    network = augmented(Lopsided(), tta, STRIDE)
    batch = tiles()
    expected = turned(network(batch), *turn)
    found = network(turned(batch, *turn))
    if tta == "flips" and turn[0] % 2:
        assert np.abs(found - expected).max() > 0.1, "flips hold no quarter turns"
    else:
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_a_real_network_turns_with_its_tile(tiny_bundle):
    network = open_runtime(load_bundle(tiny_bundle))
    batch = np.random.default_rng(2).normal(size=(1, 5, 64, 96)).astype(np.float32)
    d4, turn = augmented(network, "d4", 32), (1, True)
    np.testing.assert_allclose(d4(turned(batch, *turn)), turned(d4(batch), *turn), rtol=0, atol=2e-5)
    assert np.abs(network(turned(batch, *turn)) - turned(network(batch), *turn)).max() > 1e-3
    scales = augmented(network, "scales", 32)(batch)
    assert_probabilities(scales, batch)
    assert np.abs(scales - network(batch)).max() > 1e-3


# scales


def test_sides_become_multiples_of_the_stride_at_exactly_the_scale():
    """Tiles of 40 x 24 at 0.75 are 30 x 18; the rest mirrors their end, and the scale stays as it is."""
    asked = Lopsided()
    augmented(asked, "scales", STRIDE)(tiles(rows=40, cols=24))
    assert [shape[2:] for shape in asked.shapes] == [(40, 24), (32, 24), (56, 32)]
    row = np.arange(40, dtype=np.float32)[:, None] + np.ones((1, 24), dtype=np.float32)
    views = []

    class Watching(Pointwise):
        def __call__(self, batch):
            views.append(batch)
            return super().__call__(batch)

    augmented(Watching(), "scales", STRIDE)(np.stack([row, row])[None])
    inside = views[1][0, 0, 1:29]
    assert inside.shape == (28, 24)
    steps = np.diff(inside[:, 0])
    assert steps.mean() == pytest.approx(1 / 0.75, rel=1e-2)
    np.testing.assert_array_equal(views[1][0, :, 30:], views[1][0, :, 29:27:-1])


@pytest.mark.parametrize("side", [8, 16])
def test_the_smallest_tiles_and_long_strides_work(side):
    network = AugmentedRuntime(Pointwise(), "scales", 128)
    batch = tiles(rows=side, cols=8)
    assert_probabilities(network(batch), batch)


def with_hole(batch):
    """Nodata (0 in every channel) in a corner, a block and a lone valid pixel within it."""
    batch[:, :, :13, :11] = 0
    batch[:, :, 25:37, 9:20] = 0
    batch[:, :, 30, 14] = (1.5, -0.5)
    return batch, batch.any(axis=1)


def test_valid_pixels_do_not_mix_with_nodata():
    """Of one kind of ground, everything valid keeps its probabilities up to the edge of the nodata."""
    ground = np.empty((1, 2, 48, 32), dtype=np.float32)
    ground[:] = np.array([1.5, -0.5])[:, None, None]
    batch, valid = with_hole(ground)
    found = augmented(Pointwise(), "scales", STRIDE)(batch)
    assert_probabilities(found, batch)
    expected = Pointwise()(batch)
    apart = valid[0].copy()
    apart[30, 14] = False
    np.testing.assert_allclose(found[0][:, apart], expected[0][:, apart], rtol=0, atol=2e-3)


def test_nodata_stays_zero_in_every_view():
    values = np.random.default_rng(1).uniform(1, 3, (1, 2, 48, 32)).astype(np.float32)
    batch, _ = with_hole(values)
    seen = []

    class Watching(Pointwise):
        def __call__(self, batch):
            seen.append(batch)
            return super().__call__(batch)

    augmented(Watching(), "scales", STRIDE)(batch)
    for scale, view in zip((1, *SCALES), seen, strict=True):
        nodata = ~view.any(axis=1)[0]
        assert nodata[: int(12 * scale), : int(10 * scale)].all()
        assert not nodata[int(14 * scale) + 1 : int(24 * scale)].any()
        assert (view[0, 0][~nodata] >= 1 - 1e-6).all(), "no valid value is faded towards 0"


def test_all_nodata_is_no_trouble():
    batch = np.zeros((1, 2, 16, 16), dtype=np.float32)
    assert_probabilities(augmented(Pointwise(), "scales", STRIDE)(batch), batch)


# what is said, and what is refused


def test_none_is_the_network_itself_and_others_say_what_they_are():
    network = Pointwise()
    assert augmented(network, "none", STRIDE) is network
    assert augmented(network, "d4", STRIDE).name == "pointwise; mean of 8 views (d4)"
    assert augmented(network, "scales", STRIDE).streams == 2


def test_the_same_tile_gives_the_same_bits_and_is_left_alone():
    batch = tiles()
    before = batch.copy()
    for tta in TTA:
        network = augmented(Lopsided(), tta, STRIDE)
        first = network(batch)
        kept = first.copy()
        np.testing.assert_array_equal(network(batch), kept)
        np.testing.assert_array_equal(first, kept, err_msg="a result is not written into again")
    np.testing.assert_array_equal(batch, before)


class Echo:
    """Gives back the very array it was given."""

    name = "echo"
    streams = 1

    def __call__(self, batch):
        return batch


def test_what_a_network_gives_is_not_written_into():
    batch = tiles()
    before = batch.copy()
    for network in (augmented(Echo(), "d4", STRIDE), AveragedRuntime([Echo(), Echo()])):
        network(batch)
        np.testing.assert_array_equal(batch, before)


def test_an_unknown_augmentation_is_refused():
    for make in (lambda: augmented(Pointwise(), "flip", STRIDE), lambda: PredictOptions(tta="flip")):
        with pytest.raises(InputError, match="'flip' is unknown, choose from none, flips, d4, scales"):
            make()
