"""The start of quantization in the middle of a real `fit`, its modes, and saved models."""

import keras
import numpy as np
import pytest

from qtdog_tf.models.batch_norm import FrozenBatchNormalization
from qtdog_tf.quantization.annotate import quantize
from qtdog_tf.quantization.quantizer import is_step_size
from qtdog_tf.quantization.start import is_quantized, start_quantization
from qtdog_tf.quantization.wrapper import MODES, quantize_wrappers
from qtdog_tf.training.adam import Adam
from qtdog_tf.training.optimizer import QuantizationOptimizer

FLOAT_STEPS, STEPS, BATCH = 3, 23, 4
RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(STEPS * BATCH, 8, 8, 3)).astype("float32")
LABELS = RNG.integers(0, 3, STEPS * BATCH).astype("int32")


def float_model():
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(6, 3, use_bias=False)(image)
    x = keras.layers.DepthwiseConv2D(3)(FrozenBatchNormalization()(x))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    return keras.Model(image, keras.layers.Dense(3)(x))


def build():
    """That model, wrapped at 4 bits and compiled."""
    model = quantize(float_model(), bits=4)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(QuantizationOptimizer(Adam(1e-3)), loss=loss)
    return model


def values(variables):
    return [np.array(variable.numpy()) for variable in variables]


def optimizer_variables(model):
    optimizer = model.optimizer
    return [
        *optimizer.variables,
        *optimizer.optimizer.variables,
        *optimizer.step_size_optimizer.variables,
    ]


class Start(keras.callbacks.Callback):
    """Starts quantization at step 3 and notes the state right before and after."""

    def __init__(self, mode):
        super().__init__()
        self.mode = mode

    def on_train_batch_begin(self, batch, logs=None):
        if batch == FLOAT_STEPS:
            self.slots = optimizer_variables(self.model)
            self.slots_before = values(self.slots)
            self.weights_before = values(self.model.weights)
            start_quantization(self.model, self.mode)
            self.slots_after = values(self.slots)
            self.weights_after = values(self.model.weights)


@pytest.fixture(scope="module", params=MODES)
def trained(request):
    """(model, callback) after 3 float steps and 20 steps in a mode."""
    keras.utils.set_random_seed(1)
    model, start = build(), Start(request.param)
    model.fit(IMAGES, LABELS, batch_size=BATCH, shuffle=False, verbose=0, callbacks=[start])
    return model, start


def test_twenty_steps_change_what_the_mode_lets_learn_and_nothing_else(trained):
    # Acceptance test 2 of the method, and the same for the two float modes.
    model, start = trained
    learns = {
        "train": {"kernel", "step_size", "other"},
        "frozen": {"other"},
        "off": {"kernel", "other"},
        "frozen_float": {"other"},
    }[start.mode]
    latent = [
        id(w) for wrapper in quantize_wrappers(model) for w, _, _ in wrapper.quantized_weights
    ]
    kinds = []
    for variable, before in zip(model.weights, start.weights_after, strict=True):
        kind = "kernel" if id(variable) in latent else "other"
        kind = "step_size" if is_step_size(variable) else kind
        kind = "statistics" if variable.name.startswith("moving_") else kind
        changed = not np.array_equal(variable.numpy(), before)
        assert changed == (kind in learns), variable.path
        kinds.append(kind)
    # Gamma and beta of the norm, the depthwise bias, and the two weights of the head.
    counts = {kind: kinds.count(kind) for kind in sorted(set(kinds))}
    assert counts == {"kernel": 2, "other": 5, "statistics": 2, "step_size": 2}


def test_moments_and_count_go_on(trained):
    model, start = trained
    now = optimizer_variables(model)
    assert all(a is b for a, b in zip(now, start.slots, strict=True))
    for after, before in zip(start.slots_after, start.slots_before, strict=True):
        np.testing.assert_array_equal(after, before)
    assert any(np.abs(value).max() > 0 for value in start.slots_before[4:])
    assert model.optimizer.iterations.numpy() == STEPS
    assert model.optimizer.optimizer.iterations.numpy() == STEPS
    steps_of_step_sizes = model.optimizer.step_size_optimizer.iterations.numpy()
    assert steps_of_step_sizes == (STEPS - FLOAT_STEPS if start.mode == "train" else 0)


def test_starting_changes_step_sizes_only_and_sets_them_from_the_weights(trained):
    model, start = trained
    pairs = zip(model.weights, start.weights_before, start.weights_after, strict=True)
    for variable, before, after in pairs:
        if not is_step_size(variable):
            np.testing.assert_array_equal(after, before)
        elif start.mode in ("train", "frozen"):
            assert np.all(before == 1)
            assert np.all((after > 0) & (after < 1))
        else:
            assert np.all(after == 1)


def test_predictions_come_from_the_quantized_graph(trained):
    model, start = trained
    assert is_quantized(model) == (start.mode in ("train", "frozen"))
    images = IMAGES[:8]
    now = model.predict(images, verbose=0)
    np.testing.assert_allclose(now, model(images), rtol=1e-5, atol=1e-5)
    for wrapper in quantize_wrappers(model):
        for weight, quantizer, variables in wrapper.quantized_weights:
            codes = quantizer.codes(weight, variables).numpy()
            assert len(np.unique(codes.reshape(-1, codes.shape[-1])[:, 0])) <= 16
    mode = start.mode
    start_quantization(model, "off")
    difference = np.abs(model.predict(images, verbose=0) - now).max()
    assert (difference > 1e-4) == (mode in ("train", "frozen"))
    for wrapper in quantize_wrappers(model):
        wrapper.set_mode(mode)


def test_a_saved_model_gives_the_same_bits_in_the_same_mode(trained, tmp_path):
    model, start = trained
    keras.Model(model.input, model.output).save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert {wrapper.mode for wrapper in quantize_wrappers(loaded)} == {start.mode}
    assert len(loaded.trainable_variables) == len(model.trainable_variables)
    for ours, theirs in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    images = IMAGES[:8]
    np.testing.assert_array_equal(loaded(images), model(images))


def test_a_wrapped_model_trains_as_the_float_model_until_the_start():
    keras.utils.set_random_seed(2)
    model = build()
    start_quantization(model, "off")
    plain = float_model()
    plain.set_weights([v.numpy() for v in model.weights if not is_step_size(v)])
    plain.compile(Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    for one in (model, plain):
        one.fit(IMAGES, LABELS, batch_size=BATCH, shuffle=False, verbose=0, steps_per_epoch=4)
    floats = [v.numpy() for v in model.weights if not is_step_size(v)]
    for ours, theirs in zip(floats, plain.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_functions_of_nested_models_are_made_anew():
    image = keras.Input((8, 8, 3))
    backbone = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3)], name="part")
    model = quantize(keras.Model(image, keras.layers.Flatten()(backbone(image))), bits=2)
    part = model.get_layer("part")
    before = part.predict(IMAGES[:2], verbose=0)
    start_quantization(model)
    after = part.predict(IMAGES[:2], verbose=0)
    np.testing.assert_allclose(after, part(IMAGES[:2]), rtol=1e-5, atol=1e-4)
    assert np.abs(after - before).max() > 0.01


def test_what_cannot_start_is_refused():
    plain = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)], name="plain")
    with pytest.raises(ValueError, match="'plain' has no quantizable layer.*quantize_apply"):
        start_quantization(plain)
    with pytest.raises(ValueError, match="mode must be one of .* received 'on'"):
        start_quantization(plain, "on")
    assert not is_quantized(plain)
