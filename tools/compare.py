r"""Compares the variants of finished runs: means with errors, and paired differences.

  python -m tools.compare --runs=runs/estimate
  python -m tools.compare --runs=tools/results/emoji_styles --baseline=frozen_float

Every selection rule is shown; the headline, fixed beforehand, is the moving average of the weights
at the step that source validation selects. "in" is the target's 80 % part. "out" is its 20 % part,
whose objects no source domain has shown either if the runs had --split_by.

Ensembles (tools.train --members) have rows of their own, such as eoq7: each counts as one run, on
the "in" part of its first member. They are not paired, since no single run is their counterpart.
Without a run of the variant erm, and without --baseline, nothing is paired.
"""

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from qtdog_tf.errors import UserError
from qtdog_tf.evaluation.summary_values import read_summary
from qtdog_tf.training.finish import SUMMARY
from qtdog_tf.training.tables import (
    LAST,
    LAST_SMA,
    SELECTED,
    SELECTED_SMA,
    Summary,
    paired_table,
    row_name,
    trial_table,
)
from tools._main import refuse_arguments, run_tool

ROWS = {
    SELECTED_SMA: "moving average, selected on source validation (headline)",
    SELECTED: "weights as trained, selected on source validation",
    LAST_SMA: "moving average, last step",
    LAST: "weights as trained, last step",
}
PARTS = {"target_in": "target, in", "target_out": "target, out"}

FLAGS = flags.FLAGS
flags.DEFINE_string("runs", None, "Output folder of tools.train.", required=True)
flags.DEFINE_string("baseline", "erm", "The variant that the others are compared with.")


def main(argv: list[str]) -> None:
    """Prints the tables."""
    refuse_arguments(argv)
    summaries = read_summaries(Path(FLAGS.runs))
    singles = [summary for summary in summaries if "members" not in summary]
    baseline = find_baseline(singles)
    for row, meaning in ROWS.items():
        for key, part in PARTS.items():
            print(f"{meaning}; {part}; accuracy in %, mean +- standard error over trials")
            print(trial_table(summaries, row, key) + "\n")
            if baseline:
                print(paired_table(singles, baseline, row, key) + "\n")
    if not baseline:
        print(f"No paired differences: no run is {FLAGS.baseline}; {others(singles)}")


def find_baseline(singles: Sequence[Summary]) -> str | None:
    """The variant that the others are compared with; None if that of the default is not there.

    Raises:
        UserError: if --baseline names one that no run is.
    """
    wanted = FLAGS.baseline
    if any(wanted in (row_name(summary), summary["variant"]["name"]) for summary in singles):
        return wanted
    if FLAGS["baseline"].present:
        raise UserError(f"no single run in {FLAGS.runs} is {wanted!r}: {others(singles)}")
    return None


def others(singles: Sequence[Summary]) -> str:
    """What --baseline may be, as part of a sentence."""
    names = sorted(set(map(row_name, singles)))
    return f"--baseline may be {', '.join(names)}" if names else "there are only ensembles"


def read_summaries(output: Path) -> list[Summary]:
    """The summaries of every finished run and ensemble with a target in an output folder.

    Raises:
        UserError: if there is none, or one is damaged.
    """
    paths = [p for kind in ("trial", "ensemble") for p in output.glob(f"*-{kind}*/*/{SUMMARY}")]
    summaries = [summary for summary in map(read_summary, sorted(paths)) if summary["targets"]]
    if not summaries:
        raise UserError(f"{output} holds no finished run with a target domain")
    return summaries


if __name__ == "__main__":
    run_tool(main)
