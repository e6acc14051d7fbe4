"""What holds for every loss: unlabelled pixels, chips without labels, shares, gradients, order, reduced precision."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch

from geoseg.errors import InputError
from geoseg.losses.drawn import Drawn
from geoseg.losses.mixture import Losses, summed

DRAWN = Drawn(shares=(0.6, 0.3, 0.1), pixels=1000)
OPTIONS = {field.name: {} for field in fields(Losses)}
CASES = [
    *OPTIONS.items(),
    ("cross_entropy", {"class_weights": "inverse_frequency", "power": 0.5, "smoothing": 0.1}),
    ("cross_entropy", {"class_weights": "effective_number", "beta": 0.99}),
    ("focal", {"gamma": 0.5, "class_weights": "inverse_frequency"}),
    ("bootstrapped", {"kind": "hard", "beta": 0.8}),
    ("bootstrapped", {"kind": "hardest", "share": 0.4}),
    ("boundary_cross_entropy", {"factor": 0.2, "width": 1}),
]
every_loss = pytest.mark.parametrize(
    ("name", "options"), CASES, ids=[" ".join(map(str, (n, *o.values()))) for n, o in CASES]
)


def loss(name, options, logits, target):
    return summed(Losses(**{name: options}), logits, target, DRAWN).total


def batch(seed=0):
    """Two chips of 5 x 6 pixels and 3 classes with three unlabelled pixels."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 3, 5, 6, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 3, (2, 5, 6), generator=generator, dtype=torch.uint8)
    labels[0, 0, 0] = labels[0, 3, 4] = labels[1, 2, 2] = 255
    return logits, labels


@every_loss
def test_unlabelled_pixels_have_no_influence(name, options):
    logits, labels = batch()
    other = torch.where((labels == 255)[:, None], torch.tensor([50.0, -50.0, 3.0])[:, None, None], logits)
    other.requires_grad_()
    value = loss(name, options, other, labels)
    value.backward()
    assert value.item() == pytest.approx(loss(name, options, logits, labels).item())
    assert value.item() != 0
    assert (other.grad.movedim(1, -1)[labels == 255] == 0).all()
    assert (other.grad.movedim(1, -1)[labels != 255] != 0).any()


@every_loss
def test_chips_without_labels_cost_nothing(name, options):
    logits, labels = batch()
    logits.requires_grad_()
    value = loss(name, options, logits, torch.full_like(labels, 255))
    value.backward()
    assert value.item() == 0
    assert (logits.grad == 0).all()


@every_loss
def test_certain_shares_are_the_same_target_as_labels(name, options):
    logits, labels = batch()
    shares = torch.nn.functional.one_hot((labels % 255).long(), 3).movedim(-1, 1) * (labels != 255)[:, None]
    if name == "lovasz":
        with pytest.raises(InputError, match="lovasz needs certain labels"):
            loss(name, options, logits, shares.double())
        return
    expected = loss(name, options, logits, labels).item()
    assert loss(name, options, logits, shares.double()).item() == pytest.approx(expected)


@every_loss
def test_gradients_agree_with_finite_differences(name, options):
    logits, labels = batch(seed=1)
    assert torch.autograd.gradcheck(lambda x: loss(name, options, x, labels), (logits.requires_grad_(),))


@every_loss
def test_the_order_of_chips_does_not_matter(name, options):
    logits, labels = batch()
    expected = loss(name, options, logits, labels).item()
    assert loss(name, options, logits.flip(0), labels.flip(0)).item() == pytest.approx(expected)


@every_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_sure_logits_of_few_bits_give_finite_gradients(name, options, dtype):
    logits, labels = batch()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        few = (logits * 60).to(dtype).requires_grad_()
        value = loss(name, options, few, labels)
    value.backward()
    assert value.dtype == torch.float32
    assert torch.isfinite(value)
    assert torch.isfinite(few.grad).all()


@every_loss
def test_learning_one_chip_by_heart_lowers_it(name, options):
    logits, labels = batch()
    logits.requires_grad_()
    before = loss(name, options, logits, labels)
    (slope,) = torch.autograd.grad(before, logits)
    assert loss(name, options, logits - 0.05 * slope / slope.norm(), labels) < before
