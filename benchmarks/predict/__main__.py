"""How near is `geoseg predict` to the limit of the machine, and how far from others? Whole processes, scene to mask.

On a synthetic scene of six bands one network, a U-Net on ResNet-18 for eight classes, is run with the same weights by
`geoseg predict` in each runtime and precision that this machine has, by a torchgeo sampler loop, by a plain rasterio
loop and by a sliding window of ONNX Runtime; each run stands between two measurements of its floor, the bare forward
pass. Scenes and network are made once. A run a line goes to results.jsonl; runs that it holds are not repeated.

    python benchmarks/predict --sizes 2048 5120 10980 --repeats 5 --out docs/benchmarks
    python benchmarks/predict --table --out docs/benchmarks

docs/benchmarks/README.md says what the columns mean.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import records
from measuring import Plan, measure, missing, usable
from report import plot, table
from runners import Bench, Offer, runners
from setting import geoseg, make_ground, make_model, with_int8

TRIAL = 600  # pixels a side: a little more than a tile, so that there are seams


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[2048, 5120, 10980], help="pixels a side, at least 512")
    parser.add_argument("--repeats", type=int, default=5, help="runs that are kept, of each runner on each scene")
    parser.add_argument("--only", nargs="+", default=[""], help="runners whose name has one of these in it")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--cache", type=Path, default=Path("build/benchmark-predict"), help="for scenes and network")
    parser.add_argument("--out", type=Path, help="for results.jsonl, predict.md and predict.png [default: the cache]")
    parser.add_argument("--passes", type=int, default=100, help="most forward passes of a floor")
    parser.add_argument("--tolerance", type=float, default=0.1, help="by what share a floor may move around a run")
    parser.add_argument("--table", action="store_true", help="measure nothing, write table and picture")
    options = parser.parse_args()
    if min(options.sizes) < 512:
        parser.error(f"found a size of {min(options.sizes)}, needed at least 512, a tile of the peers")
    options.out = options.out or options.cache
    return options


def _measure(options: argparse.Namespace, results: Path) -> None:
    offer = Offer.read(geoseg(("predict", "--help")))
    candidates = runners(offer, options.only)
    model = make_model(options.cache)
    if any(runner.int8 for runner in candidates):
        model = with_int8(model, options.cache)
    bench = Bench(model=model, device=options.device, offer=offer, passes=options.passes)
    plan = Plan(repeats=options.repeats, results=results, tolerance=options.tolerance)
    wanted = [r for r in candidates if any(missing(bench, [r], size, plan) for size in options.sizes)]
    found = list(usable(bench, wanted, make_ground(options.cache, TRIAL)))
    for size in options.sizes:
        measure(bench, found, make_ground(options.cache, size), plan)


def main() -> None:
    """Measure what is missing; then write and print what there is."""
    options = _arguments()
    results = options.out / "results.jsonl"
    if not options.table:
        options.cache.mkdir(parents=True, exist_ok=True)
        options.out.mkdir(parents=True, exist_ok=True)
        _measure(options, results)
    found = records.read(results)
    if not found:
        raise SystemExit(f"there is no run in {results}; measure first")
    text = table(found)
    (options.out / "predict.md").write_text(text, encoding="utf-8")
    print(text)
    if not plot(found, options.out / "predict.png"):
        print("no picture: it needs matplotlib and a run that was kept")


if __name__ == "__main__":
    main()
