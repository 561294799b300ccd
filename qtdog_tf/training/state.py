"""The whole state of a training run as arrays: for checkpoints, and for forking at step K.

Variables are named by their position, which is the same whenever a model of the same settings is
built; Keras' own variable paths count up with every model of a process.
"""

from typing import Any

import keras
import numpy as np

from qtdog_tf.averaging.base import WeightAverage
from qtdog_tf.errors import UserError
from qtdog_tf.quantization.wrapper import quantize_wrappers
from qtdog_tf.training.optimizer import QuantizationOptimizer

State = dict[str, np.ndarray]


def state_variables(model: keras.Model) -> dict[str, Any]:
    """Every variable that decides how training goes on, by name.

    The model's variables, those of the optimizer (count, averages), the slots of both inner
    optimizers, which Keras does not list with the outer one, the state of the model's algorithm, if
    it has one, and what quantizers note beside the model.

    Args:
        model: compiled with a `QuantizationOptimizer`, which must be built.
    """
    optimizer = unwrap_optimizer(model)
    groups = {
        "model": model.variables,
        "optimizer": optimizer.variables,
        "weights_optimizer": optimizer.optimizer.variables,
        "step_size_optimizer": optimizer.step_size_optimizer.variables,
    }
    if model.optimizer is not optimizer:
        groups["loss_scale"] = model.optimizer.variables
    if hasattr(model, "algorithm"):
        groups["algorithm"] = model.algorithm.variables
    groups["quantizers"] = [
        variable
        for wrapper in quantize_wrappers(model)
        for _, quantizer, _ in wrapper.quantized_weights
        for variable in quantizer.variables
    ]
    return {f"{g}/{i:04d}": v for g, variables in groups.items() for i, v in enumerate(variables)}


def unwrap_optimizer(model: keras.Model) -> QuantizationOptimizer:
    """The model's `QuantizationOptimizer`, out of Keras' loss scaling if that is around it."""
    optimizer = _without_loss_scaling(model.optimizer)
    if not isinstance(optimizer, QuantizationOptimizer):
        raise ValueError("the model must be compiled with a QuantizationOptimizer")
    return optimizer


def averages_of(model: keras.Model) -> list[WeightAverage]:
    """The averages that the model's optimizer keeps; none if it is not this package's."""
    optimizer = _without_loss_scaling(model.optimizer)
    return list(optimizer.averages) if isinstance(optimizer, QuantizationOptimizer) else []


def _without_loss_scaling(optimizer: Any) -> Any:
    scales = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    return optimizer.inner_optimizer if scales else optimizer


def metric_variables(model: keras.Model) -> list[Any]:
    """The running sums of the metrics, of which a logged mean over steps is made."""
    return [variable for metric in model.metrics for variable in metric.variables]


def capture_state(model: keras.Model) -> State:
    """A copy of the state; see `state_variables`."""
    return {name: np.array(v.numpy()) for name, v in state_variables(model).items()}


def restore_state(model: keras.Model, state: State) -> None:
    """Puts a captured state back.

    Args:
        model: built from the same settings as the one captured; the bits may differ.
        state: what `capture_state` returned.

    Raises:
        UserError: if the state is one of another model.
    """
    variables = state_variables(model)
    for name, variable in variables.items():
        if name not in state or state[name].shape != tuple(variable.shape):
            raise UserError(
                "the checkpoint is one of another model or of another version of this program "
                f"(variable {variable.path!r} does not fit): remove the run folder to start anew"
            )
    for name, variable in variables.items():
        variable.assign(state[name])
