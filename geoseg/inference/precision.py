"""Which precision to compute in: the fastest one that draws the same map as fp32 on samples of this very scene."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from geoseg.core.legend import Legend
from geoseg.inference.contract import Fit
from geoseg.inference.samples import Sample, read_samples
from geoseg.models.bundle import Bundle
from geoseg.models.runtime import Runtime, RuntimeOptions, faster_precisions, open_runtime

AGREEING = 0.999  # share of the valid pixels that must keep their class
LOSS = 0.002  # share of its pixels that a class may lose, on balance
LOSS_PX = 5  # as many it may always lose: of a rare class, fewer pixels say nothing
SAMPLES = 8
ENOUGH_PX = 100_000  # valid pixels in the samples; fewer are not judged on
WORTH_PX = 6_000_000  # valid pixels of a scene; fewer are mapped before a second network is ready and compared


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Agreement:
    """How a map compares with that of fp32: counts (class in fp32, class in the other precision), int64, and names."""

    counts: NDArray[np.int64]
    legend: Legend

    @property
    def share(self) -> float:
        """The share of the pixels whose class is the same."""
        return float(np.trace(self.counts) / self.counts.sum())

    @property
    def losses(self) -> dict[str, float]:
        """The share of its pixels that each class loses on balance, by name, without classes that fp32 has nowhere."""
        before, after = self.counts.sum(axis=1).tolist(), self.counts.sum(axis=0).tolist()
        names = (land_class.name for land_class in self.legend)
        return {name: 1 - b / a for name, a, b in zip(names, before, after, strict=True) if a}

    @property
    def worst(self) -> tuple[str, float]:
        """The class that loses the largest share of its pixels on balance, beyond the few it may lose, and the share.

        It is below 0 where all classes gain or stay.
        """
        before, after = self.counts.sum(axis=1), self.counts.sum(axis=0)
        lost = np.where(before - after > LOSS_PX, (before - after) / np.maximum(before, 1), 0.0)
        i = int(lost.argmax())
        return self.legend[i].name, float(lost[i])

    @property
    def good(self) -> bool:
        """Whether the maps may be taken for each other."""
        return self.share >= AGREEING and self.worst[1] <= LOSS

    def __str__(self) -> str:
        name, lost = self.worst
        loss = f"no class loses more than {LOSS:.1%} (or {LOSS_PX})" if lost <= LOSS else f"{name} loses {lost:.2%}"
        return f"{self.share:.3%} of {self.counts.sum()} sample pixels keep their class, {loss} of its pixels"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A precision, and why it was taken; `compared` with fp32 on samples, or not."""

    precision: str
    reason: str
    compared: bool = False


def open_for_scene(
    fit: Fit, bundle: Bundle, options: RuntimeOptions, precision: str = "auto"
) -> tuple[Runtime, Choice]:
    """Make a bundle's network ready for a scene that fits it.

    "auto" takes the first of the precisions that are faster than fp32 here which agrees with fp32 on samples of the
    scene, else fp32; scenes that are mapped soon get fp32 at once. It looks at no clock: the same scene, bundle and
    machine always get the same precision. `options.precision` counts for nothing.

    Raises:
        InputError: for a runtime, device or precision that is unknown or not there, or a scene that cannot be read.
        BundleError: if the bundle's weights or graph are damaged.
    """

    def ready(name: str) -> Runtime:
        return open_runtime(bundle, replace(options, precision=name))

    if precision != "auto":
        return ready(precision), Choice(precision=precision, reason="asked for")
    if _valid_pixels(fit) < WORTH_PX:
        return ready("fp32"), Choice(precision="fp32", reason="the scene is small")
    faster = faster_precisions(bundle, options)
    if not faster:
        return ready("fp32"), Choice(precision="fp32", reason="nothing is faster here")
    samples = tuple(read_samples(fit, bundle.spec, SAMPLES))
    if sum(int(sample.valid.sum()) for sample in samples) < ENOUGH_PX:
        return ready("fp32"), Choice(precision="fp32", reason="too few valid pixels to compare others with it")
    return choose(ready, faster, samples, bundle.spec.legend)


def choose(
    ready: Callable[[str], Runtime], faster: Iterable[str], samples: Iterable[Sample], legend: Legend
) -> tuple[Runtime, Choice]:
    """The first of the `faster` precisions that agrees with fp32 on the samples, else fp32; `ready` opens one."""
    samples = tuple(samples)
    plain = ready("fp32")
    wanted = [classes(plain, sample) for sample in samples]
    refused = []
    for name in faster:
        candidate = ready(name)
        agreement = compare(wanted, (classes(candidate, sample) for sample in samples), legend)
        if agreement.good:
            return candidate, Choice(precision=name, reason=str(agreement), compared=True)
        refused.append(f"in {name} {agreement}")
    return plain, Choice(precision="fp32", reason="; ".join(refused), compared=True)


def classes(runtime: Runtime, sample: Sample) -> NDArray[np.intp]:
    """The most probable class of every valid pixel of a sample, one after another."""
    best: NDArray[np.intp] = runtime(sample.channels[None])[0].argmax(axis=0)
    return best[sample.valid]


def compare(wanted: Iterable[NDArray[np.intp]], found: Iterable[NDArray[np.intp]], legend: Legend) -> Agreement:
    """Count which classes of fp32 became which."""
    k = len(legend)
    counts = np.zeros(k * k, dtype=np.int64)
    for before, after in zip(wanted, found, strict=True):
        counts += np.bincount(before * k + after, minlength=k * k)
    return Agreement(counts=counts.reshape(k, k), legend=legend)


def _valid_pixels(fit: Fit) -> float:
    share = 1.0 if fit.preview is None else float(fit.preview.valid.mean())
    return fit.scene.grid.height * fit.scene.grid.width * share
