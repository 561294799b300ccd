"""Converted files hold the learned codes and compute what the model computes, kind by kind."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from keras import layers

from qtdog_tf.ensemble import build_ensemble
from qtdog_tf.errors import UserError
from qtdog_tf.export.build import plan_graph
from qtdog_tf.export.convert import convert
from qtdog_tf.export.graph import ops
from qtdog_tf.export.settings import ExportSettings
from qtdog_tf.export.tflite.flatbuffer_file import read_model
from qtdog_tf.export.tflite.layers_of_file import (
    find_convolutions,
    float_operators,
    operator_name,
    scales,
    tensor_values,
    weight_codes,
)
from tests.export_files import Converted, Files
from tests.export_models import (
    SIZE,
    adapt_norms,
    head,
    learned_codes,
    network,
    predict,
    quantized,
    random_pixels,
    shared_tiny,
    softmax,
    spread,
    tiny,
)

# float32 rounds an activation in its seventh digit; 8 bits round each to a step of its range.
FLOAT_ERROR, INTEGER_ERROR = 1e-5, 0.1


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("files"))


def check(file: Converted, error: float, allowed: float = 0.0) -> None:
    """The gate lets the file through, and it computes what the model computes."""
    assert file.failed(allowed=allowed) == set()
    expected = softmax(predict(file.model, file.pixels))
    np.testing.assert_allclose(file.predict(), expected, atol=error)
    assert np.ptp(expected, axis=0).max() > 4 * error


def operators(file: Converted) -> list[str]:
    model = read_model(file.path)
    return [operator_name(model, operator) for operator in model.subgraphs[0].operators]


def ends(file: Converted) -> tuple[Any, Any]:
    graph = read_model(file.path).subgraphs[0]
    return graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]


def test_int8_takes_a_cameras_pixels(files: Files) -> None:
    file = files.get("int8")
    check(file, INTEGER_ERROR)
    taken, given = ends(file)
    assert taken.type == given.type == schema.TensorType.UINT8
    # The file's codes are the pixels: black is code 127 of a normalization by (x - 127) / 128.
    assert (scales(taken), taken.quantization.zeroPoint) == (1 / 128, 127)
    assert (scales(given), given.quantization.zeroPoint) == (1 / 256, 0)
    assert [check.name for check in file.checks()] == [
        *("codes", "scales", "biases", "layers", "float operators")
    ]
    assert file.built.rounded == ["head.product"] and file.built.dead == []
    assert file.built.calibration.images == len(file.pixels)
    assert file.built.conversion.peak_memory > 10**8


def test_the_stored_numbers_are_the_learned_codes_and_step_sizes(files: Files) -> None:
    file = files.get("int8")
    model = read_model(file.path)
    found = find_convolutions(model, file.graph)
    for layer, norm in (("stem_conv", "stem_bn"), ("block_depthwise", "block_depthwise_bn")):
        codes, step_size = learned_codes(file.model, layer)
        gamma, _, _, variance = (np.float64(w) for w in file.model.get_layer(norm).get_weights())
        is_depthwise = layer == "block_depthwise"
        stored = weight_codes(model, found[layer], is_depthwise)
        codes = codes.reshape(stored.shape)
        np.testing.assert_array_equal(stored, codes * np.sign(gamma).astype(int))
        factor = np.abs(gamma) / np.sqrt(variance + 1e-3)
        np.testing.assert_allclose(scales(found[layer].weights), step_size.ravel() * factor, 1e-6)


def test_int8_and_float32_ends(files: Files) -> None:
    signed, real = files.get("int8", "int8"), files.get("int8", "float32")
    check(signed, INTEGER_ERROR)
    check(real, INTEGER_ERROR)
    assert {end.type for end in ends(signed)} == {schema.TensorType.INT8}
    assert {end.type for end in ends(real)} == {schema.TensorType.FLOAT32}
    assert float_operators(read_model(real.path)) == []
    # Pixels 0 to 255 go in, so the normalization is a layer of the file.
    assert operators(real).count("DEPTHWISE_CONV_2D") == 2
    np.testing.assert_array_equal(signed.predict(), files.get("int8").predict())


def test_int4_stores_4_bits(files: Files) -> None:
    file = files.get("int4", bits=4)
    check(file, INTEGER_ERROR)
    types = {conv.name: conv.kernel.bits for conv in file.built.graph.convs}
    found = find_convolutions(read_model(file.path), file.graph)
    for name, bits in types.items():
        stored = schema.TensorType.INT4 if bits == 4 else schema.TensorType.INT8
        assert found[name].weights.type == stored
    assert sorted(types.values()) == [4, 4, 4, 4, 8]


def test_dynamic_stores_learned_codes_and_computes_with_floats(files: Files) -> None:
    file = files.get("dynamic")
    check(file, INTEGER_ERROR)
    found = find_convolutions(read_model(file.path), file.graph)
    assert {conv.weights.type for conv in found.values()} == {schema.TensorType.INT8}
    assert {end.type for end in ends(file)} == {schema.TensorType.FLOAT32}


def test_float32_and_float16(files: Files) -> None:
    full, half = files.get("float32"), files.get("float16")
    check(full, FLOAT_ERROR)
    check(half, 5e-3, allowed=2**-11)
    assert half.failed(allowed=2**-13) == {"weights", "biases"}
    names = float_operators(read_model(full.path))
    assert any(name.startswith("CONV_2D (stem_conv") for name in names)
    assert any(name.startswith("DEPTHWISE_CONV_2D (block_depthwise") for name in names)
    assert full.built.rounded == [] and full.built.calibration is None


def swish(x: Any) -> Any:
    x = layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same", use_bias=False)(x))
    return head(
        layers.Conv2D(8, 3, activation="swish")(layers.Activation("swish", name="activation")(x))
    )


def test_a_network_with_layers_that_stay_float(files: Files) -> None:
    model = spread(adapt_norms(quantized(network(swish)), random_pixels(64, seed=4)))
    with pytest.raises(UserError) as refused:
        plan_graph(model, ExportSettings())
    assert str(refused.value) == (
        "this network has no int8 file, since layer activation (Activation): activation 'silu' "
        "stays float, and 1 more; --kind=dynamic and --kind=float32 export it"
    )
    for kind, error in (("dynamic", INTEGER_ERROR), ("float32", FLOAT_ERROR)):
        check(files.of(f"swish-{kind}", model, kind), error)


class Third(layers.Layer):
    def call(self, inputs: Any) -> Any:
        return inputs * 0.3


def test_codes_that_the_converter_would_scale_are_refused(files: Files) -> None:
    image = keras.Input((SIZE, SIZE, 3))
    model = quantized(keras.Model(image, head(layers.Conv2D(8, 3, name="conv")(Third()(image)))))
    with pytest.raises(UserError, match="factor beside layer conv .*a keras.layers.Rescaling"):
        files.of("third", model, "dynamic")


def unusual(x: Any) -> Any:
    """A layer used twice, names alike, odd ReLUs, dilation, a norm of a vector, a dead layer."""
    norm = layers.BatchNormalization
    again = layers.Conv2D(8, 3, padding="same", dilation_rate=2, name="again")
    x = layers.ReLU(3.0)(again(norm()(layers.Conv2D(8, 3, name="a")(x))))
    x = layers.ReLU(2.0)(norm()(layers.ReLU()(again(x))))
    dead = layers.Conv2D(8, 1, name="dead", use_bias=False)(x)
    x = x + norm(name="dead_norm")(dead)
    x = layers.Conv2D(8, 3, groups=2, name="A")(layers.ZeroPadding2D()(x))
    x = layers.AveragePooling2D(2)(layers.MaxPooling2D(3, 1, "same")(layers.ReLU()(norm()(x))))
    x = layers.ReLU(2.0)(norm()(layers.GlobalAveragePooling2D()(x)))
    return layers.Dense(3, name="head")(layers.Dense(16, activation="relu6")(x))


@pytest.fixture(scope="module")
def unusual_model() -> keras.Model:
    model = adapt_norms(quantized(network(unusual)), random_pixels(64, seed=4))
    model.get_layer("dead_norm").gamma.assign(np.zeros(8))
    return spread(model, 1.0)


def test_a_network_with_one_of_everything_is_all_integer(
    files: Files, unusual_model: keras.Model
) -> None:
    file = files.of("unusual", unusual_model)
    check(file, 0.15)
    assert [(d.layer, d.channel) for d in file.built.dead] == [("dead", c) for c in range(8)]


def test_a_network_with_one_of_everything_with_float_activations(
    files: Files, unusual_model: keras.Model
) -> None:
    file = files.of("unusual-dynamic", unusual_model, "dynamic")
    check(file, 0.15)
    found = find_convolutions(read_model(file.path), file.graph)
    codes, _ = learned_codes(unusual_model, "again")
    for name in ("again", "again.2"):
        stored = tensor_values(read_model(file.path), found[name].weights)
        np.testing.assert_array_equal(np.moveaxis(stored, 0, -1), codes)


def test_biases_that_are_all_the_same_get_a_code_for_each_channel(files: Files) -> None:
    # Of a constant the converter would store one code, in the step of one channel, for all.
    model = quantized(network(lambda x: head(layers.Conv2D(8, 3, name="same")(x))))
    model.get_layer("quant_same").layer.bias.assign(np.full(8, 0.5))
    check(files.of("same", spread(model)), INTEGER_ERROR)


@pytest.mark.parametrize("average", ["logits", "probabilities"])
def test_an_ensemble_is_one_integer_file(files: Files, average: str) -> None:
    members = [shared_tiny(), tiny(5, seed=1)]
    file = files.of(f"ensemble-{average}", build_ensemble(members, average))
    assert file.failed() == set()
    assert operators(file).count("DEPTHWISE_CONV_2D") == 2
    expected = [predict(member, file.pixels).astype(np.float64) for member in members]
    if average == "logits":
        probabilities = softmax(np.mean(expected, axis=0))
    else:
        probabilities = np.mean([softmax(logits) for logits in expected], axis=0)
    np.testing.assert_allclose(file.predict(), probabilities, atol=INTEGER_ERROR)
    bits = {conv.kernel.bits for conv in file.graph.convs if conv.kernel.learned}
    assert bits == {5, 7}


def test_a_float_model_has_no_integer_file() -> None:
    model = network(lambda x: head(layers.Conv2D(4, 3)(x)))
    with pytest.raises(UserError, match="no layer of this model is quantized.*--kind=float32"):
        plan_graph(model, ExportSettings())
    graph = plan_graph(model, ExportSettings(kind="float16"))
    assert isinstance(graph.output, ops.Softmax)


def test_a_failing_converter_is_one_sentence_that_names_the_log(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    output, log = tmp_path / "model.tflite", tmp_path / "model.log"
    with pytest.raises(UserError) as failed:
        convert(tmp_path / "nothing", output, log, numbers="integer")
    sentence = str(failed.value)
    assert sentence.startswith("the converter failed (")
    assert "SavedModel file does not exist" in sentence
    assert sentence.endswith(f"all that it said is in {log}") and "\n" not in sentence
    assert "Traceback" in log.read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.log", "nothing"]
