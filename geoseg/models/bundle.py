"""One file in, one file out: weights, contract, graph and card of a model as `name.geoseg`.

Loading runs no code of the file and imports no torch; torch comes in with `save_bundle`, `write_bundle`,
`read_weights` and `load_model` only.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from geoseg.core.provenance import Provenance
from geoseg.errors import BundleError, InputError, OutputError
from geoseg.models.archive import check_free, open_archive, write_archive
from geoseg.models.footprint import Footprint
from geoseg.models.graph import GRAPH, WEIGHTS, check_graph, parse_graph
from geoseg.models.int8 import INT8_GRAPH, INT8_WEIGHTS, check_ir
from geoseg.models.layout import Place, read_layout
from geoseg.models.mlm import CARD, ModelRecord
from geoseg.models.spec import ModelSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

SUFFIX = ".geoseg"
_MODEL = "model.json"
_INT8_HEADING = "## In 8 bits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A bundle on disk: where it is, what its model is, and the sha256 of the whole file (hexadecimal).

    `int8` says how the 8-bit graph was made and how it agrees with the network; None where there is none.
    """

    path: Path
    name: str
    spec: ModelSpec
    provenance: Provenance
    card: str
    statistics: Mapping[str, Any]
    has_graph: bool
    int8: Mapping[str, Any] | None = None
    sha256: str
    footprint: Footprint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleContent:
    """What a bundle says beside the weights.

    `card` is Markdown. A `provenance` without a date gets the present one. `name` None means one made from the file's
    name. `statistics` are plain JSON values about the training data. `pretrained` names where the encoder came from.
    Without `graph` only torch can run the bundle.
    """

    spec: ModelSpec
    card: str
    provenance: Provenance
    name: str | None = None
    statistics: Mapping[str, Any] = field(default_factory=dict)
    pretrained: str | None = None
    graph: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8Account:
    """How an 8-bit graph was made and how it agrees with the network: JSON values, and Markdown for the card."""

    facts: Mapping[str, Any]
    text: str


def save_bundle(path: Path, model: nn.Module, content: BundleContent, *, overwrite: bool = False) -> Bundle:
    """Save a network of `build_model(content.spec)`, which itself is not changed, and open the new bundle.

    The same weights and content, with a date, give the same bytes.

    Raises:
        OutputError: if the suffix is not .geoseg, the file exists without `overwrite`, or it cannot be written.
        InputError: if the model does not fit the spec, or the name or statistics cannot be stored.
        BundleError: if the exported graph does not give the model's own probabilities.
    """
    _check_name(path)
    check_free(path, overwrite=overwrite)
    from geoseg.models.export import count_parameters, export_graph, torch_version, weights_of  # noqa: PLC0415
    from geoseg.models.probe import measure_footprint  # noqa: PLC0415

    weights, layout = weights_of(model, content.spec)
    record = ModelRecord(
        name=_name_from(path.stem) if content.name is None else content.name,
        spec=content.spec,
        provenance=_dated(content.provenance),
        statistics=content.statistics,
        has_graph=content.graph,
        parameters=count_parameters(model),
        pretrained=content.pretrained,
        framework_version=torch_version(),
        footprint=measure_footprint(model, content.spec),
    )
    entries = {_MODEL: _to_json(record), CARD: content.card.encode(), WEIGHTS: weights}
    if content.graph:
        entries[GRAPH] = export_graph(model, content.spec, weights, layout)
    write_archive(path, entries, overwrite=overwrite)
    return load_bundle(path)


def load_bundle(path: str | Path) -> Bundle:
    """Open a bundle: the model's contract and card are read, the rest is checked but not loaded.

    Raises:
        MissingFileError: if there is no such file.
        BundleError: if it is damaged, of another schema version, or holds something that may not be in it.
    """
    path = Path(path)
    with open_archive(path) as archive:
        record = ModelRecord.from_item(_from_json(archive.read(_MODEL)))
        card = _text(archive.read(CARD))
        told = {GRAPH: record.has_graph, INT8_GRAPH: record.int8 is not None, INT8_WEIGHTS: record.int8 is not None}
        for name, there in told.items():
            if there != (name in archive.namelist()):
                raise BundleError(f"{path.name}: model.json and the entries disagree about {name}; bundle it again")
        _check_head(_layout(archive), record.spec)
    return Bundle(
        path=path,
        name=record.name,
        spec=record.spec,
        provenance=record.provenance,
        card=card,
        statistics=record.statistics,
        has_graph=record.has_graph,
        int8=record.int8,
        footprint=record.footprint,
        sha256=_sha256(path),
    )


def read_weights(bundle: Bundle) -> dict[str, Tensor]:
    """The tensors of the network's state dict by name, on the CPU.

    Raises:
        BundleError: if the file is damaged.
    """
    from safetensors import SafetensorError  # noqa: PLC0415
    from safetensors.torch import load  # noqa: PLC0415 (torch is not needed to open a bundle)

    with open_archive(bundle.path) as archive:
        content = archive.read(WEIGHTS)
    try:
        return dict(load(content))
    except SafetensorError as error:
        raise BundleError(f"the weights of {bundle.path.name} are damaged ({error}); get the file again") from None


