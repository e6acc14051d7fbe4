"""The sentence of judging: open, plan, draw, count, take apart, resample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from geoseg.core.legend import Legend
from geoseg.core.provenance import Provenance
from geoseg.errors import InputError
from geoseg.evaluation.bootstrap import FEWEST_BLOCKS, block_bootstrap
from geoseg.evaluation.cases import Case, Reference, open_reference, unique_names
from geoseg.evaluation.counting import Key, Tallies, add, count_map, group_by
from geoseg.evaluation.drawing import check_kept, kept, mapped
from geoseg.evaluation.evaluation import Evaluation
from geoseg.evaluation.grouping import Grouping
from geoseg.evaluation.intervals import Intervals
from geoseg.evaluation.legends import legend_of_map, refuse_another_legend
from geoseg.evaluation.options import EvaluateOptions
from geoseg.evaluation.partition import OUTSIDE
from geoseg.evaluation.plan import EvaluationPlan, plan_evaluation
from geoseg.evaluation.tally import Tally
from geoseg.inference.contract import CheckOptions, check_ensemble
from geoseg.inference.engine import Progress
from geoseg.io.fingerprint import fingerprints
from geoseg.models.bundle import Bundle
from geoseg.models.ensemble import Ensemble, as_ensemble


def evaluate(
    cases: Sequence[Case],
    bundle: Bundle | Ensemble | None = None,
    options: EvaluateOptions = EvaluateOptions(),  # noqa: B008  (frozen)
    *,
    progress: Progress = lambda _stage, _done, _total: None,
) -> Evaluation:
    """Judge maps by wall-to-wall reference labels; memory is bounded by a window, whatever the size of the maps.

    Args:
        cases: finished maps, or scenes, each with its reference; see `pair_cases`.
        bundle: the model that maps the scenes, or several whose mean does; not needed for finished maps.
        options: what is counted, and how it is taken apart.
        progress: told stages, done and total.

    Raises:
        ContractError: a scene does not fit a model.
        InputError: a map, labels, a split or regions cannot be used, do not fit each other, or have no common ground.
        OutputError: a map cannot be kept where it is wanted.
    """
    ensemble = None if bundle is None else as_ensemble(bundle)
    references = _open(cases, ensemble, options)
    plan = plan_evaluation(references, options)
    tallies: dict[Key, Tally] = {}
    records = []
    runtimes: dict[str, None] = {}
    for number, reference in enumerate(references):
        with mapped(reference, ensemble, options, progress) as map_file:
            add(tallies, count_map(number, reference, map_file, plan.counts, progress))
            records.append(reference.record(kept(reference, options)))
            runtimes |= {} if map_file.runtime is None else {map_file.runtime: None}
    total = _total(tallies, plan, references)
    groupings = _groupings(tallies, plan, references)
    _require_overlap(groupings, options)
    intervals, why_not = _intervals(groupings, plan, options)
    return Evaluation(
        legend=references[0].labels.legend,
        total=total,
        groupings=groupings,
        intervals=intervals,
        tolerance_m=plan.counts.tolerance_m,
        ground=plan.ground,
        cases=tuple(records),
        model="" if ensemble is None else ", ".join(str(member.path) for member in ensemble.bundles),
        provenance=replace(_provenance(references, ensemble, options), runtime="; ".join(runtimes) or None),
        notes=(*_findings(references), *plan.notes, *why_not, *_lacks(total)),
    )


def _open(cases: Sequence[Case], ensemble: Ensemble | None, options: EvaluateOptions) -> tuple[Reference, ...]:
    """Every case with its labels open on the grid of its map."""
    if not cases:
        raise InputError("found nothing to judge, needed at least one scene or map with labels")
    legend = _legend(cases, ensemble, options)
    references = []
    for name, case in zip(unique_names(cases), cases, strict=True):
        fit = None
        if case.scene is not None:
            if ensemble is None:
                raise InputError(f"{case.name}: a scene needs a model that maps it; give one, or a finished map")
            check = CheckOptions(standardise=options.predict.standardise)
            fit = check_ensemble(case.scene, ensemble, check).require()
        references.append(open_reference(case, name, legend, fit))
    for reference in references:
        check_kept(reference, options)
    return tuple(references)


def _legend(cases: Sequence[Case], ensemble: Ensemble | None, options: EvaluateOptions) -> Legend:
    """One for all cases: the model's where there is one, else the one that was given, else that of the maps."""
    maps = [case.map for case in cases if case.map is not None]
    if ensemble is not None:
        legend = ensemble.spec.legend
    elif options.legend is not None:
        return options.legend
    elif maps:
        legend = legend_of_map(maps[0])
    else:
        raise InputError(f"{cases[0].name}: a scene needs a model that maps it; give one, or a finished map")
    for path in maps:
        refuse_another_legend(legend, options.legend or legend_of_map(path), str(path))
    return legend


