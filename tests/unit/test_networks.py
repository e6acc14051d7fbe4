from __future__ import annotations

import zipfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from factory import BANDS, LEGEND
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from geoseg.core.bands import Band, BandSet
from geoseg.core.legend import LandClass, Legend
from geoseg.core.provenance import Provenance
from geoseg.data.stack import Chip, stack
from geoseg.errors import InputError
from geoseg.models.architectures import ARCHITECTURES, PLAIN, NetworkOptions, option_problems
from geoseg.models.build import NETWORKS, EncoderWeights, build_model
from geoseg.models.bundle import BundleContent, load_bundle, load_model, save_bundle
from geoseg.models.networks.norms import ChannelNorm, replace_batch_norms
from geoseg.models.networks.pooling import BinAverage
from geoseg.models.networks.unet import AttentionGate
from geoseg.models.spec import ModelSpec
from geoseg.models.stem import first_conv
from geoseg.training.config import TrainConfig
from geoseg.training.ground import open_ground
from geoseg.training.task import SegmentationTask

EVERY = list(ARCHITECTURES)
SUPERVISED = [name for name in EVERY if ARCHITECTURES[name].deep_supervision]
SMALL = "tu-mobilenetv3_small_050"


def make_spec(architecture: str = "unet", *, bands: int = 4, encoder: str = SMALL, classes: int = 3, **options):
    return ModelSpec(
        architecture=architecture,
        encoder=encoder,
        bands=BandSet(tuple(Band(name=f"b{i}") for i in range(bands))),
        legend=Legend(tuple(LandClass(code=i, name=f"class {i}", colour="#102030") for i in range(classes))),
        gsd_m=10,
        options=NetworkOptions(**options),
    )


@cache
def grouped(architecture: str, dropout: float = 0.0) -> nn.Module:
    """A network in which nothing but dropout tells training from evaluation; with auxiliary heads where it can."""
    torch.manual_seed(2)
    supervised = architecture in SUPERVISED
    return build_model(make_spec(architecture, norm="group", dropout=dropout, deep_supervision=supervised))


def pixels(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def main_logits(output: torch.Tensor | tuple[torch.Tensor, ...]) -> torch.Tensor:
    return output[0] if isinstance(output, tuple) else output


# Shapes


def test_every_architecture_can_be_built():
    assert list(NETWORKS) == EVERY


@pytest.mark.parametrize("architecture", EVERY)
def test_any_channels_classes_and_multiples_of_the_stride(architecture):
    bands, classes = ((3, 2), (7, 5))[EVERY.index(architecture) % 2]  # with four and three everywhere below
    spec = make_spec(architecture, bands=bands, classes=classes)
    network, side = build_model(spec).eval(), spec.needed_stride
    with torch.inference_mode():
        for height, width in ((side, 3 * side), (5 * side, 2 * side)):
            batch = pixels(1, bands, height, width)
            logits = network(batch)
            assert logits.shape == (1, classes, height, width)
            assert logits.std() > 0
            assert torch.equal(logits, network(batch))


@pytest.mark.parametrize(
    ("architecture", "output_stride"),
    [("deeplabv3", 8), ("deeplabv3", 16), ("deeplabv3plus", 8), ("deeplabv3plus", 16), ("pan", 16), ("pan", 32)],
)
def test_the_output_stride_is_that_of_the_last_features(architecture, output_stride):
    spec = make_spec(architecture, output_stride=output_stride)
    network = build_model(spec).eval()
    with torch.inference_mode():
        assert network.encoder(pixels(1, 4, 64, 64))[-1].shape[-1] == 64 // output_stride
        assert network(pixels(1, 4, 64, 64)).shape == (1, 3, 64, 64)
    assert spec.needed_stride == output_stride


def test_atrous_rates_are_those_of_the_aspp():
    network = build_model(make_spec("deeplabv3", atrous_rates=(5, 11, 17)))
    rates = [layer.dilation for layer in network.decoder.aspp.modules() if isinstance(layer, nn.Conv2d)]
    assert [rate for rate in rates if rate != (1, 1)] == [(5, 5), (11, 11), (17, 17)]


@pytest.mark.parametrize("architecture", EVERY)
def test_encoders_without_features_at_half_the_size(architecture):
    network = build_model(make_spec(architecture, encoder="mit_b0", deep_supervision=architecture in SUPERVISED))
    outputs = network(pixels(2, 4, 32, 32))
    for logits in outputs if isinstance(outputs, tuple) else (outputs,):
        assert logits.shape == (2, 3, 32, 32)
        assert logits.std() > 0


def test_encoders_that_cannot_be_dilated_are_refused():
    with pytest.raises(InputError, match="'densenet121': it cannot be kept at output stride 16; choose another"):
        build_model(make_spec("deeplabv3plus", encoder="densenet121"))


def test_swin_transformers_take_other_sizes_than_they_were_trained_on():
    network = build_model(make_spec(encoder="tu-swin_s3_tiny_224")).eval()
    with torch.inference_mode():
        assert network(pixels(1, 4, 32, 96)).shape == (1, 3, 32, 96)


# Options that an architecture does not have


@pytest.mark.parametrize(
    ("architecture", "options", "message"),
    [
        ("unet", {"output_stride": 16}, "options.output_stride: unet has 32, not 16"),
        ("deeplabv3plus", {"output_stride": 32}, "options.output_stride: deeplabv3plus has 8 or 16, not 32"),
        ("fpn", {"atrous_rates": (1, 2, 3)}, "options.atrous_rates: fpn has none, only deeplabv3, deeplabv3plus$"),
        ("pan", {"deep_supervision": True}, "pan has none, only unet, unetplusplus, attention_unet, bisenet$"),
    ],
)
def test_options_that_an_architecture_lacks_are_refused(architecture, options, message):
    with pytest.raises(InputError, match=message) as found:
        make_spec(architecture, **options)
    assert len(str(found.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"norm": "layer"}, "options.norm"),
        ({"dropout": 1.0}, "options.dropout"),
        ({"atrous_rates": [6, 12]}, "options.atrous_rates.2"),
        ({"attention": True}, "options.attention"),
    ],
)
def test_options_that_there_are_not_are_refused(options, place):
    with pytest.raises(InputError, match=f"{place}: "):
        ModelSpec.from_dict({**make_spec().to_dict(), "options": options})


