"""The architectures by name: what each can be told, and what is to be known of it. No torch here."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as options_dataclass

Rate = Annotated[int, Field(ge=1)]
Rates = tuple[Rate, Rate, Rate]


@options_dataclass(
    config=ConfigDict(extra="forbid", use_attribute_docstrings=True), frozen=True, slots=True, kw_only=True
)
class NetworkOptions:
    """How a network is built, beyond its encoder; docs/networks.md says which architecture has which option."""

    norm: Literal["batch", "instance", "group"] = "batch"
    """What takes the place of every batch norm: instance or group norm do not depend on the other chips of a batch."""
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Rate of the dropout before the last layer (deeplabv3, deeplabv3plus: after the ASPP); null = the usual one."""
    output_stride: Literal[8, 16, 32] | None = None
    """How many pixels one of the encoder's last features stands for; null = the usual one."""
    atrous_rates: Rates | None = None
    """Dilations of the three atrous convolutions side by side, in features; null = 12, 24, 36."""
    deep_supervision: bool = False
    """Whether coarser stages of the decoder have to tell the classes too, while training."""


PLAIN = NetworkOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """What an architecture is called, and which options it has.

    `output_strides` are those it can have, the usual one first, `dropout` the usual rate, `rates` the usual atrous
    rates if it has any. `pools` says that it averages over the whole tile somewhere.
    """

    title: str
    output_strides: tuple[int, ...] = (32,)
    dropout: float = 0.0
    rates: Rates | None = None
    widths: bool = False
    deep_supervision: bool = False
    pools: bool = False


_RATES = (12, 24, 36)
ARCHITECTURES = {
    "unet": Architecture(title="U-Net", widths=True, deep_supervision=True),
    "unetplusplus": Architecture(title="U-Net++", widths=True, deep_supervision=True),
    "attention_unet": Architecture(title="Attention U-Net", widths=True, deep_supervision=True),
    "deeplabv3": Architecture(title="DeepLabV3", output_strides=(8, 16), dropout=0.5, rates=_RATES, pools=True),
    "deeplabv3plus": Architecture(title="DeepLabV3+", output_strides=(16, 8), dropout=0.5, rates=_RATES, pools=True),
    "fpn": Architecture(title="FPN", dropout=0.2),
    "pan": Architecture(title="PAN", output_strides=(16, 32), pools=True),
    "upernet": Architecture(title="UPerNet", pools=True),
    "segformer": Architecture(title="SegFormer"),
    "linknet": Architecture(title="LinkNet"),
    "bisenet": Architecture(title="BiSeNet", deep_supervision=True, pools=True),
}


def option_problems(name: str, options: NetworkOptions) -> Iterator[str]:
    """Why the architecture `name` cannot be built with `options`, one line each."""
    architecture = ARCHITECTURES[name]
    if options.output_stride is not None and options.output_stride not in architecture.output_strides:
        having = " or ".join(str(stride) for stride in sorted(architecture.output_strides))
        yield f"options.output_stride: {name} has {having}, not {options.output_stride}"
    if options.atrous_rates is not None and architecture.rates is None:
        yield f"options.atrous_rates: {name} has none, only {_having('rates')}"
    if options.deep_supervision and not architecture.deep_supervision:
        yield f"options.deep_supervision: {name} has none, only {_having('deep_supervision')}"


def with_widths() -> str:
    """The architectures that take widths of their decoder."""
    return _having("widths")


def options_to_dict(options: NetworkOptions) -> dict[str, Any]:
    """Those options that are set, as plain JSON values."""
    values = {field.name: getattr(options, field.name) for field in fields(options)}
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
        if value != getattr(PLAIN, name)
    }


def network_text(architecture: str, encoder: str, options: NetworkOptions) -> str:
    """A network for people, such as "deeplabv3plus on resnet18 (norm: group, dropout: 0.1)"."""
    told = ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in options_to_dict(options).items())
    return f"{architecture} on {encoder}" + (f" ({told})" if told else "")


def atrous_notes(rates: Rates, output_stride: int, chip_pixels: int) -> Iterator[str]:
    """What is to be said of atrous rates, a sentence each, for chips of a side of `chip_pixels`.

    Rates that share a factor look at a grid of every so many pixels, and neighbours at grids without a common pixel
    ("gridding", Wang et al. 2018, doi:10.1109/WACV.2018.00163, section 3.2). Rates as large as the features' side see
    nothing but padding with all but their middle weight (Chen et al. 2017, arXiv:1706.05587, section 3.3).
    """
    named, factor, side = ", ".join(map(str, rates)), math.gcd(*rates), chip_pixels // output_stride
    if factor > 1:
        yield (
            f"the atrous rates {named} share the factor {factor}, so that neighbouring pixels are judged by different "
            "grids of pixels (gridding); rates without a common factor, such as 5, 11, 17, avoid it"
        )
    far = [str(rate) for rate in rates if rate >= side]
    if far:
        yield (
            f"of the atrous rates {', '.join(far)} only the middle weight sees anything: chips of {chip_pixels} px are "
            f"{side} features wide at output stride {output_stride}; take smaller rates or larger chips"
        )


def _having(option: str) -> str:
    return ", ".join(name for name, architecture in ARCHITECTURES.items() if getattr(architecture, option))
