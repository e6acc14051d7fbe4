"""What runs a network: torch or OpenVINO behind one Protocol."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from geoseg.errors import InputError
from geoseg.models.bundle import Bundle, extract_graph, load_model
from geoseg.models.runtime.protocol import Runtime

__all__ = ["DEVICES", "RUNTIMES", "Runtime", "open_runtime"]

DEVICES = ("auto", "cpu", "cuda")


def open_runtime(bundle: Bundle, *, runtime: str = "auto", device: str = "auto", threads: int | None = None) -> Runtime:
    """Make a bundle's network ready to run.

    "auto" takes OpenVINO, which needs no torch, where the bundle has a graph and no CUDA device is asked for, and
    torch otherwise. `threads` None leaves the number of CPU threads to the runtime.

    Raises:
        InputError: for an unknown runtime or device, or a device that the runtime cannot use or that is not there.
        BundleError: if the bundle's weights or graph are damaged.
    """
    if runtime != "auto" and runtime not in RUNTIMES:
        raise InputError(f"runtime {runtime!r} is unknown, choose from auto, {', '.join(RUNTIMES)}")
    if device not in DEVICES:
        raise InputError(f"device {device!r} is unknown, choose from {', '.join(DEVICES)}")
    if threads is not None and threads < 1:
        raise InputError(f"at least one thread is needed, got {threads}")
    if runtime == "auto":
        runtime = "openvino" if bundle.has_graph and device != "cuda" else "torch"
    return RUNTIMES[runtime](bundle, device, threads)


def _open_openvino(bundle: Bundle, device: str, threads: int | None) -> Runtime:
    if device == "cuda":
        raise InputError("the runtime openvino has no CUDA device; use the runtime torch, or the device cpu")
    from geoseg.models.runtime.openvino import OpenVinoRuntime  # noqa: PLC0415 (each runtime loads its library alone)

    with TemporaryDirectory(prefix="geoseg-") as folder:
        return OpenVinoRuntime(extract_graph(bundle, Path(folder)), threads=threads)


def _open_torch(bundle: Bundle, device: str, threads: int | None) -> Runtime:
    from geoseg.models.runtime.eager import TorchRuntime  # noqa: PLC0415 (each runtime loads its library alone)

    return TorchRuntime(load_model(bundle), device=device, threads=threads)


RUNTIMES: dict[str, Callable[[Bundle, str, int | None], Runtime]] = {"openvino": _open_openvino, "torch": _open_torch}
