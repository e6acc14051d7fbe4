"""Mixing: what is pasted comes with its labels, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from factory import BANDS
from torch.nn.functional import one_hot

from geoseg.core.legend import UNLABELLED
from geoseg.data.augment.batch import Batch
from geoseg.data.augment.mix.classmix import ClassMix
from geoseg.data.augment.mix.copypaste import CopyPaste
from geoseg.data.augment.mix.cutout import Cutout
from geoseg.data.augment.random import Random
from geoseg.data.augment.technique import Change, augment

CLASSES = 5
ALL = [ClassMix(chance=1), CopyPaste(chance=1), Cutout(chance=1)]


def batch(chips=6, rows=48, cols=64, *, soft=False):
    """Values tell chip and class: 100 * chip + class, plus 0.5 where invalid; class 4 is rare."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 4, (chips, rows // 8, cols // 8), generator=generator)
    labels = labels.repeat_interleave(8, 1).repeat_interleave(8, 2)
    labels[:, 10:13, 20:24] = 4
    numbers = torch.arange(chips)[:, None, None] * 100
    values = (numbers + labels).float()
    valid = torch.ones_like(labels, dtype=torch.bool)
    valid[:, :5], labels[:, 40:] = False, UNLABELLED
    values[~valid] += 0.5
    known = labels != UNLABELLED
    shares = one_hot(labels.clamp(max=CLASSES - 1), CLASSES).permute(0, 3, 1, 2).float() * known[:, None]
    return Batch(
        values=values[:, None].repeat(1, len(BANDS), 1, 1),
        valid=valid,
        labels=labels.to(torch.uint8),
        soft=shares if soft else None,
        sun=torch.full((chips, 2), float("nan")),
        bands=BANDS,
        classes=CLASSES,
        gsd_m=10.0,
    )


@pytest.mark.parametrize("technique", ALL, ids=lambda t: type(t).__name__)
@pytest.mark.parametrize("soft", [False, True])
def test_what_is_given_stays_and_seeds_count(technique, soft):
    assert isinstance(technique, Change)
    before = batch(soft=soft)
    copy = [t.clone() for t in (before.values, before.valid, before.labels)]
    one, two, other = (technique.apply(before, Random.seeded(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip((before.values, before.valid, before.labels), copy, strict=True))
    assert torch.equal(one.values, two.values)
    assert torch.equal(one.valid, two.valid)
    assert not (torch.equal(one.values, other.values) and torch.equal(one.valid, other.valid))
    assert (one.soft is None) == (not soft)
    if one.soft is not None:
        known = one.labels != UNLABELLED
        assert torch.equal(one.soft.sum(dim=1), known.float())
        assert torch.equal(one.soft.argmax(dim=1)[known], one.labels[known].long())


@pytest.mark.parametrize("technique", ALL, ids=lambda t: type(t).__name__)
def test_chips_without_anything_pass(technique):
    nothing = batch(3)
    nothing.valid[:] = False
    nothing.labels[:] = UNLABELLED
    after = augment(nothing, [technique], Random.seeded(0))
    assert not after.valid.any()
    assert (after.labels == UNLABELLED).all()
    one = augment(batch(1), [technique], Random.seeded(0))
    assert len(one) == 1


def pasted(before, after):
    """Pixels that came from elsewhere, and the checks that hold for all of them."""
    changed = (after.values[:, 0] != before.values[:, 0]) | (after.labels != before.labels)
    numbers = after.values[:, 0]
    assert (after.labels[changed] != UNLABELLED).all()
    assert after.valid[changed].all()
    assert torch.equal(numbers[changed] % 100, after.labels[changed].float()), "valid ones, with their own labels"
    assert (after.valid | ~before.valid).all(), "nothing becomes invalid"
    return changed


def test_classmix_pastes_half_of_a_partners_classes_where_they_were():
    before = batch()
    after = ClassMix(chance=1).apply(before, Random.seeded(3))
    changed = pasted(before, after)
    for i in range(len(before)):
        sources = set((after.values[i, 0][changed[i]] // 100).long().tolist())
        ((partner),) = sources
        assert partner != i
        classes = set(after.labels[i][changed[i]].tolist())
        assert len(classes) in {2, 3}, "half of five"
        for index in classes:
            there = (before.labels[partner] == index) & before.valid[partner]
            assert torch.equal(after.values[i, 0][there], before.values[partner, 0][there])
    assert torch.equal(
        ClassMix(chance=1).apply(before.take(torch.tensor([0])), Random.seeded(0)).values[0], before.values[0]
    )


def test_copypaste_makes_rare_classes_more_frequent_and_moves_them():
    before = batch(20)
    after = CopyPaste(chance=1, classes=1).apply(before, Random.seeded(0))
    changed = pasted(before, after)
    assert (after.labels[changed] == 4).all()
    rare = (before.labels == 4).sum()
    assert 1.4 * rare < (after.labels == 4).sum() <= 2 * rare
    places = {tuple(torch.nonzero(one)[0].tolist()) for one in changed if one.any()}
    assert len(places) >= 8
    stays = CopyPaste(chance=1, classes=1, shift=0).apply(before, Random.seeded(0))
    assert (stays.labels == 4).sum() < (after.labels == 4).sum() + rare


def test_copypaste_takes_the_rarest_that_occur():
    before = batch(8)
    labels = before.labels.clone()
    labels[labels == 3] = 2
    before = replace(before, labels=labels, values=before.values.clone())
    before.values[:, :, :, :] = torch.where(
        before.values % 100 == 3, before.values - 1, before.values
    )  # values still tell the class
    after = CopyPaste(chance=1, classes=2).apply(before, Random.seeded(1))
    changed = after.labels != before.labels
    counts = torch.bincount(before.labels[before.valid & (before.labels != UNLABELLED)].long(), minlength=5)
    rarest = set(torch.argsort(torch.where(counts > 0, counts, 10**9))[:2].tolist())
    assert set(after.labels[changed].tolist()) <= rarest
    assert 3 not in rarest


def test_cutout_makes_holes_of_nodata():
    before = batch(40, soft=True)
    after = Cutout(chance=1, holes=2, side=(0.2, 0.3)).apply(before, Random.seeded(0))
    holes = before.valid & ~after.valid
    assert torch.equal(after.values, before.values)
    assert (after.labels[holes] == UNLABELLED).all()
    assert torch.equal(after.labels[~holes & before.valid], before.labels[~holes & before.valid])
    shares = holes.float().mean(dim=(1, 2))
    assert shares.max() <= 2 * 0.3**2 + 0.02
    assert 0.02 < shares.mean() < 0.12
    kept = Cutout(chance=1, labels="keep").apply(before, Random.seeded(0))
    assert torch.equal(kept.labels, before.labels)
    assert (kept.valid != before.valid).any()
