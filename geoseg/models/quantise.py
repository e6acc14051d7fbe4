"""A network's graph in 8 bits, by post-training quantisation with NNCF (https://github.com/openvinotoolkit/nncf)."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoseg.errors import MissingExtraError
from geoseg.models.graph import INPUT
from geoseg.models.openvino import core, ov

_CONVOLUTIONS = ("Convolution", "GroupConvolution")


def require_quantiser() -> None:
    """Find NNCF before any work is done.

    Raises:
        MissingExtraError: if it is not installed.
    """
    if find_spec("nncf") is None:
        raise MissingExtraError(
            "quantisation needs the package nncf, which is not installed: pip install 'geoseg[int8]'"
        )


def quantise_graph(graph: Path, batches: Sequence[NDArray[np.float32]], out: Path) -> None:
    """Write an ONNX graph in 8 bits as OpenVINO's IR: `out`, an .xml file, and its weights, a .bin file beside it.

    The range of every activation is that of the `batches`, normalised channels of shape (N, channels, H, W). The first
    and the last convolution, which see the scene and decide, stay in floating point.
    """
    import nncf  # noqa: PLC0415 (an extra, and it loads torch)

    nncf.set_log_level(logging.ERROR)
    model = core().read_model(graph)
    convolutions = [node.get_friendly_name() for node in model.get_ordered_ops() if _convolves(node)]
    with redirect_stdout(sys.stderr):  # progress bars
        quantised = nncf.quantize(
            model,
            nncf.Dataset(batches, lambda batch: {INPUT: batch}),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(batches),
            ignored_scope=nncf.IgnoredScope(names=[convolutions[0], convolutions[-1]]),
        )
    ov.save_model(quantised, out, compress_to_fp16=False)


def quantiser_versions() -> dict[str, str]:
    """The versions of what quantises."""
    return {name: version(name) for name in ("nncf", "openvino")}


def _convolves(node: ov.Node) -> bool:
    return node.get_type_name() in _CONVOLUTIONS
