"""How single layers are read out: their codes, names, and what has no integer form."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from qtdog_tf.errors import UserError
from qtdog_tf.export.graph import ops
from qtdog_tf.export.graph.fold import fold
from qtdog_tf.export.graph.lower import float_layers, lower, with_probabilities
from qtdog_tf.models import build_classifier
from qtdog_tf.models.batch_norm import FrozenBatchNormalization
from qtdog_tf.quantization import all_but
from tests.export_models import SIZE, head, learned_codes, network, quantized, shared_tiny, tiny


def conv(filters: int = 8, **arguments: Any) -> layers.Layer:
    return layers.Conv2D(filters, 3, padding="same", **arguments)


@pytest.mark.parametrize("norm", [layers.BatchNormalization, FrozenBatchNormalization])
def test_a_folded_norm_changes_the_sign_of_codes_and_nothing_else(norm: Any) -> None:
    model = network(lambda x: head(norm(name="norm")(conv(name="conv", use_bias=False)(x))))
    model = quantized(model)
    layer = model.get_layer("norm")
    gamma, variance = layer.gamma.numpy().astype(np.float64), layer.moving_variance.numpy()
    assert 0 < np.count_nonzero(gamma < 0) < 8
    codes, step_size = learned_codes(model, "conv")
    (folded,) = [op for op in fold(lower(model)).convs if op.name == "conv"]
    np.testing.assert_array_equal(folded.kernel.codes, codes * np.sign(gamma))
    expected = step_size.ravel() * np.abs(gamma) / np.sqrt(variance + layer.epsilon)
    np.testing.assert_allclose(folded.kernel.scale, expected, rtol=1e-6)
    assert (folded.kernel.bits, folded.kernel.learned) == (7, True)


def test_codes_of_a_dense_layer_are_a_1x1_convolutions() -> None:
    model = tiny(bits=5, rule=all_but("stem_conv"))
    codes, step_size = learned_codes(model, "head")
    convs = {op.name: op for op in fold(lower(model)).convs}
    np.testing.assert_array_equal(convs["head.product"].kernel.codes, codes[None, None])
    np.testing.assert_array_equal(convs["head.product"].kernel.scale, step_size[0])
    assert convs["stem_conv"].kernel.codes is None
    assert not convs["stem_conv"].kernel.learned


def test_a_switched_off_model_is_lowered_as_the_float_model_that_it_is() -> None:
    off = build_classifier("tiny", 3, image_size=SIZE, weights=None)
    assert not any(op.kernel.learned for op in lower(off).convs)
    assert all(op.kernel.learned for op in lower(shared_tiny()).convs if op.name != "head.product")


def test_only_a_normalization_that_pixels_can_carry_is_absorbed() -> None:
    def image_and_ops(normalization: layers.Layer) -> tuple[ops.Image, int]:
        model = keras.Sequential([keras.Input((SIZE, SIZE, 3)), normalization, layers.ReLU()])
        graph = fold(lower(model))
        return graph.image, len(graph.ops)

    image, count = image_and_ops(layers.Rescaling(1 / 128, -127 / 128))
    assert (image.scale, image.offset, count) == (1 / 128, -127 / 128, 2)
    # Black would be code 127.5, another factor for each channel, another sign.
    for other in (
        layers.Rescaling(1 / 127.5, -1),
        layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[1.0, 4.0, 9.0]),
        layers.Rescaling(-1.0, 255),
    ):
        image, count = image_and_ops(other)
        assert (image.scale, image.offset, count) == (1.0, 0.0, 2)


def test_what_differs_from_pixel_to_pixel_stays_float() -> None:
    places = layers.Normalization(axis=1, mean=np.arange(16.0), variance=np.ones(16))
    graph = lower(keras.Sequential([keras.Input((SIZE, SIZE, 3)), places]))
    assert "differently from place to place" in float_layers(graph)[0]


def test_layers_that_tensorflow_cannot_tell_apart_have_names_of_their_own() -> None:
    model = network(lambda x: conv(name="a")(conv(name="A")(conv(name="a.2")(x))))
    names = [op.name.lower() for op in lower(model).ops]
    assert len(set(names)) == len(names) == 5


def test_layers_that_have_no_integer_form_are_named() -> None:
    def odd(x: Any) -> Any:
        x = layers.Activation("swish", name="swish")(x)
        x = layers.Concatenate(name="both")([x, layers.Multiply(name="cube")([x, x, x])])
        return x * np.ones(6, np.float32)

    found = float_layers(fold(lower(network(odd))))
    assert found[:-1] == [
        "swish (Activation): activation 'silu' stays float",
        "cube (Multiply): only the product of two tensors has an integer form here",
        "both (Concatenate): a Concatenate has no integer form here",
    ]
    assert found[-1].endswith("(Multiply): only tensors and single numbers have an integer form")
    assert float_layers(lower(shared_tiny())) == []


def test_models_without_a_graph_of_one_image_and_one_output_are_refused() -> None:
    class Own(keras.Model):
        def call(self, inputs: Any) -> Any:
            return inputs

    with pytest.raises(UserError, match="model 'mine' is a subclass of keras.Model"):
        lower(Own(name="mine"))
    image = keras.Input((SIZE, SIZE, 3))
    with pytest.raises(UserError, match="1 inputs and 2 outputs"):
        lower(keras.Model(image, [layers.ReLU()(image), layers.Softmax()(image)]))
    with pytest.raises(UserError, match="takes images of any size"):
        lower(keras.Sequential([keras.Input((None, None, 3)), conv(4)]))


@pytest.mark.parametrize(
    "last",
    [
        layers.Softmax(),
        layers.Dense(3, activation="softmax"),
        layers.Dense(3, activation=layers.Softmax()),
        keras.ops.softmax,
        lambda x: keras.ops.softmax(x, axis=1),
        lambda x: layers.Flatten()(layers.Softmax()(layers.Reshape((1, 3))(x))),
        lambda x: keras.ops.reshape(keras.ops.softmax(layers.Reshape((1, 3))(x)), (-1, 3)),
        lambda x: layers.Dropout(0.5)(layers.Softmax()(x)),
    ],
)
@pytest.mark.parametrize(
    "wrap",
    [lambda model: model, lambda model: quantized(model, all_but())],
    ids=["bare", "wrapped"],
)
def test_a_model_that_makes_probabilities_itself_is_refused(last: Any, wrap: Any) -> None:
    pooled = layers.GlobalAveragePooling2D()
    model = wrap(network(lambda x: last(pooled(layers.Conv2D(3, 3)(x)))))
    with pytest.raises(UserError, match="makes probabilities, which export does itself"):
        with_probabilities(lower(model))


def test_a_softmax_inside_a_model_is_no_output() -> None:
    gate = network(lambda x: head(layers.Multiply()([x, layers.Softmax()(x)])))
    assert isinstance(with_probabilities(lower(gate)).output, ops.Softmax)
