"""A bundle gets an 8-bit graph, calibrated and judged on scenes that fit it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from geoseg.errors import InputError
from geoseg.inference.contract import CheckOptions, check_scene
from geoseg.inference.precision import Agreement, classes, compare
from geoseg.inference.samples import SIDE, Sample, read_samples
from geoseg.io.fingerprint import fingerprints
from geoseg.io.scene import Scene
from geoseg.models.archive import check_free
from geoseg.models.bundle import Bundle, Int8Account, add_int8, extract_graph
from geoseg.models.int8 import INT8_GRAPH
from geoseg.models.quantise import quantise_graph, quantiser_versions, require_quantiser
from geoseg.models.runtime import open_runtime
from geoseg.models.runtime.openvino import OpenVinoRuntime
from geoseg.models.spec import ModelSpec

TILES = 36  # of each scene: every second one calibrates, the others judge
LEAST = 4  # in all the scenes; fewer tell nothing of the ranges


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantiseOptions:
    """`standardise` is that of `CheckOptions`; `overwrite` allows to replace the bundle that is written."""

    standardise: bool | None = None
    overwrite: bool = False


def quantise(
    bundle: Bundle, scenes: Sequence[Scene], out: Path, options: QuantiseOptions = QuantiseOptions()
) -> tuple[Bundle, Agreement]:
    """Write a bundle that is `bundle` with an 8-bit graph, and say how that agrees with fp32.

    Half of the sample tiles of the scenes tell the ranges of the activations, the other half are mapped in both
    precisions and compared. The agreement goes into the card.

    Raises:
        MissingExtraError: if NNCF is not installed.
        ContractError: if a scene does not fit the bundle.
        InputError: if a scene cannot be read, or they hold too few valid tiles, or the bundle has no graph.
        OutputError: if `out` exists without overwrite, or cannot be written.
    """
    require_quantiser()
    check_free(out, overwrite=options.overwrite)
    samples = tuple(_samples(scenes, bundle.spec, options))
    if len(samples) < LEAST:
        msg = f"found {len(samples)} tiles of {SIDE} px in the scenes that are mostly valid, needed {LEAST}"
        raise InputError(f"{msg}; calibrate with more or larger scenes")
    calibrating, judging = samples[::2], samples[1::2]
    with TemporaryDirectory(prefix="geoseg-") as name:
        folder = Path(name)
        graph = folder / INT8_GRAPH
        quantise_graph(extract_graph(bundle, folder), [sample.channels[None] for sample in calibrating], graph)
        agreement = _agreement(bundle, graph, judging)
        account = _account(scenes, len(calibrating), agreement)
        return add_int8(bundle, graph, account, out, overwrite=options.overwrite), agreement


def _samples(scenes: Iterable[Scene], spec: ModelSpec, options: QuantiseOptions) -> Iterable[Sample]:
    for scene in scenes:
        fit = check_scene(scene, spec, CheckOptions(standardise=options.standardise)).require()
        yield from read_samples(fit, spec, TILES)


def _agreement(bundle: Bundle, graph: Path, samples: Sequence[Sample]) -> Agreement:
    plain, quantised = open_runtime(bundle), OpenVinoRuntime(graph, precision="int8")
    wanted = [classes(plain, sample) for sample in samples]
    return compare(wanted, (classes(quantised, sample) for sample in samples), bundle.spec.legend)


def _account(scenes: Sequence[Scene], tiles: int, agreement: Agreement) -> Int8Account:
    inputs = {name: value for scene in scenes for name, value in fingerprints(scene.paths).items()}
    versions = quantiser_versions()
    facts = {
        "calibrated_on": inputs,
        "tiles": tiles,
        "versions": versions,
        "agreement": agreement.share,
        "losses": agreement.losses,
    }
    text = (
        f"`--precision int8` runs an 8-bit graph in OpenVINO, calibrated on {tiles} tiles of {', '.join(inputs)} with "
        f"NNCF {versions['nncf']}. On other tiles of these scenes, in comparison with fp32: {agreement}."
    )
    lost = "\n".join(f"| {name} | {share:+.2%} |" for name, share in agreement.losses.items())
    return Int8Account(facts=facts, text=f"{text}\n\n| class | pixels lost on balance |\n|---|---|\n{lost}")
