"""What a model is: its architecture, the channels it takes, the classes it gives and the ground size of its pixels."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_serializer, field_validator

from geoseg.core.bands import Band, BandSet
from geoseg.core.indices import INDICES
from geoseg.core.legend import LandClass, Legend
from geoseg.errors import InputError
from geoseg.models.architectures import (
    ARCHITECTURES,
    PLAIN,
    NetworkOptions,
    Rates,
    atrous_notes,
    option_problems,
    options_to_dict,
    with_widths,
)

DEFAULT_STRIDE = 32
_ENCODER_NAME = re.compile(r"[\w.-]+", re.ASCII)
_DEEPEST = 5  # encoders halve the resolution at most five times


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """The contract of a model; everything that a scene must fit and a map will show follows from it.

    `bands` carry the normalisation (mean and std of physical values), `indices` follow the bands as further
    channels, `gsd_m` is the ground sampling distance in m, tile sides must be multiples of `stride` pixels.
    `decoder_channels` (the U-Nets only) are the widths of the decoder from coarse to fine, one for each of the three to
    five steps; None means the default of the architecture. `options` say how else the network is built.

    Raises:
        InputError: for values that no model can have; every problem is named.
    """

    architecture: str
    encoder: str
    bands: BandSet
    indices: tuple[str, ...] = ()
    legend: Legend
    gsd_m: float
    stride: int = DEFAULT_STRIDE
    decoder_channels: tuple[int, ...] | None = None
    options: NetworkOptions = PLAIN

    def __post_init__(self) -> None:
        problems = [*_network_problems(self), *_channel_problems(self)]
        if problems:
            raise InputError(_as_message(problems))

    @property
    def channels(self) -> int:
        """How many channels the network takes: bands, then indices."""
        return len(self.bands) + len(self.indices)

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Names of the channels in order: bands, then indices."""
        return (*self.bands.names, *self.indices)

    @property
    def channel_common_names(self) -> tuple[str | None, ...]:
        """STAC common names of the channels in order; None for indices and for bands without one."""
        return (*self.bands.common_names, *(None for _ in self.indices))

    @property
    def classes(self) -> int:
        """How many classes the network tells apart."""
        return len(self.legend)

    @property
    def depth(self) -> int:
        """How often the encoder halves the resolution."""
        return _DEEPEST if self.decoder_channels is None else len(self.decoder_channels)

    @property
    def output_stride(self) -> int:
        """How many pixels one of the encoder's last features stands for."""
        return self.options.output_stride or min(ARCHITECTURES[self.architecture].output_strides[0], 1 << self.depth)

    @property
    def needed_stride(self) -> int:
        """Sides that are multiples of it survive every halving; Mix Transformers attend to blocks of 32 pixels."""
        return 32 if self.encoder.startswith("mit_") else self.output_stride

    @property
    def dropout(self) -> float:
        """The rate of the network's dropout."""
        rate = self.options.dropout
        return ARCHITECTURES[self.architecture].dropout if rate is None else rate

    @property
    def atrous_rates(self) -> Rates | None:
        """The dilations of the atrous convolutions side by side; None where the architecture has none."""
        return self.options.atrous_rates or ARCHITECTURES[self.architecture].rates

    def notes(self, chip_pixels: int) -> tuple[str, ...]:
        """What is to be known of the network before it is trained on chips of this side, a sentence each."""
        rates = self.atrous_rates
        return () if rates is None else tuple(atrous_notes(rates, self.output_stride, chip_pixels))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` reads them back to an equal spec. Options that are not set are left out."""
        values = {
            "architecture": self.architecture,
            "encoder": self.encoder,
            "bands": [asdict(band) for band in self.bands],
            "indices": list(self.indices),
            "classes": [asdict(land_class) for land_class in self.legend],
            "gsd_m": self.gsd_m,
            "stride": self.stride,
            "decoder_channels": None if self.decoder_channels is None else list(self.decoder_channels),
        }
        form = _SpecForm.model_validate(values, strict=False)  # numpy numbers, as statistics give them, are welcome
        options = options_to_dict(self.options)
        return form.model_dump(mode="json", exclude={"options"}) | ({"options": options} if options else {})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelSpec:
        """A spec from plain JSON or YAML values, checked completely.

        Keys: architecture, encoder, bands (name, common_name, scale, offset, mean, std, nodata), indices, classes
        (code, name, colour, parent), gsd_m, stride, decoder_channels, options (those of `NetworkOptions`). Unknown keys
        are refused.

        Raises:
            InputError: naming every problem, each on its own line where there are several.
        """
        try:
            form = _SpecForm.model_validate(values)
        except ValidationError as error:
            raise InputError(_as_message(list(_problems_of(error)))) from None
        try:
            bands = BandSet(tuple(Band(**band.model_dump()) for band in form.bands))
            legend = Legend(tuple(LandClass(**land_class.model_dump()) for land_class in form.classes))
        except ValueError as error:
            raise InputError(_as_message([str(error)])) from None
        return cls(
            architecture=form.architecture,
            encoder=form.encoder,
            bands=bands,
            indices=tuple(form.indices),
            legend=legend,
            gsd_m=form.gsd_m,
            stride=form.stride,
            decoder_channels=None if form.decoder_channels is None else tuple(form.decoder_channels),
            options=form.options,
        )


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _BandForm(_Form):
    name: str = Field(min_length=1)
    common_name: str | None = None
    scale: float | None = None
    offset: float = 0.0
    mean: float
    std: float = Field(gt=0)
    nodata: float | None = Field(default=None, allow_inf_nan=True)

    @field_validator("scale")
    @classmethod
    def _scale_is_not_zero(cls, scale: float | None) -> float | None:
        if scale == 0:
            msg = "a scale of 0 would erase the band"
            raise ValueError(msg)
        return scale

    @field_validator("nodata", mode="before")
    @classmethod
    def _nodata_from_text(cls, nodata: object) -> object:
        return float(nodata) if nodata in ("nan", "inf", "-inf") else nodata

    @field_serializer("nodata", when_used="json")
    def _nodata_to_text(self, nodata: float | None) -> float | str | None:
        """JSON has no NaN and no infinity; STAC writes them as text."""
        return nodata if nodata is None or math.isfinite(nodata) else str(nodata)


class _ClassForm(_Form):
    code: int = Field(ge=0, le=254)
    name: str = Field(min_length=1)
    colour: str = Field(pattern=r"^#[0-9a-fA-F]{6}$")
    parent: str | None = None


class _SpecForm(_Form):
    architecture: str
    encoder: str
    bands: list[_BandForm] = Field(min_length=1)
    indices: list[str] = []
    classes: list[_ClassForm] = Field(min_length=1)
    gsd_m: float
    stride: int = DEFAULT_STRIDE
    decoder_channels: list[int] | None = None
    options: NetworkOptions = PLAIN


def _problems_of(error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_url=False):
        place = ".".join(str(part) for part in problem["loc"]) or "the spec"
        yield f"{place}: {problem['msg']}"


def _as_message(problems: list[str]) -> str:
    if len(problems) == 1:
        return f"the model spec is not usable: {problems[0]}"
    return "\n  ".join([f"the model spec has {len(problems)} problems:", *problems])


def _network_problems(spec: ModelSpec) -> Iterator[str]:
    if not _ENCODER_NAME.fullmatch(spec.encoder):  # timm would take "hf-hub:..." as a wish to download
        yield f"encoder: a name of letters, digits and _.- is needed, for example resnet18, got {spec.encoder!r}"
    if not (math.isfinite(spec.gsd_m) and spec.gsd_m > 0):
        yield f"gsd_m: a positive number of metres is needed, got {spec.gsd_m}"
    if spec.architecture not in ARCHITECTURES:
        yield f"architecture: {spec.architecture!r} is unknown, choose from {', '.join(ARCHITECTURES)}"
        return
    yield from option_problems(spec.architecture, spec.options)
    widths = spec.decoder_channels
    if widths is not None and not ARCHITECTURES[spec.architecture].widths:
        yield f"decoder_channels: {spec.architecture} has none, only {with_widths()}"
    elif widths is not None and not (3 <= len(widths) <= _DEEPEST and min(widths) >= 1):
        yield f"decoder_channels: three to five positive widths are needed, got {list(widths)}"
    elif spec.stride < 1 or spec.stride % spec.needed_stride:
        yield f"stride: a positive multiple of {spec.needed_stride} is needed by this network, got {spec.stride}"


def _channel_problems(spec: ModelSpec) -> Iterator[str]:
    if not len(spec.bands):
        yield "bands: at least one is needed"
    if len(set(spec.indices)) != len(spec.indices):
        yield f"indices: each may be there once, got {', '.join(spec.indices)}"
    for name in dict.fromkeys(spec.indices):
        if name not in INDICES:
            yield f"indices: {name!r} is unknown, choose from {', '.join(INDICES)}"
            continue
        missing = [b for b in INDICES[name].bands if spec.bands.find(Band(name=b, common_name=b)) is None]
        if missing:
            yield f"indices: {name} needs the band {' and '.join(missing)}, the model has {', '.join(spec.bands.names)}"
