"""What waits for what in a sweep: ensembles for members, students for teachers."""

from pathlib import Path

import pytest

from qtdog_tf.errors import UserError
from qtdog_tf.sweep.experiment import Experiment
from qtdog_tf.sweep.needs import needs
from qtdog_tf.sweep.probe import Speed
from qtdog_tf.sweep.state import plan_states
from qtdog_tf.sweep.tables import plan_table
from tests.sweep_experiments import experiment, plan_of

OUTPUT = Path("runs/sweep")


def distilled(teacher: str, group: str = "student") -> Experiment:
    return experiment("d", group, "distill", teacher=teacher, target_domains=("day", "night"))


def test_a_student_waits_for_the_teacher_that_the_sweep_makes() -> None:
    pool = experiment("a", members=2, target_domains=("day", "night"))
    student = distilled("runs/sweep/photos/{targets}-ensemble0/qtdog7")
    plan = plan_of(OUTPUT, student, pool)
    ensemble, name = plan.ensembles[0], "student/day+night-trial0"
    members = ["photos/day+night-trial0", "photos/day+night-trial1"]
    assert needs(plan) == {name: [ensemble.name], ensemble.name: members}
    # A single run may teach too, and so may what this sweep does not make.
    single = distilled("runs/sweep/photos/{targets}-trial1/qtdog7")
    assert needs(plan_of(OUTPUT, pool, single))[name] == [members[1]]
    assert needs(plan_of(OUTPUT, distilled("runs/other/day-trial0/qtdog7"))) == {}
    # Nothing is done, and the speed of the student is not known before its teacher is.
    states = plan_states(plan)
    text = plan_table(plan, states, {"photos": Speed(1.0, 0.0)}, 1)
    assert text.splitlines()[-1] == (
        "With 1 worker: about 2.78 hours, without student, whose teacher is not there yet."
    )


def test_a_student_teaches_nobody() -> None:
    first = distilled("runs/sweep/other/{targets}-trial0/qtdog7")
    second = distilled("runs/sweep/student/{targets}-trial0/qtdog7", "other")
    with pytest.raises(UserError, match=r"would learn from other/day.*, which learns from a teach"):
        needs(plan_of(OUTPUT, first, second))
