"""Adam with the arithmetic of the original paper and of PyTorch.

Keras' Adam adds epsilon before the second moment is bias-corrected ("epsilon hat"). In the first
updates that epsilon counts up to 30 times more than PyTorch's, which matters for step sizes: their
gradients are scaled by about 1e-4 and their second moments come close to epsilon^2.
"""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("qtdog_tf")
class Adam(keras.optimizers.Adam):
    """Adam as in PyTorch: w -= lr * m_hat / (sqrt(v_hat) + epsilon).

    Args:
        learning_rate: a float, schedule or callable. Default 5e-5, the paper's.
        beta_1: decay of the first moment. Default 0.9.
        beta_2: decay of the second moment. Default 0.999.
        epsilon: added to the root of the corrected second moment. Default 1e-8.
        l2_penalty: adds `l2_penalty * w` to the gradient, which is what PyTorch's Adam calls weight
            decay. Default 0. (Keras' `weight_decay` is the decoupled one, of AdamW.)
        **kwargs: the other arguments of `keras.optimizers.Adam`; `amsgrad` is refused.

    Raises:
        ValueError: if `amsgrad` is asked for.
    """

    def __init__(
        self,
        learning_rate: Any = 5e-5,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        l2_penalty: float = 0.0,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("name", "adam")
        if kwargs.get("amsgrad"):
            raise ValueError("amsgrad is not supported")
        super().__init__(learning_rate, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon, **kwargs)
        self.l2_penalty = l2_penalty

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One update of one variable."""
        gradient = ops.cast(gradient, variable.dtype)
        if self.l2_penalty:
            gradient = gradient + self.l2_penalty * variable
        # Two scalars, in double precision as in PyTorch: in single, 1 - 0.999^t loses five digits.
        count = ops.cast(self.iterations + 1, "float64")
        first_correction = ops.cast(1.0 - ops.power(self.beta_1, count), variable.dtype)
        second_correction = ops.cast(1.0 - ops.power(self.beta_2, count), variable.dtype)

        index = self._get_variable_index(variable)
        m, v = self._momentums[index], self._velocities[index]
        self.assign_add(m, (gradient - m) * (1.0 - self.beta_1))
        self.assign_add(v, (ops.square(gradient) - v) * (1.0 - self.beta_2))
        # Written with two scalars, so that the elementwise work is that of Keras' Adam.
        rate = ops.cast(learning_rate, variable.dtype) * ops.sqrt(second_correction)
        epsilon = self.epsilon * ops.sqrt(second_correction)
        self.assign_sub(variable, (rate / first_correction) * m / (ops.sqrt(v) + epsilon))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "l2_penalty": self.l2_penalty}
