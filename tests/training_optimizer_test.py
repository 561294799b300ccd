"""The optimizers of training against PyTorch's formulas, and how step sizes are treated."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from qtdog_tf.averaging.simple_moving_average import SimpleMovingAverage
from qtdog_tf.quantization.annotate import quantize_annotate_layer
from qtdog_tf.quantization.lsq import MIN_STEP_SIZE
from qtdog_tf.quantization.wrapper import QuantizeWrapper
from qtdog_tf.training.adam import Adam
from qtdog_tf.training.optimizer import QuantizationOptimizer

RATE = 2.0**-10  # the same number in every precision


def torch_adam(weight, gradients, rate=RATE, epsilon=1e-8, l2_penalty=0.0):
    """torch.optim.Adam in double precision, by its documentation; yields the weight each step."""
    weight = np.array(weight, "float64")
    first, second = np.zeros_like(weight), np.zeros_like(weight)
    for step, gradient in enumerate(gradients, start=1):
        gradient = gradient + l2_penalty * weight
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        corrected = np.sqrt(second) / np.sqrt(1 - 0.999**step)
        weight = weight - rate / (1 - 0.9**step) * first / (corrected + epsilon)
        yield weight


def gradients_of_many_sizes(steps):
    """From 1e-12, where epsilon decides, to 1; [steps, 7]."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(steps, 7)) * 10.0 ** np.arange(-12, 2, 2)


def dense(units=3):
    """[kernel, bias, step size] of a wrapped dense layer of 4 inputs, and their values."""
    layer = keras.layers.Dense(units)
    wrapper = QuantizeWrapper(layer, quantize_annotate_layer(layer).quantize_config)
    wrapper.build((None, 4))
    wrapper.initialize_step_sizes()
    [(kernel, _, variables)] = wrapper.quantized_weights
    return [kernel, layer.bias, variables["step_size"]]


def twice_dense():
    """Two of those with the same values."""
    variables, twins = dense(), dense()
    for variable, twin in zip(variables, twins, strict=True):
        twin.assign(variable)
    return variables, twins


def values(variables):
    return [np.array(variable.numpy()) for variable in variables]


def gradients_like(variables, scale=1.0, seed=0):
    rng = np.random.default_rng(seed)
    return [tf.constant(scale * rng.normal(size=v.shape), "float32") for v in variables]


@pytest.mark.parametrize("l2_penalty", [0.0, 0.1])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-6)])
def test_adam_is_torchs(dtype, tolerance, l2_penalty):
    gradients = gradients_of_many_sizes(60)
    variable = keras.Variable(np.full(7, 0.5), dtype=dtype)
    optimizer = Adam(RATE, l2_penalty=l2_penalty)
    for gradient, expected in zip(
        gradients, torch_adam(np.full(7, 0.5), gradients, l2_penalty=l2_penalty), strict=True
    ):
        optimizer.apply([tf.constant(gradient, dtype)], [variable])
        np.testing.assert_allclose(variable.numpy(), expected, rtol=tolerance)


def test_bias_correction_has_the_precision_of_double():
    # Under a constant gradient every update is the learning rate. In single precision 1 - 0.999^t
    # would make each of them wrong by 6e-6.
    variable = keras.Variable(np.zeros(1, "float32"))
    optimizer = Adam(RATE)
    for step in range(1, 6):
        optimizer.apply([tf.ones(1)], [variable])
        assert float(variable[0]) == pytest.approx(-step * RATE, rel=1e-6)


def test_adam_of_keras_is_another():
    # Otherwise the test above would say nothing about where epsilon stands.
    variable = keras.Variable(np.zeros(7), dtype="float64")
    keras.optimizers.Adam(RATE, epsilon=1e-8).apply([tf.constant(np.full(7, 1e-8))], [variable])
    [expected] = torch_adam(np.zeros(7), [np.full(7, 1e-8)])
    assert np.all(variable.numpy() / expected < 0.2)


