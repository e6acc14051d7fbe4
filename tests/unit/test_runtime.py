from __future__ import annotations

import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from geoseg.core.bands import Band, BandSet
from geoseg.core.legend import LandClass, Legend
from geoseg.core.provenance import Provenance
from geoseg.errors import BundleError, InputError, MissingExtraError
from geoseg.models.build import build_model
from geoseg.models.bundle import Bundle, BundleContent, save_bundle
from geoseg.models.runtime import RUNTIMES, RuntimeOptions, faster_precisions, open_runtime
from geoseg.models.runtime.onnxruntime import OnnxRuntime
from geoseg.models.runtime.openvino import OpenVinoRuntime
from geoseg.models.runtime.processor import has_amx, has_bf16
from geoseg.models.spec import ModelSpec

SHAPES = [(1, 4, 32, 32), (3, 4, 64, 32), (2, 4, 96, 128)]


@pytest.fixture(scope="module", params=[("unet", "resnet18"), ("deeplabv3plus", "tu-mobilenetv3_small_050")], ids=str)
def bundle(request, tmp_path_factory) -> Bundle:
    architecture, encoder = request.param
    spec = ModelSpec(
        architecture=architecture,
        encoder=encoder,
        bands=BandSet(tuple(Band(name=name, common_name=name) for name in ("blue", "green", "red", "nir"))),
        legend=Legend(tuple(LandClass(code=i, name=f"class {i}", colour="#102030") for i in range(3))),
        gsd_m=10,
        decoder_channels=(64, 32, 16, 16, 8) if architecture == "unet" else None,
    )
    torch.manual_seed(1)
    model = build_model(spec)
    with torch.no_grad():
        for _ in range(3):
            model(torch.randn(4, 4, 64, 64))  # batch norms see data, so that evaluation is well scaled
        head = model.segmentation_head[0]
        head.weight *= 3 / model.eval()(torch.randn(4, 4, 64, 64)).std()  # so that probabilities come near 0 and 1
    content = BundleContent(spec=spec, card="", provenance=Provenance(versions={}))
    return save_bundle(tmp_path_factory.mktemp("bundle") / "model.geoseg", model, content)


@pytest.fixture(scope="module")
def without_graph(bundle, tmp_path_factory) -> Bundle:
    from geoseg.models.bundle import load_model

    path = tmp_path_factory.mktemp("bundle") / "model.geoseg"
    content = BundleContent(spec=bundle.spec, card="", provenance=bundle.provenance, graph=False)
    return save_bundle(path, load_model(bundle), content)


