"""Learning rates by layer: an encoder that knows something already may learn more slowly than the rest."""

from __future__ import annotations

from typing import Any

from torch import nn

_ENCODER = "encoder."


def parameter_groups(network: nn.Module, rate: float, encoder_rate: float) -> list[dict[str, Any]]:
    """Parameters for an optimiser, each group with its learning rate; the last group has `rate`.

    Args:
        network: those of its parameters that are frozen are left out.
        rate: of all but the encoder.
        encoder_rate: the encoder's rate in relation to it.
    """
    named = [(name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad]
    if encoder_rate == 1:
        return [{"params": [parameter for _, parameter in named], "lr": rate}]
    encoder = [parameter for name, parameter in named if name.startswith(_ENCODER)]
    others = [parameter for name, parameter in named if not name.startswith(_ENCODER)]
    groups = [{"params": encoder, "lr": rate * encoder_rate}, {"params": others, "lr": rate}]
    return [group for group in groups if group["params"]]