def test_rows_that_are_looked_up_twice_count_twice():
    # The gradient of an embedding: rows 0, 1, 1 and 5 of a table.
    rows = np.random.default_rng(0).normal(size=(3, 4, 2))
    table = keras.Variable(np.ones((6, 2)), dtype="float64")
    optimizer = Adam(RATE)
    gradients = np.zeros((3, 6, 2))
    for step, values_of_rows in enumerate(rows):
        np.add.at(gradients[step], [0, 1, 1, 5], values_of_rows)
        optimizer.apply([tf.IndexedSlices(values_of_rows, [0, 1, 1, 5], (6, 2))], [table])
    *_, expected = torch_adam(np.ones((6, 2)), gradients)
    np.testing.assert_allclose(table, expected, rtol=1e-12)


def test_adam_settings():
    optimizer = Adam(1e-3, beta_1=0.8, l2_penalty=0.5)
    copy = Adam.from_config(optimizer.get_config())
    assert copy.get_config() == optimizer.get_config()
    assert (Adam().get_config()["learning_rate"], Adam().epsilon) == (pytest.approx(5e-5), 1e-8)
    with pytest.raises(ValueError, match="amsgrad"):
        Adam(amsgrad=True)


def test_step_sizes_start_late_as_if_they_were_first():
    # Acceptance test 5 of the method: a parameter that starts at step 50 equals torch's.
    variables = kernel, bias, step_size = dense()
    start = values(variables)
    optimizer = QuantizationOptimizer(Adam(RATE))
    steps = [gradients_like(variables, seed=seed) for seed in range(80)]
    for number, gradients in enumerate(steps):
        optimizer.apply([*gradients[:2], gradients[2] if number >= 50 else None], variables)
    *_, kernel_now = torch_adam(start[0], [g[0].numpy() for g in steps])
    *_, bias_now = torch_adam(start[1], [g[1].numpy() for g in steps])
    *_, step_size_now = torch_adam(start[2], [g[2].numpy() for g in steps[50:]])
    np.testing.assert_allclose(kernel, kernel_now, atol=1e-6)
    np.testing.assert_allclose(bias, bias_now, atol=1e-6)
    np.testing.assert_allclose(step_size, step_size_now, atol=1e-6)
    counts = (optimizer, optimizer.optimizer, optimizer.step_size_optimizer)
    assert [int(c.iterations.numpy()) for c in counts] == [80, 80, 30]


@pytest.mark.parametrize(("steps", "factor"), [(1, 3.2), (5, 5.8), (10, 6.5), (20, 6.2)])
def test_in_a_shared_adam_late_step_sizes_would_jump(steps, factor):
    # The figures of method 2.4 for a late start, and 1 for an optimizer of their own.
    (*_, shared), (*_, own) = dense(), dense()
    for step_size in (shared, own):
        step_size.assign(step_size + 1)
    optimizer, adam = QuantizationOptimizer(Adam(RATE)), Adam(RATE)
    adam.build([shared])
    adam.iterations.assign(100_000)
    gradient = tf.ones(own.shape)
    for _ in range(steps):
        before = values([shared, own])
        adam.apply([gradient], [shared])
        optimizer.apply([gradient], [own])
    assert np.abs(before[0] - shared).mean() / RATE == pytest.approx(factor, abs=0.06)
    assert np.abs(before[1] - own).mean() / RATE == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(
    "optimizer",
    [
        keras.optimizers.AdamW(RATE, weight_decay=0.5),
        keras.optimizers.SGD(RATE, weight_decay=0.5),
        Adam(RATE, l2_penalty=0.5),
    ],
)
def test_step_sizes_are_never_decayed(optimizer):
    variables = kernel, _, step_size = dense()
    before = values(variables)
    zeros = [tf.zeros(v.shape) for v in variables]
    QuantizationOptimizer(optimizer).apply(zeros, variables)
    assert np.abs(kernel.numpy()).sum() < np.abs(before[0]).sum()
    np.testing.assert_array_equal(step_size, before[2])


