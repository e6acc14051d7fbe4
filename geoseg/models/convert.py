"""The network of a bundle as files for other programs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx

from geoseg.errors import InputError, OutputError
from geoseg.models.archive import check_free
from geoseg.models.bundle import Bundle, extract_graph, extract_int8
from geoseg.models.graph import WEIGHTS

SUFFIXES = {"onnx": ".onnx", "openvino": ".xml"}
_LIMIT = 2_000_000_000  # bytes; protobuf files end at 2 GiB


def convert_bundle(
    bundle: Bundle, to: str, out: Path, *, precision: str = "fp32", overwrite: bool = False
) -> tuple[Path, ...]:
    """Write a bundle's network for other programs, and return the files.

    "onnx" gives one file with the weights inside and, in its metadata, the spec; "openvino" an .xml file, with a .bin
    file beside it. Batch, height and width are free; "pixels" are normalised channels, as `geoseg.models.mlm` tells.

    Raises:
        OutputError: if the suffix is another one, a file exists without `overwrite`, or cannot be written.
        InputError: for an unknown format or precision, or a bundle without such a graph, or too large a one.
        BundleError: if the bundle is damaged.
    """
    if to not in SUFFIXES:
        raise InputError(f"{to!r} is unknown, choose from {', '.join(SUFFIXES)}")
    if precision not in ("fp32", "int8") or (to == "onnx" and precision == "int8"):
        raise InputError(f"found {to} in {precision}; networks are written in fp32, and for openvino also in int8")
    if out.suffix != SUFFIXES[to]:
        raise OutputError(f"{out.name}: {to} is written as {SUFFIXES[to]}; give such a name")
    files = (out,) if to == "onnx" else (out.with_suffix(".bin"), out)
    for path in files:
        check_free(path, overwrite=overwrite)
    try:
        with TemporaryDirectory(prefix=".geoseg-", dir=out.parent) as folder:
            _write(bundle, to, precision, Path(folder, out.name))
            for path in files:
                Path(folder, path.name).replace(path)
    except OSError as error:
        raise OutputError(f"{out} cannot be written ({error.strerror or error}); choose another folder") from error
    return files


def _write(bundle: Bundle, to: str, precision: str, out: Path) -> None:
    with TemporaryDirectory(prefix="geoseg-") as name:
        folder = Path(name)
        if precision == "int8":
            graph = extract_int8(bundle, folder)
            shutil.move(graph.with_suffix(".bin"), out.with_suffix(".bin"))
            shutil.move(graph, out)
        elif to == "openvino":
            from geoseg.models.openvino import core, ov  # noqa: PLC0415 (not needed for ONNX)

            ov.save_model(core().read_model(extract_graph(bundle, folder)), out, compress_to_fp16=False)
        else:
            _write_onnx(bundle, extract_graph(bundle, folder), out)


def _write_onnx(bundle: Bundle, graph: Path, out: Path) -> None:
    if graph.with_name(WEIGHTS).stat().st_size > _LIMIT:
        raise InputError(f"the weights of {bundle.path.name} are too large for one ONNX file; export to openvino")
    model = onnx.load(graph)
    onnx.helper.set_model_props(model, {"geoseg_spec": json.dumps(bundle.spec.to_dict())})
    onnx.save(model, out)
