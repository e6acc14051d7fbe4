"""The first layer of a network for any number of channels, started from kernels that were trained on others.

Pretrained kernels go to the channels of the same common name; a channel that the pretrained layer never saw starts
as the mean of the visible ones, which is the best guess without further knowledge: it answers to edges and texture.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from geoseg.errors import InputError

RGB = ("red", "green", "blue")
_STAND_IN = {"nir": "nir08", "nir08": "nir"}  # the wide and the narrow near infrared


def adapt_first_conv(weight: Tensor, source: Sequence[str | None], target: Sequence[str | None]) -> Tensor:
    """Kernels for the channels `target` from kernels for the channels `source`, both given as common names.

    A target channel gets the kernel of the same common name (`nir` and `nir08` stand in for each other), otherwise
    the mean of the red, green and blue kernels (of all kernels where the source has none of these). Then all kernels
    are multiplied by sqrt(sum |w_source|^2 / sum |w_target|^2): for standardised inputs, that is for channels of
    mean 0 and variance 1 that are independent of each other, the variance of a convolution's output is the sum of
    its squared weights (He et al. 2015, arXiv:1502.01852, section 2.2), so that the layer's outputs keep their
    expected size, averaged over its filters. Real bands correlate; what is kept is the size, not the exact variance.

    Args:
        weight: kernels of shape (out, len(source), height, width).
        source: common names of the input channels of `weight`, None for a channel without one.
        target: common names of the wanted channels, None for spectral indices and other channels without one.

    Returns:
        Kernels of shape (out, len(target), height, width); a bit-identical copy where source equals target.

    Raises:
        InputError: if `weight` does not have one kernel for each source channel.
    """
    if weight.shape[1] != len(source):
        msg = f"the first layer takes {weight.shape[1]} channels but {len(source)} channel names were given for it"
        raise InputError(msg)
    if tuple(source) == tuple(target):
        return weight.detach().clone()
    kernels = weight.detach().double()
    visible = [i for i, name in enumerate(source) if name in RGB] or list(range(len(source)))
    mean = kernels[:, visible].mean(dim=1)
    positions = [_position(name, source) for name in target]
    adapted = torch.stack([mean if i is None else kernels[:, i] for i in positions], dim=1)
    energy = adapted.square().sum()
    if energy > 0:
        adapted *= (kernels.square().sum() / energy).sqrt()
    return adapted.to(weight.dtype)


def _position(name: str | None, source: Sequence[str | None]) -> int | None:
    for wanted in (name, _STAND_IN.get(name or "")):
        if wanted is not None and wanted in source:
            return source.index(wanted)
    return None


def first_conv(module: nn.Module) -> tuple[str, nn.Conv2d]:
    """The first convolution of a network in the order of its layers, with its dotted name.

    Raises:
        InputError: if there is none.
    """
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Conv2d):
            return name, layer
    raise InputError("this network has no two-dimensional convolution, so its first layer cannot be adapted")


def replace_first_conv(module: nn.Module, source: Sequence[str | None], target: Sequence[str | None]) -> nn.Conv2d:
    """Change the first convolution of `module`, in place, from the channels `source` to the channels `target`.

    The layer stays the same object, so that its stride, padding, dilation, bias and kind (for example timm's
    Conv2dSame) stay as they are. A grouped convolution keeps its groups, and each group is adapted from its own
    source channels.

    Returns:
        The changed layer.

    Raises:
        InputError: if the layer does not take `source`, or its groups do not divide the target channels.
    """
    _, layer = first_conv(module)
    groups = layer.groups
    if layer.in_channels != len(source):
        msg = f"the first layer takes {layer.in_channels} channels but {len(source)} channel names were given for it"
        raise InputError(msg)
    if len(target) % groups:
        msg = f"the first layer has {groups} groups, which do not divide {len(target)} channels; choose another encoder"
        raise InputError(msg)
    parts = zip(layer.weight.chunk(groups), _parts(source, groups), _parts(target, groups), strict=True)
    kernels = torch.cat([adapt_first_conv(weight, a, b) for weight, a, b in parts])
    layer.weight = nn.Parameter(kernels, requires_grad=layer.weight.requires_grad)
    layer.in_channels = len(target)
    return layer


def _parts(names: Sequence[str | None], groups: int) -> list[Sequence[str | None]]:
    size = len(names) // groups
    return [names[i * size : (i + 1) * size] for i in range(groups)]
