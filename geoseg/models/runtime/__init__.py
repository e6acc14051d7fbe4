"""What runs a network: OpenVINO, ONNX Runtime or torch behind one Protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from geoseg.errors import InputError, MissingExtraError
from geoseg.models.bundle import Bundle, extract_graph, extract_int8, load_model
from geoseg.models.runtime.processor import has_amx, has_bf16
from geoseg.models.runtime.protocol import Runtime

__all__ = ["DEVICES", "PRECISIONS", "RUNTIMES", "Runtime", "RuntimeOptions", "faster_precisions", "open_runtime"]

DEVICES = ("auto", "cpu", "cuda", "tensorrt")
PRECISIONS = {
    "fp32": "32-bit floats run everywhere",
    "bf16": "it takes openvino or torch on a CPU with AVX512_BF16 or AMX, or torch on a CUDA device",
    "fp16": "it takes the runtime torch on a CUDA device",
    "int8": "it takes openvino and a bundle with an 8-bit graph (geoseg export --precision int8 --calibrate SCENE)",
}
"""What a network can compute in, and what that takes."""


def _require_known(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InputError(f"{what} {value!r} is unknown, choose from {', '.join(known)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeOptions:
    """What runs a network, and how.

    "auto" takes OpenVINO, which needs no torch, where the bundle has a graph and no CUDA device is asked for, and
    torch otherwise; for TensorRT, ONNX Runtime. `threads` None leaves the number of CPU threads to the runtime.
    `precision` is what the network computes in; probabilities are float32 whatever it is.

    Raises:
        InputError: for an unknown device or precision, or no thread.
    """

    runtime: str = "auto"
    device: str = "auto"
    threads: int | None = None
    precision: str = "fp32"

    def __post_init__(self) -> None:
        _require_known("device", self.device, DEVICES)
        _require_known("precision", self.precision, tuple(PRECISIONS))
        if self.threads is not None and self.threads < 1:
            raise InputError(f"at least one thread is needed, got {self.threads}")


def open_runtime(bundle: Bundle, options: RuntimeOptions = RuntimeOptions()) -> Runtime:
    """Make a bundle's network ready to run.

    Raises:
        InputError: for an unknown runtime, or a device or a precision that it cannot use or that is not there.
        MissingExtraError: if the runtime is not installed.
        BundleError: if the bundle's weights or graph are damaged.
    """
    name = _chosen(bundle, options)
    if options.precision != "fp32":  # which all have; the others have to be looked up
        _require_precision(name, bundle, options)
    return RUNTIMES[name].open(bundle, options)


def faster_precisions(bundle: Bundle, options: RuntimeOptions) -> tuple[str, ...]:
    """The precisions that are faster than fp32 with these options on this machine, the fastest first.

    It is known beforehand and not measured, so that the same machine always gives the same answer.
    """
    there = RUNTIMES[_chosen(bundle, options)].precisions(bundle, options.device)
    return tuple(precision for precision, faster in there.items() if faster)


def _chosen(bundle: Bundle, options: RuntimeOptions) -> str:
    _require_known("runtime", options.runtime, ("auto", *RUNTIMES))
    if options.runtime != "auto":
        return options.runtime
    if options.device == "tensorrt":
        return "onnxruntime"
    return "openvino" if bundle.has_graph and options.device != "cuda" else "torch"


def _require_precision(name: str, bundle: Bundle, options: RuntimeOptions) -> None:
    there = RUNTIMES[name].precisions(bundle, options.device)
    if options.precision not in there:
        found = f"{name} computes in {', '.join(there)} here, not in {options.precision}"
        raise InputError(f"{found}: {PRECISIONS[options.precision]}; choose another precision, or auto")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """A runtime: how it is opened, and the precisions that it has for a bundle on a device.

    These come with the fastest first, each with whether it is faster than fp32.
    """

    open: Callable[[Bundle, RuntimeOptions], Runtime]
    precisions: Callable[[Bundle, str], Mapping[str, bool]]


def _open_openvino(bundle: Bundle, options: RuntimeOptions) -> Runtime:
    if options.device not in ("auto", "cpu"):
        raise InputError(f"the runtime openvino has no device {options.device}; use another runtime, or the device cpu")
    from geoseg.models.runtime.openvino import OpenVinoRuntime  # noqa: PLC0415 (each runtime loads its library alone)

    with TemporaryDirectory(prefix="geoseg-") as folder:
        extract = extract_int8 if options.precision == "int8" else extract_graph
        graph = extract(bundle, Path(folder))
        return OpenVinoRuntime(graph, threads=options.threads, precision=options.precision)


def _open_onnxruntime(bundle: Bundle, options: RuntimeOptions) -> Runtime:
    if find_spec("onnxruntime") is None:
        msg = "the runtime onnxruntime needs the package onnxruntime: pip install 'geoseg[onnxruntime]'"
        raise MissingExtraError(f"{msg}, or use the runtime openvino")
    from geoseg.models.runtime.onnxruntime import OnnxRuntime  # noqa: PLC0415 (each runtime loads its library alone)

    with TemporaryDirectory(prefix="geoseg-") as folder:
        return OnnxRuntime(extract_graph(bundle, Path(folder)), device=options.device, threads=options.threads)


def _open_torch(bundle: Bundle, options: RuntimeOptions) -> Runtime:
    from geoseg.models.runtime.eager import TorchRuntime  # noqa: PLC0415 (each runtime loads its library alone)

    model = load_model(bundle)
    return TorchRuntime(model, device=options.device, threads=options.threads, precision=options.precision)


def _floats_of_cpu() -> Mapping[str, bool]:
    """Without AMX bf16 is slower than fp32, measured in CPU time on a Xeon that has AVX512_BF16 alone."""
    return {"bf16": has_amx(), "fp32": False} if has_bf16() else {"fp32": False}


def _in_openvino(bundle: Bundle, _device: str) -> Mapping[str, bool]:
    return ({} if bundle.int8 is None else {"int8": True}) | dict(_floats_of_cpu())


def _in_onnxruntime(_bundle: Bundle, _device: str) -> Mapping[str, bool]:
    return {"fp32": False}


def _in_torch(_bundle: Bundle, device: str) -> Mapping[str, bool]:
    from geoseg.models.runtime.eager import cuda_precisions, pick_device  # noqa: PLC0415

    return cuda_precisions() if pick_device(device).type == "cuda" else _floats_of_cpu()


RUNTIMES = {
    "openvino": _Kind(open=_open_openvino, precisions=_in_openvino),
    "onnxruntime": _Kind(open=_open_onnxruntime, precisions=_in_onnxruntime),
    "torch": _Kind(open=_open_torch, precisions=_in_torch),
}
