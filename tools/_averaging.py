"""What tools.ensemble and tools.average share: flags of runs, and the folder that they make."""

from pathlib import Path

import numpy as np
from absl import flags

from qtdog_tf.data import open_domains
from qtdog_tf.errors import UserError
from qtdog_tf.evaluation import MODELS, Run, ensemble_table, make_ensemble, open_runs
from qtdog_tf.export import calibration_choice

FLAGS = flags.FLAGS
# For statistics of BatchNorm that learned.
_IMAGES, _SEED = 2048, 0


def define_run_flags(model: str, why: str) -> None:
    """Defines --runs, --output, --model and --evaluate.

    Args:
        model: the default of --model.
        why: its help, after what it chooses.
    """
    flags.DEFINE_list(
        "runs",
        None,
        "Folders of two or more runs, the members: <output>/<targets>-trial<k>/<variant>.",
        required=True,
    )
    flags.DEFINE_string("output", None, "Folder for the model; a new or empty one.", required=True)
    flags.DEFINE_enum("model", model, MODELS, f"Which model of each run; {why}")
    flags.DEFINE_bool(
        "evaluate",
        True,
        "Evaluate on the domains held out; needs the data that members were trained on.",
    )


def average_runs(average: str, noun: str) -> None:
    """Makes what the flags ask for, or finds it made, and prints its table and where it is.

    Args:
        average: what is averaged, see `make_ensemble`.
        noun: what the model is called.
    """
    output = Path(FLAGS.output)
    summary = make_ensemble(
        list(open_runs(FLAGS.runs).values()),
        output,
        model=FLAGS.model,
        average=average,
        evaluate=FLAGS.evaluate,
        draw_pixels=_training_pixels,
    )
    print(ensemble_table([summary]))
    print(f"\n{noun}: {output / f'{FLAGS.model}.keras'}")


def _training_pixels(run: Run) -> np.ndarray:
    """Training images of a run's source domains, uint8 [n, S, S, 3]."""
    data = open_domains(run.data)
    if not run.owns(data):
        raise UserError(
            f"{run.data} has changed since run {run.path} was trained on it, and its training "
            "images are needed for BatchNorm's statistics: restore it"
        )
    return calibration_choice(run, data, _IMAGES, _SEED).pixels
