"""Warps: labels follow the image, nothing comes from outside, several warps are one."""

from __future__ import annotations

import math

import pytest
import torch
from factory import BANDS
from torch.nn.functional import one_hot

from geoseg.core.legend import UNLABELLED
from geoseg.data.augment.batch import Batch
from geoseg.data.augment.random import Random
from geoseg.data.augment.resample import identity, resample
from geoseg.data.augment.technique import Change, Warp, augment
from geoseg.data.augment.warp.affine import Affine
from geoseg.data.augment.warp.crop import Crop
from geoseg.data.augment.warp.elastic import Elastic
from geoseg.data.augment.warp.flip import Flip
from geoseg.data.augment.warp.perspective import Perspective
from geoseg.data.augment.warp.scale import Scale
from geoseg.data.augment.warp.turn import Turn
from geoseg.errors import InputError

CLASSES = 4
ALL = {
    "affine": Affine(chance=1),
    "scale": Scale(chance=1),
    "perspective": Perspective(chance=1),
    "elastic": Elastic(chance=1),
    "flip": Flip(chance=1),
    "turn": Turn(chance=1),
}


def batch(chips=4, rows=64, cols=64, *, soft=False):
    """Patches of the classes 1 to 3 whose values tell the class: 10 * class - 15, far outside of [0, 1]."""
    generator = torch.Generator().manual_seed(5)
    coarse = torch.randint(1, CLASSES, (chips, -(-rows // 16), -(-cols // 16)), generator=generator)
    labels = coarse.repeat_interleave(16, 1).repeat_interleave(16, 2)[:, :rows, :cols]
    return Batch(
        values=(10.0 * labels - 15)[:, None].repeat(1, len(BANDS), 1, 1),
        valid=torch.ones((chips, rows, cols), dtype=torch.bool),
        labels=labels.to(torch.uint8),
        soft=one_hot(labels, CLASSES).permute(0, 3, 1, 2).float() if soft else None,
        sun=torch.tensor([135.0, 40.0]).expand(chips, 2),
        bands=BANDS,
        classes=CLASSES,
        gsd_m=10.0,
    )


def noise(chips=3, rows=48, cols=48):
    values = torch.randn((chips, len(BANDS), rows, cols), generator=torch.Generator().manual_seed(1))
    labels = torch.randint(0, 3, (chips, rows, cols), generator=torch.Generator().manual_seed(2)).to(torch.uint8)
    return Batch(
        values=values,
        valid=torch.ones((chips, rows, cols), dtype=torch.bool),
        labels=labels,
        soft=None,
        sun=torch.full((chips, 2), float("nan")),
        bands=BANDS,
        classes=CLASSES,
        gsd_m=10.0,
    )


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("shape", [(64, 64), (64, 96)])
def test_labels_follow_the_image_and_nothing_comes_from_outside(name, shape):
    before = batch(8, *shape, soft=True)
    copy = before.values.clone(), before.labels.clone()
    after = augment(before, [ALL[name]], Random.seeded(0))
    assert isinstance(ALL[name], Warp)
    assert torch.equal(before.values, copy[0])
    assert torch.equal(before.labels, copy[1])
    pure = after.valid & ((after.values[:, 0] + 15) % 10 < 1e-3)  # away from the borders between classes
    assert pure.float().mean() > 0.3
    known = pure & (after.labels != UNLABELLED)
    assert torch.equal(((after.values[:, 0] + 15) / 10).round()[known], after.labels[known].float())
    assert after.sun.isnan().all(), "it moved with the ground"
    assert not (after.labels == 0).any(), "class 0 is nowhere in the chips: it would be padding"
    assert torch.equal(after.valid, after.labels != UNLABELLED)
    assert torch.equal(after.soft.sum(dim=1), (after.labels != UNLABELLED).float())
    assert torch.equal(after.soft.argmax(dim=1)[known], after.labels[known].long())
    assert after.values[:, 0][pure].min() == pytest.approx(-5)
    assert after.values[:, 0][pure].max() == pytest.approx(15, abs=1e-4)


@pytest.mark.parametrize("name", ALL)
def test_the_same_seed_gives_the_same_chips(name):
    runs = [augment(batch(), [ALL[name]], Random.seeded(seed)).values for seed in (1, 1, 2, 3, 4)]
    assert torch.equal(runs[0], runs[1])
    assert not all(torch.equal(runs[0], other) for other in runs[2:])


def test_flips_and_turns_are_exact_and_reach_all_eight():
    before = noise(64)
    after = augment(before, [Flip(), Turn()], Random.seeded(3))
    assert after.valid.all()
    eight = [torch.rot90(t, k, (-2, -1)) for t in (before.values, before.values.flip(-1)) for k in range(4)]
    maps = [torch.rot90(t, k, (-2, -1)) for t in (before.labels, before.labels.flip(-1)) for k in range(4)]
    found = set()
    for i in range(64):
        ((number),) = [n for n in range(8) if torch.allclose(after.values[i], eight[n][i], atol=1e-4)]
        assert torch.equal(after.labels[i], maps[number][i])
        found.add(number)
    assert found == set(range(8))


@pytest.mark.parametrize(("axes", "dim"), [("horizontal", -1), ("vertical", -2)])
def test_flip_of_one_axis(axes, dim):
    before = noise(5, 40, 56)
    after = augment(before, [Flip(chance=1, axes=axes)], Random.seeded(0))
    torch.testing.assert_close(after.values, before.values.flip(dim), atol=1e-4, rtol=0)
    assert torch.equal(after.labels, before.labels.flip(dim))


def test_chips_that_are_no_squares_are_turned_by_half():
    before = noise(6, 40, 56)
    after = augment(before, [Turn(chance=1)], Random.seeded(0))
    assert torch.equal(after.labels, before.labels.flip(-1, -2))


def test_affine_without_shear_and_shift_turns():
    before = noise(1)
    places = Affine(chance=1, shear_degrees=0, shift=0).move(identity(before), Random.seeded(2))
    angle = torch.atan2(places[0, 0, -1, 1] - places[0, 0, 0, 1], places[0, 0, -1, 0] - places[0, 0, 0, 0])
    radius = places[0].norm(dim=-1)
    torch.testing.assert_close(radius, identity(before)[0].norm(dim=-1), atol=1e-3, rtol=0)
    assert angle.abs() > 0.01
    x, y = identity(before).unbind(-1)
    turned = torch.stack([x * angle.cos() - y * angle.sin(), x * angle.sin() + y * angle.cos()], dim=-1)
    torch.testing.assert_close(places, turned, atol=1e-3, rtol=0)


def test_affine_keeps_within_its_options():
    places = Affine(chance=1, turn_degrees=0, shear_degrees=0, shift=0.1).move(identity(batch(50)), Random.seeded(0))
    shifts = (places - identity(batch(50)))[:, 0, 0]
    assert shifts.abs().max() <= 6.4
    assert shifts.abs().max() > 5
    none = Affine(chance=1, turn_degrees=0, shear_degrees=0, shift=0).move(identity(batch()), Random.seeded(0))
    torch.testing.assert_close(none, identity(batch()))


def test_perspective_moves_corners_by_at_most_its_distortion():
    places = identity(batch(20))
    found = Perspective(chance=1, distortion=0.25).move(places, Random.seeded(0))
    outermost = (found - places)[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert 4 < outermost.abs().max() <= 0.25 * 32 + 0.2
    straight = found[:, :, 10]  # straight lines stay straight
    first, middle, last = straight[:, 0], straight[:, 30], straight[:, -1]
    cross = (middle - first)[:, 0] * (last - first)[:, 1] - (middle - first)[:, 1] * (last - first)[:, 0]
    assert (cross.abs() / (last - first).norm(dim=1)).max() < 1e-2


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_scale_changes_areas_by_its_square(factor):
    disc = batch(1, 128, 128)
    x, y = identity(disc)[0].unbind(-1)
    inside = (x**2 + y**2).sqrt() < 20
    disc.labels[:] = torch.where(inside, 2, 1).to(torch.uint8)
    after = augment(disc, [Scale(chance=1, factors=(factor, factor))], Random.seeded(0))
    assert (after.labels == 2).sum() == pytest.approx(math.pi * 400 * factor**2, rel=0.02)
    assert after.valid.float().mean() == pytest.approx(min(1, factor**2), abs=0.03)


def test_elastic_is_smooth_and_as_large_as_asked():
    places = identity(batch(30, 128, 128))
    shifts = Elastic(chance=1, shift_px=3, spacing_px=32).move(places, Random.seeded(0)) - places
    assert 1.5 < shifts.std() < 3.5
    assert shifts.diff(dim=1).abs().max() < 1, "ground does not fold"
    assert shifts.std(dim=0).min() > 1, "everywhere"


def test_elastic_follows_places_and_not_pixels():
    elastic = Elastic(chance=1, shift_px=3)
    places = identity(batch(1))
    flipped = elastic.move(places.flip(2), Random.seeded(0))
    torch.testing.assert_close(flipped, elastic.move(places, Random.seeded(0)).flip(2))


def test_several_warps_are_resampled_once():
    before = noise()
    warps = [Affine(chance=1, turn_degrees=20), Flip(chance=1), Scale(chance=1)]
    random, places = Random.seeded(4), identity(before)
    for warp in warps:
        random.chosen(len(before), 1.0)
        places = warp.move(places, random)
    torch.testing.assert_close(augment(before, warps, Random.seeded(4)).values, resample(before, places).values)


def test_pixels_of_which_a_part_was_invalid_are_invalid():
    before = batch(2)
    before.valid[:, 20:30, 20:30] = False
    before.values[:, :, 20:30, 20:30] = 1e6  # must not show
    after = augment(before, [Affine(chance=1, shift=0)], Random.seeded(0))
    assert (after.values[:, 0][after.valid] <= 15.01).all()
    assert (~after.valid).any()


def test_crop_is_a_part_of_every_chip_pixel_by_pixel():
    before = noise(6, 48, 64)
    crop = Crop(size=32)
    assert isinstance(crop, Change)
    after = augment(before, [crop], Random.seeded(0))
    tops = set()
    for i in range(6):
        places = [
            (row, col)
            for row in range(17)
            for col in range(33)
            if torch.equal(before.values[i, 0, row : row + 32, col : col + 32], after.values[i, 0])
        ]
        ((row, col),) = places
        assert torch.equal(before.labels[i, row : row + 32, col : col + 32], after.labels[i])
        tops.add((row, col))
    assert len(tops) > 3
    with pytest.raises(InputError, match="chips have 48 x 64 px, needed 96"):
        augment(before, [Crop(size=96)], Random.seeded(0))
