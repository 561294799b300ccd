"""Statistics of batch normalization for averaged weights, which no training pass has measured.

Under an average of the weights activations are others than under the weights as trained, and so
are their means and variances. Where these learn (`freeze_batch_norm` is off), they are measured
anew for each average, as the released code of SWAD does. Where they are frozen, the default, there
is nothing to do.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from qtdog_tf.algorithms.passes import forward_state
from qtdog_tf.models.batch_norm import FrozenBatchNormalization


class BatchStatistics:
    """Measures the statistics of a model's batch normalization anew, for a while.

    Args:
        batches: returns inputs of the model in training, the same ones at every call.

    Example:
        with average.applied(), statistics.measured(model):
            model.evaluate(...)
    """

    def __init__(self, batches: Callable[[], Iterable[Any]]) -> None:
        self._batches = batches

    @contextlib.contextmanager
    def measured(self, model: keras.Model) -> Iterator[None]:
        """Within this context the statistics fit the present weights; see `measure_statistics`."""
        if not learning_layers(model):
            yield
            return
        with _restored(forward_state(model)):
            measure_statistics(model, self._batches())
            yield


def learning_layers(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """The layers of a model whose mean and variance change in training."""
    return [
        layer
        for layer in model._flatten_layers(include_self=False, recursive=True)
        if isinstance(layer, keras.layers.BatchNormalization)
        and not isinstance(layer, FrozenBatchNormalization)
        and layer.trainable
    ]


def measure_statistics(model: keras.Model, batches: Iterable[Any]) -> None:
    """Sets moving means and variances to the means of those of batches, each counting the same.

    The passes are those of training, dropout included; afterwards random numbers go on as if there
    had been none. A model without such layers stays as it is.

    Args:
        model: its weights are taken as they are.
        batches: inputs of the model, one or more.

    Raises:
        ValueError: if there is no batch.
    """
    layers = learning_layers(model)
    if not layers:
        return
    statistics = [v for layer in layers for v in (layer.moving_mean, layer.moving_variance)]
    others = [v for v in forward_state(model) if not any(v is mine for mine in statistics)]
    sums = [tf.Variable(tf.zeros(v.shape, tf.float64)) for v in statistics]

    @tf.function(reduce_retracing=True)
    def add(inputs: Any) -> None:
        model(inputs, training=True)
        for total, variable in zip(sums, statistics, strict=True):
            total.assign_add(tf.cast(tf.convert_to_tensor(variable), tf.float64))

    count = 0
    with _restored(others), _without_memory(layers):
        for inputs in batches:
            add(inputs)
            count += 1
    if not count:
        raise ValueError("no batch to measure the statistics of batch normalization on")
    for variable, total in zip(statistics, sums, strict=True):
        variable.assign(tf.cast(total / count, variable.dtype))


@contextlib.contextmanager
def _restored(variables: Sequence[Any]) -> Iterator[None]:
    """After this context, variables are what they were."""
    before = [variable.numpy() for variable in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)


@contextlib.contextmanager
def _without_memory(layers: Iterable[keras.layers.BatchNormalization]) -> Iterator[None]:
    """Within this context, moving statistics become those of each batch by itself."""
    momenta = [(layer, layer.momentum) for layer in layers]
    for layer, _ in momenta:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in momenta:
            layer.momentum = momentum
