"""Every architecture by name: a spec becomes a network with random weights, its norms still batch norms.

Encoders, decoders and heads are those of segmentation_models_pytorch wherever it has them, put together as in its own
models (same sizes, same names of weights), but each with any encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from segmentation_models_pytorch.base import SegmentationHead
from segmentation_models_pytorch.base.initialization import initialize_decoder, initialize_head
from segmentation_models_pytorch.decoders.deeplabv3.decoder import DeepLabV3Decoder, DeepLabV3PlusDecoder
from segmentation_models_pytorch.decoders.fpn.decoder import FPNDecoder
from segmentation_models_pytorch.decoders.linknet.decoder import LinknetDecoder
from segmentation_models_pytorch.decoders.pan.decoder import PANDecoder
from segmentation_models_pytorch.decoders.segformer.decoder import SegformerDecoder
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from segmentation_models_pytorch.decoders.unetplusplus.decoder import UnetPlusPlusDecoder
from segmentation_models_pytorch.decoders.upernet.decoder import UPerNetDecoder
from segmentation_models_pytorch.encoders import get_encoder
from torch import nn

from geoseg.models.networks.bisenet import BiSeNetDecoder
from geoseg.models.networks.network import Network
from geoseg.models.networks.pooling import FeaturePyramidAttention, replace_adaptive_pools
from geoseg.models.networks.unet import NestedStages, UnetStages, gates_of
from geoseg.models.spec import ModelSpec

_WIDTHS = (256, 128, 64, 32, 16)
_WIDTH = 256  # of the other decoders


def make_encoder(spec: ModelSpec, channels: int, *, output_stride: int = 32) -> nn.Module:
    """The encoder of a spec for any number of channels, with random weights.

    Timm's Swin Transformers take one size of input unless they are told not to.

    Raises:
        ValueError: if the encoder cannot be dilated to the output stride.
    """
    free_size = {"strict_img_size": False} if spec.encoder.startswith("tu-swin") else {}
    try:
        encoder: nn.Module = get_encoder(
            spec.encoder, in_channels=channels, depth=spec.depth, weights=None, output_stride=output_stride, **free_size
        )
    except (ValueError, TypeError, AssertionError) as error:
        if output_stride == 32:
            raise
        msg = f"it cannot be kept at output stride {output_stride}; choose another encoder, or fpn or a U-Net for it"
        raise ValueError(msg) from error
    return encoder


def channels_of(encoder: nn.Module) -> Sequence[int]:
    """The channels of an encoder's features, from fine to coarse."""
    return cast("Sequence[int]", encoder.out_channels)


def _unet(spec: ModelSpec) -> Network:
    encoder, widths = make_encoder(spec, spec.channels), spec.decoder_channels or _WIDTHS
    decoder = UnetStages(_unet_decoder(spec, channels_of(encoder), widths))
    return _network(spec, encoder, decoder, SegmentationHead(widths[-1], spec.classes), widths[-2::-1])


def _attention_unet(spec: ModelSpec) -> Network:
    encoder, widths = make_encoder(spec, spec.channels), spec.decoder_channels or _WIDTHS
    gates = gates_of(channels_of(encoder), widths)
    decoder = UnetStages(_unet_decoder(spec, channels_of(encoder), widths), gates)
    return _network(spec, encoder, decoder, SegmentationHead(widths[-1], spec.classes), widths[-2::-1])


def _unet_decoder(spec: ModelSpec, channels: Sequence[int], widths: Sequence[int]) -> UnetDecoder:
    center = spec.encoder.startswith("vgg")
    return UnetDecoder(channels, widths, n_blocks=spec.depth, add_center_block=center)


def _unetplusplus(spec: ModelSpec) -> Network:
    encoder, widths = make_encoder(spec, spec.channels), spec.decoder_channels or _WIDTHS
    center = spec.encoder.startswith("vgg")
    decoder = NestedStages(UnetPlusPlusDecoder(channels_of(encoder), widths, n_blocks=spec.depth, center=center))
    return _network(spec, encoder, decoder, SegmentationHead(widths[-1], spec.classes), decoder.nested_channels)


