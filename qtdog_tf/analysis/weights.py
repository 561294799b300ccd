"""The weights that an analysis moves: of a float model, or of a quantized one as it runs.

Start from `dequantize`, then `learned_weights`.
"""

import keras

from qtdog_tf.quantization import quantize_wrappers
from qtdog_tf.quantization.quantizer import is_step_size
from qtdog_tf.quantization.wrapper import FREEZING_MODES


def put_on_lattice(model: keras.Model) -> None:
    """Replaces every latent weight that is quantized by codes x step_size.

    The model computes what it computed before, and still rounds: a weight that is moved from there
    by less than half a step size comes back.

    Args:
        model: changed in place. A float model stays as it is.
    """
    for wrapper in quantize_wrappers(model):
        if wrapper.quantizes:
            for weight, quantizer, variables in wrapper.quantized_weights:
                weight.assign(quantizer(weight, False, variables))


def dequantize(model: keras.Model) -> None:
    """Makes a quantized model a float one that computes the same, so that no change is rounded.

    Args:
        model: changed in place: quantized weights lie on their lattice, quantization is off, and
            what was frozen for it may learn again. Functions of the model that were traced before
            do not notice. A float model stays as it is.
    """
    put_on_lattice(model)
    for wrapper in quantize_wrappers(model):
        if wrapper.quantizes or wrapper.mode in FREEZING_MODES:
            wrapper.set_mode("off")


def learned_weights(model: keras.Model) -> list[keras.Variable]:
    """The parameters w of a model: kernels, biases, gamma and beta of BatchNorm.

    Step sizes are none (they are the lattice that w lies on), nor are BatchNorm's statistics.

    Args:
        model: after `dequantize` or `put_on_lattice`.
    """
    return [v for v in model.trainable_variables if not is_step_size(v)]