# Specs


def options_of(architecture: str) -> st.SearchStrategy[NetworkOptions]:
    rates = st.tuples(*[st.integers(1, 40)] * 3)
    drawn = st.builds(
        NetworkOptions,
        norm=st.sampled_from(["batch", "instance", "group"]),
        dropout=st.none() | st.floats(0, 0.99),
        output_stride=st.none() | st.sampled_from(ARCHITECTURES[architecture].output_strides),
        atrous_rates=st.none() | rates if ARCHITECTURES[architecture].rates else st.none(),
        deep_supervision=st.booleans(),
    )
    return drawn.filter(lambda options: not list(option_problems(architecture, options)))


@given(st.sampled_from(EVERY).flatmap(lambda name: st.tuples(st.just(name), options_of(name))))
def test_options_survive_the_spec_s_dict(drawn):
    architecture, options = drawn
    spec = replace(make_spec(architecture), options=options)
    values = spec.to_dict()
    assert ModelSpec.from_dict(values) == spec
    assert ("options" in values) == (options != PLAIN)


def test_the_bundle_in_the_package_has_no_options():
    import geoseg

    bundle = load_bundle(geoseg.default_bundle_path())
    assert bundle.spec.options == PLAIN
    assert "options" not in bundle.spec.to_dict()


# Bundles


@pytest.mark.parametrize("architecture", EVERY)
def test_bundles_keep_what_the_network_computes(architecture, tmp_path):
    """The graph is proven against torch while the bundle is saved."""
    supervised = architecture in SUPERVISED
    norm = {"unetplusplus": "group", "bisenet": "instance", "upernet": "group"}.get(architecture, "batch")
    spec = make_spec(architecture, norm=norm, deep_supervision=supervised, dropout=0.3)
    torch.manual_seed(3)
    network, batch = build_model(spec), pixels(2, 4, 64, 64)
    with torch.no_grad():
        network(batch)  # batch norms see data
    path = tmp_path / "model.geoseg"
    bundle = save_bundle(path, network, BundleContent(spec=spec, card="", provenance=Provenance(versions={})))
    assert bundle.spec == spec
    loaded = load_model(bundle)
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in loaded.state_dict().items())
    with torch.inference_mode():  # on some processors equal weights elsewhere in memory differ in the last bits
        torch.testing.assert_close(loaded(batch), network.eval()(batch), rtol=0, atol=1e-5)
    with zipfile.ZipFile(path) as archive:
        graph = onnx.ModelProto.FromString(archive.read("graph.onnx"))
    assert not [tensor.name for tensor in graph.graph.initializer if "auxiliary" in tensor.name]
    assert any("auxiliary" in name for name in network.state_dict()) == supervised


