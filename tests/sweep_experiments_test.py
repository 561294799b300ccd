"""Flagfiles of experiments: read, overridden, refused with their name; settings of a sweep."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from absl import flags

from qtdog_tf.errors import UserError
from qtdog_tf.sweep.experiment import Experiment
from qtdog_tf.sweep.settings import SweepSettings
from tools._experiments import SETTINGS, given_settings, read_experiments
from tools._flags import define_flags

FLAGFILE = """# A comment.
--data=photos
--steps=300
--quantize_step=100
--variants=erm,qtdog7
--nofreeze_batch_norm
--output=runs/night
"""
Read = Callable[..., list[Experiment]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read(more: str = "", *command_line: str, name: str = "a") -> list[Experiment]:
        path = tmp_path / f"{name}.flags"
        path.write_text(FLAGFILE + more)
        values = flags.FlagValues()
        define_flags(*SETTINGS, values=values)
        values(["sweep", *command_line])
        return read_experiments([str(path)], values, Path("night"))

    return read


def test_an_experiment_is_what_its_flagfile_says(read: Read) -> None:
    (found,) = read(name="pacs_erm")
    assert (found.name, found.group) == ("pacs_erm", "night")
    assert (found.settings.data, found.settings.steps) == ("photos", 300)
    assert not found.settings.freeze_batch_norm
    assert found.wanted.variants == ("erm", "qtdog7") and found.wanted.seeds == [0]
    # Without an output of its own an experiment's name does.
    assert read("--output=", name="other")[0].group == "other"


def test_what_is_given_for_all_experiments_comes_on_top(read: Read) -> None:
    given = ("--trial_seeds=0,1,2", "--steps=500", "--nocheck_data", "--variants=qtdog4")
    (found,) = read("--members=2", *given)
    assert (found.settings.steps, found.settings.quantize_step) == (500, 100)
    assert found.wanted.seeds == [0, 1, 2] and found.wanted.members == 2
    assert found.wanted.variants == ("qtdog4",) and not found.wanted.check_data
    values = flags.FlagValues()
    define_flags(*SETTINGS, values=values)
    values(["sweep", *given])
    assert sorted(given_settings(values)) == ["check_data", "steps", "trial_seeds", "variants"]


def test_a_teacher_beside_the_output_moves_with_it(read: Read) -> None:
    def teacher(path: str, *more: str) -> str:
        lines = "\n".join(["--algorithm=distill", f"--teacher={path}", *more])
        return read(lines)[0].algorithm.teacher

    assert teacher("runs/a/{targets}-ensemble0/qtdog7") == "night/a/{targets}-ensemble0/qtdog7"
    assert teacher("others/pool/x") == "others/pool/x"
    # Without a folder around it nothing says what lies beside.
    assert teacher("pool/x", "--output=student") == "pool/x"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("--step=3", "Unknown command line flag 'step'"),
        ("steps=3", "unexpected argument 'steps=3'"),
        ("--steps=many", "flag --steps=many"),
        ("--quantize_step=300", "quantize_step (300) must be below steps (300)"),
        ("--trial_seeds=0,x", "trial_seeds must be whole numbers"),
        ("--workers=2", "Unknown command line flag 'workers'"),
        ("--flagfile=no/such.flags", "no/such.flags"),
    ],
)
def test_a_wrong_flagfile_is_named(read: Read, line: str, sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        read(line)
    said = str(caught.value)
    assert sentence in said and said.startswith("experiment /") and "\n" not in said


def test_flagfiles_that_are_not_there_or_have_one_name() -> None:
    values = flags.FlagValues()
    define_flags(*SETTINGS, values=values)
    values(["sweep"])
    for paths in ([], ["a/x.flags", "b/x.flags"]):
        with pytest.raises(UserError, match="must be one or more flagfiles of different names"):
            read_experiments(paths, values, Path("night"))
    with pytest.raises(UserError, match="no_such"):
        read_experiments(["no_such.flags"], values, Path("night"))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"algorithms": ("erm", "sgd")}, "algorithms must be different ones of erm"),
        ({"algorithms": ("erm", "erm")}, "received erm,erm"),
        ({"hparams_seeds": ("0", "x")}, "hparams_seeds must be one or more different whole"),
        ({"hparams_seeds": ("0", "00")}, "hparams_seeds must be one or more different whole"),
        ({"hparams_seeds": ()}, "hparams_seeds must be one or more different whole"),
        ({"hparams_search": "grid"}, "hparams_search must be one of domainbed, eoa, swad"),
        ({"workers": 0}, "workers must be at least 1"),
        ({"engine": "abacus"}, "engine must be one of local"),
    ],
)
def test_refused_settings_of_a_sweep(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        SweepSettings(**values)
