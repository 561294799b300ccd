"""`AlgorithmModel`: what it shares with a plain Keras model, and what stops a bad step."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from qtdog_tf.algorithms import AlgorithmModel, AlgorithmSettings, Batch, build_algorithm
from qtdog_tf.algorithms.coral import CORAL
from qtdog_tf.algorithms.erm import ERM
from qtdog_tf.algorithms.group_dro import GroupDRO
from qtdog_tf.algorithms.optimizer_state import reset_slots
from qtdog_tf.algorithms.sam import SAM
from qtdog_tf.algorithms.vrex import VREx
from qtdog_tf.errors import UserError
from qtdog_tf.quantization.start import start_quantization
from qtdog_tf.quantization.wrapper import quantize_wrappers
from qtdog_tf.training.callbacks import StartQuantization
from qtdog_tf.training.model import build_training_model
from qtdog_tf.training.optimizer import QuantizationOptimizer
from qtdog_tf.training.settings import TrainSettings
from qtdog_tf.training.state import capture_state, unwrap_optimizer
from tests.algorithms_models import (
    DOMAINS,
    IMAGES,
    LABELS,
    PER_DOMAIN,
    SIZE,
    assert_same_state,
    batches,
    build,
    determinism,
    fit,
    small_classifier,
)

__all__ = ["determinism"]  # a fixture


@pytest.mark.parametrize("precision", ["none", "float16"])
def test_erm_is_bit_for_bit_what_keras_does(precision):
    settings = TrainSettings(
        backbone="tiny",
        weights="none",
        image_size=8,
        learning_rate=1e-2,
        dropout=0.3,
        freeze_batch_norm=False,
        mixed_precision=precision,
    )
    ours, theirs = (build_training_model(settings, 3, bits=4, seed=3) for _ in range(2))
    stock = keras.Model(theirs.input, theirs.output)
    stock.compile(
        theirs.optimizer,
        loss=theirs.loss,
        metrics=["accuracy"],
        jit_compile=False,
        auto_scale_loss=False,
    )
    scaled = isinstance(ours.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (precision == "float16")
    for one, other in zip(ours.variables, stock.variables, strict=True):
        assert one.name == other.name and one.shape == other.shape
    images = np.random.default_rng(0).integers(0, 256, (3 * 12, 8, 8, 3)).astype("uint8")
    labels = LABELS.reshape(-1)[: len(images)]
    logs = []
    for model in (ours, stock):
        callbacks = [StartQuantization(2)]
        history = model.fit(images, labels, 12, shuffle=False, verbose=0, callbacks=callbacks)
        logs.append((history.history, model.evaluate(images, labels, verbose=0)))
    assert logs[0] == logs[1]
    assert_same_state(capture_state(ours), capture_state(theirs))
    assert ours.predict(images, verbose=0).shape == (36, 3)


def test_it_shares_layers_variables_and_the_start_of_quantization():
    model = build(ERM())
    plain = keras.Model(model.input, model.output)
    assert [v.path for v in model.variables] == [v.path for v in plain.variables]
    assert model.get_layer("head") is plain.get_layer("head")
    assert len(quantize_wrappers(model)) == 2
    fit(model, 0, 1)
    before = model.train_function
    start_quantization(model)
    assert model.train_function is not before
    inputs = {"image": IMAGES[0], "domain": np.zeros(len(LABELS[0]), "int32")}
    np.testing.assert_array_equal(model(inputs), model(IMAGES[0]))
    with pytest.raises(UserError, match=r"save keras.Model\(model.inputs"):
        model.get_config()


def test_images_with_and_without_domains_train_alike():
    one, other = build(ERM()), build(ERM())
    fit(one, 0, 2)
    other.fit(batches(0, 2).map(lambda x, y: (x["image"], y)), verbose=0, shuffle=False)
    assert_same_state(capture_state(one), capture_state(other))


def broken(step):
    """Images that are fine until `step`, where all but those of the first domain are not."""
    images = IMAGES.copy()
    images[step, PER_DOMAIN:] = np.inf
    return images


@pytest.mark.parametrize("name", ["erm", "groupdro", "sam", "mldg", "fish", "sagnet"])
def test_a_loss_that_is_not_finite_stops_before_it_does_harm(name):
    model = build(build_algorithm(AlgorithmSettings(algorithm=name)))
    fit(model, 0, 2)
    before = capture_state(model)
    with pytest.raises(tf.errors.InvalidArgumentError, match="loss is not finite"):
        fit(model, 2, 4, images=broken(2))
    assert_same_state(capture_state(model), before)


def test_a_second_pass_that_is_not_finite_leaves_the_weights_too():
    model = build(SAM(rho=3e38))
    before = capture_state(model)
    with pytest.raises(tf.errors.InvalidArgumentError, match="loss is not finite"):
        fit(model, 0, 1)
    assert_same_state(capture_state(model), before)


def test_loss_and_metrics_are_logged_as_means():
    model = build(ERM())
    logs = [fit(model, step, step + 1) for step in range(2)]
    other = build(ERM())
    both = fit(other, 0, 2)
    for name in ("loss", "accuracy"):
        assert both[name] == pytest.approx(np.mean([log[name] for log in logs]), rel=1e-5)


def test_the_optimizer_starts_anew_and_the_count_of_steps_goes_on():
    model = build(VREx(anneal_steps=3), run_eagerly=True)
    start_quantization(model)
    fit(model, 0, 3)
    optimizer = unwrap_optimizer(model)
    inner = [optimizer.optimizer, optimizer.step_size_optimizer]
    assert [int(one.iterations.numpy()) for one in inner] == [3, 3]
    fit(model, 3, 4)
    assert [int(one.iterations.numpy()) for one in inner] == [1, 1]
    assert int(optimizer.iterations.numpy()) == 4
    reset_slots(model.optimizer, when=tf.constant(False))
    assert [int(one.iterations.numpy()) for one in inner] == [1, 1]
    reset_slots(model.optimizer, when=tf.constant(True))
    for one in inner:
        for slot in [*one._momentums, *one._velocities, one.iterations]:
            assert not np.any(slot.numpy())
    assert float(optimizer.learning_rate.numpy()) == pytest.approx(1e-2)


def test_images_that_do_not_stand_domain_by_domain_are_refused():
    model = build(CORAL(), run_eagerly=True)
    shuffled = {
        "image": IMAGES[0],
        "domain": np.arange(DOMAINS * PER_DOMAIN, dtype="int32") % DOMAINS,
    }
    with pytest.raises(tf.errors.InvalidArgumentError, match="domain by domain"):
        model.fit(shuffled, LABELS[0], DOMAINS * PER_DOMAIN, shuffle=False, verbose=0)
    with pytest.raises(tf.errors.InvalidArgumentError, match="same number of images"):
        model.train_step((tf.constant(IMAGES[0][:7]), tf.constant(LABELS[0][:7])))
    with pytest.raises(UserError, match="coral needs at least 2 images of each of 3 domains"):
        model.train_step((tf.constant(IMAGES[0][:3]), tf.constant(LABELS[0][:3])))


def test_what_does_not_fit_is_refused_when_the_model_is_made():
    with pytest.raises(UserError, match="groupdro needs at least 2 source domains; received 1"):
        build(GroupDRO(), num_domains=1)
    image = keras.Input((SIZE, SIZE, 3))
    logits = keras.layers.Dense(3, name="classifier")(keras.layers.Flatten()(image))
    with pytest.raises(UserError, match="no layer called 'head'"):
        AlgorithmModel(image, logits, algorithm=CORAL(), num_domains=2)
    with pytest.raises(UserError, match="algorithm must be one of erm, coral"):
        AlgorithmSettings(algorithm="erms")


def test_replicas_are_refused_where_a_batch_does_not_split(monkeypatch):
    classifier = small_classifier()
    strategy = type("Strategy", (), {"num_replicas_in_sync": 2})()
    monkeypatch.setattr(AlgorithmModel, "distribute_strategy", strategy)
    with pytest.raises(UserError, match="coral needs the whole batch on one device"):
        AlgorithmModel(classifier.input, classifier.output, algorithm=CORAL(), num_domains=2)


@pytest.mark.parametrize("name", ["sam", "sagm", "saqat", "mldg"])
def test_an_overflow_under_loss_scaling_skips_the_step(name):
    model = build(
        build_algorithm(AlgorithmSettings(algorithm=name)),
        policy="mixed_float16",
        run_eagerly=True,
    )
    model.optimizer.dynamic_scale.assign(3e38)
    before = [v.numpy() for v in model.trainable_variables]
    inputs = Batch(tf.constant(IMAGES[0]), tf.constant(LABELS[0]), tf.constant(0, tf.int64))
    model.algorithm.step(model, inputs)
    assert int(model.optimizer.iterations.numpy()) == 0
    for variable, value in zip(model.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    model.optimizer.dynamic_scale.assign(2.0**10)
    model.algorithm.step(model, inputs)
    assert int(model.optimizer.iterations.numpy()) == 1


@pytest.mark.parametrize("name", ["irm", "vrex", "fishr", "mldg", "fish", "sagnet"])
def test_methods_that_look_into_the_optimizer_say_which_one_they_need(name):
    classifier = small_classifier()
    algorithm = build_algorithm(AlgorithmSettings(algorithm=name))
    model = AlgorithmModel(
        classifier.inputs, classifier.outputs, algorithm=algorithm, num_domains=DOMAINS
    )
    with pytest.raises(UserError, match=f"{name} looks into the optimizer and received SGD: "):
        model.compile(keras.optimizers.SGD(), loss="mse")
    if name == "mldg":
        with pytest.raises(UserError, match="mldg takes steps of Adam and received SGD"):
            model.compile(QuantizationOptimizer(keras.optimizers.SGD()), loss="mse")
    model.compile(QuantizationOptimizer(), loss="mse")
