"""`geoseg export`: networks for other programs, and bundles with an 8-bit graph."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import onnx
import onnxruntime
import pytest
import rasterio
from factory import write_scene

from geoseg.io.synth import SynthOptions, synthesise
from geoseg.models.bundle import load_bundle
from geoseg.models.openvino import core
from geoseg.models.runtime import open_runtime
from geoseg.models.spec import ModelSpec
from geoseg.models.zoo import default_bundle_path

SHAPES = ((1, 5, 64, 64), (2, 5, 32, 96))


def batch(shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_onnx_is_one_file_that_gives_the_same_and_carries_the_contract(geoseg, tiny_bundle, tmp_path):
    out = tmp_path / "tiny.onnx"
    end = geoseg("export", tiny_bundle, "--to", "onnx", "--out", out)
    assert (end.code, end.out) == (0, f"wrote {out}\n"), end.err
    assert list(tmp_path.iterdir()) == [out]
    model = onnx.load(out, load_external_data=False)
    onnx.checker.check_model(model)
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    (found,) = (json.loads(entry.value) for entry in model.metadata_props if entry.key == "geoseg_spec")
    bundle = load_bundle(tiny_bundle)
    assert ModelSpec.from_dict(found) == bundle.spec
    session, runtime = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"]), open_runtime(bundle)
    for shape in SHAPES:
        (probabilities,) = session.run(["probabilities"], {"pixels": batch(shape)})
        assert np.abs(probabilities - runtime(batch(shape))).max() <= 1e-4


def test_openvino_is_two_files_that_give_the_same(geoseg, tiny_bundle, tmp_path):
    out = tmp_path / "tiny.xml"
    end = geoseg("export", tiny_bundle, "--to", "openvino", "--out", out)
    assert end.code == 0, end.err
    assert {path.name for path in tmp_path.iterdir()} == {"tiny.xml", "tiny.bin"}
    network = core().compile_model(out, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    runtime = open_runtime(load_bundle(tiny_bundle))
    for shape in SHAPES:
        assert np.abs(network(batch(shape))["probabilities"] - runtime(batch(shape))).max() <= 1e-5


def test_what_cannot_be_exported_is_refused(geoseg, tiny_bundle, tmp_path):
    for to, name, more, message in (
        ("onnx", "tiny.pb", (), "onnx is written as .onnx"),
        ("openvino", "tiny.onnx", (), "openvino is written as .xml"),
        ("openvino", "tiny.geoseg", (), "openvino is written as .xml"),
        ("onnx", "tiny.onnx", ("--precision", "int8"), "found onnx in int8"),
        ("openvino", "tiny.xml", ("--precision", "int8"), "has no graph-int8.xml"),
        ("onnx", "nowhere/tiny.onnx", (), "cannot be written"),
    ):
        end = geoseg("export", tiny_bundle, "--to", to, "--out", tmp_path / name, *more)
        assert (end.code, message in end.err) == (3, True), end.err
    assert not list(tmp_path.iterdir())
    assert geoseg("export", tiny_bundle, "--to", "onnx", "--out", tmp_path / "a.onnx", "--calibrate", "s.tif").code == 2
    (tmp_path / "there.bin").write_bytes(b"mine")
    end = geoseg("export", tiny_bundle, "--to", "openvino", "--out", tmp_path / "there.xml")
    assert (end.code, "exists already" in end.err) == (3, True)
    assert (tmp_path / "there.bin").read_bytes() == b"mine"
    assert geoseg("export", tiny_bundle, "--to", "openvino", "--out", tmp_path / "there.xml", "--overwrite").code == 0


# 8 bits, with the bundle that ships inside the package: an untrained network would tell nothing


@pytest.fixture(scope="module")
def landscape(tmp_path_factory):
    path = tmp_path_factory.mktemp("scene") / "landscape.tif"
    synthesise(path, options=SynthOptions(size=800))
    return path


@pytest.fixture(scope="module")
def int8(landscape, tmp_path_factory):
    """The default bundle with an 8-bit graph, and what the command said."""
    from typer.testing import CliRunner

    from geoseg.cli.app import app

    out = tmp_path_factory.mktemp("bundle") / "int8.geoseg"
    arguments = ["export", default_bundle_path(), "--to", "openvino", "--precision", "int8", "--calibrate", landscape]
    end = CliRunner().invoke(app, [*map(str, arguments), "--out", str(out)])
    assert end.exit_code == 0, end.output
    return load_bundle(out), end.stdout


def read(path):
    with rasterio.open(path) as file:
        return file.read(1), file.tags()


def test_the_card_tells_how_8_bits_agree_and_the_result_says_the_same(int8, landscape):
    bundle, said = int8
    agreement = bundle.int8["agreement"]
    assert 0.9 < agreement < 1, "8 bits move some pixels, and not many"
    assert said.splitlines()[1].startswith(f"int8 in comparison with fp32: {agreement:.3%} of ")
    assert said.splitlines()[1].removeprefix("int8 in comparison with fp32: ") in bundle.card
    assert bundle.card.count("## In 8 bits") == 1
    assert bundle.int8["calibrated_on"].keys() == {landscape.name}
    assert set(bundle.int8["losses"]) <= {land_class.name for land_class in bundle.spec.legend}
    with zipfile.ZipFile(bundle.path) as archive:
        assert archive.getinfo("graph-int8.bin").file_size < archive.getinfo("weights.safetensors").file_size / 2


def test_predict_in_int8_draws_nearly_the_same_map(geoseg, int8, landscape, tmp_path):
    for precision in ("fp32", "int8"):
        mask = tmp_path / f"{precision}.tif"
        end = geoseg("predict", landscape, "--model", int8[0].path, "--mask", mask, "--precision", precision)
        assert end.code == 0, end.err
        assert f"openvino on CPU, {precision}" in end.out
    (plain, _), (quantised, tags) = (read(tmp_path / f"{precision}.tif") for precision in ("fp32", "int8"))
    same = (plain == quantised)[plain != 255].mean()
    assert same == pytest.approx(int8[0].int8["agreement"], abs=0.02)
    assert same < 1
    assert json.loads(tags["GEOSEG_PROVENANCE"])["runtime"] == "openvino on CPU, int8"


def test_auto_takes_8_bits_only_where_they_agree(geoseg, int8, landscape, tmp_path, monkeypatch):
    monkeypatch.setattr("geoseg.inference.precision.WORTH_PX", 400_000)
    arguments = ("predict", landscape, "--model", int8[0].path, "--overwrite", "--json", "--mask", tmp_path / "m.tif")
    summary = json.loads(geoseg(*arguments).out)
    assert summary["precision"] == "fp32"
    assert summary["precision_reason"].startswith("in int8 9")
    monkeypatch.setattr("geoseg.inference.precision.AGREEING", 0.9)
    monkeypatch.setattr("geoseg.inference.precision.LOSS", 1.0)
    assert json.loads(geoseg(*arguments).out)["precision"] == "int8"


def test_the_8_bit_graph_can_be_taken_out(geoseg, int8, tmp_path):
    out = tmp_path / "int8.xml"
    end = geoseg("export", int8[0].path, "--to", "openvino", "--precision", "int8", "--out", out)
    assert end.code == 0, end.err
    kinds = {node.get_type_name() for node in core().read_model(out).get_ops()}
    assert "FakeQuantize" in kinds


def test_scenes_that_cannot_calibrate_are_refused(geoseg, tmp_path):
    model, out = default_bundle_path(), tmp_path / "m.geoseg"
    arguments = ("export", model, "--to", "openvino", "--precision", "int8", "--out", out, "--calibrate")
    small = write_scene(tmp_path / "small.tif", 300, 300)
    end = geoseg(*arguments, small)
    assert (end.code, "found 1 tiles of 256 px" in end.err) == (3, True), end.err
    unfit = write_scene(tmp_path / "unfit.tif", 300, 300, names=("a", "b", "c", "d"))
    assert geoseg(*arguments, unfit).code == 3
    assert not out.exists()


def test_quantisation_without_its_package_names_the_extra(geoseg, landscape, tmp_path, monkeypatch):
    monkeypatch.setattr("geoseg.models.quantise.find_spec", lambda _: None)
    out = tmp_path / "m.geoseg"
    arguments = ("--to", "openvino", "--precision", "int8", "--calibrate", landscape, "--out", out)
    end = geoseg("export", default_bundle_path(), *arguments)
    assert (end.code, "pip install 'geoseg[int8]'" in end.err) == (3, True), end.err
