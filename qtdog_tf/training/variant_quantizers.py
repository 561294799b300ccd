"""The quantizers that variants other than QT-DoG give the wrapped layers at step K."""

import keras

from qtdog_tf.quantization.inq_quantizer import INQWeightQuantizer
from qtdog_tf.quantization.quantizer import WeightQuantizer
from qtdog_tf.quantization.start import MakeQuantizer
from qtdog_tf.quantization.uniform_noise import UniformNoiseQuantizer
from qtdog_tf.training.model import derive_seed
from qtdog_tf.training.settings import TrainSettings
from qtdog_tf.training.variants import INQ, NOISE, Variant


def quantizer_of(variant: Variant, settings: TrainSettings, seed: int) -> MakeQuantizer | None:
    """What makes the quantizer of each layer; None if layers keep theirs, of LSQ.

    Args:
        variant: the variant.
        settings: of the run.
        seed: of the trial.
    """
    if variant.mode == INQ:
        return lambda model, number, own: INQWeightQuantizer(
            variant.bits, own.channel_axes, settings.inq_levels
        )
    if variant.mode != NOISE:
        return None
    noise_seed = derive_seed(seed, "noise", variant.member)

    def make(model: keras.Model, number: int, own: WeightQuantizer) -> WeightQuantizer:
        return UniformNoiseQuantizer(
            bits=variant.noise_bits or own.bits,
            channel_axes=own.channel_axes,
            init=settings.init,
            amplitude=variant.noise_amplitude,
            seed=noise_seed,
            layer=number,
            step=model.optimizer.iterations,
        )

    return make
