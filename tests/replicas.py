"""What is trained on two devices, to compare with one; run in a process that divides its processor.

Devices can be divided only before TensorFlow starts, so `apart` forks one where it has not.
"""

import contextlib
import dataclasses
import json
import multiprocessing
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from qtdog_tf.algorithms import AlgorithmSettings
from qtdog_tf.data import open_domains
from qtdog_tf.errors import UserError
from qtdog_tf.quantization.inq_quantizer import INQWeightQuantizer
from qtdog_tf.training.callbacks import FixPortions, StartQuantization
from qtdog_tf.training.evaluation import Part
from qtdog_tf.training.model import build_training_model
from qtdog_tf.training.progress import PhaseProgress
from qtdog_tf.training.run_settings import RunSettings
from qtdog_tf.training.settings import TrainSettings
from qtdog_tf.training.state import capture_state
from qtdog_tf.training.strategy import open_strategy
from qtdog_tf.training.trial import Trial
from qtdog_tf.training.variants import parse_variants
from tests.programs import SERVER
from tests.small_data import TINY_RUN
from tests.trials import MODELS, ROLES, interrupted, weights_of

TWO = RunSettings(strategy="mirrored", devices=("CPU:0", "CPU:1"))
# Adam's first updates are g / (|g| + epsilon): with the usual 1e-8 they make rounding errors of
# gradients as large as gradients, and nothing could be compared.
SETTINGS = TrainSettings(
    **{
        **TINY_RUN,
        "adam_epsilon": 1e-3,
        "averages": ("sma", "swad"),
        "swad_converge": 2,
        "swad_tolerance": 2,
    }  # type: ignore[arg-type]
)
DOMAINS, CLASSES, STEPS = 2, 3, 6


def apart(check: Callable[..., None], *arguments: Any) -> None:
    """Runs a check in a process of its own, where TensorFlow has not started."""
    here, there = multiprocessing.Pipe(duplex=False)
    process = SERVER.Process(target=_say_what_is_wrong, args=(there, check, *arguments))
    process.start()
    there.close()
    with contextlib.suppress(EOFError):
        problem = here.recv()
    process.join()
    assert process.exitcode == 0 and not problem, problem


def _say_what_is_wrong(pipe: Any, check: Callable[..., None], *arguments: Any) -> None:
    # See tests/conftest.py.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    try:
        check(*arguments)
    except BaseException:
        pipe.send(traceback.format_exc())
    else:
        pipe.send("")


def assert_close_states(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> None:
    """Every variable agrees, by the largest element of each."""
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        largest = np.abs(value).max(initial=0.0)
        np.testing.assert_allclose(ours[name], value, rtol=0, atol=2e-5 * largest + 1e-9)


def train_algorithm(strategy: tf.distribute.Strategy, name: str) -> tuple[dict, list[float]]:
    """Trains a model by an algorithm; its state and its losses. ERM ends with INQ."""
    teacher = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Flatten()])
    keras.utils.set_random_seed(1)
    teacher.add(keras.layers.Dense(CLASSES))
    algorithm = AlgorithmSettings(algorithm=name, teacher="given" if name == "distill" else "")
    settings = dataclasses.replace(SETTINGS, averages=("sma",))
    with strategy.scope():
        model = build_training_model(
            settings,
            CLASSES,
            bits=4,
            seed=3,
            algorithm=algorithm,
            num_domains=DOMAINS,
            teacher=teacher,
        )
    inq = StartQuantization(
        3, make_quantizer=lambda model, number, own: INQWeightQuantizer(5, own.channel_axes)
    )
    callbacks = [losses := Losses()]
    if name == "erm":
        callbacks += [inq, FixPortions([(3, 0.5), (5, 1.0)])]
    data = batches(strategy.num_replicas_in_sync)
    model.fit(data, shuffle=False, verbose=0, callbacks=callbacks)
    return capture_state(model), losses.found


