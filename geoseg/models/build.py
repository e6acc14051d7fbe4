"""A ModelSpec becomes a torch module, with a random or a pretrained encoder."""

from __future__ import annotations

from collections.abc import Callable

import segmentation_models_pytorch as smp
from segmentation_models_pytorch.encoders import get_encoder
from torch import Tensor, nn

from geoseg.errors import InputError
from geoseg.models.pretrained import EncoderWeights, SourceWeights, find_weights, match_names
from geoseg.models.spec import ModelSpec
from geoseg.models.stem import replace_first_conv

__all__ = ["NETWORKS", "EncoderWeights", "build_model"]


def build_model(spec: ModelSpec, *, weights: EncoderWeights | None = None) -> nn.Module:
    """The network of a spec, in training mode; random weights come from torch's global generator.

    The network takes float32 of shape (N, channels, H, W), with H and W multiples of the spec's stride, and returns
    logits of shape (N, classes, H, W). A pretrained encoder's first layer is adapted to the spec's channels by
    `geoseg.models.stem`.

    Raises:
        InputError: for an unknown encoder, or weights that are unknown, not to be had or of another network.
        MissingFileError: if a file with weights is named and not there.
    """
    model = _bare_network(spec)
    source = find_weights(weights or EncoderWeights(), spec.encoder)
    if source is not None:
        model.get_submodule("encoder").load_state_dict(_adapted_encoder(spec, source))
    return model


def _bare_network(spec: ModelSpec) -> nn.Module:
    try:
        return NETWORKS[spec.architecture](spec)
    except KeyError:
        msg = f"segmentation_models_pytorch has no encoder {spec.encoder!r}; give one of its names, or tu- and timm's"
        raise InputError(msg) from None
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{spec.architecture} cannot be built on the encoder {spec.encoder!r}: {reason}") from error


def _adapted_encoder(spec: ModelSpec, source: SourceWeights) -> dict[str, Tensor]:
    """The pretrained encoder's state dict, its first layer changed to the spec's channels.

    It is filled into an encoder of the source's own channels first, so that nothing but `replace_first_conv`
    decides what the other channels start with.
    """
    donor = get_encoder(spec.encoder, in_channels=len(source.channels), depth=spec.depth, weights=None)
    donor.load_state_dict(match_names(source, donor.state_dict(), spec.encoder))
    if source.channels != spec.channel_common_names:
        stems = [layer for layer in donor.modules() if _takes(layer, len(source.channels))]
        if len(stems) != 1:
            msg = f"{spec.encoder} has {len(stems)} layers of {len(source.channels)} channels, so none can be adapted"
            raise InputError(f"{msg}; choose another encoder or random weights")
        replace_first_conv(donor, source.channels, spec.channel_common_names)
    state: dict[str, Tensor] = donor.state_dict()
    return state


def _takes(layer: nn.Module, channels: int) -> bool:
    return isinstance(layer, nn.Conv2d) and layer.in_channels == channels


def _unet(spec: ModelSpec) -> nn.Module:
    widths = spec.decoder_channels or (256, 128, 64, 32, 16)
    model: nn.Module = smp.Unet(
        spec.encoder,
        encoder_depth=spec.depth,
        encoder_weights=None,
        decoder_channels=widths,
        in_channels=spec.channels,
        classes=spec.classes,
    )
    return model


def _deeplabv3plus(spec: ModelSpec) -> nn.Module:
    model: nn.Module = smp.DeepLabV3Plus(
        spec.encoder, encoder_weights=None, in_channels=spec.channels, classes=spec.classes
    )
    return model


NETWORKS: dict[str, Callable[[ModelSpec], nn.Module]] = {"unet": _unet, "deeplabv3plus": _deeplabv3plus}
