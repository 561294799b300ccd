"""Quantization after training (PTQ): codes for a float model that was never trained for them.

The control for QT-DoG, where training goes on under quantization (method, section 3, last
paragraph). Start from `quantize_after_training`: the result is an ordinary quantized model, one
step size a channel, whose latent weights lie on their lattice.
"""

from collections.abc import Callable, Iterator

import keras
import numpy as np

from qtdog_tf.quantization.annotate import quantize
from qtdog_tf.quantization.hessians import input_hessians
from qtdog_tf.quantization.kernel_rows import from_rows, to_rows
from qtdog_tf.quantization.lsq import CodeRange
from qtdog_tf.quantization.optimal_brain import inverse_hessian, quantize_rows
from qtdog_tf.quantization.post_training_settings import OBC, PostTrainingSettings
from qtdog_tf.quantization.quantizer import STEP_SIZE
from qtdog_tf.quantization.rebuild import copy_layer, rebuild
from qtdog_tf.quantization.round_to_nearest import best_step_size, round_to_codes
from qtdog_tf.quantization.wrapper import QuantizeWrapper, quantize_wrappers

# The patches of a depthwise convolution are 9 or 25 times its input.
CALIBRATION_BATCH = 8

# Called with what is being done and how much of how much was just done: (name, part, whole).
Advance = Callable[[str, int, int], object]


def _silent(name: str, part: int, whole: int) -> None:
    return


def quantize_after_training(
    model: keras.Model,
    settings: PostTrainingSettings,
    pixels: np.ndarray | None = None,
    advance: Advance = _silent,
) -> keras.Model:
    """Quantizes the layers of a float model that training had wrapped.

    The step size of each output channel is the one that rounding loses least with, for both
    methods. OBC takes the inputs of every layer from the float model, so layers do not depend on
    one another.

    Args:
        model: with wrapped layers that do not quantize; it stays as it is. A model without any
            gets all its convolutions quantized.
        settings: method, bits and the like.
        pixels: calibration images for OBC, uint8 [n, S, S, 3].
        advance: called as work goes on, with its name, the part just done and the whole.

    Returns:
        A copy in mode "train".

    Raises:
        UserError: if nothing in the model can be quantized.
        ValueError: if OBC gets no images.
    """
    quantized = wrap_anew(model, settings.bits, settings.narrow)
    wrappers = quantize_wrappers(quantized)
    if settings.method == OBC:
        if pixels is None or not len(pixels):
            raise ValueError("OBC needs calibration images")
        hessians = input_hessians(
            quantized,
            wrappers,
            _batches(pixels),
            lambda images: advance("calibrating", images, len(pixels)),
        )
        for wrapper, hessian in zip(wrappers, hessians, strict=True):
            _quantize(wrapper, hessian, settings.dampening, advance)
    else:
        for wrapper in wrappers:
            _quantize(wrapper, None, settings.dampening, advance)
            advance("rounding", 1, len(wrappers))
    for wrapper in wrappers:
        wrapper.set_mode("train")
    return quantized


def wrap_anew(model: keras.Model, bits: int, narrow_range: bool | None) -> keras.Model:
    """A copy whose wrapped layers are wrapped for other codes, with quantization off.

    Args:
        model: with wrapped layers, or without: then all its convolutions are wrapped.
        bits: bit width of the codes.
        narrow_range: see `LSQWeightQuantizer`.

    Raises:
        UserError: if there is nothing to wrap.
    """
    wrapped = {wrapper.layer.name for wrapper in quantize_wrappers(model)}
    if not wrapped:
        return quantize(model, bits=bits, narrow_range=narrow_range)

    def unwrap(layer: keras.layers.Layer) -> keras.layers.Layer:
        return copy_layer(layer.layer if isinstance(layer, QuantizeWrapper) else layer)

    def rule(layer: keras.layers.Layer) -> str | None:
        return None if layer.name in wrapped else "stayed float in training"

    return quantize(rebuild(model, unwrap), rule, bits=bits, narrow_range=narrow_range)


def _batches(pixels: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(pixels), CALIBRATION_BATCH):
        yield pixels[start : start + CALIBRATION_BATCH].astype(np.float32)


def _quantize(
    wrapper: QuantizeWrapper, hessian: np.ndarray | None, dampening: float, advance: Advance
) -> None:
    """Sets the step sizes of a layer and puts its weights on their lattice."""
    [(weight, quantizer, variables)] = wrapper.quantized_weights
    layer, code_range, step_size = wrapper.layer, quantizer.code_range, variables[STEP_SIZE]
    rows = to_rows(layer, np.asarray(weight, np.float64))
    # As it will be stored: codes have to be those of the float32 step size.
    steps = best_step_size(rows.reshape(-1, rows.shape[-1]), code_range).astype(np.float32)
    steps = steps.reshape(*rows.shape[:2], 1)
    codes = _codes(wrapper.layer.name, rows, steps, code_range, hessian, dampening, advance)
    step_size.assign(from_rows(steps, step_size.shape))
    codes = from_rows(codes, weight.shape).astype(np.float32)
    weight.assign(step_size.numpy() * codes)


def _codes(
    name: str,
    rows: np.ndarray,
    steps: np.ndarray,
    code_range: CodeRange,
    hessian: np.ndarray | None,
    dampening: float,
    advance: Advance,
) -> np.ndarray:
    """[groups, rows, d]; by rounding without a Hessian, else by OBC."""
    steps = steps.astype(np.float64)
    if hessian is None:
        return round_to_codes(rows, steps, code_range)
    every = rows.shape[0] * rows.shape[1]
    return np.stack(
        [
            quantize_rows(
                of_group,
                inverse_hessian(hessian[group], dampening),
                steps[group, :, 0],
                code_range,
                lambda done: advance(name, done, every),
            )
            for group, of_group in enumerate(rows)
        ]
    )
