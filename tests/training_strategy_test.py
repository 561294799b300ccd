"""Several devices train one run as one device does, or are refused."""

import keras
import pytest
import tensorflow as tf

from qtdog_tf.algorithms import ALGORITHMS, AlgorithmModel, AlgorithmSettings, build_algorithm
from qtdog_tf.algorithms.distill import Distill
from qtdog_tf.algorithms.erm import ERM
from qtdog_tf.algorithms.mixstyle import MixStyle
from qtdog_tf.algorithms.replicas import check_algorithm, check_layers
from qtdog_tf.errors import UserError
from qtdog_tf.models import FrozenBatchNormalization
from qtdog_tf.training.run_settings import RunSettings
from qtdog_tf.training.settings import TrainSettings
from qtdog_tf.training.strategy import check_strategy, open_strategy
from tests import replicas
from tests.programs import assert_refused, run_program
from tests.small_data import TINY_RUN, make_small_data

SPLITTING = ["erm", "mixup", "distill"]


def test_methods_that_split_train_as_on_one_device():
    replicas.apart(replicas.check_algorithms, SPLITTING)


def test_a_whole_run_and_its_resume_are_those_of_one_device(tmp_path):
    replicas.apart(replicas.check_run, str(make_small_data(tmp_path / "data")), tmp_path)


def test_a_loss_that_is_not_finite_on_one_device_stops_all():
    replicas.apart(replicas.check_divergence)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_other_methods_are_refused(name):
    if name == "distill":
        algorithm = Distill(keras.Sequential())
    else:
        algorithm = build_algorithm(AlgorithmSettings(algorithm=name))
    check_algorithm(algorithm, 1)
    if name in SPLITTING:
        check_algorithm(algorithm, 2)
        return
    with pytest.raises(UserError, match=rf"^algorithm {name} needs .* use --strategy=none .* erm"):
        check_algorithm(algorithm, 2)


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.BatchNormalization(name="asked"),
        keras.layers.Dropout(0.1, name="asked"),
        keras.layers.RandomFlip(name="asked"),
        MixStyle(name="asked"),
    ],
)
def test_layers_that_look_at_the_whole_batch_are_refused(layer):
    image = keras.Input((4, 4, 3))
    model = keras.Model(image, keras.layers.Flatten()(layer(image)))
    check_layers(model, 1)
    with pytest.raises(UserError, match=r"layer 'asked' \(\w+\) has .* use --strategy=none"):
        check_layers(model, 2)


def test_layers_that_look_at_an_image_are_not():
    image = keras.Input((4, 4, 3))
    layers = [
        FrozenBatchNormalization(),
        keras.layers.Normalization(mean=0.5, variance=2.0),
        keras.layers.GroupNormalization(3),
        keras.layers.Dropout(0.0),
        keras.layers.Flatten(),
    ]
    check_layers(keras.Sequential([image, *layers]), 2)


def test_a_model_is_refused_where_it_is_made(monkeypatch):
    image = keras.Input((4, 4, 3))
    logits = keras.layers.Flatten()(keras.layers.BatchNormalization(name="norm")(image))
    strategy = type("Strategy", (), {"num_replicas_in_sync": 2})()
    monkeypatch.setattr(AlgorithmModel, "distribute_strategy", strategy)
    with pytest.raises(UserError, match="layer 'norm'"):
        AlgorithmModel(image, logits, algorithm=ERM())


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"strategy": "multi_worker"}, "one run a worker: python -m tools.sweep --engine=ray"),
        ({"devices": ("GPU:0",)}, "strategy is none, which uses one: add --strategy=mirrored"),
        ({"strategy": "mirrored"}, "asked for all GPUs, there are CPU:0"),
        (
            {"strategy": "mirrored", "devices": ("GPU:0", "GPU:1")},
            "needs two or more different devices; asked for GPU:0, GPU:1, there are CPU:0",
        ),
        ({"strategy": "mirrored", "devices": ("CPU:0", "CPU:0")}, "two or more different devices"),
        ({"strategy": "mirrored", "devices": ("CPU:7",)}, "asked for CPU:7"),
        # TensorFlow has begun here.
        ({"strategy": "mirrored", "devices": ("CPU:0", "CPU:1")}, "asked for CPU:0, CPU:1, there"),
        ({"strategy": "both"}, "strategy must be one of none, mirrored, multi_worker"),
    ],
)
def test_devices_that_cannot_be_used_are_refused(settings, sentence):
    with pytest.raises(UserError, match=sentence):
        open_strategy(RunSettings(**settings))


def test_one_device_is_the_default():
    strategy = open_strategy(RunSettings())
    assert strategy is tf.distribute.get_strategy() and strategy.num_replicas_in_sync == 1


def test_batches_that_cannot_be_shared_are_refused():
    two = type("Strategy", (), {"num_replicas_in_sync": 2})()
    erm = AlgorithmSettings()
    check_strategy(two, TrainSettings(), erm)
    with pytest.raises(UserError, match=r"images_per_domain \(5\) .* a multiple of 2"):
        check_strategy(two, TrainSettings(images_per_domain=5), erm)
    with pytest.raises(UserError, match=r"steps_per_execution \(2\) must be 1"):
        check_strategy(two, TrainSettings(steps_per_execution=2), erm)


def test_the_program_refuses_before_it_writes(tmp_path):
    plan = {"data": make_small_data(tmp_path / "data"), "output": tmp_path / "runs", **TINY_RUN}
    done = run_program(
        "train", strategy="mirrored", devices="CPU:0,CPU:1", algorithm="vrex", **plan
    )
    assert_refused(done, "algorithm vrex needs the whole batch on one device")
    assert not (tmp_path / "runs").exists()