def test_step_sizes_stay_positive_under_a_huge_learning_rate():
    variables = dense()
    optimizer = QuantizationOptimizer(Adam(1e4))
    for sign in (1.0, 1.0, -1.0, 1.0):
        optimizer.apply([sign * tf.ones(v.shape) for v in variables], variables)
        step_size = variables[2].numpy()
        assert np.all(np.isfinite(step_size))
        assert np.all(step_size >= np.float32(MIN_STEP_SIZE))
    assert np.all(step_size == np.float32(MIN_STEP_SIZE))


def test_while_step_sizes_are_not_used_it_is_the_wrapped_optimizer():
    variables, twins = twice_dense()
    before = variables[2].numpy()
    wrapped = QuantizationOptimizer(keras.optimizers.SGD(RATE, momentum=0.9, clipnorm=0.5))
    plain = keras.optimizers.SGD(RATE, momentum=0.9, clipnorm=0.5)
    for seed in range(3):
        gradients = gradients_like(variables, seed=seed)[:2]
        wrapped.apply([*gradients, None], variables)
        plain.apply(gradients, twins[:2])
    for variable, twin in zip(variables[:2], twins[:2], strict=True):
        np.testing.assert_array_equal(variable, twin)
    np.testing.assert_array_equal(variables[2], before)


def test_a_subset_of_the_variables_may_be_updated():
    # As after start_quantization(model, "frozen"): kernels and step sizes are gone, slots stay.
    variables = dense()
    optimizer = QuantizationOptimizer(Adam(RATE))
    optimizer.apply(gradients_like(variables), variables)
    before, slots = values(variables), values(optimizer.optimizer.variables)
    optimizer.apply(gradients_like(variables[1:2]), variables[1:2])
    np.testing.assert_array_equal(variables[0], before[0])
    assert np.abs(variables[1].numpy() - before[1]).max() > 0
    np.testing.assert_array_equal(variables[2], before[2])
    changed = [
        v.path
        for v, slot in zip(optimizer.optimizer.variables, slots, strict=True)
        if not np.array_equal(v.numpy(), slot)
    ]
    assert len(changed) == 3, "the count and two moments of the bias"
    assert optimizer.step_size_optimizer.iterations.numpy() == 1


def first_moves(optimizer, variables):
    """How far the first update of fresh moments moves kernel and step size: the learning rate."""
    before = values(variables)
    optimizer.apply([tf.ones(v.shape) for v in variables], variables)
    moves = [np.abs(b - v.numpy()).mean() for b, v in zip(before, variables, strict=True)]
    return moves[0], moves[2]


def test_the_learning_rate_is_shared_and_multiplied():
    optimizer = QuantizationOptimizer(Adam(RATE), step_size_lr_multiplier=0.25)
    assert float(optimizer.learning_rate.numpy()) == RATE
    optimizer.learning_rate = 2 * RATE
    assert float(optimizer.optimizer.learning_rate.numpy()) == 2 * RATE
    moves = first_moves(optimizer, dense())
    assert moves == pytest.approx((2 * RATE, RATE / 2), rel=1e-4)


def test_a_schedule_is_followed_at_the_same_step():
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([1, 2], [1.0, 0.5, 0.125])
    optimizer = QuantizationOptimizer(keras.optimizers.SGD(schedule))
    variables = kernel, _, step_size = dense()
    step_size.assign(step_size + 10)
    for rate in (1.0, 1.0, 0.5, 0.125, 0.125):
        before = values(variables)
        optimizer.apply([tf.ones(v.shape) for v in variables], variables)
        assert before[0] - kernel.numpy() == pytest.approx(rate, rel=1e-5)
        assert before[2] - step_size.numpy() == pytest.approx(rate, rel=1e-4)