def batch(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(4).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_runtimes_agree(bundle, shape):
    pixels = batch(shape)
    found = {name: open_runtime(bundle, RuntimeOptions(runtime=name, device="cpu"))(pixels) for name in RUNTIMES}
    for probabilities in found.values():
        assert probabilities.dtype == np.float32
        assert probabilities.shape == (shape[0], 3, *shape[2:])
        assert probabilities.flags.c_contiguous
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert found["torch"].max() > 0.8
    for name in ("openvino", "onnxruntime"):
        assert np.abs(found[name] - found["torch"]).max() <= 1e-4


@pytest.mark.parametrize("name", RUNTIMES)
def test_the_same_batch_gives_the_same_bits(bundle, name):
    pixels = batch(SHAPES[1])
    first = open_runtime(bundle, RuntimeOptions(runtime=name, device="cpu"))
    results = [first(pixels), first(pixels), open_runtime(bundle, RuntimeOptions(runtime=name, device="cpu"))(pixels)]
    assert all(result.tobytes() == results[0].tobytes() for result in results)


@pytest.mark.parametrize("name", RUNTIMES)
def test_results_stay_when_the_next_batch_runs(bundle, name):
    runtime = open_runtime(bundle, RuntimeOptions(runtime=name, device="cpu"))
    first = runtime(batch(SHAPES[0]))
    copy = first.copy()
    runtime(batch(SHAPES[0]) + 1)
    assert np.array_equal(first, copy)


@pytest.mark.parametrize("name", RUNTIMES)
def test_views_are_taken_as_they_look(bundle, name):
    runtime = open_runtime(bundle, RuntimeOptions(runtime=name, device="cpu"))
    pixels = batch((1, 4, 64, 64))
    view = np.asfortranarray(pixels)[:, :, ::2, ::2]
    assert np.array_equal(runtime(view), runtime(np.ascontiguousarray(view)))


def test_auto_takes_openvino_where_there_is_a_graph(bundle, without_graph):
    assert open_runtime(bundle).name == "openvino on CPU, fp32"
    assert open_runtime(bundle, RuntimeOptions(device="cpu", threads=1)).name == "openvino on CPU, fp32"
    assert open_runtime(without_graph).name.startswith("torch on ")
    assert open_runtime(without_graph, RuntimeOptions(device="cpu")).name == "torch on CPU, fp32"
    assert open_runtime(bundle, RuntimeOptions(runtime="onnxruntime")).name == "onnxruntime on CPU, fp32"


def test_one_thread_gives_the_same_map(bundle):
    pixels = batch(SHAPES[0])
    one, many = (open_runtime(bundle, RuntimeOptions(runtime="openvino", threads=n))(pixels) for n in (1, None))
    np.testing.assert_allclose(one, many, atol=1e-5)


def test_choices_that_cannot_be_had_are_refused(bundle, without_graph):
    with pytest.raises(
        InputError, match="runtime 'tensorrt' is unknown, choose from auto, openvino, onnxruntime, torch"
    ):
        open_runtime(bundle, RuntimeOptions(runtime="tensorrt"))
    with pytest.raises(InputError, match="device 'tpu' is unknown, choose from auto, cpu, cuda"):
        open_runtime(bundle, RuntimeOptions(device="tpu"))
    with pytest.raises(InputError, match="openvino has no device cuda"):
        open_runtime(bundle, RuntimeOptions(runtime="openvino", device="cuda"))
    with pytest.raises(InputError, match="torch has no device tensorrt"):
        open_runtime(bundle, RuntimeOptions(runtime="torch", device="tensorrt"))
    with pytest.raises(InputError, match="at least one thread"):
        open_runtime(bundle, RuntimeOptions(threads=0))
    for name in ("openvino", "onnxruntime"):
        with pytest.raises(InputError, match=r"has no graph.onnx; use the runtime torch"):
            open_runtime(without_graph, RuntimeOptions(runtime=name))


@pytest.mark.parametrize(("device", "provider"), [("cuda", "CUDA"), ("tensorrt", "Tensorrt")])
def test_onnxruntime_uses_no_other_device_in_silence(bundle, monkeypatch, device, provider):
    options = RuntimeOptions(runtime="auto" if device == "tensorrt" else "onnxruntime", device=device)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(InputError, match=f"this ONNX Runtime has no {provider}ExecutionProvider"):
        open_runtime(bundle, options)
    everything = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: everything)
    monkeypatch.setattr(onnxruntime.InferenceSession, "get_providers", lambda _: ["CPUExecutionProvider"])
    with pytest.warns(UserWarning, match="is not in available provider names"), pytest.raises(InputError) as caught:
        open_runtime(bundle, options)
    assert f"could not start {provider}ExecutionProvider" in str(caught.value)


def test_a_runtime_that_is_not_installed_is_named_with_its_extra(bundle, monkeypatch):
    monkeypatch.setattr("geoseg.models.runtime.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'geoseg\[onnxruntime\]'"):
        open_runtime(bundle, RuntimeOptions(runtime="onnxruntime"))


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_a_graph_that_no_runtime_can_read_is_a_damaged_bundle(name, tmp_path):
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            [onnx.helper.make_node("Conv", ["pixels", "nowhere"], ["probabilities"])],
            "g",
            [onnx.helper.make_tensor_value_info("pixels", onnx.TensorProto.FLOAT, ["n", 4, "h", "w"])],
            [onnx.helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, ["n", 3, "h", "w"])],
        ),
        opset_imports=[onnx.helper.make_opsetid("", 20)],
        ir_version=9,
    )
    graph = tmp_path / "graph.onnx"
    onnx.save(model, graph)
    kinds = {"openvino": OpenVinoRuntime, "onnxruntime": OnnxRuntime}
    with pytest.raises(BundleError, match=r"cannot read graph.onnx"):
        kinds[name](graph)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
