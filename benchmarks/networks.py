"""How large is each architecture, and how many multiplications does it make? Facts that no machine changes.

Parameters, and multiply-accumulates (half the operations that torch.utils.flop_counter counts) of one forward pass in
evaluation mode over one tile, as a Markdown table.

    python benchmarks/networks.py [--encoder resnet18] [--side 512]
"""

from __future__ import annotations

import argparse

import torch
from torch.utils.flop_counter import FlopCounterMode

from geoseg.core.bands import Band, BandSet
from geoseg.core.legend import LandClass, Legend
from geoseg.models.architectures import ARCHITECTURES, NetworkOptions
from geoseg.models.build import build_model
from geoseg.models.spec import ModelSpec

CHANNELS, CLASSES = 6, 8


def make_spec(architecture: str, encoder: str, options: NetworkOptions) -> ModelSpec:
    return ModelSpec(
        architecture=architecture,
        encoder=encoder,
        bands=BandSet(tuple(Band(name=f"band {i}") for i in range(CHANNELS))),
        legend=Legend(tuple(LandClass(code=i, name=f"class {i}", colour="#000000") for i in range(CLASSES))),
        gsd_m=10,
        options=options,
    )


def measure(spec: ModelSpec, side: int) -> tuple[int, int]:
    """Parameters and multiply-accumulates, without weights or pixels: shapes are enough."""
    with torch.device("meta"):
        pixels = torch.empty(1, CHANNELS, side, side)
    network = build_model(spec).to("meta").eval()
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(pixels)
    return sum(parameter.numel() for parameter in network.parameters()), counter.get_total_flops() // 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", default="resnet18")
    parser.add_argument("--side", type=int, default=512)
    arguments = parser.parse_args()
    print("| architecture | output stride | parameters (M) | MACs (G) |\n|---|---|---|---|")
    for name, architecture in ARCHITECTURES.items():
        for stride in sorted(architecture.output_strides, reverse=True):
            spec = make_spec(name, arguments.encoder, NetworkOptions(output_stride=stride))
            parameters, macs = measure(spec, arguments.side)
            print(f"| `{name}` | {stride} | {parameters / 1e6:.1f} | {macs / 1e9:.1f} |")


if __name__ == "__main__":
    main()
