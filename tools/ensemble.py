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

from absl import flags

from qtdog_tf.ensemble import AVERAGES, LOGITS
from qtdog_tf.evaluation import MODELS
from tools._averaging import average_runs, define_run_flags
from tools._main import refuse_arguments, run_tool

FLAGS = flags.FLAGS
define_run_flags(MODELS[0], "see python -m tools.evaluate --help.")
flags.DEFINE_enum(
    "average", LOGITS, AVERAGES, "What is averaged: logits (the paper) or probabilities."
)


def main(argv: list[str]) -> None:
    """Makes the ensemble, or finds it made, and prints its table."""
    refuse_arguments(argv)
    average_runs(FLAGS.average, "ensemble")


if __name__ == "__main__":
    run_tool(main)