def _total(tallies: Tallies, plan: EvaluationPlan, references: Sequence[Reference]) -> Tally:
    """The sum of all pieces.

    Raises:
        InputError: without any labelled pixel, or without any that is mapped.
    """
    names = ", ".join(reference.name for reference in references)
    if not tallies:
        where = "" if plan.counts.folds is None else f" in {plan.ground}"
        raise InputError(
            f"{names}: no labelled pixel lies on the map{where}; check the labels, and the ground they cover"
        )
    first, *others = tallies.values()
    total = sum(others, start=first)
    if not total.confusion.pixels:
        raise InputError(
            f"{names}: the map has no class on any of the {total.unmapped} labelled pixels; check its nodata"
        )
    return total


def _groupings(tallies: Tallies, plan: EvaluationPlan, references: Sequence[Reference]) -> tuple[Grouping, ...]:
    groupings = []
    if len(references) > 1:
        groupings.append(group_by(tallies, 0, "scene", dict(enumerate(r.name for r in references))))
    regions = {i: reference.case.region or OUTSIDE for i, reference in enumerate(references)}
    if any(reference.case.region for reference in references):
        groupings.append(group_by(tallies, 0, "region", regions))
    for position, partition in enumerate(plan.counts.partitions, start=1):
        names = {key[position]: partition.name(key[position]) for key in tallies}
        groupings.append(group_by(tallies, position, partition.by, names))
    return tuple(groupings)


def _require_overlap(groupings: Sequence[Grouping], options: EvaluateOptions) -> None:
    for grouping in groupings:
        if grouping.by in options.region_names and [group.name for group in grouping.groups] == [OUTSIDE]:
            raise InputError(
                f"{options.regions}: no evaluated pixel lies in a region; regions and labels must cover common ground"
            )


def _intervals(
    groupings: Sequence[Grouping], plan: EvaluationPlan, options: EvaluateOptions
) -> tuple[Intervals | None, tuple[str, ...]]:
    """Intervals, and why there are none."""
    blocks = next((grouping for grouping in groupings if grouping.by == "block"), None)
    if blocks is None:
        return None, ()
    inside = [group.tally for group in blocks.groups if group.name != OUTSIDE]
    found = block_bootstrap(inside, plan.unit, options.bootstrap)
    if found is None:
        used = sum(tally.confusion.pixels > 0 for tally in inside)
        why = f"no confidence intervals: {used} {plan.unit} hold counted pixels, needed {FEWEST_BLOCKS}"
        return None, (f"{why}; label more ground, or choose smaller blocks",)
    return found, (f"confidence intervals are unsure: {found.unsure}",) if found.unsure else ()


def _findings(references: Sequence[Reference]) -> tuple[str, ...]:
    """What the contract was unsure of."""
    fits = [(reference.name, reference.fit) for reference in references if reference.fit is not None]
    return tuple(f"{name}: {found.text} (unsure)" for name, fit in fits for found in fit.findings if found.unsure)


def _lacks(total: Tally) -> tuple[str, ...]:
    """Labelled ground without a class in the map, and classes without labelled ground."""
    notes = []
    labelled = total.confusion.pixels + total.unmapped
    if total.unmapped:
        notes.append(
            f"the map has no class on {total.unmapped} of {labelled} labelled pixels "
            f"({total.unmapped / labelled:.1%}); they are not counted"
        )
    pairs = zip(total.confusion.legend, total.confusion.support.tolist(), strict=True)
    untested = [c.name for c, pixels in pairs if not pixels]
    if untested:
        notes.append(f"no labelled pixel of {', '.join(untested)}: what the map shows of it can only be wrong here")
    return tuple(notes)


def _provenance(references: Sequence[Reference], ensemble: Ensemble | None, options: EvaluateOptions) -> Provenance:
    paths = [path for r in references for path in (*_map_paths(r.case), *r.labels.paths)]
    paths += [path for path in (options.split, options.regions) if path is not None]
    inputs = fingerprints(paths) | ({} if ensemble is None else dict(ensemble.hashes))
    return Provenance.now(inputs=inputs, command=options.command, seed=options.bootstrap.seed)


def _map_paths(case: Case) -> tuple[Path, ...]:
    scene = () if case.scene is None else case.scene.paths
    return (*scene, *(path for path in (case.map, case.probabilities) if path is not None))
