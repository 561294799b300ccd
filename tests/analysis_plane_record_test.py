"""The file of a plane: known by what it is of, so that nothing is measured twice or mixed up."""

from types import SimpleNamespace

import pytest

from qtdog_tf.analysis.catalog import Subject
from qtdog_tf.analysis.plane import PlaneSettings
from qtdog_tf.analysis.plane_record import PlaneRecord
from qtdog_tf.errors import UserError


def subjects(folder, count=3):
    """Models of a run that are files of some bytes."""
    run = SimpleNamespace(path=folder, model_path=lambda name: folder / name)
    for number in range(count):
        (folder / f"m{number}").write_text(str(number))
    return [Subject(run, f"m{number}") for number in range(count)]


def test_figures_that_are_there_are_known_by_what_they_are_of(tmp_path):
    record = PlaneRecord.through(tmp_path / "new", subjects(tmp_path), PlaneSettings())
    assert record.read() is None
    record.write({"x": [1.0]}, 2.34, "python")
    again = PlaneRecord.through(tmp_path / "new", subjects(tmp_path), PlaneSettings())
    found = again.read()
    assert (found["analysis"], found["seconds"], found["result"]) == ("plane", 2.3, {"x": [1.0]})
    other = PlaneRecord.through(tmp_path / "new", subjects(tmp_path)[::-1], PlaneSettings())
    with pytest.raises(UserError, match="holds figures of something else .*model 1: "):
        other.read()
    other = PlaneRecord.through(tmp_path / "new", subjects(tmp_path), PlaneSettings(seed=1))
    with pytest.raises(UserError, match="plane seed: 1 / 0"):
        other.read()
    (tmp_path / "m2").write_text("trained anew")
    with pytest.raises(UserError, match="model 3: "):
        record.read()
    record.path.write_text('{"result": {}}')
    with pytest.raises(UserError, match="is damaged, or of an older version: remove it"):
        record.read()


def test_a_plane_goes_through_three_models(tmp_path):
    for count in (2, 4):
        with pytest.raises(UserError, match=f"three models; --runs and --models give {count}"):
            PlaneRecord.through(tmp_path, subjects(tmp_path, count), PlaneSettings())
