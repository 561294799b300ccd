"""The engine for one machine: a number of workers, each with its share of the threads."""

import queue
import signal
from concurrent.futures import ThreadPoolExecutor

import tensorflow as tf

from qtdog_tf.sweep.engine import Ended, Engine, Event, Started
from qtdog_tf.sweep.task import Task, run_task


class LocalEngine(Engine):
    """Runs up to `workers` tasks at once, each in a process of its own.

    Args:
        workers: tasks at once.
        gpus: accelerators of this machine; workers take them in turn.
    """

    def __init__(self, workers: int, gpus: int = 0) -> None:
        self._asked = 0
        self._gpus = gpus
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._workers: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in range(workers):
            self._workers.put(number)
        self._threads = ThreadPoolExecutor(workers)

    def submit(self, task: Task) -> None:
        """Takes a task that may begin as soon as there is room."""
        self._threads.submit(self._run, task)

    def events(self, seconds: float) -> list[Event]:
        """What has happened since the last call, in order; waits up to `seconds` for a first."""
        found: list[Event] = []
        try:
            found.append(self._events.get(timeout=seconds))
            while True:
                found.append(self._events.get_nowait())
        except queue.Empty:
            return found

    def stop(self, number: int) -> None:
        """Asks what runs to end, see `Engine.stop`."""
        self._asked = number
        self._threads.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """Ends what still runs, and waits for its end."""
        self.stop(self._asked or signal.SIGTERM)
        self._threads.shutdown(wait=True)

    def _run(self, task: Task) -> None:
        worker = self._workers.get()
        self._events.put(Started(task.name, f"worker {worker}"))
        try:
            variables = accelerator_variables(worker, self._gpus)
            self._events.put(Ended(run_task(task, lambda: self._asked, variables)))
        finally:
            self._workers.put(worker)


def leave_gpus_to_workers() -> None:
    """Keeps this process, which only looks at data and starts others, off every GPU.

    With its first operation, the decoding of an image for example, TensorFlow reserves nearly all
    memory of each GPU that it sees, and workers would find none left. The GPUs are still listed as
    physical devices.

    Raises:
        RuntimeError: if TensorFlow has taken hold of a GPU already.
    """
    tf.config.set_visible_devices([], "GPU")


def accelerator_variables(worker: int, gpus: int) -> dict[str, str]:
    """Variables of the environment that give a worker one GPU, of which it takes what it needs.

    Args:
        worker: its number, from 0.
        gpus: of this machine; with 0 there is nothing to set.
    """
    if not gpus:
        return {}
    return {"CUDA_VISIBLE_DEVICES": str(worker % gpus), "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
