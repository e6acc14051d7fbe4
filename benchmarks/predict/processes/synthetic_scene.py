"""A synthetic scene of six bands and its truth: a process of its own, so that the benchmark's stays small."""

from __future__ import annotations

import argparse
from pathlib import Path

from geoseg.io.synth import SynthOptions, synthesise


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--scene", "--truth"):
        parser.add_argument(name, type=Path, required=True)
    for name in ("--size", "--seed"):
        parser.add_argument(name, type=int, required=True)
    found = parser.parse_args()
    options = SynthOptions(size=found.size, seed=found.seed, bands=6, truth=found.truth, overwrite=True)
    synthesise(found.scene, options=options)


if __name__ == "__main__":
    main()
