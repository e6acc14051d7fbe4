"""Weights that were trained elsewhere, with a spec written by hand, become a bundle."""

from __future__ import annotations

import hashlib
from pathlib import Path

import yaml

from geoseg.core.provenance import Provenance
from geoseg.errors import InputError, MissingFileError
from geoseg.models.archive import check_free
from geoseg.models.build import build_model
from geoseg.models.bundle import Bundle, BundleContent, save_bundle
from geoseg.models.spec import ModelSpec
from geoseg.models.tensors import misfit, read_tensors, without_prefix


def wrap_weights(weights: Path, spec: Path, out: Path, *, card: str | None = None, overwrite: bool = False) -> Bundle:
    """Bundle the state dict of a segmentation_models_pytorch network.

    Args:
        weights: .pt, .pth or .safetensors with tensors only; a "model." before every name, as Lightning writes, is cut.
        spec: YAML with the keys of `ModelSpec.from_dict`.
        out: the bundle, name.geoseg.
        card: the model card in Markdown; None writes a short one that says where the weights came from.
        overwrite: whether an existing bundle may be replaced.

    Raises:
        MissingFileError: if an input is not there.
        InputError: naming all problems of the spec, or the first tensors that do not fit its network.
        BundleError: if the weights' file holds more than tensors.
        OutputError: if `out` exists without overwrite, or cannot be written.
    """
    check_free(out, overwrite=overwrite)
    contract = read_spec(spec)
    tensors = without_prefix(read_tensors(weights), "model.")
    model = build_model(contract)
    problem = misfit(tensors, model.state_dict())
    if problem:
        msg = f"{weights.name} does not fit the {contract.architecture} on {contract.encoder} of {spec.name}: {problem}"
        raise InputError(f"{msg}; correct architecture, encoder, bands, indices, classes or decoder_channels")
    model.load_state_dict(tensors)
    inputs = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (weights, spec)}
    provenance = Provenance.now(inputs=inputs, command=f"geoseg bundle {weights} --spec {spec} --out {out}")
    text = _short_card(out.stem, weights, contract) if card is None else card
    content = BundleContent(spec=contract, card=text, provenance=provenance)
    return save_bundle(out, model, content, overwrite=overwrite)


def read_spec(path: Path) -> ModelSpec:
    """A model's spec from a YAML file.

    Raises:
        MissingFileError: if there is no such file.
        InputError: if it is not YAML, or naming every problem, one a line.
    """
    if not path.is_file():
        raise MissingFileError(f"the spec {path} is not there; give the path of a YAML file")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name} is not readable as YAML: {' '.join(str(error).split())}") from None
    try:
        return ModelSpec.from_dict(values)
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from None


def _short_card(name: str, weights: Path, spec: ModelSpec) -> str:
    classes = ", ".join(land_class.name for land_class in spec.legend)
    return (
        f"# {name}\n\n{spec.architecture} on {spec.encoder}, bundled from `{weights.name}`; how it was trained and how "
        f"well it does is not recorded here.\n\n- channels: {', '.join(spec.channel_names)}\n- classes: {classes}\n"
        f"- ground sampling distance: {spec.gsd_m:g} m\n"
    )
