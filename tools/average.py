r"""Averages the weights of trained models in one model (DiWA), evaluated beside them.

  Runs of three splits that held out the same domain, trained with --shared_initialization:
    python -m tools.average --output=runs/diwa \
        --runs=runs/a/night-trial0/erm,runs/a/night-trial1/erm,runs/a/night-trial2/erm

The mean of weights is a good model only if training began with the same ones, classifier head
included: others are refused. Runs of one trial (erm, erm_m1, ...) always did; those of several
trials did with --shared_initialization. Of quantized models latent weights and step sizes are
averaged apart, so the average is quantized too, and costs what one of them does.

--output becomes a folder like that of a run. Figures are of the domains that every run held out. To
average predictions instead: python -m tools.ensemble.
"""

from pathlib import Path

from absl import flags

from qtdog_tf.ensemble import WEIGHTS
from qtdog_tf.evaluation import MODELS, ensemble_table, make_ensemble, open_runs
from tools._main import refuse_arguments, run_tool

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "runs",
    None,
    "Folders of two or more runs: <output>/<targets>-trial<k>/<variant>.",
    required=True,
)
flags.DEFINE_string("output", None, "Folder for the average; a new or empty one.", required=True)
flags.DEFINE_enum(
    "model",
    "selected",
    MODELS,
    "Which model of each run; DiWA takes those that source validation selects.",
)
flags.DEFINE_bool(
    "evaluate",
    True,
    "Evaluate on the domains held out; needs the data that the runs were trained on.",
)


def main(argv: list[str]) -> None:
    """Makes the average, or finds it made, and prints its table."""
    refuse_arguments(argv)
    runs = open_runs(FLAGS.runs)
    summary = make_ensemble(
        list(runs.values()),
        Path(FLAGS.output),
        model=FLAGS.model,
        average=WEIGHTS,
        evaluate=FLAGS.evaluate,
    )
    print(ensemble_table([summary]))
    print(f"\naverage: {Path(FLAGS.output) / f'{FLAGS.model}.keras'}")


if __name__ == "__main__":
    run_tool(main)
