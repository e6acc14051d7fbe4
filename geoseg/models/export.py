"""A torch module becomes an ONNX graph with free batch, height and width, proven against the module itself."""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor, nn

from geoseg.core.tiling import round_up
from geoseg.errors import BundleError, InputError
from geoseg.models.build import build_model
from geoseg.models.graph import GRAPH, INPUT, OUTPUT, WEIGHTS, check_graph, link_weights, parse_graph
from geoseg.models.layout import Place, read_layout
from geoseg.models.openvino import core
from geoseg.models.spec import ModelSpec
from geoseg.models.tensors import misfit

TOLERANCE = 1e-4  # largest difference of a probability between the graph and the module
_OPSET = 20
_NETWORK = "network."


class _Probabilities(nn.Module):
    """A network's logits as class probabilities; the batch is normalised channels."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        return torch.softmax(self.network(pixels), dim=1)


def export_graph(model: nn.Module, spec: ModelSpec, weights: bytes, layout: Mapping[str, Place]) -> bytes:
    """The ONNX bytes of `model`: float32 "pixels" (N, channels, H, W) to "probabilities" (N, classes, H, W).

    Tensors of the state dict are not repeated in it but point into `weights`, the bytes of the safetensors file
    that `layout` describes; batch norms therefore stay unfolded. The result is run by OpenVINO on two random batches
    of different size and compared with torch before it is returned.

    Raises:
        BundleError: if a probability differs by more than 1e-4.
    """
    module = _Probabilities(copy.deepcopy(model).cpu().float()).eval()
    graph = parse_graph(_trace(module, _batches(spec)[0]))
    for tensor in graph.graph.initializer:
        tensor.name = tensor.name.removeprefix(_NETWORK)
    for node in graph.graph.node:
        node.input[:] = [name.removeprefix(_NETWORK) for name in node.input]
        node.output[:] = [name.removeprefix(_NETWORK) for name in node.output]  # of tensors equal to another
    link_weights(graph.graph, layout)
    check_graph(graph, layout)
    content = bytes(graph.SerializeToString(deterministic=True))
    _prove(module, spec, content, weights)
    return content


def weights_of(model: nn.Module, spec: ModelSpec) -> tuple[bytes, dict[str, Place]]:
    """The state dict as the bytes of a safetensors file, bit for bit, and where each tensor lies in them.

    Raises:
        InputError: if the state dict is not that of a network of `spec`.
    """
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    problem = misfit(state, build_model(spec).state_dict())
    if problem:
        raise InputError(f"the model is not the network of this spec: {problem}; give the spec that it was built with")
    content = save(state)
    return content, read_layout(io.BytesIO(content), len(content))


def count_parameters(model: nn.Module) -> int:
    """How many numbers of the network are trained."""
    return sum(parameter.numel() for parameter in model.parameters())


def torch_version() -> str:
    """The version of torch, as it goes into a bundle."""
    return str(torch.__version__)


def _batches(spec: ModelSpec) -> tuple[Tensor, Tensor]:
    """Two random batches of different size, always the same; sides are multiples of the stride, at least 64."""
    generator = torch.Generator().manual_seed(0)
    side = round_up(64, spec.stride)
    small = torch.randn(1, spec.channels, side, side, generator=generator)
    return small, torch.randn(2, spec.channels, 2 * side, side + spec.stride, generator=generator)


def _trace(module: nn.Module, pixels: Tensor) -> bytes:
    """ONNX by tracing: it took 1 s where torch's newer exporter took minutes for same-padded EfficientNets.

    Torch says that tracing is deprecated, and warns where a size might be fixed; `_prove` tests just that.
    """
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
        warnings.filterwarnings("ignore", message="Constant folding")
        torch.onnx.export(
            module,
            (pixels,),
            file,  # type: ignore[arg-type]
            dynamo=False,
            opset_version=_OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={name: {0: "batch", 2: "height", 3: "width"} for name in (INPUT, OUTPUT)},
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=False,
        )
    return file.getvalue()


def _prove(module: nn.Module, spec: ModelSpec, graph: bytes, weights: bytes) -> None:
    with TemporaryDirectory(prefix="geoseg-") as folder:
        Path(folder, GRAPH).write_bytes(graph)
        Path(folder, WEIGHTS).write_bytes(weights)
        network = core().compile_model(Path(folder, GRAPH), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        for pixels in _batches(spec):
            difference = _difference(network(pixels.numpy())[0], module, pixels)
            if not difference <= TOLERANCE:
                msg = f"the graph's probabilities differ by {difference:.1e} from torch's for {tuple(pixels.shape)}"
                raise BundleError(f"{msg}, more than {TOLERANCE:.0e}; bundle without a graph")


def _difference(found: NDArray[np.float32], module: nn.Module, pixels: Tensor) -> float:
    with torch.inference_mode():
        wanted = module(pixels).numpy()
    return float(np.abs(found - wanted).max()) if found.shape == wanted.shape else np.inf
