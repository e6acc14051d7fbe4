from __future__ import annotations

import io
import json
import math
import os
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch
from safetensors.torch import save, save_file

from geoseg.core.bands import Band, BandSet
from geoseg.core.legend import LandClass, Legend
from geoseg.core.provenance import Provenance
from geoseg.errors import BundleError, InputError, MissingFileError, OutputError
from geoseg.models.build import build_model
from geoseg.models.bundle import (
    Bundle,
    BundleContent,
    extract_graph,
    load_bundle,
    load_model,
    read_weights,
    save_bundle,
)
from geoseg.models.spec import ModelSpec
from geoseg.models.wrap import wrap_weights

SPEC = ModelSpec(
    architecture="unet",
    encoder="tu-mobilenetv3_small_050",
    bands=BandSet(
        (
            Band(name="B4", common_name="red", scale=1e-4, offset=-0.1, mean=0.11, std=0.07, nodata=0),
            Band(name="B8", common_name="nir", mean=0.3, std=0.1, nodata=math.nan),
        )
    ),
    indices=("ndvi",),
    legend=Legend(
        (
            LandClass(code=1, name="Open water", colour="#0000ff"),
            LandClass(code=42, name="Wälder", colour="#00ff00", parent="vegetation"),
        )
    ),
    gsd_m=10,
    decoder_channels=(32, 16, 16, 8, 8),
)
CONTENT = BundleContent(
    spec=SPEC,
    card="# A model\n\nfor Wälder\n",
    provenance=Provenance(versions={"geoseg": "0"}, inputs={"a.tif": "ab12"}, seed=3, date="2026-01-02T03:04:05+00:00"),
    statistics={"pixels": {"water": 12}},
    pretrained="imagenet",
)


def trained_model(spec: ModelSpec = SPEC) -> torch.nn.Module:
    """A network whose batch norms have seen data, so that no two tensors and no counters are trivially equal."""
    torch.manual_seed(5)
    model = build_model(spec)
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(std=0.1)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
        else:
            buffer.fill_(17)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.empty_like(parameter).uniform_(-0.1, 0.1))
    return model


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    return trained_model()


@pytest.fixture(scope="module")
def bundle(model, tmp_path_factory) -> Bundle:
    return save_bundle(tmp_path_factory.mktemp("bundle") / "two-bands.geoseg", model, CONTENT)


@pytest.fixture
def rewrite(bundle, tmp_path) -> Callable[..., Path]:
    """A copy of the bundle in which entries are changed (bytes), dropped (None) or added."""

    def write(changes: dict[str, bytes | None], compression: int = zipfile.ZIP_STORED) -> Path:
        path = tmp_path / "changed.geoseg"
        with zipfile.ZipFile(bundle.path) as source, zipfile.ZipFile(path, "w", compression) as target:
            entries = {name: source.read(name) for name in source.namelist()} | changes
            for name, content in entries.items():
                if content is not None:
                    target.writestr(name, content)
        return path

    return write


def read_item(path: Path) -> dict:
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("model.json"))


# Round trips


def test_what_was_saved_is_loaded(bundle):
    loaded = load_bundle(bundle.path)
    assert loaded.spec.to_dict() == SPEC.to_dict()
    assert loaded.spec.legend == SPEC.legend
    assert replace(loaded.spec, bands=SPEC.bands) == SPEC
    assert (loaded.card, loaded.statistics, loaded.provenance) == (CONTENT.card, CONTENT.statistics, CONTENT.provenance)
    assert (loaded.name, loaded.has_graph) == ("two-bands", True)


def test_the_hash_is_that_of_the_file(bundle):
    printed = subprocess.run(["sha256sum", bundle.path], check=True, capture_output=True, text=True).stdout
    assert printed.split()[0] == bundle.sha256


def test_weights_keep_every_bit(bundle, model):
    wanted, found = model.state_dict(), read_weights(bundle)
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert found[name].dtype == tensor.dtype
        assert found[name].numpy().tobytes() == tensor.numpy().tobytes(), name
    assert int(found["encoder.model.bn1.num_batches_tracked"]) == 17
    assert all(torch.equal(tensor, found[name]) for name, tensor in load_model(bundle).state_dict().items())
    assert not load_model(bundle).training


