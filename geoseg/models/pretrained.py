"""Pretrained encoders: where their weights lie, which channels they were trained on, and how their names map."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segmentation_models_pytorch.encoders import get_encoder
from torch import Tensor

from geoseg.core.sensors import SENSORS, describe_band
from geoseg.errors import InputError, MissingFileError
from geoseg.models.stem import RGB
from geoseg.models.tensors import SUFFIXES, read_tensors

_TORCHGEO_NAME = re.compile(r"\w+_Weights\.(\w+)")
# Which sensor's band names a torchgeo weight uses, by the beginning of its name; the first that fits counts.
_TORCHGEO_SENSORS = {
    "SENTINEL2": "sentinel-2-l1c",
    "LANDSAT_TM_TOA": "landsat-5-l1",
    "LANDSAT_ETM_TOA": "landsat-7-l1",
    "LANDSAT_ETM_SR": "landsat-7-l2",
    "LANDSAT_OLI_SR": "landsat-8-l2",
    "LANDSAT": "landsat-8-l1",
    "NAIP": "naip",
}
_COUNTER = "num_batches_tracked"  # old files lack it, and no forward pass needs it


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderWeights:
    """Where an encoder's weights come from.

    `pretrained` is a path to a file (.safetensors, .pt or .pth with tensors only), the name of a torchgeo weight
    ("ResNet18_Weights.SENTINEL2_ALL_MOCO"), "imagenet", or None for random weights. `channels` are the common names
    of the channels that a file's first layer takes; torchgeo's weights and "imagenet" know their own. Nothing is
    downloaded unless `allow_download`.
    """

    pretrained: str | None = None
    channels: tuple[str | None, ...] = RGB
    allow_download: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SourceWeights:
    """Tensors by the names of their source, and the common names of the channels that their first layer takes."""

    name: str
    tensors: Mapping[str, Tensor]
    channels: tuple[str | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceInput:
    """What a pretrained network was fed: (stored number - mean) / std in these channels, in this order.

    The numbers are as the training data set stored them (for Sentinel-2 reflectance * 10000 without the offset of
    processing baseline 04.00; 8 bits for SSL4EO-L); `channels` are common names, None where a band has none.
    """

    channels: tuple[str | None, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


def find_weights(weights: EncoderWeights, encoder: str) -> SourceWeights | None:
    """The weights for `encoder` that `weights.pretrained` names, None for random ones.

    Raises:
        InputError: if the name is unknown, or a download is needed and not allowed or fails.
        MissingFileError: if a file is named that is not there.
        BundleError: if a file holds more than tensors or is damaged.
    """
    name = weights.pretrained
    if name is None:
        return None
    path = Path(name)
    if path.is_file() or path.suffix in SUFFIXES:
        return SourceWeights(name=name, tensors=read_tensors(path), channels=weights.channels)
    if _TORCHGEO_NAME.fullmatch(name):
        return _find_torchgeo(name, allow_download=weights.allow_download)
    if name == "imagenet":
        return _find_imagenet(encoder, allow_download=weights.allow_download)
    if len(path.parts) > 1:
        raise MissingFileError(f"{name} is not there; give the path of a {', '.join(SUFFIXES)} file")
    msg = f"pretrained weights {name!r} are unknown; give a file, a torchgeo name (X_Weights.Y) or imagenet"
    raise InputError(msg)


def torchgeo_input(name: str) -> SourceInput:
    """The channels and the normalisation of a torchgeo weight, from its metadata and its transforms; no download.

    Raises:
        InputError: if torchgeo has no such weight, or it does not say which bands it takes.
    """
    weight = _torchgeo_weight(name)
    bands = [str(band) for band in weight.meta.get("bands", ())]
    if not bands:
        raise InputError(f"torchgeo's {name} does not say which bands it takes; give a weight with fixed bands")
    sensor = next((s for start, s in _TORCHGEO_SENSORS.items() if weight.name.startswith(start)), None)
    described = [None if sensor is None else describe_band(SENSORS[sensor], band) for band in bands]
    mean, std = _composed_normalisation(weight.transforms, len(bands))
    channels = tuple(None if band is None else band.common_name for band in described)
    return SourceInput(channels=channels, mean=mean, std=std)


def match_names(source: SourceWeights, wanted: Mapping[str, Tensor], encoder: str) -> dict[str, Tensor]:
    """The source's tensors under the names of an encoder's state dict `wanted`.

    Names are matched first, with any prefix on either side, and other tensors (a classifier, a decoder) are left
    out. Where names differ, tensors are matched in order, as long as each name ends alike (weight, bias,
    running_mean ...); only tensors after the last match are left out then.

    Raises:
        InputError: if neither fits, or a shape differs.
    """
    names = _by_name(list(source.tensors), list(wanted)) or _by_order(list(source.tensors), list(wanted))
    if names is None:
        msg = f"the weights {source.name} are of another network than the encoder {encoder}; choose that encoder"
        raise InputError(msg)
    for own, theirs in names.items():
        found, needed = tuple(source.tensors[theirs].shape), tuple(wanted[own].shape)
        if found != needed:
            hint = f"its first layer must take the {len(source.channels)} channels that were named"
            msg = f"the weights {source.name} do not fit {encoder}: {theirs} is {found}, needed {needed}; {hint}"
            raise InputError(msg)
    return {**wanted, **{own: source.tensors[theirs] for own, theirs in names.items()}}


def _by_name(theirs: list[str], wanted: list[str]) -> dict[str, str] | None:
    first = wanted[0].removeprefix("model.")
    own_prefix = wanted[0].removesuffix(first)
    for candidate in theirs:
        prefix = candidate.removesuffix(first)
        if prefix == candidate or (prefix and not prefix.endswith(".")):
            continue
        names = {own: prefix + own.removeprefix(own_prefix) for own in wanted}
        there = {own: name for own, name in names.items() if name in theirs}
        if all(own in there or own.endswith(_COUNTER) for own in wanted):
            return there
    return None


def _by_order(theirs: list[str], wanted: list[str]) -> dict[str, str] | None:
    for skip in ((), (_COUNTER,)):
        ours = [name for name in wanted if not name.endswith(skip)]
        files = [name for name in theirs if not name.endswith(skip)][: len(ours)]
        if [_kind(name) for name in ours] == [_kind(name) for name in files]:
            return dict(zip(ours, files, strict=True))
    return None


def _kind(name: str) -> str:
    return name.rpartition(".")[2]


def _torchgeo_weight(name: str) -> Any:  # noqa: ANN401 (a torchvision WeightsEnum, which carries no types)
    from torchgeo.models import get_weight  # noqa: PLC0415 (slow to import, and seldom needed)

    try:
        return get_weight(name)
    except ValueError:
        raise InputError(f"torchgeo has no weights {name}; see the list in torchgeo.models") from None


def _find_torchgeo(name: str, *, allow_download: bool) -> SourceWeights:
    from torch.hub import get_dir  # noqa: PLC0415

    weight, channels = _torchgeo_weight(name), torchgeo_input(name).channels
    cached = Path(get_dir(), "checkpoints", weight.url.rpartition("/")[2])
    if not cached.is_file():
        if not allow_download:
            msg = f"{name} is not on this machine and downloads are off; allow them, or put {weight.url} at {cached}"
            raise InputError(msg)
        try:
            weight.get_state_dict(progress=False, check_hash=True, weights_only=True)
        except (OSError, RuntimeError) as error:
            raise InputError(f"{name} could not be downloaded from {weight.url}: {_first_line(error)}") from error
    return SourceWeights(name=name, tensors=read_tensors(cached), channels=channels)


def _find_imagenet(encoder: str, *, allow_download: bool) -> SourceWeights:
    if not allow_download:
        msg = f"ImageNet weights of {encoder} must be downloaded and downloads are off; allow them, or give a file"
        raise InputError(msg)
    try:
        network = get_encoder(encoder, weights=True if encoder.startswith("tu-") else "imagenet")
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise InputError(f"no ImageNet weights of {encoder} could be had: {_first_line(error)}") from error
    return SourceWeights(name="imagenet", tensors=network.state_dict(), channels=RGB)


def _composed_normalisation(transforms: Any, bands: int) -> tuple[tuple[float, ...], tuple[float, ...]]:  # noqa: ANN401
    """Mean and std that do in one step what all Normalize steps do in turn: ((x - a) / b - c) / d."""
    from torchvision.transforms.v2 import Normalize  # type: ignore[import-untyped]  # noqa: PLC0415

    mean, std = [0.0] * bands, [1.0] * bands
    for step in transforms.modules():
        if isinstance(step, Normalize):
            a = _spread(step.mean, bands)
            mean = [m + s * x for m, s, x in zip(mean, std, a, strict=True)]
            std = [s * x for s, x in zip(std, _spread(step.std, bands), strict=True)]
    return tuple(mean), tuple(std)


def _spread(values: Any, bands: int) -> list[float]:  # noqa: ANN401
    return [float(values[0])] * bands if len(values) == 1 else [float(value) for value in values]


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