def test_cuda_is_refused_where_there_is_none(bundle):
    with pytest.raises(InputError, match="no CUDA device is usable here"):
        open_runtime(bundle, RuntimeOptions(device="cuda"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is here")
def test_cuda_agrees_with_the_cpu(bundle):
    for shape in SHAPES:
        found = [
            open_runtime(bundle, RuntimeOptions(runtime="torch", device=device))(batch(shape))
            for device in ("cuda", "cpu")
        ]
        assert np.abs(found[0] - found[1]).max() <= 1e-4


needs_bf16 = pytest.mark.skipif(not has_bf16(), reason="this CPU has no instructions for bfloat16")


@needs_bf16
@pytest.mark.parametrize("name", ["openvino", "torch"])
def test_bf16_is_near_fp32_and_its_softmax_is_float32(bundle, name):
    pixels = batch(SHAPES[2])
    opened = {
        p: open_runtime(bundle, RuntimeOptions(runtime=name, device="cpu", precision=p)) for p in ("fp32", "bf16")
    }
    assert {p: runtime.name for p, runtime in opened.items()} == {p: f"{name} on CPU, {p}" for p in opened}
    wanted, found = (opened[p](pixels) for p in ("fp32", "bf16"))
    assert found.dtype == np.float32
    assert 1e-5 < np.abs(found - wanted).mean() < 0.02
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    assert opened["bf16"](pixels).tobytes() == found.tobytes()


def test_a_precision_that_is_not_there_is_refused(bundle, monkeypatch):
    with pytest.raises(InputError, match="precision 'fp8' is unknown, choose from fp32, bf16, fp16"):
        RuntimeOptions(precision="fp8")
    monkeypatch.setattr("geoseg.models.runtime.has_bf16", lambda: False)
    for name in ("openvino", "torch"):
        for precision in ("bf16", "fp16"):
            options = RuntimeOptions(runtime=name, device="cpu", precision=precision)
            with pytest.raises(InputError, match=f"{name} computes in fp32 here, not in {precision}: it takes"):
                open_runtime(bundle, options)


@pytest.mark.parametrize(
    ("amx", "bf16", "faster"), [(True, True, ("bf16",)), (False, True, ()), (False, False, ()), (True, False, ())]
)
def test_bf16_counts_as_faster_with_amx_alone(bundle, monkeypatch, amx, bf16, faster):
    monkeypatch.setattr("geoseg.models.runtime.has_amx", lambda: amx)
    monkeypatch.setattr("geoseg.models.runtime.has_bf16", lambda: bf16)
    for name in ("auto", "openvino", "torch"):
        assert faster_precisions(bundle, RuntimeOptions(runtime=name, device="cpu")) == faster


@pytest.mark.parametrize(("flags", "there"), [("fpu avx512_bf16 amx_bf16 amx_tile", True), ("fpu avx512_bf16", False)])
def test_amx_is_read_from_the_flags_of_the_processor(tmp_path, monkeypatch, flags, there):
    path = tmp_path / "cpuinfo"
    monkeypatch.setattr("geoseg.models.runtime.processor._CPUINFO", path)
    assert not has_amx()
    path.write_text(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t\t: amx_bf16\n")
    assert has_amx() == there


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_these_need_no_torch(bundle, name):
    code = f"""
import sys
from pathlib import Path
import numpy as np
from geoseg.models.bundle import load_bundle
from geoseg.models.runtime import RuntimeOptions, open_runtime
runtime = open_runtime(load_bundle(Path({str(bundle.path)!r})), RuntimeOptions(runtime={name!r}))
probabilities = runtime(np.zeros((1, 4, 64, 64), dtype=np.float32))
sys.exit(0 if probabilities.shape == (1, 3, 64, 64) and "torch" not in sys.modules else "torch was imported")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (0, "")