def test_the_model_is_left_as_it_was(tmp_path, model):
    model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    save_bundle(tmp_path / "again.geoseg", model, CONTENT)
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_the_same_content_gives_the_same_bytes(bundle, model, tmp_path):
    again = save_bundle(tmp_path / "two-bands.geoseg", model, CONTENT)
    assert again.sha256 == bundle.sha256


def test_weights_are_stored_once(bundle, model):
    numbers = sum(t.numel() * t.element_size() for t in model.state_dict().values())
    with zipfile.ZipFile(bundle.path) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        graph = onnx.ModelProto.FromString(archive.read("graph.onnx"))
    assert sizes["weights.safetensors"] < numbers * 1.1
    assert sizes["graph.onnx"] < numbers * 0.2
    inline = [t.name for t in graph.graph.initializer if t.data_location != onnx.TensorProto.EXTERNAL]
    outside = [t.name for t in graph.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL]
    assert not inline
    assert set(outside) == {name for name in model.state_dict() if "num_batches" not in name}


def test_the_graph_reads_the_weights_file(bundle, model, tmp_path):
    graph = onnx.load(extract_graph(bundle, tmp_path))  # onnx itself resolves the external data
    state = model.state_dict()
    for tensor in graph.graph.initializer:
        assert onnx.numpy_helper.to_array(tensor).tobytes() == state[tensor.name].numpy().tobytes(), tensor.name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["graph.onnx", "weights.safetensors"]


def test_a_bundle_may_be_without_a_graph(model, tmp_path):
    bundle = save_bundle(tmp_path / "m.geoseg", model, replace(CONTENT, graph=False))
    assert not bundle.has_graph
    assert bundle.name == "model-m"
    with pytest.raises(InputError, match=r"m.geoseg has no graph.onnx; use the runtime torch"):
        extract_graph(bundle, tmp_path)


def test_a_missing_date_is_filled_in(model, tmp_path):
    content = replace(CONTENT, graph=False, provenance=Provenance(versions={}))
    assert save_bundle(tmp_path / "m.geoseg", model, content).provenance.date.startswith("20")


