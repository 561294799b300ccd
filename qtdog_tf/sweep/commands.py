"""The commands of tools.train and tools.ensemble that a plan stands for."""

import csv
import dataclasses
import io
from pathlib import Path

from qtdog_tf.settings import Settings
from qtdog_tf.sweep.plan import LOGS, EnsembleRun, Group, TrialRuns
from qtdog_tf.sweep.task import Task
from qtdog_tf.training.plan_settings import PlanSettings
from qtdog_tf.training.roles import NONE, Roles


@dataclasses.dataclass(frozen=True)
class Workplace:
    """Where tasks are carried out.

    Attributes:
        output: folder of the sweep.
        threads: of each task; 0: all.
        folder: the absolute folder that commands are given in.
    """

    output: Path
    threads: int
    folder: Path

    def task(self, name: str, *command: str) -> Task:
        """A task with its log in the folder of the sweep."""
        log = self.folder / self.output / LOGS / f"{name}.log"
        return Task(name, command, str(self.folder), str(log), self.threads)


def train_task(trial: TrialRuns, workplace: Workplace) -> Task:
    """Trains what is missing of a trial. The sweep has looked at the data before."""
    wanted = dataclasses.replace(
        _wanted(trial.group, trial.roles),
        trial_seeds=(str(trial.trial_seed),),
        variants=tuple(variant.name for variant in trial.variants),
        check_data=False,
    )
    group = trial.group
    flags = flags_of(group.settings, group.algorithm, group.run_settings, wanted)
    return workplace.task(trial.name, "tools.train", *flags, f"--output={group.folder}")


def ensemble_task(ensemble: EnsembleRun, workplace: Workplace) -> Task:
    """Averages the members of an ensemble, as tools.train --members does."""
    runs = _listed([str(folder) for folder in ensemble.members])
    return workplace.task(
        ensemble.name, "tools.ensemble", f"--runs={runs}", f"--output={ensemble.folder}"
    )


def probe_task(
    trial: TrialRuns, steps: int, report: Path, workplace: Workplace, number: int = 0
) -> Task:
    """Measures the speed of a trial's training; `number` tells probes apart that run at once."""
    group = trial.group
    wanted = _wanted(group, trial.roles)
    flags = flags_of(group.settings, group.algorithm, wanted)
    return workplace.task(
        f"{group.name}/probe{number}",
        "tools.probe",
        *flags,
        f"--probe_steps={steps}",
        f"--report={report}",
    )


def _wanted(group: Group, roles: Roles) -> PlanSettings:
    others = tuple(name for name in group.data.names if name not in roles.targets)
    return PlanSettings(
        target_domains=roles.targets or (NONE,),
        source_domains=() if roles.sources == others else roles.sources,
    )


def flags_of(*settings: Settings) -> list[str]:
    """The flags that give settings their values, those that differ from the defaults only."""
    found = []
    for one in settings:
        for field in dataclasses.fields(one):  # type: ignore[arg-type]
            value = getattr(one, field.name)
            if value != field.default:
                found.append(_flag(field.name, value))
    return found


def _flag(name: str, value: object) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no{name}"
    return f"--{name}={_listed(value) if isinstance(value, tuple) else value}"


def _listed(values: list[str] | tuple[str, ...]) -> str:
    """Names as a flag takes them: separated by commas, quoted where there is one in a name."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(values)
    return text.getvalue()