# Norms


@pytest.mark.parametrize("architecture", EVERY)
def test_no_batch_norm_is_left(architecture):
    modules = list(grouped(architecture).modules())
    assert not [layer for layer in modules if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    assert any(isinstance(layer, ChannelNorm) for layer in modules)


def test_a_chip_does_not_depend_on_its_batch():
    batch = pixels(3, 4, 32, 32)
    batch_norm = build_model(make_spec())
    with torch.no_grad():
        alone, together = grouped("fpn")(batch[:1]), grouped("fpn")(batch)
        assert not torch.allclose(batch_norm(batch[:2])[:1], batch_norm(batch)[:1], atol=1e-3)
    torch.testing.assert_close(alone, together[:1], rtol=1e-3, atol=1e-4)


def test_norms_are_those_of_torch():
    x = pixels(2, 24, 5, 4)
    for kind, wanted in (("group", nn.GroupNorm(6, 24)), ("instance", nn.InstanceNorm2d(24, affine=True))):
        module = nn.Sequential(nn.BatchNorm2d(24))
        with torch.no_grad():
            module[0].weight.copy_(torch.arange(24.0))
            module[0].bias.fill_(0.5)
            wanted.weight.copy_(torch.arange(24.0))
            wanted.bias.fill_(0.5)
        replace_batch_norms(module, kind)
        torch.testing.assert_close(module(x), wanted(x))


@pytest.mark.parametrize(("channels", "groups"), [(2, 1), (16, 4), (24, 6), (36, 9), (48, 12), (128, 32), (576, 32)])
def test_groups_divide_the_channels(channels, groups):
    module = nn.Sequential(nn.BatchNorm2d(channels))
    replace_batch_norms(module, "group")
    assert module[0].num_groups == groups


def test_activations_joined_to_a_batch_norm_stay():
    from timm.layers import BatchNormAct2d

    module = nn.Sequential(BatchNormAct2d(8, act_layer=nn.ReLU))
    replace_batch_norms(module, "instance")
    assert module(pixels(1, 8, 6, 6)).min() == 0


@pytest.mark.parametrize("architecture", [name for name in EVERY if ARCHITECTURES[name].pools])
def test_instance_norm_does_not_erase_means_over_the_tile(architecture):
    """Behind a global mean there is one value a channel, which instance norm would make 0 whatever it is."""
    network = build_model(make_spec(architecture, norm="instance"))
    pooled = [
        layer
        for sequence in network.decoder.modules()
        if isinstance(sequence, nn.Sequential) and isinstance(sequence[0], nn.AdaptiveAvgPool2d)
        for layer in sequence.modules()
        if isinstance(layer, ChannelNorm)
    ]
    assert pooled
    assert all(layer(pixels(1, layer.num_channels, 1, 1)).std() > 0.1 for layer in pooled)


# Dropout


@pytest.mark.parametrize("architecture", EVERY)
def test_dropout_acts_while_training_only(architecture):
    batch = pixels(2, 4, 32, 32)
    with torch.no_grad():
        dropping, plain = grouped(architecture, 0.5).train(), grouped(architecture).train()
        assert not torch.equal(main_logits(dropping(batch)), main_logits(dropping(batch)))
        torch.testing.assert_close(main_logits(plain(batch)), plain.eval()(batch), rtol=1e-3, atol=1e-4)
        assert torch.equal(dropping.eval()(batch), dropping(batch))


def test_the_usual_dropout_stays_where_none_is_given():
    rates = {name: make_spec(name).dropout for name in EVERY}
    assert {name: rate for name, rate in rates.items() if rate} == {"deeplabv3": 0.5, "deeplabv3plus": 0.5, "fpn": 0.2}
    found = [
        layer.p for layer in build_model(make_spec("deeplabv3")).decoder.modules() if isinstance(layer, nn.Dropout)
    ]
    assert found == [0.5]


# Deep supervision


@pytest.mark.parametrize(
    ("architecture", "auxiliary"), [("unet", 4), ("unetplusplus", 3), ("attention_unet", 4), ("bisenet", 2)]
)
def test_auxiliary_logits_come_while_training_only(architecture, auxiliary):
    network, batch = grouped(architecture).train(), pixels(2, 4, 32, 64)
    outputs = network(batch)
    assert isinstance(outputs, tuple)
    assert [tuple(logits.shape) for logits in outputs] == [(2, 3, 32, 64)] * (1 + auxiliary)
    torch.stack(outputs[1:]).square().mean().backward()
    assert all(head.weight.grad.abs().sum() > 0 for head in network.auxiliary_heads)
    network.zero_grad()
    assert network.eval()(batch).shape == (2, 3, 32, 64)


class Constant(nn.Module):
    """Says the same logits everywhere; several of them in training mode."""

    def __init__(self, *logits: tuple[float, ...]) -> None:
        super().__init__()
        self.logits = nn.ParameterList([torch.tensor(values)[:, None, None] for values in logits])

    def forward(self, x: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        outputs = tuple(values.expand(len(x), -1, *x.shape[-2:]) for values in self.logits)
        return outputs[0] if len(outputs) == 1 else outputs


def test_the_loss_adds_the_mean_of_the_auxiliary_losses(monkeypatch):
    spec = replace(make_spec(), bands=BANDS, legend=LEGEND)
    data = np.zeros((4, 8, 8), dtype=np.float32)
    labels = np.arange(64, dtype=np.uint8).reshape(8, 8) % 3
    batch = stack([Chip(data=data, bands=BANDS, valid=np.ones((8, 8), bool), labels=labels)] * 2, classes=3)

    def loss(*logits: tuple[float, ...], **fit: float) -> float:
        task = SegmentationTask(Constant(*logits), spec, make_config(fit=fit))
        monkeypatch.setattr(task, "log", lambda *_args, **_options: None)
        return task.training_step(batch, 0).item()

    main, first, second = (1.0, 0.0, 0.0), (0.0, 2.0, 0.0), (0.0, 0.0, -3.0)
    mean = (loss(first) + loss(second)) / 2
    assert loss(main, first, second) == pytest.approx(loss(main) + 0.4 * mean)
    assert loss(main, first, second, auxiliary=0.0) == pytest.approx(loss(main))


# Attention gates


def gate(bias: float, weight: float = 1.0) -> AttentionGate:
    torch.manual_seed(4)
    module = AttentionGate(6, 10)
    with torch.no_grad():
        module.psi.weight.mul_(weight)
        module.psi.bias.fill_(bias)
    return module


def test_a_gate_never_enlarges_its_skip():
    skip, coarser = 5 * pixels(2, 6, 8, 12), 5 * pixels(2, 10, 4, 6, seed=1)
    gated = gate(0.0)(skip, coarser)
    assert gated.shape == skip.shape
    share = gated / skip
    assert ((share > 0) & (share < 1)).all()
    assert share.std() > 0.01
    torch.testing.assert_close(share, share[:, :1].expand_as(share))  # one share for all channels of a pixel


@pytest.mark.parametrize(("bias", "share"), [(0.0, 0.5), (-1e4, 0.0), (1e4, 1.0), (float(np.log(3)), 0.75)])
def test_a_gate_of_bias_alone_lets_its_sigmoid_through(bias, share):
    skip = pixels(1, 6, 4, 4)
    torch.testing.assert_close(gate(bias, weight=0.0)(skip, pixels(1, 10, 2, 2)), share * skip)


def test_an_attention_unet_of_open_gates_is_a_unet():
    attention, plain = build_model(make_spec("attention_unet")).eval(), build_model(make_spec()).eval()
    gates = [module for module in attention.modules() if isinstance(module, AttentionGate)]
    assert len(gates) == 4
    weights = attention.state_dict()
    plain.load_state_dict({name: tensor for name, tensor in weights.items() if ".gates." not in name})
    batch = pixels(1, 4, 32, 32)
    with torch.inference_mode():
        wanted = plain(batch)
        assert not torch.allclose(attention(batch), wanted)
        for module in gates:
            module.psi.weight.zero_()
            module.psi.bias.fill_(1e4)
        torch.testing.assert_close(attention(batch), wanted)


# Pooling


@pytest.mark.parametrize("bins", [2, 3, 6])
def test_bins_are_those_of_adaptive_pooling(bins):
    for height, width in ((1, 2), (2, 5), (6, 12), (16, 7)):
        x = pixels(2, 3, height, width)
        torch.testing.assert_close(BinAverage(bins)(x), nn.AdaptiveAvgPool2d(bins)(x))


# Pretrained encoders


@pytest.fixture(scope="module")
def moco() -> dict[str, torch.Tensor]:
    """What the file of torchgeo's ResNet-18 for all Sentinel-2 bands holds, with random numbers."""
    import timm

    state = timm.create_model("resnet18", in_chans=13).state_dict()
    generator = torch.Generator().manual_seed(5)
    return {
        name: torch.rand(t.shape, generator=generator) if t.is_floating_point() else t
        for name, t in state.items()
        if not name.startswith("fc.")
    }


@pytest.fixture(scope="module")
def moco_home(moco, tmp_path_factory) -> Path:
    from torchgeo.models import get_weight

    home = tmp_path_factory.mktemp("torch")
    url = get_weight("ResNet18_Weights.SENTINEL2_ALL_MOCO").url
    path = home / "hub" / "checkpoints" / url.rpartition("/")[2]
    path.parent.mkdir(parents=True)
    torch.save(moco, path)
    return home


@pytest.mark.parametrize("architecture", EVERY)
def test_torchgeo_encoders_start_every_architecture(architecture, moco, moco_home, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(moco_home))
    norm = "batch" if architecture == "unet" else "group"
    spec = replace(make_spec(architecture, encoder="resnet18", norm=norm), bands=BANDS)
    network = build_model(spec, weights=EncoderWeights(pretrained="ResNet18_Weights.SENTINEL2_ALL_MOCO"))
    state = network.encoder.state_dict()
    assert torch.equal(state["layer3.1.conv2.weight"], moco["layer3.1.conv2.weight"])
    assert torch.equal(state["layer4.0.bn1.weight"], moco["layer4.0.bn1.weight"])  # also where the norm is another
    assert torch.equal(state["bn1.bias"], moco["bn1.bias"])
    kernels, source = first_conv(network.encoder)[1].weight.detach(), moco["conv1.weight"][:, [1, 2, 3, 7]]
    scale = (kernels * source).sum() / source.square().sum()  # blue, green, red, nir of thirteen bands
    torch.testing.assert_close(kernels, source * scale)


# What is said, and what is refused, before a training


def make_config(**changes) -> TrainConfig:
    model = {"encoder": SMALL, "bands": ["blue", "green", "red", "nir"], "gsd_m": 30, **changes.pop("model", {})}
    content = {
        "scenes": [{"path": "scene.tif", "labels": "labels.tif"}],
        "classes": [{"code": c.code, "name": c.name, "colour": c.colour} for c in LEGEND],
        "model": model,
    }
    return TrainConfig.model_validate(content | changes)


@pytest.mark.parametrize(
    ("options", "chip", "notes"),
    [
        ({"atrous_rates": (6, 12, 18)}, 512, ["the atrous rates 6, 12, 18 share the factor 6"]),
        ({"atrous_rates": (5, 11, 17)}, 512, []),
        ({"atrous_rates": (6, 10, 15)}, 512, []),  # pairs share factors, but there is none of all
        ({}, 1024, ["the atrous rates 12, 24, 36 share the factor 12"]),
        ({"atrous_rates": (5, 11, 17)}, 256, ["of the atrous rates 17 only the middle weight"]),
        ({"atrous_rates": (5, 11, 17), "output_stride": 8}, 256, []),
    ],
)
def test_atrous_rates_are_judged(options, chip, notes):
    found = make_spec("deeplabv3plus", **options).notes(chip)
    assert len(found) == len(notes)
    assert all(note.startswith(start) for note, start in zip(found, notes, strict=True))


def test_other_networks_have_no_notes():
    assert not [name for name in EVERY if "deeplab" not in name and make_spec(name).notes(64)]


def test_chips_that_do_not_fit_the_network_are_refused():
    with pytest.raises(InputError, match=r"chips\.size is 100, but fpn takes sides that are multiples of 32; take 128"):
        open_ground(make_config(model={"architecture": "fpn"}, chips={"size": 100}))


def test_one_chip_a_batch_needs_another_norm_where_tiles_are_averaged():
    settings = {"fit": {"batch_size": 1}}
    with pytest.raises(ValueError, match=r"pan averages over whole chips, .* give fit.batch_size 2 or more, or"):
        make_config(model={"architecture": "pan"}, **settings)
    model = {"architecture": "pan", "options": {"norm": "group"}}
    assert make_config(model=model, **settings).model.options.norm == "group"
    network = build_model(make_spec("pan", norm="group"))
    assert network(pixels(1, 4, 32, 32)).shape == (1, 3, 32, 32)
