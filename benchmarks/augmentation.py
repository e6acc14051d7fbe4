"""What does augmentation cost beside the training step? Both are timed in turns, in one process, on the same threads.

The step is that of a U-Net on ResNet-18: forward, cross-entropy and Dice, backward, AdamW. A series is timed from the
batch of physical values to the model's input. Share = its median over that of the step.

    python benchmarks/augmentation.py [--threads 2] [--rounds 15] [--each] [--device cuda]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from geoseg.core.bands import Band, BandSet
from geoseg.core.legend import LandClass, Legend
from geoseg.data.augment.batch import Batch
from geoseg.data.augment.plan import every_technique
from geoseg.data.augment.random import Random
from geoseg.data.augment.resample import identity, resample
from geoseg.data.augment.technique import Change, Warp, augment
from geoseg.losses.pixel import cross_entropy
from geoseg.losses.region import dice
from geoseg.models.build import build_model
from geoseg.models.spec import ModelSpec

Series = Sequence[Change | Warp]

EVERY = {name: technique for name, technique in every_technique(64).techniques.items() if name != "crop"}
USUAL = ("clouds", "haze", "affine", "scale", "flip", "turn", "gamma", "gain", "blur", "noise", "band_dropout")
WEATHER = ("snow", "cloud_shadow", "clouds", "haze", "fog", "rain")
SERIES: Mapping[str, Series] = {
    "usual": tuple(EVERY[name] for name in USUAL),
    "all weather": tuple(EVERY[name] for name in WEATHER),
    "all but crop": tuple(EVERY.values()),
}

BANDS = BandSet(
    tuple(
        Band(name=name, common_name=name, mean=mean, std=std)
        for name, mean, std in (
            ("blue", 0.09, 0.03), ("green", 0.1, 0.03), ("red", 0.11, 0.05),
            ("nir", 0.22, 0.07), ("swir16", 0.2, 0.08), ("swir22", 0.14, 0.07),
        )
    )
)  # fmt: skip
LEGEND = Legend(tuple(LandClass(code=i, name=f"class {i}", colour="#808080") for i in range(8)))


def random_batch(chips: int, size: int, device: str) -> Batch:
    """Smooth ground with noise; a tenth of the pixels is invalid, in one piece."""
    random = Random.seeded(0)
    coarse = random.normal(chips, len(BANDS), size // 8, size // 8)
    relative = coarse.repeat_interleave(8, dim=2).repeat_interleave(8, dim=3)
    relative = relative + 0.5 * random.normal(*relative.shape)
    means, stds = (torch.tensor([getattr(b, key) for b in BANDS])[:, None, None] for key in ("mean", "std"))
    valid = torch.ones((chips, *relative.shape[2:]), dtype=torch.bool)
    valid[:, : size // 10] = False
    batch = Batch(
        values=means + stds * relative,
        valid=valid,
        labels=random.integers(*valid.shape, below=len(LEGEND)).to(torch.uint8),
        soft=None,
        sun=torch.tensor([135.0, 45.0]).repeat(chips, 1),
        bands=BANDS,
        classes=len(LEGEND),
        gsd_m=30.0,
    )
    return batch.to(device)


def training_step(batch: Batch) -> Callable[[], None]:
    """One step of learning on a batch that is ready."""
    spec = ModelSpec(architecture="unet", encoder="resnet18", bands=BANDS, legend=LEGEND, gsd_m=batch.gsd_m)
    torch.manual_seed(0)
    network: nn.Module = build_model(spec).to(batch.device).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    channels, target = batch.model_input(()), batch.target

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        logits: Tensor = network(channels)
        (cross_entropy(logits, target) + dice(logits, target)).backward()
        optimiser.step()

    return step


def augmentation(batch: Batch, series: Series) -> Callable[[], None]:
    """One batch through a series and on to the model's input; every call draws other numbers."""
    random = Random.seeded(0, batch.device)

    def run() -> None:
        augment(batch, series, random).model_input(())

    return run


def one_technique(batch: Batch, technique: Change | Warp) -> Callable[[], None]:
    """One technique applied to every chip, and nothing else."""
    random = Random.seeded(0, batch.device)

    def run() -> None:
        if isinstance(technique, Warp):
            resample(batch, technique.move(identity(batch), random))
        else:
            technique.apply(batch, random)

    return run


def seconds(work: Callable[[], None], device: torch.device) -> float:
    """How long one call takes, with everything finished on the device."""
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def timed(works: Mapping[str, Callable[[], None]], rounds: int, device: torch.device) -> dict[str, list[float]]:
    """Seconds of every work in every round; all take turns, so that a slow moment of the machine hits all alike."""
    for work in works.values():
        seconds(work, device)  # memory and kernels are set up the first time
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            times[name].append(seconds(work, device))
    return times


def main() -> None:
    """Print a row for the step and for every series."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--chips", type=int, default=8)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--each", action="store_true", help="also every technique by itself, applied to every chip")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    batch = random_batch(arguments.chips, arguments.size, arguments.device)
    works = {"training step": training_step(batch), "input alone": augmentation(batch, ())}
    works |= {name: augmentation(batch, series) for name, series in SERIES.items()}
    if arguments.each:
        techniques = [technique for series in SERIES.values() for technique in series]
        works |= {type(technique).__name__: one_technique(batch, technique) for technique in techniques}
    times = timed(works, arguments.rounds, batch.device)
    step = float(np.median(times["training step"]))
    shape = "x".join(map(str, batch.values.shape))
    print(f"{shape} on {batch.device}, {arguments.threads} threads, {arguments.rounds} rounds; ms")
    print(f"{'':<20}{'median':>9}{'quartiles':>18}{'share':>8}")
    for name, found in times.items():
        low, middle, high = np.quantile(found, (0.25, 0.5, 0.75)) * 1e3
        print(f"{name:<20}{middle:>9.1f}{f'{low:.1f} - {high:.1f}':>18}{middle / step / 10:>7.1f}%")


if __name__ == "__main__":
    main()
