"""The 8-bit graph of a bundle: what may be in it, and how a bundle carries it."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest

from geoseg.errors import BundleError, InputError, OutputError
from geoseg.models.bundle import Int8Account, add_int8, extract_graph, extract_int8, load_bundle
from geoseg.models.int8 import check_ir
from geoseg.models.openvino import core, ov
from geoseg.models.runtime import RuntimeOptions, faster_precisions, open_runtime

IR = """<?xml version="1.0"?>
<net name="n" version="11"><layers>
<layer id="0" name="pixels" type="Parameter" version="opset1"/>
<layer id="1" name="w" type="Const" version="opset1"><data element_type="i8" shape="4" offset="8" size="4"/></layer>
<layer id="2" name="if" type="If" version="opset8"><body><layers>
<layer id="0" name="inner" type="Parameter" version="opset1"/></layers></body></layer>
<layer id="3" name="out" type="Result" version="opset1" output_names="probabilities"/>
</layers></net>"""
ACCOUNT = Int8Account(facts={"agreement": 0.9912, "losses": {"water": 0.01}}, text="About 8 bits.")


def test_a_plain_graph_passes():
    check_ir(IR.encode(), 12)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('<?xml version="1.0"?>', '<?xml version="1.0"?><!DOCTYPE n [<!ENTITY a "b">]>', "declares entities"),
        ("</net>", "", "is not readable"),
        ('"inner" type="Parameter" version="opset1"', '"inner" type="Mine" version="extension"', "uses 'Mine'"),
        (' version="opset8"', "", "uses 'If'"),
        ('offset="8"', 'offset="9"', "'w' lies outside of graph-int8.bin"),
        ('offset="8"', 'offset="-1"', "'w' lies outside"),
        ('size="4"', "", "'w' lies outside"),
        ('output_names="probabilities"', 'output_names="logits"', "must turn 'pixels' into 'probabilities'"),
        ('name="pixels"', 'name="image"', "must turn 'pixels' into 'probabilities', found"),
    ],
)
def test_graphs_that_reach_elsewhere_are_refused(old, new, message):
    assert old in IR
    with pytest.raises(BundleError, match=message):
        check_ir(IR.replace(old, new).encode(), 12)


@pytest.fixture(scope="module")
def plain(tiny_bundle):
    return load_bundle(tiny_bundle)


@pytest.fixture(scope="module")
def graph(plain, tmp_path_factory):
    """The network's own graph in OpenVINO's format: it stands for one in 8 bits, and can be told from it by nothing."""
    folder = tmp_path_factory.mktemp("ir")
    ov.save_model(core().read_model(extract_graph(plain, folder)), folder / "q.xml", compress_to_fp16=False)
    return folder / "q.xml"


@pytest.fixture(scope="module")
def bundle(plain, graph, tmp_path_factory):
    return add_int8(plain, graph, ACCOUNT, tmp_path_factory.mktemp("bundle") / "new.geoseg")


def test_nothing_else_changes(plain, bundle):
    assert (bundle.spec, bundle.provenance, bundle.name) == (plain.spec, plain.provenance, plain.name)
    assert bundle.sha256 != plain.sha256
    assert (plain.int8, bundle.int8) == (None, ACCOUNT.facts)
    assert bundle.card == "# tiny\n\n## In 8 bits\n\nAbout 8 bits.\n"
    with zipfile.ZipFile(plain.path) as before, zipfile.ZipFile(bundle.path) as after:
        for name in ("weights.safetensors", "graph.onnx"):
            assert before.read(name) == after.read(name)
        assets = json.loads(after.read("model.json"))["assets"]
    assert {asset["href"] for asset in assets.values()} == {*after.namelist()} - {"model.json"}
    for asset in assets.values():
        assert ("mlm:model" in asset["roles"]) == ("mlm:artifact_type" in asset), "a rule of the MLM schema"


def test_the_graph_that_was_added_is_the_one_that_runs(plain, bundle):
    runtime = open_runtime(bundle, RuntimeOptions(precision="int8"))
    assert runtime.name == "openvino on CPU, int8"
    pixels = np.random.default_rng(0).normal(size=(2, 5, 64, 32)).astype(np.float32)
    np.testing.assert_allclose(runtime(pixels), open_runtime(plain)(pixels), atol=1e-5)
    assert faster_precisions(bundle, RuntimeOptions())[0] == "int8"
    assert faster_precisions(bundle, RuntimeOptions(runtime="onnxruntime")) == ()
    assert "int8" not in faster_precisions(plain, RuntimeOptions())


def test_an_8_bit_graph_is_replaced_with_its_section(bundle, graph, tmp_path):
    again = add_int8(bundle, graph, Int8Account(facts={"agreement": 1.0}, text="Anew."), tmp_path / "again.geoseg")
    assert again.card == "# tiny\n\n## In 8 bits\n\nAnew.\n"
    assert again.int8 == {"agreement": 1.0}


def test_what_cannot_be_done_is_refused(plain, bundle, graph, tmp_path):
    with pytest.raises(OutputError, match=r"ends with .geoseg"):
        add_int8(plain, graph, ACCOUNT, tmp_path / "new.zip")
    with pytest.raises(OutputError, match="exists already"):
        add_int8(plain, graph, ACCOUNT, bundle.path)
    with pytest.raises(InputError, match=r"has no graph-int8.xml; make one with geoseg export"):
        extract_int8(plain, tmp_path)
    for name, found in (("openvino", plain), ("torch", bundle), ("onnxruntime", bundle)):
        with pytest.raises(InputError, match="not in int8: it takes openvino and a bundle with an 8-bit graph"):
            open_runtime(found, RuntimeOptions(runtime=name, precision="int8", device="cpu"))


@pytest.mark.parametrize("lost", ["graph-int8.xml", "graph-int8.bin"])
def test_a_part_that_is_missing_is_named(bundle, tmp_path, lost):
    path = tmp_path / "less.geoseg"
    with zipfile.ZipFile(bundle.path) as before, zipfile.ZipFile(path, "w") as after:
        for entry in before.infolist():
            if entry.filename != lost:
                after.writestr(entry, before.read(entry))
    with pytest.raises(BundleError, match=f"disagree about {lost}"):
        load_bundle(path)


def test_weights_that_are_too_short_are_found(bundle, tmp_path):
    path = tmp_path / "short.geoseg"
    with zipfile.ZipFile(bundle.path) as before, zipfile.ZipFile(path, "w") as after:
        for entry in before.infolist():
            content = before.read(entry)
            after.writestr(entry, content[:-100] if entry.filename == "graph-int8.bin" else content)
    with pytest.raises(BundleError, match=r"lies outside of graph-int8.bin"):
        open_runtime(load_bundle(path), RuntimeOptions(precision="int8"))