def test_a_learning_rate_callback_reaches_both():
    inputs = np.ones((4, 4), "float32")
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile(QuantizationOptimizer(Adam(RATE)), loss="mse")
    halve = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    model.fit(inputs, inputs[:, :1], epochs=2, verbose=0, callbacks=[halve])
    assert float(model.optimizer.optimizer.learning_rate.numpy()) == RATE / 4


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (keras.optimizers.Adam(use_ema=True), "use_ema"),
        (keras.optimizers.Adam(gradient_accumulation_steps=2), "gradient_accumulation_steps"),
        (keras.optimizers.LossScaleOptimizer(Adam()), "put the LossScaleOptimizer around this one"),
    ],
)
def test_what_cannot_be_wrapped_is_refused(optimizer, message):
    with pytest.raises(ValueError, match=message):
        QuantizationOptimizer(optimizer)


def test_configuration_round_trip():
    optimizer = QuantizationOptimizer(
        keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 50), momentum=0.9),
        step_size_lr_multiplier=0.5,
        step_size_epsilon=1e-6,
        averages=[SimpleMovingAverage(start=7)],
    )
    config = keras.saving.serialize_keras_object(optimizer)
    copy = keras.saving.deserialize_keras_object(config)
    assert copy.get_config() == optimizer.get_config()
    assert copy.averages[0].start == 7
    assert copy.step_size_optimizer.epsilon == 1e-6


def test_loss_scaling_divides_all_gradients_and_skips_overflows():
    # What Keras does under the policy mixed_float16.
    variables, twins = twice_dense()
    average = SimpleMovingAverage(start=1)
    inner = QuantizationOptimizer(keras.optimizers.SGD(RATE), averages=[average])
    scaled = keras.optimizers.LossScaleOptimizer(inner, initial_scale=1024.0)
    plain = QuantizationOptimizer(keras.optimizers.SGD(RATE))
    # Of the size of epsilon: Adam hides a wrong scale otherwise.
    gradients = gradients_like(variables, scale=1e-8)
    for last in (None, gradients[2]):
        scaled_last = None if last is None else 1024 * last
        scaled.apply([*(1024 * g for g in gradients[:2]), scaled_last], variables)
        plain.apply([*gradients[:2], last], twins)
    for variable, twin in zip(variables, twins, strict=True):
        np.testing.assert_allclose(variable.numpy(), twin.numpy(), rtol=1e-6)
    before = values([*variables, *average.shadows])
    scaled.apply([tf.fill(v.shape, np.inf) for v in variables], variables)
    for variable, value in zip([*variables, *average.shadows], before, strict=True):
        np.testing.assert_array_equal(variable, value)
    assert inner.iterations.numpy() == 2
    assert float(scaled.dynamic_scale.numpy()) == 512


def test_a_fixed_loss_scale_of_the_wrapped_optimizer_holds_for_both():
    variables, twins = twice_dense()
    scaled = QuantizationOptimizer(keras.optimizers.SGD(RATE, loss_scale_factor=64.0))
    plain = QuantizationOptimizer(keras.optimizers.SGD(RATE))
    assert float(scaled.scale_loss(2.0)) == 128
    gradients = gradients_like(variables, scale=1e-8)
    scaled.apply([64 * g for g in gradients], variables)
    plain.apply(gradients, twins)
    for variable, twin in zip(variables, twins, strict=True):
        np.testing.assert_allclose(variable.numpy(), twin.numpy(), rtol=1e-6)


def test_variables_may_be_created_inside_a_traced_function():
    # A training loop of one's own, which never called `build`.
    variables, twins = twice_dense()
    traced_average, average = SimpleMovingAverage(1), SimpleMovingAverage(1)
    traced = QuantizationOptimizer(Adam(RATE), averages=[traced_average])
    eager = QuantizationOptimizer(Adam(RATE), averages=[average])
    gradients = gradients_like(variables)

    @tf.function
    def step():
        traced.apply(gradients, variables)

    for _ in range(3):
        step()
        eager.apply(gradients, twins)
    for ours, theirs in zip(
        [*variables, *traced_average.shadows], [*twins, *average.shadows], strict=True
    ):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)
