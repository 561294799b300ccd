"""What training prints at its end: tables of its runs, means over trials, ensembles."""

from collections.abc import Sequence

from qtdog_tf.evaluation.ensemble_report import ensemble_table
from qtdog_tf.training.tables import SELECTED_SMA, Summary, run_table, trial_table


def outcome(runs: Sequence[Summary], ensembles: Sequence[Summary] = ()) -> str:
    """The tables of runs of one data set and one choice of settings.

    Args:
        runs: summaries of finished runs.
        ensembles: summaries of ensembles of them.
    """
    parts = []
    if runs:
        parts.append(run_table(runs))
    if runs and runs[0]["targets"] and _trials(runs) > 1:
        title = f"Target accuracy in %, {SELECTED_SMA}, mean and standard error over trials"
        parts.append(f"{title}\n{trial_table(runs, SELECTED_SMA)}")
    if ensembles:
        title = "Ensembles of the moving averages that source validation selects"
        parts.append(f"{title}\n{ensemble_table(ensembles)}")
    if len(ensembles) > 1 and ensembles[0]["targets"]:
        title = "Accuracy of the ensembles in % on all of the target, means over trials"
        parts.append(f"{title}\n{trial_table(ensembles, SELECTED_SMA, 'target_all')}")
    return "\n\n".join(parts)


def _trials(runs: Sequence[Summary]) -> int:
    return len({(tuple(run["targets"]), run["trial_seed"]) for run in runs})
