"""Parts of a training one by one: what it is made of, its log, and what it says of a loss that is no number."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from factory import BANDS
from torch import nn

from geoseg.core.identity import differences
from geoseg.data.stack import Chip, stack
from geoseg.errors import InputError
from geoseg.training.average import AverageNetwork
from geoseg.training.faults import not_finite
from geoseg.training.history import Epoch, write_history
from geoseg.training.patience import epochs_since_best
from geoseg.training.precision import precision_mode
from geoseg.training.rates import parameter_groups


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
    message = str(not_finite("epoch 2, step 5", batch, chips, torch.tensor(losses), ("a.tif", "b.tif")))
    assert "epoch 2, step 5" in message
    assert [part for part in ("rows 0-3", "rows 10-13", "rows 20-23") if f"b.tif {part}, cols 7-10" in message] == named
    assert advice in message


def test_of_many_chips_four_are_named():
    batch = chips_of(*[math.nan] * 6)
    message = str(
        not_finite("epoch 0, step 0", batch, batch.batch(BANDS, 3, 30.0), torch.full((6,), math.nan), ("a", "b"))
    )
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


def test_an_average_is_what_its_formula_says():
    network = nn.Linear(1, 1, bias=False)
    weights, decay, expected = (1.0, 5.0, -2.0, 4.0), 0.2, 1.0
    nn.init.constant_(network.weight, weights[0])
    average = AverageNetwork(network, decay)
    for step, weight in enumerate(weights[1:], start=1):
        nn.init.constant_(network.weight, weight)
        average.update(network, step)
        average.update(network, step)  # as after a batch without a step
        used = min(decay, (1 + step) / (10 + step))
        expected = used * expected + (1 - used) * weight
    assert (decay, 1) > (2 / 11, 3 / 12), "the first step is warm-up, the others are not"
    assert average.network.weight.item() == pytest.approx(expected)
    assert average(torch.ones(1, 1)).item() == pytest.approx(expected)
    assert network.weight.item() == 4.0
    assert network.weight.requires_grad
    assert not any(parameter.requires_grad for parameter in average.parameters())


def test_an_average_knows_statistics_and_its_own_step_when_it_is_loaded():
    network = nn.BatchNorm1d(2)
    average = AverageNetwork(network, 0.5)
    network.running_mean.fill_(8.0)
    network.num_batches_tracked.fill_(3)
    average.update(network, 1)
    assert average.network.running_mean.tolist() == pytest.approx([8 * 9 / 11] * 2)
    assert average.network.num_batches_tracked.item() == 3
    again = AverageNetwork(network, 0.5)
    again.load_state_dict(average.state_dict())
    assert again.steps.item() == 1


def test_the_encoder_may_learn_at_a_rate_of_its_own():
    network = nn.ModuleDict({"encoder": nn.Linear(2, 3), "decoder": nn.Linear(3, 4)})
    slow, usual = parameter_groups(network, 0.01, 0.1)
    assert (slow["lr"], usual["lr"]) == (pytest.approx(0.001), 0.01)
    assert [id(p) for p in slow["params"]] == [id(p) for p in network["encoder"].parameters()]
    assert [id(p) for p in usual["params"]] == [id(p) for p in network["decoder"].parameters()]
    (alike,) = parameter_groups(network, 0.01, 1)
    assert len(alike["params"]) == 4
    network["encoder"].requires_grad_(requires_grad=False)
    (rest,) = parameter_groups(network, 0.01, 0.1)
    assert (rest["lr"], len(rest["params"])) == (0.01, 2)


def test_epochs_since_the_best_one():
    def since(*scores):
        rows = [Epoch(epoch=i, step=i, train_loss=1, val_miou=s, learning_rate=1) for i, s in enumerate(scores)]
        return epochs_since_best(rows)

    assert since() == 0
    assert since(0.1) == 0
    assert since(0.1, 0.3, 0.2, 0.3) == 2, "as good is not better"
    assert since(0.1, 0.3, 0.4) == 0


def test_precision_is_chosen_by_what_there_is(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert [precision_mode(p) for p in ("auto", "fp32", "bf16")] == ["32-true", "32-true", "bf16-mixed"]
    with pytest.raises(InputError, match="needs a GPU"):
        precision_mode("fp16")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for has, mode in ((True, "bf16-mixed"), (False, "16-mixed")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *, including_emulation, has=has: has)
        assert precision_mode("auto") == mode
    assert precision_mode("fp16") == "16-mixed"
