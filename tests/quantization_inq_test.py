"""INQ: levels, portions, and a training in which what is fixed never moves."""

import itertools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from qtdog_tf.quantization import inq
from qtdog_tf.quantization.annotate import quantize
from qtdog_tf.quantization.inq_quantizer import INQWeightQuantizer
from qtdog_tf.quantization.quantize_config import WeightQuantizeConfig
from qtdog_tf.quantization.report import quantization_report
from qtdog_tf.quantization.size import model_size
from qtdog_tf.quantization.start import is_quantized, start_quantization
from qtdog_tf.quantization.wrapper import quantize_wrappers
from qtdog_tf.training.adam import Adam
from qtdog_tf.training.callbacks import FixPortions
from qtdog_tf.training.optimizer import QuantizationOptimizer

IMAGES = np.random.default_rng(0).normal(size=(40, 6, 6, 3)).astype("float32")
LABELS = np.random.default_rng(1).integers(0, 3, 40)
WEIGHTS = st.lists(st.floats(-8, 8, width=32), min_size=1, max_size=9)


def by_the_papers_rule(weight: float, powers: list[float]) -> float:
    """beta where (alpha + beta) / 2 <= |w| < 3 beta / 2, for neighbours alpha < beta; else 0."""
    levels = [0.0, *sorted(powers)]
    for alpha, beta in itertools.pairwise(levels):
        if (alpha + beta) / 2 <= abs(weight) < 3 * beta / 2:
            return math.copysign(beta, weight)
    return 0.0