def test_opening_a_bundle_imports_no_torch(bundle):
    code = (
        "import sys; from pathlib import Path; from geoseg.models.bundle import load_bundle;"
        f"load_bundle(Path({str(bundle.path)!r})); sys.exit(bool({{'torch', 'openvino'}} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (0, "")


# Refusals while saving


def test_an_existing_bundle_is_kept(bundle, model):
    before = bundle.path.stat().st_mtime_ns
    with pytest.raises(OutputError, match="exists already"):
        save_bundle(bundle.path, model, CONTENT)
    assert bundle.path.stat().st_mtime_ns == before


def test_an_existing_bundle_is_replaced_when_asked(model, tmp_path):
    path = tmp_path / "model.geoseg"
    path.write_text("old")
    save_bundle(path, model, replace(CONTENT, card="new"), overwrite=True)
    assert load_bundle(path).card == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["model.geoseg"]


@pytest.mark.parametrize(
    ("path", "changes", "error", "message"),
    [
        ("model.zip", {}, OutputError, "a bundle's name ends with .geoseg"),
        ("no/model.geoseg", {}, OutputError, "cannot be written"),
        ("model.geoseg", {"statistics": {"mean": math.nan}}, InputError, "cannot be written as JSON"),
        ("model.geoseg", {"name": "8"}, InputError, "starting with a letter"),
        (
            "model.geoseg",
            {"spec": replace(SPEC, indices=())},
            InputError,
            r"conv_stem.weight is \(16, 3, 3, 3\), needed",
        ),
        (
            "model.geoseg",
            {"spec": replace(SPEC, legend=Legend(SPEC.legend.classes[:1]))},
            InputError,
            "segmentation_head",
        ),
    ],
)
def test_what_cannot_be_saved_leaves_no_file(model, tmp_path, path, changes, error, message):
    with pytest.raises(error, match=message):
        save_bundle(tmp_path / path, model, replace(CONTENT, **{"graph": False, **changes}))
    assert not list(tmp_path.iterdir())


def test_a_graph_that_gives_other_probabilities_is_refused(model, tmp_path, monkeypatch):
    monkeypatch.setattr("geoseg.models.export._difference", lambda *_: 2e-4)
    with pytest.raises(BundleError, match=r"differ by 2\.0e-04 from torch's"):
        save_bundle(tmp_path / "model.geoseg", model, CONTENT)
    assert not list(tmp_path.iterdir())


# Refusals while loading


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(MissingFileError, match=r"nowhere.geoseg is not there"):
        load_bundle(tmp_path / "nowhere.geoseg")


@pytest.mark.parametrize("keep", [0, 100, 0.5, 0.999])
def test_a_truncated_file_is_refused(bundle, tmp_path, keep):
    content = bundle.path.read_bytes()
    path = tmp_path / "cut.geoseg"
    path.write_bytes(content[: int(keep if keep >= 1 else keep * len(content))])
    with pytest.raises(BundleError, match=r"cut.geoseg is not a whole .geoseg file"):
        load_bundle(path)


def test_a_renamed_pickle_is_refused(model, tmp_path):
    path = tmp_path / "model.geoseg"
    torch.save(model.state_dict(), path)
    with pytest.raises(BundleError, match=r"not part of a bundle; only model.json, card.md, graph.onnx"):
        load_bundle(path)


@pytest.mark.parametrize("name", ["data.pkl", "code.py", "../card.md", "/etc/passwd", "x/", "MODEL.JSON"])
def test_other_entries_are_refused(rewrite, name):
    with pytest.raises(BundleError, match="not part of a bundle"):
        load_bundle(rewrite({name: b""}))


def test_an_entry_twice_is_refused(rewrite):
    path = rewrite({})
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("card.md", "another")
    with pytest.raises(BundleError, match=r"'card.md', twice"):
        load_bundle(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"card.md": None}, "lacks card.md"),
        ({"weights.safetensors": None}, "lacks weights.safetensors"),
        ({"model.json": None}, "lacks model.json"),
        ({"card.md": b"x" * (2 << 20)}, "2097152 bytes of card.md, more than 1048576"),
        ({"card.md": b"\xff\xfe"}, "card.md is not UTF-8"),
        ({"model.json": b"{"}, "model.json is not readable"),
        ({"model.json": b"[" * 200_000}, "model.json is not readable"),
        ({"model.json": b"[1]"}, "model.json is no STAC Item"),
        ({"model.json": b'{"properties": {}}'}, "schema version None, this geoseg reads version 1"),
        ({"graph.onnx": None}, "disagree about graph.onnx"),
        ({"weights.safetensors": b"short"}, "header claims"),
        ({"weights.safetensors": struct.pack("<Q", 1 << 40) + b"{}"}, "header claims 1099511627776 bytes"),
        ({"weights.safetensors": struct.pack("<Q", 2) + b"{}" + b"more"}, "14 bytes instead of 10"),
        ({"weights.safetensors": struct.pack("<Q", 2) + b"[]"}, "header is not readable"),
        ({"weights.safetensors": save({"other": torch.zeros(2)})}, "no last layer, but the legend has 2 classes"),
        ({"weights.safetensors": save({"segmentation_head.0.weight": torch.zeros(3, 8, 3, 3)})}, "a last layer of"),
    ],
)
def test_damaged_entries_are_refused(rewrite, changes, message):
    with pytest.raises(BundleError, match=message):
        load_bundle(rewrite(changes))


