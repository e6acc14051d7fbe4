"""Parts of a training one by one: what it is made of, its log, and what it says of a loss that is no number."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from factory import BANDS

from geoseg.data.stack import Chip, stack
from geoseg.training.faults import not_finite
from geoseg.training.history import Epoch, write_history
from geoseg.training.identity import differences


def chips_of(*values: float):
    """Chips of 4 x 4 pixels filled with values, from rows 0, 10, 20, ... of the second scene."""
    return stack(
        [
            Chip(
                data=np.full((4, 4, 4), value, dtype=np.float32),
                bands=BANDS,
                valid=np.ones((4, 4), bool),
                labels=np.zeros((4, 4), np.uint8),
                place=(1, 10 * i, 7),
            )
            for i, value in enumerate(values)
        ],
        classes=3,
    )


@pytest.mark.parametrize(
    ("values", "changed", "losses", "named", "advice"),
    [
        ((1, math.nan, 1), None, (math.nan,) * 3, ["rows 10-13"], "nodata"),
        ((1, 1, 1), 2, (math.nan,) * 3, ["rows 20-23"], "augmentation"),
        ((1, 1, 1), None, (math.inf, 1.0, 1.0), ["rows 0-3"], "look at their values"),
        ((1, 1, 1), None, (math.nan,) * 3, ["rows 0-3", "rows 10-13", "rows 20-23"], "diverged"),
        ((1, 1, 1), None, (1.0, 1.0, 1.0), ["rows 0-3", "rows 10-13", "rows 20-23"], "diverged"),
    ],
    ids=["stored values", "augmentation", "loss of one", "loss of all", "only the sum"],
)
def test_the_chips_of_a_loss_that_is_no_number_are_named(values, changed, losses, named, advice):
    batch = chips_of(*values)
    chips = batch.batch(BANDS, 3, 30.0)
    if changed is not None:
        chips.values[changed, 0, 0, 0] = torch.inf
    message = str(not_finite("epoch 2, step 5", batch, chips, losses, ("a.tif", "b.tif")))
    assert "epoch 2, step 5" in message
    assert [part for part in ("rows 0-3", "rows 10-13", "rows 20-23") if f"b.tif {part}, cols 7-10" in message] == named
    assert advice in message


def test_of_many_chips_four_are_named():
    batch = chips_of(*[math.nan] * 6)
    message = str(not_finite("epoch 0, step 0", batch, batch.batch(BANDS, 3, 30.0), [math.nan] * 6, ("a", "b")))
    assert message.count("rows") == 4
    assert "and 2 more" in message


def test_differences_name_what_changed_what_came_and_what_went():
    before = {"split": "a" * 64, "fit.epochs": "3", "gone": "1", "same": "x"}
    now = {"split": "b" * 64, "fit.epochs": "4", "new": "2", "same": "x"}
    assert differences(before, now) == (
        "split was aaaaaaaaaaaa..., is bbbbbbbbbbbb...",
        "fit.epochs was 3, is 4",
        "gone was 1, is not there",
        "new was not there, is 2",
    )
    assert differences(now, now) == ()


def test_the_log_has_a_line_an_epoch(tmp_path):
    epoch = Epoch(epoch=0, step=5, train_loss=1.5, val_miou=0.25, learning_rate=0.001)
    write_history([epoch], tmp_path / "log" / "metrics.csv")
    assert (tmp_path / "log" / "metrics.csv").read_text() == (
        "epoch,step,train_loss,val_miou,learning_rate\n0,5,1.5,0.25,0.001\n"
    )
