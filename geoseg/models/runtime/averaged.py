"""Several networks as one runtime: the mean of their class probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from geoseg.models.runtime.protocol import Runtime


class AveragedRuntime:
    """Networks that answer one after the other; each takes channels of its own, stacked in their order.

    All have the same number of channels and the same classes; see `geoseg.core.bands.BandStack`.
    """

    def __init__(self, runtimes: Sequence[Runtime]) -> None:
        self._runtimes = tuple(runtimes)
        kinds = dict.fromkeys(runtime.name for runtime in self._runtimes)
        self.name = f"mean of {len(self._runtimes)} networks ({'; '.join(kinds)})"
        self.streams = min(runtime.streams for runtime in self._runtimes)

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Class probabilities (N, classes, H, W) of channels (N, networks * channels, H, W), float32."""
        first, *others = zip(self._runtimes, np.split(batch, len(self._runtimes), axis=1), strict=True)
        total = first[0](first[1]).copy()
        for runtime, channels in others:
            total += runtime(channels)
        total /= len(self._runtimes)
        return total
