"""A ModelSpec becomes a torch module, with a random or a pretrained encoder."""

from __future__ import annotations

from torch import Tensor, nn

from geoseg.errors import InputError
from geoseg.models.networks.norms import replace_batch_norms
from geoseg.models.networks.table import NETWORKS, make_encoder
from geoseg.models.pretrained import EncoderWeights, SourceWeights, find_weights, match_names
from geoseg.models.spec import ModelSpec
from geoseg.models.stem import replace_first_conv

__all__ = ["NETWORKS", "EncoderWeights", "build_model"]


def build_model(spec: ModelSpec, *, weights: EncoderWeights | None = None) -> nn.Module:
    """The network of a spec, in training mode; random weights come from torch's global generator.

    The network takes float32 of shape (N, channels, H, W), with H and W multiples of the spec's stride, and returns
    logits of shape (N, classes, H, W); with deep supervision, in training mode, a tuple of them and of auxiliary
    logits of the same shape. A pretrained encoder's first layer is adapted to the spec's channels by
    `geoseg.models.stem`. Norms that the spec replaces keep the pretrained scale and shift of each channel.

    Raises:
        InputError: for an unknown encoder, or weights that are unknown, not to be had or of another network.
        MissingFileError: if a file with weights is named and not there.
    """
    model = _bare_network(spec)
    source = find_weights(weights or EncoderWeights(), spec.encoder)
    if source is not None:
        model.get_submodule("encoder").load_state_dict(_adapted_encoder(spec, source))
    if spec.options.norm != "batch":
        replace_batch_norms(model, spec.options.norm)
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
    donor = make_encoder(spec, len(source.channels))
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