def _deeplabv3(spec: ModelSpec) -> Network:
    encoder = make_encoder(spec, spec.channels, output_stride=spec.output_stride)
    decoder = DeepLabV3Decoder(
        channels_of(encoder)[-1], _WIDTH, spec.atrous_rates, aspp_separable=False, aspp_dropout=spec.dropout
    )
    head = SegmentationHead(_WIDTH, spec.classes, kernel_size=1, upsampling=spec.output_stride)
    return Network(encoder, decoder, head, classes=spec.classes)


def _deeplabv3plus(spec: ModelSpec) -> Network:
    encoder = make_encoder(spec, spec.channels, output_stride=spec.output_stride)
    decoder = DeepLabV3PlusDecoder(
        channels_of(encoder),
        spec.depth,
        _WIDTH,
        spec.atrous_rates,
        spec.output_stride,
        aspp_separable=True,
        aspp_dropout=spec.dropout,
    )
    head = SegmentationHead(_WIDTH, spec.classes, kernel_size=1, upsampling=4)
    return Network(encoder, decoder, head, classes=spec.classes)


def _fpn(spec: ModelSpec) -> Network:
    encoder = make_encoder(spec, spec.channels)
    decoder = FPNDecoder(channels_of(encoder), dropout=spec.dropout)
    head = SegmentationHead(decoder.out_channels, spec.classes, kernel_size=1, upsampling=4)
    initialize_decoder(decoder)
    initialize_head(head)
    return Network(encoder, decoder, head, classes=spec.classes)


def _pan(spec: ModelSpec) -> Network:
    encoder, width = make_encoder(spec, spec.channels, output_stride=spec.output_stride), 32
    decoder = PANDecoder(channels_of(encoder), spec.depth, width)
    decoder.fpa = FeaturePyramidAttention(decoder.fpa)
    return _network(spec, encoder, decoder, SegmentationHead(width, spec.classes, upsampling=4))


def _upernet(spec: ModelSpec) -> Network:
    encoder = make_encoder(spec, spec.channels)
    decoder = UPerNetDecoder(channels_of(encoder), decoder_channels=_WIDTH)
    replace_adaptive_pools(decoder)
    return _network(spec, encoder, decoder, SegmentationHead(_WIDTH, spec.classes, kernel_size=1, upsampling=4))


def _segformer(spec: ModelSpec) -> Network:
    encoder = make_encoder(spec, spec.channels)
    decoder = SegformerDecoder(channels_of(encoder), segmentation_channels=_WIDTH)
    return _network(spec, encoder, decoder, SegmentationHead(_WIDTH, spec.classes, kernel_size=1, upsampling=4))


def _linknet(spec: ModelSpec) -> Network:
    encoder, width = make_encoder(spec, spec.channels), 32
    decoder = LinknetDecoder(channels_of(encoder), prefinal_channels=width)
    return _network(spec, encoder, decoder, SegmentationHead(width, spec.classes, kernel_size=1))


def _bisenet(spec: ModelSpec) -> Network:
    encoder = make_encoder(spec, spec.channels)
    decoder = BiSeNetDecoder(channels_of(encoder))
    width, *coarser = decoder.out_channels
    last = nn.Conv2d(width, spec.classes, 3, padding=1)
    head = nn.Sequential(last, nn.Upsample(scale_factor=8, mode="bilinear"))
    return _network(spec, encoder, decoder, head, coarser)


NETWORKS: dict[str, Callable[[ModelSpec], Network]] = {
    "unet": _unet,
    "unetplusplus": _unetplusplus,
    "attention_unet": _attention_unet,
    "deeplabv3": _deeplabv3,
    "deeplabv3plus": _deeplabv3plus,
    "fpn": _fpn,
    "pan": _pan,
    "upernet": _upernet,
    "segformer": _segformer,
    "linknet": _linknet,
    "bisenet": _bisenet,
}


def _network(
    spec: ModelSpec, encoder: nn.Module, decoder: nn.Module, head: nn.Sequential, coarser: Sequence[int] = ()
) -> Network:
    """The parts put together, with a dropout before the head; `coarser` are channels that deep supervision may use."""
    initialize_decoder(decoder)
    initialize_head(head)
    auxiliary = coarser if spec.options.deep_supervision else ()
    return Network(encoder, decoder, head, classes=spec.classes, dropout=spec.dropout, auxiliary=auxiliary)