@given(WEIGHTS, st.integers(2, 8), st.sampled_from(inq.LEVEL_RULES))
@settings(max_examples=200)
def test_levels_are_those_of_the_papers_rule_and_the_nearest(weights, bits, rule):
    largest = max(map(abs, weights))
    if largest < 1e-6:
        return
    n1 = math.floor(math.log2(4 * largest / 3))
    count = {"paper": 2 ** (bits - 1) // 2, "code": 2**bits // 2 - 1}[rule]
    assert inq.exponents(bits, rule) == count
    powers = [2.0 ** (n1 - k) for k in range(count) if n1 - k >= -126]
    top = inq.largest_level(tf.constant(weights, tf.float32))
    assert top == 2.0**n1
    found = inq.to_level(tf.constant(weights, tf.float32), top, count).numpy()
    for weight, level in zip(weights, found, strict=True):
        if abs(weight) < 2.0**-120:
            continue  # What computers may take for 0.
        assert level == by_the_papers_rule(weight, powers), weight
        nearest = min(abs(abs(weight) - power) for power in [0.0, *powers])
        assert abs(weight - level) == pytest.approx(nearest, rel=1e-12, abs=1e-30)
    again = inq.to_level(tf.constant(found), top, count).numpy()
    np.testing.assert_array_equal(again, found)


def test_borders_belong_to_the_larger_level():
    below = np.nextafter(np.float32([0.75, 0.375, 0.125]), np.float32(0))
    values = np.concatenate([np.float32([0.75, 0.375, 0.125]), below])
    levels = inq.to_level(tf.constant(values), tf.constant(1.0), 3).numpy()
    np.testing.assert_array_equal(levels, [1, 0.5, 0.25, 0.5, 0.25, 0])
    # Beyond the largest: the paper's rule knows of none, training may make some.
    np.testing.assert_array_equal(
        inq.to_level(tf.constant([-1.5, 7]), tf.constant(1.0), 3), [-1, 1]
    )


@pytest.mark.parametrize(
    ("bits", "rule", "count"), [(5, "paper", 8), (5, "code", 15), (2, "code", 1)]
)
def test_codes_number_the_levels(bits, rule, count):
    quantizer = INQWeightQuantizer(bits, (), rule)
    weights = {"step_size": tf.fill([1], 0.25)}
    powers = 0.25 * 2.0 ** -np.arange(count, dtype="float32")
    values = np.concatenate([powers, [0], -powers]).astype("float32")
    codes = quantizer.codes(tf.constant(values), weights).numpy()
    np.testing.assert_array_equal(codes, [*range(count, 0, -1), 0, *range(-1 * count, 0)])
    assert len(codes) <= 2**bits


def test_the_largest_go_first_and_what_is_fixed_stays_so():
    weight = np.array([[0.1, -3.0, 0.2], [2.0, -0.05, 0.2]])
    none = np.zeros((2, 3), bool)
    half = inq.choose_largest(weight, none, 0.5)
    np.testing.assert_array_equal(half, [[False, True, True], [True, False, False]])
    # The fixed ones stay, though free ones have outgrown them; of the free the largest comes next.
    grown = np.array([[9.0, -3.0, 0.2], [2.0, -0.05, 0.7]])
    more = inq.choose_largest(grown, half, 0.7)
    np.testing.assert_array_equal(more, [[True, True, True], [True, False, False]])
    np.testing.assert_array_equal(inq.choose_largest(grown, more, 0.1), more)
    assert inq.choose_largest(grown, more, 1.0).all() and not half.all()


def make_model(**quantizer):
    keras.utils.set_random_seed(2)
    image = keras.Input((6, 6, 3))
    x = keras.layers.DepthwiseConv2D(3)(keras.layers.Conv2D(5, 3)(image))
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = quantize(keras.Model(image, keras.layers.Dense(3)(x)), bits=7)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(QuantizationOptimizer(Adam(3e-2)), loss=loss)
    # Momentum and second moments of a float phase, which push on after weights are fixed.
    model.fit(IMAGES, LABELS, batch_size=8, verbose=0, shuffle=False)
    start_quantization(
        model,
        "train",
        lambda model, number, own: INQWeightQuantizer(channel_axes=own.channel_axes, **quantizer),
    )
    return model


def portions(model):
    return [wrapper.quantized_weights[0] for wrapper in quantize_wrappers(model)]


class Watch(keras.callbacks.Callback):
    """Notes the latent weights and which are fixed, after each step."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append([(w.numpy(), q.fixed.numpy()) for w, q, _ in portions(self.model)])


def test_fixed_weights_never_move_and_free_ones_learn():
    model, watch = make_model(bits=4), Watch()
    start = int(model.optimizer.iterations.numpy())
    schedule = [(start, 0.5), (start + 3, 0.8), (start + 6, 1.0)]
    callbacks = [FixPortions(schedule), watch]
    model.fit(IMAGES, LABELS, batch_size=4, verbose=0, shuffle=False, callbacks=callbacks)
    for layer, (weight, _, variables) in enumerate(portions(model)):
        top = variables["step_size"].numpy()
        assert np.all(top == top.ravel()[0]) and math.log2(top.ravel()[0]).is_integer()
        fixed = [step[layer][1] for step in watch.seen]
        latent = [step[layer][0] for step in watch.seen]
        parts = [np.isfinite(levels).sum() for levels in fixed]
        size = weight.numpy().size
        assert parts == [int(size * (0.5, 0.8, 1.0)[min(i // 3, 2)]) for i in range(10)]
        for step in range(1, 10):
            held = np.isfinite(fixed[step - 1])
            np.testing.assert_array_equal(fixed[step][held], fixed[step - 1][held])
            np.testing.assert_array_equal(latent[step - 1][held], fixed[step - 1][held])
            free = ~np.isfinite(fixed[step])
            if free.any():
                assert np.mean(latent[step][free] != latent[step - 1][free]) > 0.9
        final = np.abs(weight.numpy())
        np.testing.assert_array_equal(final, np.abs(watch.seen[-1][layer][1]))
        used = final[final > 0] / top.ravel()[0]
        assert set(used) <= {2.0**-k for k in range(inq.exponents(4))}
    assert model.optimizer.step_size_optimizer.iterations.numpy() == 0


def test_gradients_of_fixed_weights_are_zero_and_the_forward_pass_sees_levels():
    model = make_model(bits=3)
    [(weight, quantizer, variables), _] = portions(model)
    quantizer.fix(weight, variables, 0.4)
    fixed = np.isfinite(quantizer.fixed.numpy())
    upstream = tf.constant(np.random.default_rng(3).normal(size=weight.shape).astype("float32"))
    with tf.GradientTape() as tape:
        value = quantizer(weight, True, variables)
    by_weight, by_top = tape.gradient(
        value, [weight.value, variables["step_size"].value], output_gradients=upstream
    )
    np.testing.assert_array_equal(by_weight, np.where(fixed, 0, upstream))
    assert by_top is None
    np.testing.assert_array_equal(value, np.where(fixed, quantizer.fixed, weight))


def test_a_model_is_quantized_when_the_last_weight_is_fixed(tmp_path):
    model = make_model(bits=5)
    float_size = model_size(model)
    assert (float_size.quantized_weights, is_quantized(model)) == (0, False)
    for part in (0.9, 1.0):
        assert all(r.bits is None for r in quantization_report(model))
        assert (
            quantization_report(model)[0].why_float
            == "INQWeightQuantizer leaves weights of it float"
        )
        for weight, quantizer, variables in portions(model):
            quantizer.fix(weight, variables, part)
    assert is_quantized(model)
    size = model_size(model)
    assert size.code_bits == 5 * (3 * 3 * 3 * 5 + 3 * 3 * 5) and size.step_sizes == 2
    report = quantization_report(model)
    assert [r.bits for r in report] == [5, 5, None] and all(r.codes <= 17 for r in report)
    # A file holds no note of what is fixed: all is, and computes the same.
    plain = keras.Model(model.input, model.output)
    plain.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(IMAGES), model(IMAGES))
    assert model_size(loaded) == size and is_quantized(loaded)
    assert isinstance(loaded.layers[1].quantize_config.quantizer, INQWeightQuantizer)


def test_another_quantizer_sets_the_weights_free():
    model = make_model(bits=5)
    for weight, quantizer, variables in portions(model):
        quantizer.fix(weight, variables, 1.0)
    [(weight, quantizer, _), _] = portions(model)
    own = WeightQuantizeConfig(INQWeightQuantizer(5))
    quantize_wrappers(model)[0].replace_quantizer(own)
    assert quantizer.fixed is None and np.isnan(own.quantizer.fixed.numpy()).all()
    before = weight.numpy()
    start_quantization(model, "off")
    for wrapper in quantize_wrappers(model):
        wrapper.replace_quantizer(
            WeightQuantizeConfig(
                INQWeightQuantizer(5, wrapper.quantize_config.quantizer.channel_axes)
            )
        )
    model.fit(IMAGES, LABELS, batch_size=8, verbose=0)
    assert np.all(weight.numpy() != before)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="level rule must be one of .* received 'lsq'"):
        INQWeightQuantizer(5, levels="lsq")
    with pytest.raises(ValueError, match="bits must be an integer"):
        INQWeightQuantizer(9)
    model = make_model()
    model.steps_per_execution = 2
    with pytest.raises(ValueError, match="cannot be fixed at step 7"):
        model.fit(IMAGES, LABELS, batch_size=8, verbose=0, callbacks=[FixPortions([(7, 1.0)])])
