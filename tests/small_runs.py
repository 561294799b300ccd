"""Trains small runs by the real program, for the tests of the programs that take runs."""

from pathlib import Path

from tests.programs import run_program
from tests.small_data import TINY_RUN


def train_erm_and_qtdog7(data: Path, output: Path, **plan: object) -> Path:
    """Trains the runs "erm" and "qtdog7" that hold out "line"; returns the folder of the trial."""
    done = run_program(
        "train",
        data=data,
        output=output,
        target_domains="line",
        variants="erm,qtdog7",
        check_data=False,
        **{**TINY_RUN, **plan},
    )
    assert done.returncode == 0, done.stderr
    return output / "line-trial0"
