"""Results in a folder without locks: whole files, in an order that says nothing too early."""

import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtdog_tf.errors import UserError
from qtdog_tf.sweep.mirror import ELSEWHERE, Mirror
from qtdog_tf.sweep.remote_task import bring, folders_read, moved, run_remote_task
from qtdog_tf.sweep.shared_folder import SharedFolder, is_url, order_of_upload
from qtdog_tf.sweep.state import State, run_state
from qtdog_tf.sweep.task import Task
from qtdog_tf.sweep.upload import Superseded, Upload, wanted_here
from tests.programs import REPOSITORY
from tests.run_folders import IDENTITY

NAME = "photos/day-trial0"
RUN = f"{NAME}/erm"


@pytest.fixture(params=["memory", "file"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> SharedFolder:
    if request.param == "file":
        return SharedFolder(f"file://{tmp_path}/shared")
    return SharedFolder(f"memory://{uuid.uuid4().hex}/sweep/")


def write(folder: Path, *names: str, text: str = "text") -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def contents(shared: SharedFolder, under: str = "") -> dict[str, str]:
    return {name: shared.read_text(name) for name in shared.sizes(under)}


def test_files_are_sent_replaced_moved_and_removed(shared: SharedFolder, tmp_path: Path) -> None:
    assert shared.sizes() == shared.sizes("a/b") == {} and shared.read_text("a/b/c.txt") == ""
    write(tmp_path, "one", text="1")
    shared.upload(tmp_path / "one", "a/b/c.txt")
    shared.upload(tmp_path / "one", "a/d.txt")
    assert shared.sizes() == {"a/b/c.txt": 1, "a/d.txt": 1}
    write(tmp_path, "one", text="one")
    shared.upload(tmp_path / "one", "a/b/c.txt")
    assert shared.sizes("a/b") == shared.sizes("a/b/c.txt") == {"a/b/c.txt": 3}
    shared.download("a/b/c.txt", tmp_path / "new" / "c.txt")
    assert (tmp_path / "new" / "c.txt").read_text() == "one"
    shared.move("a/b", "broken/b-0")
    shared.remove(["a/d.txt", "a/d.txt"])
    shared.write_text("e/f", "two")
    assert contents(shared) == {"broken/b-0/c.txt": "one", "e/f": "two"}


def test_a_file_that_was_not_sent_to_its_end_is_not_there(
    shared: SharedFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "one", text="old")
    shared.upload(tmp_path / "one", "a/b.txt")

    def put(local: str, remote: str) -> None:
        shared._files.pipe_file(remote, b"ne")
        raise OSError("the node is gone")

    write(tmp_path, "one", text="new")
    monkeypatch.setattr(shared._files, "put_file", put)
    with pytest.raises(OSError, match="gone"):
        shared.upload(tmp_path / "one", "a/b.txt")
    assert contents(shared) == {"a/b.txt": "old"}


def test_an_address_that_no_file_system_understands() -> None:
    assert is_url("s3://bucket/a") and is_url("file:///a") and not is_url("runs/a")
    with pytest.raises(UserError, match=r"output nowhere://a cannot be opened .*s3fs for s3://"):
        SharedFolder("nowhere://a")


FILES = st.builds(
    lambda folder, name: f"g/t/{folder}{name}",
    st.sampled_from(["erm/", "qtdog7/", "erm/checkpoints/", "float/checkpoints/"]),
    st.sampled_from(["summary.json", "step-000002.npz", "set.npz", "results.jsonl", "last.keras"]),
)


@given(st.sets(FILES))
def test_summaries_go_last_and_checkpoints_before_them(names: set[str]) -> None:
    order = order_of_upload(names)
    assert sorted(order) == sorted(names)
    kinds = [
        2 if n.endswith("/summary.json") else 1 if "checkpoints/step-" in n else 0 for n in order
    ]
    assert kinds == sorted(kinds)


class Breaking(SharedFolder):
    """A shared folder whose writer is killed at a moment: after so many changes nothing works."""

    changes = 10**6

    def upload(self, local: Path, name: str) -> None:
        self._change()
        super().upload(local, name)

    def remove(self, names: object) -> None:
        for name in names:  # type: ignore[attr-defined]
            self._change()
            super().remove([name])

    def _change(self) -> None:
        if not self.changes:
            raise OSError("killed")
        self.changes -= 1


def train(scratch: Path) -> Iterator[None]:
    """What training leaves at moments at which it is sent: two checkpoints, then the end."""
    run = scratch / RUN
    for step in (2, 4):
        (run / "checkpoints").mkdir(parents=True, exist_ok=True)
        (run / "checkpoints" / f"set-{step}.npz").write_text("values")
        (run / "results.jsonl").write_text("line\n" * step)
        for old in run.glob("checkpoints/*"):
            if str(step) not in old.name:
                old.unlink()
        (run / "checkpoints" / f"step-{step:06d}.npz").write_text(str(step))
        yield
    write(run, "last.keras", "selected.keras", "run.json", "summary.json")
    shutil.rmtree(run / "checkpoints")
    yield


@pytest.mark.parametrize("kill", range(15))
def test_whenever_the_writer_is_killed_nothing_is_said_too_early(kill: int, tmp_path: Path) -> None:
    shared = Breaking(f"memory://{uuid.uuid4().hex}")
    upload = Upload(shared, tmp_path, NAME, "out")
    shared.changes = kill
    ended = True
    try:
        for _ in train(tmp_path):
            upload.send()
    except OSError:
        ended = False
    assert ended == (kill == 14)
    there = contents(shared, NAME)
    if f"{RUN}/summary.json" in there:
        assert {f"{RUN}/{n}" for n in ("last.keras", "selected.keras", "run.json")} <= set(there)
    steps = [n for n in there if "step-" in n]
    for name in steps:
        step = there[name]
        assert f"{RUN}/checkpoints/set-{step}.npz" in there
        assert len(there[f"{RUN}/results.jsonl"].splitlines()) >= int(step)
    # Once there is a checkpoint there is always one, until the run is finished.
    assert steps or kill < 3 or f"{RUN}/summary.json" in there
    if ended:
        names = ("last.keras", "results.jsonl", "run.json", "selected.keras", "summary.json")
        assert sorted(there) == [f"{RUN}/{name}" for name in names]


@pytest.mark.parametrize("moment", ["step-000002.npz", "set-2.npz"])
def test_a_checkpoint_that_goes_while_it_is_copied_is_followed_by_the_next(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = SharedFolder(f"memory://{uuid.uuid4().hex}")
    upload = Upload(shared, tmp_path, NAME, "out")
    training = train(tmp_path)
    next(training)
    link = os.link

    def link_late(path: Path, copy: Path) -> None:
        if path.name == moment:
            next(training)
        link(path, copy)

    monkeypatch.setattr(os, "link", link_late)
    upload.send()
    names = {Path(name).name for name in shared.sizes(f"{RUN}/checkpoints")}
    assert names == {"step-000004.npz", "set-4.npz"}


def test_what_has_not_changed_is_not_sent_again(tmp_path: Path) -> None:
    shared = Breaking(f"memory://{uuid.uuid4().hex}")
    upload = Upload(shared, tmp_path, NAME, "out")
    write(tmp_path, f"{RUN}/last.keras", f"logs/{NAME}.log", f"{RUN}/.writing-half")
    upload.send()
    assert set(shared.sizes(NAME)) == {f"{RUN}/last.keras"}
    assert shared.read_text(f"logs/{NAME}.log") == "text"
    shared.changes = 1
    write(tmp_path, f"{RUN}/run.json", text=f'{{"run": "{tmp_path}/{RUN}"}}')
    upload.send()
    # Where it was made is nobody's business.
    assert json.loads(shared.read_text(f"{RUN}/run.json")) == {"run": f"out/{RUN}"}


def test_an_attempt_that_another_one_has_followed_sends_nothing(tmp_path: Path) -> None:
    shared = SharedFolder(f"memory://{uuid.uuid4().hex}")
    first = Upload(shared, tmp_path, NAME, "out")
    Upload(shared, tmp_path / "other", NAME, "out")
    write(tmp_path, f"{RUN}/run.json")
    with pytest.raises(Superseded, match="another attempt at photos/day-trial0 has begun"):
        first.send()
    assert not shared.sizes(NAME)


def test_what_a_task_brings(tmp_path: Path) -> None:
    shared = SharedFolder(f"memory://{uuid.uuid4().hex}")
    done, begun = f"{NAME}/erm/", f"{NAME}/qtdog7/"
    write(tmp_path, "file")
    for name in (
        f"{done}summary.json",
        f"{done}last.keras",
        f"{begun}last.keras",
        f"{begun}checkpoints/step-000002.npz",
        "photos/settings.json",
        "photos/night-trial0/erm/last.keras",
    ):
        shared.upload(tmp_path / "file", name)
    task = Task(NAME, ("tools.train", "--output=out/photos"), "/repository", "/out/log")
    bring(shared, tmp_path / "scratch", task, "out")
    found = {
        p.relative_to(tmp_path / "scratch").as_posix() for p in tmp_path.glob("scratch/**/*.*")
    }
    wanted = {f"{done}summary.json", f"{begun}last.keras", f"{begun}checkpoints/step-000002.npz"}
    assert found == {*wanted, "photos/settings.json"}
    assert set(wanted_here(list(shared.sizes(NAME)))) == wanted
    runs = '--runs=out/photos/day-trial0/erm,"out/photos/a,b-trial1/erm"'
    ensemble = Task("photos/day-ensemble0/erm", ("tools.ensemble", runs), "/repository", "/log")
    assert folders_read(ensemble, "out")[0] == "photos/day-trial0/erm"


def test_paths_of_a_command_are_moved() -> None:
    command = ("tools.ensemble", "--runs=out/a/x,out/b/y", "--output=out/a/z", "--data=out/d")
    task = moved(Task(NAME, command, "/repository", "/w/out/logs/x.log"), "out", Path("/scratch"))
    assert task.command[1:3] == ("--runs=/scratch/a/x,/scratch/b/y", "--output=/scratch/a/z")
    assert task.log == f"/scratch/logs/{NAME}.log" and task.folder == "/repository"


def test_an_attempt_goes_on_where_the_one_before_has_crashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"file://{tmp_path}/shared"
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    # What a worker that was killed has left on this disk.
    write(tmp_path / "qtdog_tf-scratch", "killed/photos/file", ".killed.lock")
    flags = ("--output=out/photos", "--trial=day-trial0", "--crash_at=4")
    task = Task(NAME, ("tests.remote_program", *flags), str(REPOSITORY), "/w/out/log")
    first = run_remote_task(task, url, "out")
    assert first.code == 1
    assert not list((tmp_path / "qtdog_tf-scratch").iterdir())
    shared = SharedFolder(url)
    assert f"{RUN}/checkpoints/step-000004.npz" in shared.sizes()
    second = run_remote_task(task, url, "out")
    assert second.code == 0, second.error
    there = contents(shared, NAME)
    assert sorted(Path(name).name for name in there) == [
        "results.jsonl",
        "run.json",
        "selected.keras",
        "summary.json",
    ]
    assert there[f"{RUN}/selected.keras"].splitlines() == [f"step {n}" for n in range(6)]
    assert json.loads(there[f"{RUN}/run.json"]) == {"place": f"out/{RUN}"}
    assert shared.read_text(f"logs/{NAME}.log").count("$ python -m tests.remote_program") == 2


def test_a_mirror_has_the_small_files_and_knows_of_the_models(tmp_path: Path) -> None:
    shared = SharedFolder(f"memory://{uuid.uuid4().hex}")
    summary = {**IDENTITY, "rows": {}}
    texts = {"run.json": json.dumps(IDENTITY), "summary.json": json.dumps(summary)}
    for name in ("run.json", "summary.json", "last.keras", "results.jsonl"):
        write(tmp_path, "file", text=texts.get(name, "text"))
        shared.upload(tmp_path / "file", f"{RUN}/{name}")
    mirror = Mirror(shared, tmp_path / "mirror")
    mirror.bring()
    run = tmp_path / "mirror" / RUN
    assert {path.name for path in run.iterdir()} == {*texts, "results.jsonl", ELSEWHERE}
    assert run_state(run, ["last.keras"]).state == State.FINISHED
    # A model that has gone there makes the run broken here, and what is moved here is moved there.
    assert run_state(run, ["last.keras", "selected.keras"]).state == State.BROKEN
    shared.remove([f"{RUN}/last.keras"])
    mirror.bring()
    assert run_state(run, ["last.keras"]).state == State.BROKEN
    mirror.settle()
    assert shared.sizes(RUN)
    shutil.rmtree(run)
    mirror.settle()
    assert not shared.sizes(RUN) and len(shared.sizes("broken")) == 3
    write(tmp_path / "mirror", "sweep.json", "photos/settings.json", "photos/other.json")
    mirror.send_records()
    assert {"sweep.json", "photos/settings.json"} < set(shared.sizes())
    assert "photos/other.json" not in shared.sizes()
