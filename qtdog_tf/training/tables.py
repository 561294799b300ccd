"""Tables of finished runs: one row a run, or one a variant with its mean and standard error."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from qtdog_tf.statistics import Pair, paired_differences, paired_error, standard_error
from qtdog_tf.tables import format_table
from qtdog_tf.training.variants import split_member

Summary = dict[str, Any]

SELECTED_SMA = "sma/source_validation"
SELECTED = "raw/source_validation"
LAST_SMA = "sma/last"
LAST = "raw/last"
ORACLE_SMA = "sma/oracle"
# Both the algorithm that changes nothing, and the variant that quantizes nothing.
ERM = "erm"


def percent(value: float | None) -> str:
    """An accuracy from 0 to 1 as percent with one decimal; "-" for none."""
    return "-" if value is None else f"{100 * value:.1f}"


def row_name(summary: Summary) -> str:
    """What a run is called in tables: its variant, behind the algorithm if that is not ERM.

    Under another algorithm the variant "erm" means that the run stays float, so it is called by the
    algorithm: "sam", where "qtdog7" is "sam+qtdog7". A second member of it is "sam_m1".
    """
    variant, algorithm = summary["variant"]["name"], summary.get("algorithm", ERM)
    if algorithm == ERM:
        return variant
    if split_member(variant)[0] == ERM:
        return algorithm + variant.removeprefix(ERM)
    return f"{algorithm}+{variant}"


def run_table(summaries: Sequence[Summary]) -> str:
    """A table with one row a run: its target accuracy under every selection rule, and its size."""
    header = ["target", "trial", "variant", "bits", "size MB", "step", "source val."]
    header += ["SMA sel.", "selected", "SMA last", "last", "SMA oracle", "new objects"]
    rows = []
    for summary in summaries:
        headline = summary["rows"][SELECTED_SMA]
        accuracies = [
            percent(summary["rows"].get(key, {}).get("target_in"))
            for key in (SELECTED_SMA, SELECTED, LAST_SMA, LAST, ORACLE_SMA)
        ]
        rows.append(
            [
                "+".join(summary["targets"]) or "none",
                str(summary["trial_seed"]),
                row_name(summary),
                str(summary["variant"]["bits"]),
                f"{summary['bytes'] / 1e6:.2f}",
                str(headline["step"]),
                percent(headline["source_accuracy"]),
                *accuracies,
                percent(headline.get("target_out")),
            ]
        )
    return format_table(header, rows) + "\n" + RUN_LEGEND


RUN_LEGEND = """\
Accuracies in %. step, source val. (mean over source domains) and new objects (the target's held
out part) are those of the headline, SMA sel.: the moving average of the weights, at the step that
source validation selects. The other columns are the accuracy on the target's "in" part: selected
(weights as trained), last step, and oracle (chosen by looking at the target; no fair result)."""


def mean_over_trials(
    summaries: Iterable[Summary], row: str, key: str
) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Values by row and target, one a trial.

    Args:
        summaries: of finished runs.
        row: "sma/source_validation" for example.
        key: "target_in" for example.

    Returns:
        {`row_name`: {target: [(trial seed, value)]}}; runs that lack the value are left out.
    """
    values: dict[str, dict[str, list[tuple[int, float]]]] = defaultdict(lambda: defaultdict(list))
    for summary in summaries:
        value = summary["rows"].get(row, {}).get(key)
        if value is not None:
            target = "+".join(summary["targets"])
            values[row_name(summary)][target].append((summary["trial_seed"], value))
    return values


def target_columns(targets: Iterable[Sequence[str]]) -> list[str]:
    """The targets of the runs of one table, side by side, each joined by "+".

    Args:
        targets: of each run. Domains held out together get a column only if none was held out
            alone: beside single ones they are for cross-validation, and no part of an average.
    """
    listed = list(targets)
    alone = [names for names in listed if len(names) == 1]
    return sorted({"+".join(names) for names in alone or listed})


def trial_table(summaries: Sequence[Summary], row: str, key: str = "target_in") -> str:
    """Mean and standard error over trials, by variant (rows) and target domain (columns).

    The average column is taken per trial first, and its error is over trials. Without the same
    trials for every target there is none.
    """
    values = mean_over_trials(summaries, row, key)
    targets = target_columns(s["targets"] for s in summaries if key in s["rows"].get(row, {}))
    rows = []
    for variant, by_target in values.items():
        found = [sorted(by_target.get(target, [])) for target in targets]
        accuracies = [[value for _, value in of_target] for of_target in found]
        trials = {tuple(trial for trial, _ in of_target) for of_target in found}
        average = "incomplete"
        if len(trials) == 1:
            average = _mean_and_error(list(np.mean(accuracies, axis=0)))
        runs = sum(map(len, found))
        rows.append([variant, *map(_mean_and_error, accuracies), average, str(runs)])
    return format_table(["variant", *targets, "average", "runs"], rows)


def _mean_and_error(values: Sequence[float]) -> str:
    if not values:
        return "-"
    if len(values) == 1:
        return percent(values[0])
    return f"{percent(float(np.mean(values)))} +- {percent(standard_error(values))}"


def paired_table(summaries: Sequence[Summary], baseline: str, row: str, key: str) -> str:
    """Differences to a baseline, paired by target and trial, in percentage points.

    Runs of one target and trial share split, batches and float phase, so their difference has far
    less noise than their means.

    Args:
        summaries: of finished runs.
        baseline: row or variant to compare with: "erm" is "sam" among runs of SAM.
        row: "sma/source_validation" for example.
        key: "target_in" for example.
    """
    accuracies: dict[str, dict[Pair, float]] = defaultdict(dict)
    for summary in summaries:
        value = summary["rows"].get(row, {}).get(key)
        if value is not None:
            pair = ("+".join(summary["targets"]), summary["trial_seed"])
            accuracies[row_name(summary)][pair] = value
    if baseline not in accuracies:
        named = [row_name(s) for s in summaries if s["variant"]["name"] == baseline]
        baseline = named[0] if named else baseline
    reference = accuracies.pop(baseline, {})
    rows = []
    for variant, values in accuracies.items():
        differences = paired_differences(values, reference)
        if not len(differences):
            continue
        error = paired_error(differences)
        better, worse = (differences > 0).sum(), (differences < 0).sum()
        rows.append(
            [
                variant,
                f"{100 * differences.mean():+.1f}",
                "-" if error is None else f"{100 * error:.1f}",
                f"{better} / {worse}",
                str(len(differences)),
            ]
        )
    header = [f"variant minus {baseline}", "mean", "std. error", "better / worse", "pairs"]
    return format_table(header, rows)
