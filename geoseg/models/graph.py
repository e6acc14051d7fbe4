"""The graph of a network as ONNX whose weights lie in the bundle's safetensors file, so that they are stored once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

from geoseg.errors import BundleError
from geoseg.models.layout import Place

WEIGHTS = "weights.safetensors"
GRAPH = "graph.onnx"
INPUT = "pixels"
OUTPUT = "probabilities"
_ONNX_TYPES = {
    "F64": TensorProto.DOUBLE, "F32": TensorProto.FLOAT, "F16": TensorProto.FLOAT16, "BF16": TensorProto.BFLOAT16,
    "I64": TensorProto.INT64, "I32": TensorProto.INT32, "I16": TensorProto.INT16, "I8": TensorProto.INT8,
    "U8": TensorProto.UINT8, "BOOL": TensorProto.BOOL,
}  # fmt: skip
_DOMAINS = ("", "ai.onnx")


def link_weights(graph: GraphProto, layout: Mapping[str, Place]) -> None:
    """Let every initialiser that bears the name of a stored tensor point to its bytes in `weights.safetensors`."""
    for tensor in graph.initializer:
        place = layout.get(tensor.name)
        if place is None or not place.length:
            continue
        tensor.ClearField("raw_data")
        tensor.ClearField("float_data")
        tensor.ClearField("int64_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", WEIGHTS), ("offset", place.offset), ("length", place.length)):
            tensor.external_data.add(key=key, value=str(value))


def parse_graph(content: bytes) -> ModelProto:
    """An ONNX model from its bytes; tensors outside of it are not loaded.

    Raises:
        BundleError: if the bytes are no ONNX model.
    """
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # noqa: PLC0415 (comes with onnx)

    model = ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError:
        raise BundleError(f"{GRAPH} in the bundle is not an ONNX model; bundle the weights again") from None
    return model


def check_graph(model: ModelProto, layout: Mapping[str, Place]) -> None:
    """Refuse a graph that reaches for anything but standard operators and the stored weights as they are stored.

    Raises:
        BundleError: naming the first tensor, input, output or operator set that may not be there.
    """
    for opset in model.opset_import:
        if opset.domain not in _DOMAINS:
            raise BundleError(f"{GRAPH} uses operators of {opset.domain!r}; only standard ONNX operators may be there")
    names = [*(value.name for value in model.graph.input), *(value.name for value in model.graph.output)]
    if names != [INPUT, OUTPUT]:
        raise BundleError(f"{GRAPH} must turn {INPUT!r} into {OUTPUT!r}, found {', '.join(names)}")
    for tensor in _tensors(model):
        if tensor.data_location == TensorProto.EXTERNAL and not _is_stored(tensor, layout):
            raise BundleError(f"{GRAPH}: {tensor.name!r} does not lie where {WEIGHTS} has it; bundle the weights again")


def _is_stored(tensor: TensorProto, layout: Mapping[str, Place]) -> bool:
    place = layout.get(tensor.name)
    if place is None or _ONNX_TYPES[place.dtype] != tensor.data_type or place.shape != tuple(tensor.dims):
        return False
    wanted = {"location": WEIGHTS, "offset": str(place.offset), "length": str(place.length)}
    return wanted == {entry.key: entry.value for entry in tensor.external_data}


def _tensors(model: ModelProto) -> Iterator[TensorProto]:
    yield from _graph_tensors(model.graph)
    for function in model.functions:
        yield from _node_tensors(function.node)


def _graph_tensors(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _node_tensors(graph.node)


def _node_tensors(nodes: list[NodeProto]) -> Iterator[TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            yield from _attribute_tensors(attribute)


def _attribute_tensors(attribute: AttributeProto) -> Iterator[TensorProto]:
    yield attribute.t
    yield from attribute.tensors
    for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
        yield from (sparse.values, sparse.indices)
    for graph in (attribute.g, *attribute.graphs):
        yield from _graph_tensors(graph)
