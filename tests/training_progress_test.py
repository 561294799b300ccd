"""The progress of a plan, also of one that goes on."""

import pytest

from qtdog_tf.training.progress import PhaseProgress


def test_a_phase_without_a_step_left_does_not_count_as_speed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    progress = PhaseProgress(100)
    progress.skip(50)
    with progress.phase("float phase", 50, 50):
        pass
    assert "plan:" not in capsys.readouterr().err
    with progress.phase("erm", 50, 75) as bar:
        bar.update(25)
    assert "75 of 100 steps done" in capsys.readouterr().err
