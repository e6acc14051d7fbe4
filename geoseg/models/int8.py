"""The 8-bit graph of a bundle: a second form of its network, in OpenVINO's own format (IR), with weights of its own.

Format: https://docs.openvino.ai/2026/documentation/openvino-ir-format.html (XML that names operators and points into a
file of raw numbers). OpenVINO bakes nothing executable into it, and `check_ir` lets nothing else pass.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

from geoseg.errors import BundleError
from geoseg.models.graph import INPUT, OUTPUT

INT8_GRAPH = "graph-int8.xml"
INT8_WEIGHTS = "graph-int8.bin"


def check_ir(content: bytes, size: int) -> None:
    """Refuse an IR that reaches for anything but OpenVINO's own operators and the `size` bytes of its weights.

    Raises:
        BundleError: naming the first operator, input, output or constant that may not be there.
    """
    if b"<!" in content:
        raise BundleError(f"{INT8_GRAPH} declares entities, which no network needs; quantise it again")
    try:
        network = ET.fromstring(content)  # noqa: S314 (no entities)
    except ET.ParseError as error:
        raise BundleError(f"{INT8_GRAPH} is not readable ({error}); quantise it again") from None
    for layer in network.iter("layer"):
        _check_layer(layer, size)
    layers = network.findall("layers/layer")
    names = [layer.get("name") for layer in layers if layer.get("type") == "Parameter"]
    names += [layer.get("output_names") for layer in layers if layer.get("type") == "Result"]
    if names != [INPUT, OUTPUT]:
        raise BundleError(f"{INT8_GRAPH} must turn {INPUT!r} into {OUTPUT!r}, found {names}")


def _check_layer(layer: ET.Element, size: int) -> None:
    if not str(layer.get("version")).startswith("opset"):
        raise BundleError(f"{INT8_GRAPH} uses {layer.get('type')!r}, which is not of OpenVINO's operators; refused")
    data = layer.find("data")
    if layer.get("type") != "Const" or data is None:
        return
    first, length = (data.get(key, "") for key in ("offset", "size"))
    if not (first.isdigit() and length.isdigit() and int(first) + int(length) <= size):
        raise BundleError(f"{INT8_GRAPH}: {layer.get('name')!r} lies outside of {INT8_WEIGHTS}; quantise it again")
