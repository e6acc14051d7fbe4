"""What every runtime offers to the engine."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Runtime(Protocol):
    """A network ready to run."""

    @property
    def name(self) -> str:
        """Which runtime on which device in which precision, for people and for provenance: "openvino on CPU, fp32"."""
        ...

    @property
    def streams(self) -> int:
        """How many threads may call it at the same time, and gain by it."""
        ...

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Class probabilities, float32 of shape (N, classes, H, W), that sum to 1 over the classes.

        `batch` holds normalised channels, float32 of shape (N, channels, H, W), H and W multiples of the spec's stride.
        """
        ...
