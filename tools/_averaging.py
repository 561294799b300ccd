"""What tools.ensemble and tools.average share: flags of runs, and the folder that they make."""

from pathlib import Path

from absl import flags

from qtdog_tf.evaluation import MODELS, ensemble_table, make_ensemble, open_runs

FLAGS = flags.FLAGS


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
    )
    print(ensemble_table([summary]))
    print(f"\n{noun}: {output / f'{FLAGS.model}.keras'}")
