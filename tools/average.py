r"""Averages the weights of trained models in one model (DiWA), evaluated beside them.

  Runs of three splits that held out the same domain, trained with --shared_initialization:
    python -m tools.average --output=runs/diwa \
        --runs=runs/a/night-trial0/erm,runs/a/night-trial1/erm,runs/a/night-trial2/erm

The mean of weights is a good model only if training began with the same ones, classifier head
included: others are refused. Runs of one trial (erm, erm_m1, ...) always did; those of several
trials did with --shared_initialization. Of quantized models latent weights and step sizes are
averaged apart, so the average is quantized too, and costs what one of them does. BatchNorm's
statistics, if they learned, are measured anew on training images of the first run.

--output becomes a folder like that of a run. Figures are of the domains that every run held out. To
average predictions instead: python -m tools.ensemble.
"""

from qtdog_tf.ensemble import WEIGHTS
from tools._averaging import average_runs, define_run_flags
from tools._main import refuse_arguments, run_tool

define_run_flags("selected", "DiWA takes those that source validation selects.")


def main(argv: list[str]) -> None:
    """Makes the average, or finds it made, and prints its table."""
    refuse_arguments(argv)
    average_runs(WEIGHTS, "average")


if __name__ == "__main__":
    run_tool(main)
