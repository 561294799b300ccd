"""Integer files of what convolutional networks do not have: MobileNetV3's parts, a transformer."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from keras import layers

from qtdog_tf.export.build import plan_graph
from qtdog_tf.export.graph import ops_sequence
from qtdog_tf.export.graph.wide_attention import widen_attention
from qtdog_tf.export.settings import ExportSettings
from qtdog_tf.export.tflite.flatbuffer_file import read_model
from qtdog_tf.export.tflite.layers_of_file import operator_name, scales
from qtdog_tf.models.deit import Variant, deit
from qtdog_tf.quantization import all_but, quantize, start_quantization
from tests.export_files import Converted, Files
from tests.export_models import (
    CLASSES,
    SIZE,
    execute,
    head,
    learned_codes,
    network,
    predict,
    quantized,
    softmax,
    spread,
)
from tests.models_synthetic import synthetic_tensor

TINY = Variant(width=24, blocks=1, heads=2, patch=4)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("files"))


def mobile(x: Any) -> Any:
    """A block of MobileNetV3: hard swish, and a factor a channel that the image decides."""
    x = layers.Conv2D(8, 3, 2, "same", use_bias=False)(x)
    x = layers.Activation("hard_silu")(layers.BatchNormalization()(x))
    factor = layers.GlobalAveragePooling2D(keepdims=True)(x)
    factor = layers.Conv2D(8, 1)(layers.ReLU()(layers.Conv2D(4, 1)(factor)))
    return head(layers.Multiply()([x, layers.ReLU(6.0)(factor + 3.0) * (1 / 6)]))


def transformer() -> keras.Model:
    """A DeiT of one block, every weight of which matters."""
    body = deit("deit", SIZE, TINY)
    for layer in body.layers:
        for weight in layer.weights:
            name = f"{layer.name}.{'weight' if weight.name == 'gamma' else weight.name}"
            shape = tuple(weight.shape)
            weight.assign(synthetic_tensor(name, shape[::-1]).transpose())
    model = keras.Model(body.input, layers.Dense(CLASSES, name="head")(body.output))
    model = quantize(model, all_but("head"), bits=7)
    start_quantization(model)
    return spread(model)


def kinds(file: Converted) -> list[str]:
    model = read_model(file.path)
    return [operator_name(model, operator) for operator in model.subgraphs[0].operators]


def assert_agrees(file: Converted, mean_error: float) -> None:
    assert file.failed() == set()
    expected = softmax(predict(file.model, file.pixels))
    assert np.ptp(expected, axis=0).min() > 0.2
    assert np.abs(file.predict() - expected).mean() < mean_error


def test_hard_swish_and_squeeze_excite_are_integers(files: Files) -> None:
    file = files.of("mobile", spread(quantized(network(mobile))))
    assert_agrees(file, 0.02)
    # The gate of squeeze-excite is in the convolution before it.
    assert kinds(file) == [
        *("QUANTIZE", "CONV_2D", "HARD_SWISH", "MEAN", "CONV_2D", "CONV_2D", "MUL", "MEAN"),
        *("CONV_2D", "RESHAPE", "SOFTMAX", "QUANTIZE"),
    ]


@pytest.fixture(scope="module")
def transformer_file(files: Files) -> Converted:
    return files.of("transformer", transformer())


def test_a_transformer_is_integers_and_holds_the_codes(transformer_file: Converted) -> None:
    assert_agrees(transformer_file, 0.04)
    assert {"BATCH_MATMUL", "RSQRT", "GELU"} <= set(kinds(transformer_file))
    convs = {conv.name: conv for conv in transformer_file.graph.convs}
    for part in ("qkv", "proj", "fc1", "fc2"):
        codes, _ = learned_codes(transformer_file.model, f"block0_{part}")
        np.testing.assert_array_equal(convs[f"block0_{part}.product"].kernel.codes[0, 0], codes)
    # The factor of attention is in the step sizes of the queries.
    _, step_sizes = learned_codes(transformer_file.model, "block0_qkv")
    factors = convs["block0_qkv.product"].kernel.scale / step_sizes.ravel()
    np.testing.assert_allclose(factors, [12**-0.5] * 24 + [1.0] * 48, rtol=1e-6)


def test_its_graph_computes_what_the_model_computes(transformer_file: Converted) -> None:
    graph = plan_graph(transformer_file.model, ExportSettings(kind="float32"))
    found = execute(graph, transformer_file.pixels)
    expected = softmax(predict(transformer_file.model, transformer_file.pixels))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert sum(isinstance(op, ops_sequence.Rsqrt) for op in graph.ops) == 3


def test_attention_weights_have_16_bits_and_the_output_8(
    transformer_file: Converted, files: Files
) -> None:
    model = read_model(transformer_file.path)
    graph = model.subgraphs[0]
    softmaxes = [o for o in graph.operators if operator_name(model, o) == "SOFTMAX"]
    weights, probabilities = (graph.tensors[o.outputs[0]] for o in softmaxes)
    assert (weights.type, scales(weights)) == (schema.TensorType.INT16, 2**-15)
    assert (probabilities.type, scales(probabilities)) == (schema.TensorType.INT8, 2**-8)
    (product,) = [
        o
        for o in graph.operators
        if operator_name(model, o) == "BATCH_MATMUL" and o.inputs[0] == softmaxes[0].outputs[0]
    ]
    ends = [graph.tensors[i] for i in (*product.inputs, *product.outputs)]
    assert [tensor.type for tensor in ends] == [schema.TensorType.INT16] * 3
    assert [int(tensor.quantization.zeroPoint[0]) for tensor in ends] == [0, 0, 0]
    assert kinds(transformer_file).count("QUANTIZE") == 2 + 3


def test_a_file_without_attention_stays_byte_for_byte(files: Files, tmp_path: Path) -> None:
    path = tmp_path / "copy.tflite"
    path.write_bytes(files.of("mobile", keras.Model()).path.read_bytes())
    before = path.read_bytes()
    widen_attention(path)
    assert path.read_bytes() == before