class Losses(keras.callbacks.Callback):
    """The loss of each step."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.found.append(float(logs["loss"]))
        self.model.reset_metrics()


def batches(replicas: int, bad: slice = slice(0)) -> tf.data.Dataset:
    """Batches of four images of each domain, in the order that `training_batches` gives them."""
    random = np.random.default_rng(0)
    size = DOMAINS * 4
    images = random.integers(0, 256, (STEPS, size, 16, 16, 3)).astype("float32")
    images[:, bad] = np.inf
    labels = random.integers(0, CLASSES, (STEPS, size)).astype("int32")
    order = np.arange(size).reshape(DOMAINS, replicas, -1).swapaxes(0, 1).ravel()
    domain = np.repeat(np.arange(DOMAINS, dtype="int32"), 4)[order]
    data = tf.data.Dataset.from_tensor_slices((images[:, order], labels[:, order]))
    return data.map(lambda images, labels: ({"image": images, "domain": domain}, labels))


def check_algorithms(names: list[str]) -> None:
    """Each method gives the same loss curve and the same state on two devices as on one."""
    two = open_strategy(TWO)
    for name in names:
        state, losses = train_algorithm(tf.distribute.get_strategy(), name)
        shared_state, shared_losses = train_algorithm(two, name)
        np.testing.assert_allclose(shared_losses, losses, rtol=1e-5, err_msg=name)
        assert_close_states(shared_state, state)


def check_divergence() -> None:
    """A loss that is not finite on one device only stops all, with nothing changed."""
    two = open_strategy(TWO)
    with two.scope():
        model = build_training_model(SETTINGS, CLASSES, bits=4, seed=3, num_domains=DOMAINS)
    before = capture_state(model)
    with pytest.raises(tf.errors.InvalidArgumentError, match="loss is not finite"):
        # The last image of the first domain is on the second device.
        model.fit(batches(2, bad=slice(3, 4)), shuffle=False, verbose=0)
    for name, value in capture_state(model).items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


def check_run(data: str, folder: Path) -> None:
    """A run, interrupted and resumed, is on two devices what it is on one."""
    variants = parse_variants(("qtdog7",))
    domain_set = open_domains(data)
    parts: dict[frozenset[str], list[Part]] = {}

    def train(name: str, how: RunSettings, strategy: tf.distribute.Strategy | None) -> Path:
        progress = PhaseProgress(100, enabled=False)
        trial = Trial(
            SETTINGS, domain_set, ROLES, 0, folder / name, progress, how, strategy=strategy
        )
        # To trace them takes longer than to train.
        trial.data._parts = parts
        trial.run(variants)
        return folder / name / "line-trial0" / "qtdog7"

    two = open_strategy(TWO)
    with interrupted(9, pytest.MonkeyPatch()):
        train("two", TWO, two)
    with pytest.raises(UserError, match="devices that share a batch: 2 there, not recorded here"):
        train("two", RunSettings(), None)
    resumed, one = train("two", TWO, two), train("one", RunSettings(), None)
    assert_close_runs(resumed, one)
    assert json.loads((resumed / "summary.json").read_text())["replicas"] == 2
    assert "replicas" not in json.loads((one / "summary.json").read_text())


def assert_close_runs(ours: Path, theirs: Path) -> None:
    """Evaluations and weights of two runs agree but for rounding."""
    lines = [(run / "results.jsonl").read_text().splitlines() for run in (ours, theirs)]
    for mine, other in zip(*[map(json.loads, one) for one in lines], strict=True):
        assert (mine["step"], mine["weights"]) == (other["step"], other["weights"])
        for role in ("source", "target"):
            for domain, parts in other[role].items():
                for part, score in parts.items():
                    found = mine[role][domain][part]
                    assert found["loss"] == pytest.approx(score["loss"], rel=1e-5)
                    assert found["images"] == score["images"]
    for name in (*MODELS, "last_swad.keras"):
        for a, b in zip(weights_of(ours / name), weights_of(theirs / name), strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=2e-5 * np.abs(b).max() + 1e-9)
