"""A whole sweep: looks at the disk, does what is missing, leaves the rest. Start from `Sweep`."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from qtdog_tf.files import UNFINISHED, remove_unfinished
from qtdog_tf.locks import hold
from qtdog_tf.runs import claim_runs, refuse_other_runs
from qtdog_tf.sweep.commands import Workplace, ensemble_task, train_task
from qtdog_tf.sweep.engine import Engine
from qtdog_tf.sweep.needs import needs
from qtdog_tf.sweep.plan import Plan, TrialRuns
from qtdog_tf.sweep.probe import Speed
from qtdog_tf.sweep.progress import SweepProgress
from qtdog_tf.sweep.record import SweepRecord
from qtdog_tf.sweep.runner import Runner
from qtdog_tf.sweep.state import (
    RunState,
    State,
    ensemble_state,
    move_broken,
    plan_states,
    trial_states,
)
from qtdog_tf.sweep.steps import steps_done
from qtdog_tf.sweep.task import Task
from qtdog_tf.training.preflight import check_roles


class Sweep:
    """A plan and what is there of it.

    Args:
        plan: what is to be done.
        workplace: where.

    Attributes:
        states: of all runs and ensembles, by folder, when somebody last looked.
        needs: which tasks need which others, see `needs`.

    Raises:
        UserError: if a folder belongs to runs of other settings, or a teacher of the plan would
            learn from a teacher itself.
    """

    def __init__(self, plan: Plan, workplace: Workplace) -> None:
        self.plan = plan
        self.workplace = workplace
        for group in plan.groups:
            refuse_other_runs(group.folder, group.settings, group.algorithm)
        self.needs = needs(plan)
        self.states: dict[Path, RunState] = {}
        self._trials = {trial.name: trial for trial in plan.trials}
        self._ensembles = {ensemble.name: ensemble for ensemble in plan.ensembles}

    def look(self) -> None:
        """Looks at every run on the disk.

        Raises:
            UserError: if the folder of an ensemble is that of another choice of members.
        """
        self.states = plan_states(self.plan)

    def run(
        self, make_engine: Callable[[], Engine], speeds: Mapping[str, Speed], retries: int
    ) -> Runner:
        """Does what is missing.

        Args:
            make_engine: called if there is anything to do.
            speeds: of the groups for which it is known.
            retries: how often a task is begun again that was killed or broke down.

        Returns:
            The runner, which knows what has failed.

        Raises:
            UserError: if another sweep works here, or images are damaged.
        """
        output = self.workplace.output
        with hold(output, "swept"):
            record = SweepRecord(output, self.workplace.threads)
            self.look()
            self._check_data()
            self._clear_away()
            record.save()
            for group in self.plan.groups:
                claim_runs(group.folder, group.settings, group.algorithm)
            tasks = self.tasks()
            progress = self._progress(speeds)
            runner = Runner(tasks, self.needs, self.why_not_done, record, retries, progress.show)
            if tasks:
                runner.run(make_engine())
            progress.close()
            return runner

    def tasks(self) -> list[Task]:
        """What there is to do: trials in the order of the plan, then ensembles."""
        tasks = [
            train_task(trial, self.workplace)
            for trial in self.plan.trials
            if self.is_missing(trial)
        ]
        return tasks + [
            ensemble_task(ensemble, self.workplace)
            for ensemble in self.plan.ensembles
            if self.states[ensemble.folder].state != State.FINISHED
        ]

    def why_not_done(self, name: str) -> str:
        """Looks again at the runs of a task: why it is not done, empty if it is."""
        if name in self._trials:
            found = trial_states(self._trials[name])
        else:
            ensemble = self._ensembles[name]
            members = [self.states[folder] for folder in ensemble.members]
            found = {ensemble.folder: ensemble_state(ensemble, members)}
        self.states |= found
        wrong = [
            state.why or f"{folder} is {state.state}"
            for folder, state in found.items()
            if state.state != State.FINISHED
        ]
        return wrong[0] if wrong else ""

    def is_missing(self, trial: TrialRuns) -> bool:
        """Whether there was a run to do in a trial, when somebody last looked."""
        return any(self.states[folder].state != State.FINISHED for folder in trial.folders)

    def can_begin(self, trial: TrialRuns) -> bool:
        """Whether the teacher of a trial is there, if this plan makes it."""
        return not any(map(self.why_not_done, self.needs.get(trial.name, ())))

    def _check_data(self) -> None:
        """Opens each image once that is still needed, as tools.train does for one experiment."""
        groups = [group for group in self.plan.groups if group.check_data]
        for data in dict.fromkeys(group.data for group in groups):
            roles = [
                trial.roles
                for trial in self.plan.trials
                if trial.group in groups and trial.group.data is data and self.is_missing(trial)
            ]
            if roles:
                report = check_roles(data, list(dict.fromkeys(roles)))
                for warning in report.warnings:
                    print(f"warning: {warning}", file=sys.stderr)
                report.raise_errors()

    def _clear_away(self) -> None:
        """Removes what a killed sweep has left half written, and moves broken runs aside."""
        output = self.workplace.output
        for folder in (output, *(group.folder for group in self.plan.groups)):
            for path in folder.glob(f"{UNFINISHED}*"):
                path.unlink(missing_ok=True)
        for sentence in move_broken(output, self.plan, self.states):
            print(f"warning: {sentence}", file=sys.stderr)
        for ensemble in self.plan.ensembles:
            if self.states[ensemble.folder].state != State.FINISHED:
                remove_unfinished(ensemble.folder)

    def _progress(self, speeds: Mapping[str, Speed]) -> SweepProgress:
        trials = self.plan.trials
        known = all(trial.group.name in speeds for trial in trials)
        return SweepProgress(
            {trial.name: trial.steps for trial in trials},
            lambda name: steps_done(self._trials[name], self.states),
            {trial.name: speeds[trial.group.name].step for trial in trials} if known else {},
        )
