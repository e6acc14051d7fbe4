"""What every network here is: an encoder, a decoder, a last layer, and helpers that are there only while training."""

from __future__ import annotations

from collections.abc import Sequence

from segmentation_models_pytorch.base.initialization import initialize_head
from torch import Tensor, nn
from torch.nn import functional


class Network(nn.Module):
    """Pixels (N, channels, H, W) to logits (N, classes, H, W); the state dict's names are those of smp's models.

    A decoder turns the encoder's features, from fine to coarse, into one map, or into a tuple of it and of the maps
    of its coarser stages. Each of these gets a last layer of its own where `auxiliary` names their channels (deep
    supervision, Lee et al. 2015, arXiv:1409.5185): in training mode the network then returns (logits, *auxiliary
    logits), all of full size. In evaluation mode it always returns logits alone.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        head: nn.Sequential,
        *,
        classes: int,
        dropout: float = 0.0,
        auxiliary: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.dropout = nn.Dropout2d(dropout) if dropout else nn.Identity()
        self.segmentation_head = head
        self.auxiliary_heads = nn.ModuleList([nn.Conv2d(channels, classes, 1) for channels in auxiliary])
        initialize_head(self.auxiliary_heads)

    def forward(self, pixels: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Logits, in training mode with auxiliary logits after them where there are heads for these."""
        maps = self.decoder(self.encoder(pixels))
        finest, *coarser = maps if isinstance(maps, tuple) else (maps,)
        logits: Tensor = self.segmentation_head(self.dropout(finest))
        if not (self.training and len(self.auxiliary_heads)):
            return logits
        heads = zip(self.auxiliary_heads, coarser, strict=True)
        return (logits, *(_enlarged(head(self.dropout(x)), pixels) for head, x in heads))


def _enlarged(logits: Tensor, pixels: Tensor) -> Tensor:
    return functional.interpolate(logits, size=pixels.shape[-2:], mode="bilinear", align_corners=False)