def test_compressed_entries_are_refused(rewrite):
    with pytest.raises(BundleError, match="compressed"):
        load_bundle(rewrite({}, zipfile.ZIP_DEFLATED))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("geoseg:schema_version", 2, "schema version 2, this geoseg reads version 1; update geoseg"),
        ("geoseg:spec", {"architecture": "unet"}, "bands: Field required"),
        ("geoseg:provenance", {"versions": {}, "secret": 1}, "unknown fields secret"),
        ("geoseg:provenance", {}, "versions"),
        ("geoseg:statistics", 3, "damaged"),
        ("mlm:name", "?", "the model's name"),
        ("mlm:name", 3, "damaged"),
    ],
)
def test_a_damaged_contract_is_refused(bundle, rewrite, field, value, message):
    item = read_item(bundle.path)
    item["properties"][field] = value
    with pytest.raises(BundleError, match=message) as found:
        load_bundle(rewrite({"model.json": json.dumps(item).encode()}))
    assert "\n" not in str(found.value)


def test_numbers_that_json_does_not_know_are_refused(bundle, rewrite):
    text = json.dumps(read_item(bundle.path)).replace('"gsd_m": 10.0', '"gsd_m": NaN')
    with pytest.raises(BundleError, match="NaN is no JSON"):
        load_bundle(rewrite({"model.json": text.encode()}))


def test_a_flipped_bit_in_the_weights_is_found(bundle, tmp_path):
    content = bytearray(bundle.path.read_bytes())
    with zipfile.ZipFile(bundle.path) as archive:
        content[archive.getinfo("weights.safetensors").header_offset + 100_000] ^= 1
    path = tmp_path / "flipped.geoseg"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"flipped.geoseg is not a whole .geoseg file"):
        read_weights(load_bundle(path))
    with pytest.raises(BundleError, match=r"flipped.geoseg is not a whole .geoseg file"):
        extract_graph(load_bundle(path), tmp_path)


def test_weights_of_another_network_are_refused(rewrite, model):
    state = {name: tensor for name, tensor in model.state_dict().items() if name != "encoder.model.bn1.bias"}
    path = rewrite({"weights.safetensors": save(state)})
    with pytest.raises(BundleError, match=r"1 missing \(encoder.model.bn1.bias\)"):
        load_model(load_bundle(path))
    with pytest.raises(BundleError, match=r"does not lie where weights.safetensors has it"):
        extract_graph(load_bundle(path), path.parent)


def change_location(graph: onnx.ModelProto) -> None:
    graph.graph.initializer[0].external_data[0].value = "../../etc/passwd"


def change_offset(graph: onnx.ModelProto) -> None:
    graph.graph.initializer[0].external_data[1].value = "0"


def hide_in_a_constant(graph: onnx.ModelProto) -> None:
    tensor = onnx.TensorProto(name="hidden", data_type=1, dims=[1], data_location=onnx.TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="/etc/passwd")
    graph.graph.node.append(onnx.helper.make_node("Constant", [], ["hidden"], value=tensor))


def use_other_operators(graph: onnx.ModelProto) -> None:
    graph.opset_import.add(domain="com.example", version=1)


def rename_output(graph: onnx.ModelProto) -> None:
    graph.graph.output[0].name = "logits"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (change_location, "does not lie where"),
        (change_offset, "does not lie where"),
        (hide_in_a_constant, "'hidden' does not lie where"),
        (use_other_operators, "only standard ONNX operators"),
        (rename_output, "must turn 'pixels' into 'probabilities', found pixels, logits"),
    ],
)
def test_graphs_that_reach_elsewhere_are_refused(bundle, rewrite, tmp_path, change, message):
    with zipfile.ZipFile(bundle.path) as archive:
        graph = onnx.ModelProto.FromString(archive.read("graph.onnx"))
    change(graph)
    folder = tmp_path / "extracted"
    folder.mkdir()
    with pytest.raises(BundleError, match=message):
        extract_graph(load_bundle(rewrite({"graph.onnx": graph.SerializeToString()})), folder)
    assert not list(folder.iterdir())


def test_a_graph_that_is_none_is_refused(rewrite, tmp_path):
    with pytest.raises(BundleError, match=r"graph.onnx in the bundle is not an ONNX model"):
        extract_graph(load_bundle(rewrite({"graph.onnx": b"\xffno graph"})), tmp_path)


