"""A student's run: who may be its teacher, what it is selected on, and that it goes on exactly."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from qtdog_tf.algorithms import AlgorithmSettings
from qtdog_tf.data import open_domains
from qtdog_tf.data.domains import DomainSet
from qtdog_tf.data.splits import Split
from qtdog_tf.errors import UserError
from qtdog_tf.evaluation import make_ensemble
from qtdog_tf.evaluation.teacher import open_teacher
from qtdog_tf.training.progress import PhaseProgress
from qtdog_tf.training.settings import TrainSettings
from qtdog_tf.training.teacher import MIN_IMAGES, Teacher, validation_splits
from qtdog_tf.training.trial import Trial
from qtdog_tf.training.variants import parse_variants
from tests.trials import ROLES, SETTINGS, assert_same_run
from tests.untrained_runs import make_run

VARIANTS = parse_variants(("qtdog5",))
SIZE = SETTINGS.image_size


def open_ensemble(data: Path, root: Path, seeds: tuple[int, ...]) -> Teacher:
    """An ensemble of runs of these trials; the student's is 0."""
    runs = [make_run(root / f"{place}", data, seed) for place, seed in enumerate(seeds)]
    make_ensemble(runs, root / "line-ensemble0", evaluate=False)
    folder = root / "{targets}-ensemble0"
    return open_teacher(folder, "selected_sma", open_domains(str(data)), ROLES, SIZE)


def make_student(
    domain_set: DomainSet, output: Path, teacher: Teacher, settings: TrainSettings = SETTINGS
) -> Trial:
    algorithm = AlgorithmSettings(algorithm="distill", teacher="runs/a")
    progress = PhaseProgress(100, enabled=False)
    return Trial(
        settings, domain_set, ROLES, 0, output, progress, algorithm=algorithm, teacher=teacher
    )


def test_students_interrupted_and_not_are_the_same_and_selected_honestly(
    data: Path, domain_set: DomainSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(tmp_path / "teacher", data, 1)
    teacher = open_teacher(tmp_path / "teacher", "selected_sma", domain_set, ROLES, SIZE)
    (summary,) = make_student(domain_set, tmp_path / "straight", teacher).run(VARIANTS)
    assert len(summary["initialization"]) == 64
    assert summary["algorithm"] == "distill" and summary["teacher"] == {
        **teacher.record,
        "selected_by": "last step",
        "validation_images": {"flat": 6, "gradient": 6},
    }
    last, rows = SETTINGS.steps - 1, summary["rows"]
    assert summary["selected_from"] == last and {row["step"] for row in rows.values()} == {last}
    assert rows["sma/source_validation"] == rows["sma/last"] == rows["sma/oracle"]

    class Killed(Exception):
        pass

    trial = make_student(domain_set, tmp_path / "killed", teacher)

    def check() -> None:
        model = trial._models._model
        if model is not None and int(model.optimizer.iterations.numpy()) == 9:
            raise Killed

    monkeypatch.setattr(trial._interruption, "check", check)
    with pytest.raises(Killed):
        trial.run(VARIANTS)
    make_student(domain_set, tmp_path / "killed", teacher).run(VARIANTS)
    folders = [tmp_path / name / "line-trial0" / "qtdog5" for name in ("straight", "killed")]
    assert_same_run(*folders)

    other = dataclasses.replace(teacher, record={**teacher.record, "file": "0123"})
    with pytest.raises(UserError, match="belongs to a run of other settings .*teacher"):
        make_student(domain_set, tmp_path / "killed", other).run(VARIANTS)
    settings = dataclasses.replace(SETTINGS, averages=("sma", "swad"))
    with pytest.raises(UserError, match="leave swad out of averages"):
        make_student(domain_set, tmp_path / "swad", teacher, settings)


def test_a_teacher_of_the_students_split_leaves_validation_alone(
    data: Path, domain_set: DomainSet, tmp_path: Path
) -> None:
    teacher = open_ensemble(data, tmp_path / "members", (0, 0))
    settings = dataclasses.replace(SETTINGS, averages=("sma", "swad"))
    validation = make_student(domain_set, tmp_path / "runs", teacher, settings).data.validation
    assert not validation.last_only and validation.record == {
        **teacher.record,
        "selected_by": "images that no teacher was trained on",
        "validation_images": {"flat": 6, "gradient": 6},
    }
    assert (teacher.record["variant"], teacher.record["members"]) == ("eoq7", 2)


def test_validation_images_are_those_that_nobody_was_trained_on() -> None:
    own = Split(np.arange(100, 500), np.arange(100))

    def cut(unseen: np.ndarray) -> np.ndarray | None:
        teacher = Teacher(lambda: None, {"day": unseen}, {})  # type: ignore[arg-type, return-value]
        found = validation_splits({"day": own, "night": own}, teacher)
        if found is None:
            return None
        assert found["night"] is own and found["day"].in_ is own.in_
        return found["day"].out

    np.testing.assert_array_equal(cut(np.arange(0, 500, 4)), np.arange(0, 100, 4))
    np.testing.assert_array_equal(cut(np.arange(MIN_IMAGES)), np.arange(MIN_IMAGES))
    assert cut(np.arange(MIN_IMAGES - 1)) is None and cut(np.arange(100, 500)) is None
    own = Split(own.in_, np.arange(3))
    np.testing.assert_array_equal(cut(np.arange(9)), np.arange(3))
    assert cut(np.arange(2)) is None


def test_a_domain_that_the_teacher_was_not_trained_on_is_unseen(
    data: Path, domain_set: DomainSet, tmp_path: Path
) -> None:
    make_run(tmp_path / "run", data, sources=["flat"])
    teacher = open_teacher(tmp_path / "run", "selected_sma", domain_set, ROLES, SIZE)
    assert len(teacher.unseen["flat"]) == 6 and len(teacher.unseen["gradient"]) == 30


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"classes": ["face", "vehicle", "hand"]}, "knows the classes face, vehicle, hand, but"),
        ({"image_size": 8}, "takes images of 8 pixels: give the student --image_size=8"),
        ({"sources": ["flat", "line"]}, "was trained on domain 'line', which the student holds"),
        ({"listing": "0123"}, "it is unknown which of them it has seen"),
        ({"teacher": {}}, "learned from a teacher itself"),
    ],
)
def test_teachers_that_do_not_fit_are_refused(
    data: Path, domain_set: DomainSet, tmp_path: Path, values: dict[str, object], sentence: str
) -> None:
    make_run(tmp_path / "run", data, **values)
    with pytest.raises(UserError, match=sentence):
        open_teacher(tmp_path / "run", "selected_sma", domain_set, ROLES, SIZE)
