"""Make the default bundle from finished trainings: the one with the best validation score, with a card over all seeds.

The commands are in `COMMANDS` below. What experiments decided stands in `default_bundle_choices.md` beside this file;
both go into the card.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from geoseg.models.bundle import BundleContent, load_bundle, load_model, save_bundle
from geoseg.models.zoo import default_bundle_path
from geoseg.training.card import write_card
from geoseg.training.config import TrainConfig
from geoseg.training.result import TrainResult

COMMANDS = """\
for seed in 0 1 2; do geoseg train configs/landcover8-30m.yaml --seed $seed --out run/$seed; done
python benchmarks/random_forest.py configs/landcover8-30m.yaml > run/forest.jsonl
python benchmarks/default_bundle.py run/0 run/1 run/2 --forest run/forest.jsonl"""


def scores_table(reports: list[dict[str, Any]], forest: list[dict[str, Any]]) -> str:
    """Per-class test IoU: mean and range over the seeds, beside the plain and the balanced random forest."""
    ours = {name: [r["result"]["test_iou"][name] for r in reports] for name in reports[0]["result"]["test_iou"]}
    plain, balanced = ([f for f in forest if f["balanced"] is kind] for kind in (False, True))
    lines = [
        f"| class | U-Net, mean of {len(reports)} seeds | lowest to highest | random forest | balanced forest |",
        "|---|---|---|---|---|",
    ]
    for name, values in ours.items():
        others = " | ".join(f"{np.mean([f['iou'][name] for f in part]):.3f}" for part in (plain, balanced))
        known = [value for value in values if value is not None] or [float("nan")]
        lines.append(f"| {name} | {np.mean(known):.3f} | {min(known):.3f} to {max(known):.3f} | {others} |")
    miou = [r["result"]["test_miou"] for r in reports]
    others = " | ".join(f"**{np.mean([f['miou'] for f in part]):.3f}**" for part in (plain, balanced))
    lines.append(f"| **mean IoU** | **{np.mean(miou):.3f}** | {min(miou):.3f} to {max(miou):.3f} | {others} |")
    return "\n".join(lines)


def compose_card(reports: list[dict[str, Any]], forest: list[dict[str, Any]], chosen: int) -> str:
    """The card of the chosen training, followed by all seeds beside the baseline, and how to make it again."""
    config = TrainConfig.model_validate(reports[chosen]["config"])
    card = write_card(config, TrainResult(**reports[chosen]["result"]))
    choices = Path(__file__).with_name("default_bundle_choices.md").read_text(encoding="utf-8")
    return f"""{card}
This table is of the shipped weights (seed {config.seed}, chosen by validation score, not by test score).

## All seeds beside a random forest

Test IoU on the same pixels, split and channels. The forests have {forest[0]["trees"]} trees on single pixels and
{forest[0]["pixels"]} training pixels drawn at random, mean of {len(forest) // 2} seeds; the balanced one weights
classes by inverse frequency.

{scores_table(reports, forest)}

{choices.strip()}

## How to make it again

```
{COMMANDS}
```
"""


def main() -> None:
    """Write the default bundle and its card into the package."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--forest", type=Path, required=True)
    arguments = parser.parse_args()
    reports = [json.loads((run / "report.json").read_text()) for run in arguments.runs]
    forest = [json.loads(line) for line in arguments.forest.read_text().splitlines()]
    chosen = int(np.argmax([report["result"]["best_val_miou"] for report in reports]))
    source = load_bundle(arguments.runs[chosen] / "model.geoseg")
    card = compose_card(reports, forest, chosen)
    out = default_bundle_path()
    seed = reports[chosen]["config"]["seed"]
    command = COMMANDS.splitlines()[0].partition("do ")[2].partition(";")[0].replace("$seed", str(seed))
    content = BundleContent(
        spec=source.spec,
        card=card,
        provenance=replace(source.provenance, command=command),
        name=source.name,
        statistics=source.statistics,
        pretrained=reports[chosen]["config"]["model"]["pretrained"],
    )
    save_bundle(out, load_model(source), content, overwrite=True)
    out.with_name("card.md").write_text(card, encoding="utf-8")
    print(f"wrote {out} ({out.stat().st_size / 2**20:.1f} MiB) from {arguments.runs[chosen]}")


if __name__ == "__main__":
    main()