def load_model(bundle: Bundle) -> nn.Module:
    """The network with its weights, in evaluation mode, on the CPU.

    Raises:
        BundleError: if the weights are damaged or do not fit the network of the bundle's spec.
    """
    from geoseg.models.build import build_model  # noqa: PLC0415 (torch is not needed to open a bundle)
    from geoseg.models.tensors import misfit  # noqa: PLC0415

    tensors, model = read_weights(bundle), build_model(bundle.spec)
    problem = misfit(tensors, model.state_dict())
    if problem:
        raise BundleError(f"the weights of {bundle.path.name} do not fit its own spec: {problem}; bundle them again")
    model.load_state_dict(tensors)
    return model.eval()


def extract_graph(bundle: Bundle, folder: Path) -> Path:
    """Write the bundle's graph and the weights that it points to into `folder`, and return the graph's path.

    The graph is checked first: it may use standard operators and the stored weights, and reach for nothing else.

    Raises:
        InputError: if the bundle has no graph.
        BundleError: if graph or weights are damaged.
    """
    if not bundle.has_graph:
        raise InputError(
            f"{bundle.path.name} has no {GRAPH}; use the runtime torch, or bundle its weights with a graph"
        )
    with open_archive(bundle.path) as archive:
        content = archive.read(GRAPH)
        check_graph(parse_graph(content), _layout(archive))
        with archive.open(WEIGHTS) as source, (folder / WEIGHTS).open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
    (folder / GRAPH).write_bytes(content)
    return folder / GRAPH


def extract_int8(bundle: Bundle, folder: Path) -> Path:
    """Write the bundle's 8-bit graph and its weights into `folder`, and return the graph's path; see `check_ir`.

    Raises:
        InputError: if the bundle has no 8-bit graph.
        BundleError: if the graph is damaged or reaches for what it may not.
    """
    if bundle.int8 is None:
        raise InputError(f"{bundle.path.name} has no {INT8_GRAPH}; make one with geoseg export --calibrate SCENE")
    with open_archive(bundle.path) as archive:
        content = archive.read(INT8_GRAPH)
        check_ir(content, archive.getinfo(INT8_WEIGHTS).file_size)
        with archive.open(INT8_WEIGHTS) as source, (folder / INT8_WEIGHTS).open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
    (folder / INT8_GRAPH).write_bytes(content)
    return folder / INT8_GRAPH


def add_int8(bundle: Bundle, graph: Path, about: Int8Account, out: Path, *, overwrite: bool = False) -> Bundle:
    """A new bundle: this one with an 8-bit graph, an .xml file with its weights in a .bin beside it.

    An 8-bit graph that was there is replaced, together with its section in the card.

    Raises:
        OutputError: if the suffix is not .geoseg, the file exists without `overwrite`, or it cannot be written.
        BundleError: if the graph reaches for what it may not.
    """
    _check_name(out)
    check_free(out, overwrite=overwrite)
    content, weights = graph.read_bytes(), graph.with_suffix(".bin").read_bytes()
    check_ir(content, len(weights))
    with open_archive(bundle.path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    record = replace(ModelRecord.from_item(_from_json(entries[_MODEL])), int8=about.facts)
    card = f"{bundle.card.partition(_INT8_HEADING)[0].rstrip()}\n\n{_INT8_HEADING}\n\n{about.text}\n"
    entries |= {_MODEL: _to_json(record), CARD: card.encode(), INT8_GRAPH: content, INT8_WEIGHTS: weights}
    write_archive(out, entries, overwrite=overwrite)
    return load_bundle(out)


def _check_name(path: Path) -> None:
    if path.suffix != SUFFIX:
        raise OutputError(f"a bundle's name ends with {SUFFIX}, got {path.name}")


def _layout(archive: zipfile.ZipFile) -> dict[str, Place]:
    with archive.open(WEIGHTS) as file:
        return read_layout(file, archive.getinfo(WEIGHTS).file_size)


def _check_head(layout: Mapping[str, Place], spec: ModelSpec) -> None:
    """The last layer must give the spec's classes; the whole fit is checked when the network is built."""
    head = layout.get("segmentation_head.0.weight")
    if head is None or not head.shape or head.shape[0] != spec.classes:
        found = "no last layer" if head is None else f"a last layer of shape {head.shape}"
        raise BundleError(f"the weights have {found}, but the legend has {spec.classes} classes; bundle them again")


def _name_from(stem: str) -> str:
    """A file's stem as a name that MLM allows: letters, digits and _.- with a letter first."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", stem).strip("_.-")
    return name if len(name) > 2 and name[0].isalpha() else f"model-{name or 'geoseg'}"


def _dated(provenance: Provenance) -> Provenance:
    return provenance if provenance.date else replace(provenance, date=datetime.now(UTC).isoformat(timespec="seconds"))


def _to_json(record: ModelRecord) -> bytes:
    try:
        return json.dumps(record.to_item(), indent=1, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError) as error:
        raise InputError(f"the statistics or the provenance cannot be written as JSON: {error}") from None


def _from_json(content: bytes) -> object:
    try:
        return json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"model.json is not readable ({error}); get the file again") from None


def _refuse_constant(text: str) -> NoReturn:
    msg = f"{text} is no JSON"
    raise ValueError(msg)


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise BundleError(f"{CARD} is not UTF-8 text ({error}); get the file again") from None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
