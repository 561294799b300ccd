"""EoQ: several classifiers averaged in one Keras model (method, section 4).

The paper averages logits. Averaged probabilities are offered beside it; their logarithm is what
the model returns then, so that its output are logits in either case and its softmax the average.

Start from `build_ensemble`.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from qtdog_tf.errors import UserError

LOGITS, PROBABILITIES = "logits", "probabilities"
AVERAGES = (LOGITS, PROBABILITIES)
# Of DiWA, which is one model and no ensemble, see `qtdog_tf.averaging.uniform`.
WEIGHTS = "weights"


@keras.saving.register_keras_serializable("qtdog_tf")
class EnsembleAverage(keras.layers.Layer):
    """Averages the logits of the members of an ensemble, in float32.

    "logits": mean_i z_i. "probabilities": log(mean_i softmax(z_i)), computed without leaving the
    logarithm, so that no probability is rounded to 0.

    Args:
        average: "logits" (the paper, default) or "probabilities".
        **kwargs: of `keras.layers.Layer`.

    Raises:
        ValueError: for another average.

    Example:

    >>> EnsembleAverage()([np.array([[0.0, 2.0]]), np.array([[2.0, 0.0]])]).numpy()
    array([[1., 1.]], dtype=float32)
    """

    def __init__(self, average: str = LOGITS, **kwargs: Any) -> None:
        if average not in AVERAGES:
            raise ValueError(f"average must be one of {AVERAGES}, received {average!r}")
        # Under mixed precision too: the members return float32.
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.average = average

    def call(self, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
        """The average.

        Args:
            inputs: logits of each member, float [n, classes].

        Returns:
            float32 [n, classes].
        """
        if self.average == LOGITS:
            return tf.add_n(list(inputs)) / len(inputs)
        logs = tf.stack([tf.nn.log_softmax(logits) for logits in inputs])
        return tf.reduce_logsumexp(logs, axis=0) - math.log(len(inputs))

    def compute_output_shape(self, input_shape: Sequence[tuple[int | None, ...]]) -> Any:
        """That of one member."""
        return input_shape[0]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "average": self.average}


def build_ensemble(members: Sequence[keras.Model], average: str = LOGITS) -> keras.Model:
    """Builds one model that runs several classifiers on the same images and averages them.

    It shares the members' layers and variables, and predicts what they predict: quantized members
    stay quantized. Each member is one layer, a model in the model. They are called m0, m1, ...,
    since two members have equal names and Keras does not load a model with equal names again.

    Args:
        members: two or more different functional or sequential models from pixels [n, S, S, 3] to
            logits [n, classes], of the same S and classes.
        average: "logits" (the paper, default) or "probabilities", see `EnsembleAverage`.

    Returns:
        A functional model: 'image' (float32 [S, S, 3], pixels 0..255) -> logits (float32
        [classes]). Saves and loads as one `.keras` file.

    Raises:
        UserError: if members do not fit each other, or an average is not known.

    Example:

        ensemble = build_ensemble([keras.saving.load_model(path) for path in paths])
        ensemble.save("ensemble.keras")
    """
    if average not in AVERAGES:
        raise UserError(f"average must be one of {', '.join(AVERAGES)}; received {average!r}")
    if len(members) < 2:
        raise UserError(f"an ensemble needs two or more members; received {len(members)}")
    if len({id(member) for member in members}) < len(members):
        raise UserError("a model is a member of the ensemble twice: leave one out, or load it anew")
    for number, member in enumerate(members):
        _check_member(number, member, members[0])
    image = keras.Input(members[0].input_shape[1:], name="image")
    renamed = [
        keras.Model(member.input, member.output, name=f"m{number}")
        for number, member in enumerate(members)
    ]
    logits = EnsembleAverage(average, name="average")([member(image) for member in renamed])
    return keras.Model(image, logits, name="ensemble")


def _check_member(number: int, member: keras.Model, first: keras.Model) -> None:
    if not isinstance(member, keras.Function | keras.Sequential) or not member.built:
        raise UserError(
            f"member {number} of the ensemble is a {type(member).__name__}: a functional or "
            "sequential Keras 3 model with known shapes is needed"
        )
    shapes = [(model.input_shape, model.output_shape) for model in (member, first)]
    if shapes[0] != shapes[1]:
        raise UserError(
            f"member {number} of the ensemble takes {shapes[0][0]} and gives {shapes[0][1]}, but "
            f"member 0 takes {shapes[1][0]} and gives {shapes[1][1]}: they must be the same"
        )


def members_of(ensemble: keras.Model) -> list[keras.Model]:
    """The members of what `build_ensemble` made, in order; each a model of its own."""
    return [layer for layer in ensemble.layers if isinstance(layer, keras.Model)]


def with_members(ensemble: keras.Model) -> keras.Model:
    """A model that returns what each member says beside the average, from one pass.

    Args:
        ensemble: what `build_ensemble` made, loaded from a file or not.

    Returns:
        A model from the ensemble's images to float32 [n, members + 1, classes]: the logits of each
        member, in order, and last those of the ensemble.
    """
    parts = [*ensemble.layers[-1].input, ensemble.output]
    return keras.Model(ensemble.input, keras.ops.stack(parts, axis=1), name="with_members")
