r"""Averages trained models in one (EoQ, EoA): one .keras file, evaluated beside its members.

  Three runs that held out the same domain:
    python -m tools.ensemble --output=runs/eoq \
        --runs=runs/a/night-trial0/qtdog7,runs/a/night-trial1/qtdog7,runs/a/night-trial2/qtdog7

Of QT-DoG models that is the paper's EoQ; of moving averages of float runs (variant erm, and
--model=selected_sma, the default) EoA. Members may differ in backbone, bits and split; they must
know the same classes and take images of one size. To average weights: python -m tools.average.

--output becomes a folder like that of a run: tools.evaluate and tools.gallery take it. The same
command prints the table of an ensemble that is there. To train the members of an ensemble and
average them in one command: python -m tools.train --members=5.

Figures are of the domains that every member held out. Members that were trained on different data
have none: evaluate their ensemble with python -m tools.evaluate --data=<folder>.
"""

from pathlib import Path

from absl import flags

from qtdog_tf.ensemble import AVERAGES, LOGITS
from qtdog_tf.evaluation import MODELS, ensemble_table, make_ensemble, open_runs
from tools._main import refuse_arguments, run_tool

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "runs",
    None,
    "Folders of two or more runs, the members: <output>/<targets>-trial<k>/<variant>.",
    required=True,
)
flags.DEFINE_string("output", None, "Folder for the ensemble; a new or empty one.", required=True)
flags.DEFINE_enum(
    "model", MODELS[0], MODELS, "Which model of each run; see python -m tools.evaluate --help."
)
flags.DEFINE_enum(
    "average", LOGITS, AVERAGES, "What is averaged: logits (the paper) or probabilities."
)
flags.DEFINE_bool(
    "evaluate",
    True,
    "Evaluate on the domains held out; needs the data that members were trained on.",
)


def main(argv: list[str]) -> None:
    """Makes the ensemble, or finds it made, and prints its table."""
    refuse_arguments(argv)
    runs = open_runs(FLAGS.runs)
    summary = make_ensemble(
        list(runs.values()),
        Path(FLAGS.output),
        model=FLAGS.model,
        average=FLAGS.average,
        evaluate=FLAGS.evaluate,
    )
    print(ensemble_table([summary]))
    print(f"\nensemble: {Path(FLAGS.output) / f'{FLAGS.model}.keras'}")


if __name__ == "__main__":
    run_tool(main)
