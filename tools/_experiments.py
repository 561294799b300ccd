"""Reads experiments: flagfiles of tools.train, with what is chosen for all of them on top."""

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from qtdog_tf.algorithms import AlgorithmSettings
from qtdog_tf.errors import UserError
from qtdog_tf.settings import Settings
from qtdog_tf.sweep.experiment import Experiment
from qtdog_tf.training.plan_settings import PlanSettings
from qtdog_tf.training.run_settings import RunSettings
from qtdog_tf.training.settings import TrainSettings
from tools._flags import define_flags, settings_from_flags
from tools._main import read_flags, refuse_arguments

SETTINGS: tuple[type[Settings], ...] = (
    TrainSettings,
    AlgorithmSettings,
    RunSettings,
    PlanSettings,
)


def given_settings(values: flags.FlagValues) -> list[str]:
    """The names of the settings of tools.train that a command line or its flagfile gives."""
    names = _train_flags()
    return [name for name in names if name != "output" and values[name].present]


def read_experiments(
    paths: Sequence[str], values: flags.FlagValues, output: Path
) -> list[Experiment]:
    """The experiments of those flagfiles.

    Args:
        paths: of the flagfiles.
        values: flags of the program; those that `given_settings` names apply to all experiments.
        output: the folder that their groups lie in. A teacher in the folder that an experiment's
            own output lies in is looked for here.

    Raises:
        UserError: if a flagfile cannot be read, has an unknown flag or a value that is not allowed;
            if none is named, or two of one name.
    """
    names = [Path(path).stem for path in paths]
    if not names or len(set(names)) < len(names):
        raise UserError(
            f"experiments must be one or more flagfiles of different names; received {list(paths)}"
        )
    return [_read(path, values, output) for path in paths]


def _read(path: str, values: flags.FlagValues, output: Path) -> Experiment:
    own = _train_flags()
    try:
        refuse_arguments(read_flags([path, f"--flagfile={path}"], own))
        for name in given_settings(values):
            own[name].value = values[name].value
        name = Path(path).stem
        folder = Path(own["output"].value or name)
        own["teacher"].value = _moved(own["teacher"].value, folder.parent, output)
        return Experiment(
            name,
            folder.name,
            settings_from_flags(TrainSettings, values=own),
            settings_from_flags(AlgorithmSettings, values=own),
            settings_from_flags(RunSettings, values=own),
            settings_from_flags(PlanSettings, values=own),
        )
    except UserError as error:
        raise UserError(f"experiment {path}: {error}") from error


def _moved(teacher: str, parent: Path, output: Path) -> str:
    """Where a teacher is whose folder lies where an experiment's output would."""
    if teacher and parent.name and Path(teacher).is_relative_to(parent):
        return str(output / Path(teacher).relative_to(parent))
    return teacher


def _train_flags() -> flags.FlagValues:
    values = flags.FlagValues()
    define_flags(*SETTINGS, values=values)
    flags.DEFINE_string("output", None, "Its last part names the group.", flag_values=values)
    return values
