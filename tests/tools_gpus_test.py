"""Programs that start workers take no GPU themselves, and do so before they look at images."""

import importlib
import os
import sys
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import tensorflow as tf
from absl import flags

from qtdog_tf.errors import UserError
from qtdog_tf.sweep.local_engine import leave_gpus_to_workers
from tests.programs import REPOSITORY, SERVER

FLAGFILE = REPOSITORY / "configs" / "ablations" / "granularity_layer.flags"
PROGRAMS = {
    "sweep": (f"--experiments={FLAGFILE}", "--plan"),
    "ablate": ("--table=granularity", "--train=none"),
}


def test_no_gpu_is_visible_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    # Whether this machine has GPUs or not: TensorFlow is asked to show none of them.
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda *given: asked.append(given))
    leave_gpus_to_workers()
    assert asked == [([], "GPU")]


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_with_workers_leaves_them_the_gpus(name: str, tmp_path: Path) -> None:
    here, there = SERVER.Pipe(duplex=False)
    flags_given = (*PROGRAMS[name], f"--output={tmp_path / 'out'}")
    process = SERVER.Process(target=report_order, args=(name, flags_given, there))
    process.start()
    there.close()
    assert here.poll(120), "the program has said nothing"
    assert here.recv() == ["no GPU is visible", "data is opened"]
    process.join()


def report_order(name: str, given: tuple[str, ...], told: Connection) -> None:
    """In a process of its own, since both programs define flags of one name."""
    os.chdir(REPOSITORY)
    program = importlib.import_module(f"tools.{name}")
    order: list[str] = []

    def open_data(data: str) -> None:
        order.append("data is opened")
        raise UserError("this is as far as it has to go")

    tf.config.set_visible_devices = lambda *devices: order.append("no GPU is visible")
    program.open_domains = open_data
    flags.FLAGS([name, *given])
    try:
        program.main(sys.argv[:1])
    except UserError:
        told.send(order)
