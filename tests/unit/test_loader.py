"""The loader: the same stacks whichever process reads the chips."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geoseg.core.bands import Band, BandSet
from geoseg.data.loader import Loader, LoaderOptions
from geoseg.data.stack import Chip

BANDS = BandSet((Band(name="red", scale=0.5, offset=1.0), Band(name="nir")))


class Numbered:
    """Chips filled with their number; from `wide` on they have more bytes, from `soft` on soft labels."""

    def __init__(self, count, *, wide=10**6, soft=10**6):
        self.count, self.wide, self.soft = count, wide, soft

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        if i >= self.count:
            raise IndexError(i)
        shares = np.full((3, 4, 4), i / 100, dtype=np.float32) if i >= self.soft else None
        return Chip(
            data=np.full((2, 4, 4), i, dtype=np.uint16 if i < self.wide else np.float64),
            bands=BANDS,
            valid=np.full((4, 4), i % 2 == 0),
            labels=np.full((4, 4), i % 3, dtype=np.uint8),
            shares=shares,
            sun=(float(i), 30.0),
            cell=i,
            place=(0, i, 2 * i),
        )


def same(one, two):
    names = ("data", "scale", "offset", "valid", "labels", "sun")
    assert all(torch.equal(getattr(one, name), getattr(two, name)) for name in names)
    assert all(getattr(one, name).dtype == getattr(two, name).dtype for name in names)
    assert (one.soft is None) == (two.soft is None)
    assert one.soft is None or torch.equal(one.soft, two.soft)
    np.testing.assert_array_equal(one.cells, two.cells)
    np.testing.assert_array_equal(one.places, two.places)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    "chips", [Numbered(41), Numbered(41, wide=9), Numbered(41, soft=0), Numbered(41, soft=20)],
    ids=["plain", "of a wider type later", "soft", "soft later"],
)  # fmt: skip
def test_any_number_of_workers_gives_the_same_stacks(chips, workers):
    alone = list(Loader(chips, 3, LoaderOptions(batch_size=2)))
    together = list(Loader(chips, 3, LoaderOptions(batch_size=2, workers=workers)))  # all kept: none is written over
    assert len(alone) == len(together) == 21
    for one, two in zip(alone, together, strict=True):
        same(one, two)


def test_a_last_batch_that_is_not_full_may_be_left_out():
    loader = Loader(Numbered(7), 3, LoaderOptions(batch_size=3, drop_last=True))
    assert [stack.cells.tolist() for stack in loader] == [[0, 1, 2], [3, 4, 5]]
    assert len(loader) == 2
    assert len(Loader(Numbered(7), 3, LoaderOptions(batch_size=3))) == 3


def shards(drop_last: bool) -> list[list[int]]:
    options = [LoaderOptions(batch_size=2, drop_last=drop_last, shard=(i, 3)) for i in range(3)]
    return [[cell for stack in Loader(Numbered(14), 3, one) for cell in stack.cells.tolist()] for one in options]


def test_shards_share_no_chip_and_leave_none_out():
    assert shards(drop_last=False) == [[0, 3, 6, 9, 12], [1, 4, 7, 10, 13], [2, 5, 8, 11]]


def test_shards_of_full_batches_are_of_one_length():
    assert shards(drop_last=True) == [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8, 11]]


@pytest.mark.parametrize("workers", [0, 1])
def test_no_chips_are_no_stacks(workers):
    assert list(Loader(Numbered(0), 3, LoaderOptions(workers=workers))) == []
