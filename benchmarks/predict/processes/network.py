"""The benchmark's network as users of segmentation_models_pytorch build it, with the bundle's weights."""

from __future__ import annotations

from pathlib import Path

import segmentation_models_pytorch as smp
from safetensors.torch import load_file
from torch import nn


def load_network(folder: Path, channels: int, classes: int) -> nn.Module:
    """A U-Net on ResNet-18 in evaluation mode; float32 (N, channels, row, col) to logits (N, classes, row, col)."""
    network: nn.Module = smp.Unet("resnet18", encoder_weights=None, in_channels=channels, classes=classes)
    network.load_state_dict(load_file(folder / "weights.safetensors"))
    return network.eval()
