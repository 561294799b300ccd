"""The model of a training run: backbone, head, wrappers, optimizer, compiled for `fit`."""

import hashlib

import keras
import tensorflow as tf

from qtdog_tf.algorithms import (
    AlgorithmModel,
    AlgorithmSettings,
    build_algorithm,
    prepare_model,
)
from qtdog_tf.models import build_classifier
from qtdog_tf.quantization.annotate import all_but, convolutions, quantize
from qtdog_tf.training.adam import Adam
from qtdog_tf.training.averages import build_averages
from qtdog_tf.training.optimizer import QuantizationOptimizer
from qtdog_tf.training.settings import TrainSettings


def derive_seed(*parts: object) -> int:
    """A seed in [0, 2^31) that is another one for any other parts."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:4], "little") & 0x7FFFFFFF


def build_training_model(
    settings: TrainSettings,
    num_classes: int,
    *,
    bits: int,
    seed: int,
    algorithm: AlgorithmSettings | None = None,
    num_domains: int = 1,
    teacher: keras.Model | None = None,
) -> AlgorithmModel:
    """A compiled classifier, wrapped for quantization with quantization off.

    Args:
        settings: of the run.
        num_classes: number of logits.
        bits: bit width of the codes.
        seed: of the head, of dropout and of the algorithm.
        algorithm: the training method. Default ERM.
        num_domains: number of source domains in a batch.
        teacher: for distillation, see `Distill`.

    Returns:
        A model from raw pixels [n, size, size, 3] to logits [n, classes], compiled with a
        `QuantizationOptimizer`, which is built. Its `fit` trains by the algorithm.

    Raises:
        UserError: for an unknown backbone, weights that do not fit it, or an algorithm that does
            not fit the backbone, the number of domains or the precision.
    """
    algorithm = algorithm or AlgorithmSettings()
    if settings.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)
    previous = keras.config.dtype_policy()
    if settings.mixed_precision != "none":
        keras.config.set_dtype_policy(f"mixed_{settings.mixed_precision}")
    try:
        wrapped = _wrapped_classifier(settings, num_classes, bits, seed, algorithm, num_domains)
        model = AlgorithmModel(
            wrapped.inputs,
            wrapped.outputs,
            algorithm=build_algorithm(algorithm, seed, teacher),
            num_domains=num_domains,
            name=wrapped.name,
        )
        _compile(model, settings)
        _build_metrics(model)
    finally:
        keras.config.set_dtype_policy(previous)
    return model


def _wrapped_classifier(
    settings: TrainSettings,
    num_classes: int,
    bits: int,
    seed: int,
    algorithm: AlgorithmSettings,
    num_domains: int,
) -> keras.Model:
    initial = derive_seed(settings.seed, "initial") if settings.shared_initialization else seed
    classifier = build_classifier(
        settings.backbone,
        num_classes,
        image_size=settings.image_size,
        weights=None if settings.weights == "none" else settings.weights,
        freeze_batch_norm=settings.freeze_batch_norm,
        dropout=settings.dropout,
        seed=initial,
    )
    return quantize(
        prepare_model(classifier, algorithm, settings.backbone, seed, num_domains),
        all_but("head") if settings.quantize_dense else convolutions,
        bits=bits,
        per_channel=settings.per_channel,
        narrow_range=settings.narrow,
        init=settings.init,
        grad_scale=settings.grad_scale,
    )


def _compile(model: keras.Model, settings: TrainSettings) -> None:
    optimizer = QuantizationOptimizer(
        Adam(
            settings.learning_rate,
            epsilon=settings.adam_epsilon,
            l2_penalty=settings.weight_decay,
        ),
        step_size_lr_multiplier=settings.step_size_lr_multiplier,
        step_size_epsilon=settings.adam_epsilon,
        averages=build_averages(settings),
    )
    model.compile(
        optimizer,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        steps_per_execution=settings.steps_per_execution,
        jit_compile=False,
    )
    model.optimizer.build(model.trainable_variables)


def _build_metrics(model: keras.Model) -> None:
    """Makes the metrics' variables, which Keras does in the first step, too late for `restore`."""
    (classes,) = model.output_shape[1:]
    model.compute_metrics(None, tf.zeros([1], tf.int32), tf.zeros([1, classes]))
    model.reset_metrics()
