"""Which tasks of a plan need which others: ensembles their members, students their teachers."""

from pathlib import Path

from qtdog_tf.errors import UserError
from qtdog_tf.sweep.plan import EnsembleRun, Plan, TrialRuns


def needs(plan: Plan) -> dict[str, list[str]]:
    """The names of the tasks that each one needs, by its name; those that need none are left out.

    Raises:
        UserError: if a teacher of this plan would learn from a teacher itself.
    """
    found = {ensemble.name: ensemble.after for ensemble in plan.ensembles}
    for trial in plan.trials:
        maker = teacher_task(plan, trial)
        if maker:
            found[trial.name] = [maker]
    return found


def teacher_task(plan: Plan, trial: TrialRuns) -> str:
    """The name of the task that makes the teacher of a trial; empty if no task of the plan does.

    Raises:
        UserError: if that teacher would learn from a teacher itself.
    """
    teacher = trial.group.algorithm.teacher
    if not teacher:
        return ""
    folder = Path(teacher.replace("{targets}", trial.roles.name)).absolute()
    makers: dict[Path, EnsembleRun | TrialRuns] = {
        run.absolute(): one for one in plan.trials for run in one.folders
    }
    makers |= {one.folder.absolute(): one for one in plan.ensembles}
    if folder not in makers:
        return ""
    maker = makers[folder]
    if maker.group.algorithm.teacher:
        raise UserError(
            f"{trial.name} would learn from {maker.name}, which learns from a teacher itself: name "
            "an ensemble or a run without one"
        )
    return maker.name
