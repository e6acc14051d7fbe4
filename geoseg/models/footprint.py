"""What a network needs around a pixel and in memory: what a plan of tiles is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """Measured with the weights of a bundle.

    `reach_px` is the radius (of a square, in pixels) that half of a pixel's influence comes from: half of the sum of
    the absolute gradients of its logits by the input (the effective receptive field of Luo et al. 2016,
    arXiv:1701.04128). `bytes_per_pixel` is the memory of one inference in 32-bit floats, for each pixel of a tile,
    weights left out, as eager torch takes it; other runtimes take up to twice as much.
    """

    reach_px: int
    bytes_per_pixel: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"reach_px": self.reach_px, "bytes_per_pixel": round(self.bytes_per_pixel, 1)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any] | None) -> Self | None:
        """What `to_dict` gave; None where a bundle was made before there was any.

        Raises:
            ValueError: for numbers that no network has.
        """
        if values is None:
            return None
        found = cls(reach_px=int(values["reach_px"]), bytes_per_pixel=float(values["bytes_per_pixel"]))
        if found.reach_px < 0 or not 0 < found.bytes_per_pixel < float("inf"):
            msg = f"no network has the footprint {dict(values)}"
            raise ValueError(msg)
        return found