# Weights from elsewhere


@pytest.fixture
def spec_file(tmp_path) -> Path:
    path = tmp_path / "spec.yaml"
    path.write_text(
        """
        architecture: unet
        encoder: tu-mobilenetv3_small_050
        bands:
          - {name: B4, common_name: red, scale: 1.0e-4, mean: 0.1, std: 0.2, nodata: 0}
          - {name: B8, common_name: nir, mean: 1, std: 2}
        indices: [ndvi]
        classes:
          - {code: 1, name: water, colour: "#0000ff"}
          - {code: 2, name: land, colour: "#00ff00", parent: earth}
        gsd_m: 10
        decoder_channels: [32, 16, 16, 8, 8]
        """
    )
    return path


@pytest.mark.parametrize(("suffix", "prefix"), [(".pt", ""), (".pth", "model."), (".safetensors", "")])
def test_weights_from_elsewhere_become_a_bundle(model, tmp_path, spec_file, suffix, prefix):
    weights = tmp_path / f"weights{suffix}"
    state = {prefix + name: tensor for name, tensor in model.state_dict().items()}
    if suffix == ".safetensors":
        save_file(state, weights)
    else:
        torch.save(state, weights)
    bundle = wrap_weights(weights, spec_file, tmp_path / "mine.geoseg")
    assert bundle.spec.channel_names == ("B4", "B8", "ndvi")
    assert bundle.spec.bands[0] == Band(name="B4", common_name="red", scale=1e-4, mean=0.1, std=0.2, nodata=0)
    assert set(bundle.provenance.inputs) == {weights.name, "spec.yaml"}
    assert "classes: water, land" in bundle.card
    found = read_weights(bundle)
    assert all(torch.equal(found[name], tensor) for name, tensor in model.state_dict().items())
    with pytest.raises(OutputError, match="exists already"):
        wrap_weights(weights, spec_file, tmp_path / "mine.geoseg")


def test_all_problems_of_a_spec_file_are_named_one_a_line(tmp_path, spec_file):
    torch.save({}, tmp_path / "w.pt")
    spec_file.write_text(
        spec_file.read_text().replace("mean: 1,", "").replace("gsd_m: 10", "gsd_m: ten\n        extra: 1")
    )
    with pytest.raises(InputError) as found:
        wrap_weights(tmp_path / "w.pt", spec_file, tmp_path / "m.geoseg")
    assert str(found.value).splitlines() == [
        "spec.yaml: the model spec has 3 problems:",
        "  bands.1.mean: Field required",
        "  gsd_m: Input should be a valid number",
        "  extra: Extra inputs are not permitted",
    ]


@pytest.mark.parametrize("content", ["a: [1", "just text", "- 1"])
def test_a_spec_file_that_is_none_is_refused(tmp_path, spec_file, content):
    torch.save({}, tmp_path / "w.pt")
    spec_file.write_text(content)
    with pytest.raises(InputError, match=r"spec.yaml"):
        wrap_weights(tmp_path / "w.pt", spec_file, tmp_path / "m.geoseg")


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


def as_bomb() -> bytes:
    file = io.BytesIO()
    torch.save({"a": Bomb()}, file)
    return file.getvalue()


def as_weights(**tensors: torch.Tensor) -> bytes:
    file = io.BytesIO()
    torch.save(tensors, file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (as_bomb(), BundleError, "w.pt holds more than tensors, and code from a file is never run"),
        (b"nothing", BundleError, "w.pt"),
        (as_weights(a=torch.zeros(1)), InputError, r"does not fit the unet .* of spec.yaml: \d+ missing"),
        (None, MissingFileError, "w.pt is not there"),
    ],
)
def test_weights_that_cannot_be_used_are_refused(tmp_path, monkeypatch, spec_file, content, error, message):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path("w.pt").write_bytes(content)
    with pytest.raises(error, match=message):
        wrap_weights(Path("w.pt"), spec_file, Path("m.geoseg"))
    assert not Path("exploded").exists()
    assert not Path("m.geoseg").exists()
