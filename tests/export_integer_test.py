"""The simulation of integer operators against numbers worked by hand, and against LiteRT."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from qtdog_tf.export.checks.integer import largest_difference, simulate
from qtdog_tf.export.tflite.flatbuffer_file import read_model
from qtdog_tf.export.tflite.layers_of_file import CONVOLUTIONS, operator_kind
from tests.export_files import Files
from tests.export_models import random_pixels

Kind, Type = schema.BuiltinOperator, schema.TensorType
NUMPY = {Type.INT8: np.int8, Type.UINT8: np.uint8, Type.INT32: np.int32, Type.FLOAT32: np.float32}


class HandMade:
    """A model of one operator, built from lists of codes."""

    def __init__(self) -> None:
        self.model = schema.ModelT()
        self.model.buffers = []
        self.model.subgraphs = [schema.SubGraphT()]
        self.tensors = self.model.subgraphs[0].tensors = []
        self.values: dict[int, np.ndarray] = {}

    def tensor(self, codes: Any, scale: Any = None, zero: int = 0, kind: int = Type.INT8) -> int:
        """Adds a tensor that holds `codes`; returns its index."""
        array = np.array(codes, NUMPY[kind])
        tensor, buffer = schema.TensorT(), schema.BufferT()
        buffer.data = np.frombuffer(array.tobytes(), np.uint8)
        tensor.shape, tensor.type, tensor.buffer = array.shape, kind, len(self.tensors)
        if scale is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = np.atleast_1d(np.asarray(scale, np.float32))
            tensor.quantization.zeroPoint = np.full(np.size(scale), zero, np.int64)
            tensor.quantization.quantizedDimension = array.ndim - 1 if array.ndim else 0
        self.model.buffers.append(buffer)
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def run(self, kind: int, inputs: list[int], output: int, options: Any = None) -> np.ndarray:
        """Simulates an operator on the tensors."""
        code, operator = schema.OperatorCodeT(), schema.OperatorT()
        code.builtinCode, code.deprecatedBuiltinCode = kind, min(kind, 127)
        self.model.operatorCodes = [code]
        operator.opcodeIndex, operator.builtinOptions = 0, options
        operator.inputs, operator.outputs = inputs, [output]
        return simulate(self.model, operator, self.values)


def conv_options(options: Any, padding: int = schema.Padding.VALID, relu: bool = False) -> Any:
    options.padding, options.strideH, options.strideW = padding, 1, 1
    options.dilationHFactor = options.dilationWFactor = 1
    kinds = schema.ActivationFunctionType
    options.fusedActivationFunction = kinds.RELU if relu else kinds.NONE
    return options


@pytest.mark.parametrize("relu", [False, True])
def test_convolution(relu: bool) -> None:
    m = HandMade()
    # Twice 0.5, that is 2, 0, 1 and 3 after the zero point.
    data = m.tensor([[[[3], [-1]], [[1], [5]]]], 0.5, -1)
    weights = m.tensor([[[[3]]], [[[-2]]]], [0.1, 0.25])
    bias = m.tensor([10, -4], [0.05, 0.125], kind=Type.INT32)
    output = m.tensor(np.zeros((1, 2, 2, 2)), 0.1, 2)
    options = conv_options(schema.Conv2DOptionsT(), relu=relu)
    found = m.run(Kind.CONV_2D, [data, weights, bias], output, options)
    # x * 0.3 + 0.5 is 1.1, 0.5, 0.8, 1.4; x * -0.5 - 0.5 is -1.5, -0.5, -1, -2.
    assert found[0, ..., 0].ravel().tolist() == [13, 7, 10, 16]
    assert found[0, ..., 1].ravel().tolist() == ([2] * 4 if relu else [-13, -3, -8, -18])


def test_padding_of_a_convolution_stands_for_0() -> None:
    m = HandMade()
    data = m.tensor([[[[3], [-1]], [[1], [5]]]], 0.5, -1)
    weights = m.tensor(np.ones((1, 3, 3, 1)), 1.0)
    bias = m.tensor([0], 0.5, kind=Type.INT32)
    output = m.tensor(np.zeros((1, 2, 2, 1)), 0.5, 0)
    options = conv_options(schema.Conv2DOptionsT(), schema.Padding.SAME)
    # Every window sees all four: 4 + 0 + 2 + 6.
    assert m.run(Kind.CONV_2D, [data, weights, bias], output, options).ravel().tolist() == [12] * 4


def test_depthwise_convolution_with_two_filters_a_channel() -> None:
    m = HandMade()
    data = m.tensor([[[[3, 5]]]], 1.0, 1)
    weights = m.tensor([[[[1, 2, 3, -4]]]], [1.0, 0.5, 1.0, 0.25])
    bias = m.tensor([0, 0, -2, 8], [1.0, 0.5, 1.0, 0.25], kind=Type.INT32)
    output = m.tensor(np.zeros((1, 1, 1, 4)), 0.5, -10)
    options = conv_options(schema.DepthwiseConv2DOptionsT())
    found = m.run(Kind.DEPTHWISE_CONV_2D, [data, weights, bias], output, options)
    # 2 * 1, 2 * 1, 4 * 3 - 2, 4 * -1 + 2, in halves above -10.
    assert found.ravel().tolist() == [-6, -6, 10, -14]


def test_sum_and_saturation() -> None:
    m = HandMade()
    one, other = m.tensor([4, 127], 0.5, 0), m.tensor([6, 127], 0.25, 10)
    output = m.tensor([0, 0], 0.125, -3)
    options = conv_options(schema.AddOptionsT())
    # 2 - 1 is 8 eighths; 63.5 + 29.25 is beyond the last code.
    assert m.run(Kind.ADD, [one, other], output, options).tolist() == [5, 127]


def test_product_with_a_number_a_channel() -> None:
    m = HandMade()
    data, factors = m.tensor([[[[4, -6], [1, 2]]]], 0.5, 0), m.tensor([[[[10, 40]]]], 0.1, 20)
    output = m.tensor(np.zeros((1, 1, 2, 2)), 0.25, 5)
    # 2 * -1 and -3 * 2, 0.5 * -1 and 1 * 2, in quarters above 5.
    found = m.run(Kind.MUL, [data, factors], output, conv_options(schema.MulOptionsT()))
    assert found.ravel().tolist() == [-3, -19, 3, 13]


def test_hard_swish() -> None:
    m = HandMade()
    data = m.tensor([-8, -3, 0, 2, 8], 0.5, 0)
    output = m.tensor([0] * 5, 1 / 12, 0)
    # Of -4, -1.5, 0, 1 and 4: 0, -1.5 * 1.5 / 6, 0, 4 / 6, and 4 itself.
    found = m.run(Kind.HARD_SWISH, [data], output, schema.HardSwishOptionsT())
    assert found.tolist() == [0, np.rint(-4.5), 0, 8, 48]


def test_mean_over_the_image() -> None:
    m = HandMade()
    data, axes = m.tensor([[[[1], [2]], [[3], [6]]]], 1.0, 1), m.tensor([1, 2], kind=Type.INT32)
    output = m.tensor([[[[0]]]], 0.25, 1)
    options = schema.ReducerOptionsT()
    options.keepDims = True
    assert m.run(Kind.MEAN, [data, axes], output, options).tolist() == [[[[9]]]]


def test_softmax() -> None:
    m = HandMade()
    data = m.tensor([[0, 10]], np.log(3) / 10, 0)
    output = m.tensor([[0, 0]], 1 / 256, -128)
    options = schema.SoftmaxOptionsT()
    options.beta = 1.0
    # A quarter and three quarters of 256.
    assert m.run(Kind.SOFTMAX, [data], output, options).tolist() == [[-64, 64]]


def test_what_moves_values() -> None:
    m = HandMade()
    data = m.tensor([[[[3], [-1]]]], 0.5, -1)
    pads = m.tensor([[0, 0], [1, 0], [0, 1], [0, 0]], kind=Type.INT32)
    output = m.tensor(np.zeros((1, 2, 3, 1)), 0.5, -1)
    padded = m.run(Kind.PAD, [data, pads], output)
    assert padded[0, ..., 0].tolist() == [[-1, -1, -1], [3, -1, -1]]
    packed = m.run(
        Kind.PACK, [data, data], m.tensor(np.zeros((2, 1, 1, 2, 1)), 0.5, -1), schema.PackOptionsT()
    )
    assert packed.ravel().tolist() == [3, -1, 3, -1]
    assert m.run(Kind.RESHAPE, [data], m.tensor([[0, 0]], 0.5, -1)).tolist() == [[3, -1]]


@pytest.mark.parametrize(
    ("kind", "expected"), [(Kind.AVERAGE_POOL_2D, [3, 3]), (Kind.MAX_POOL_2D, [5, 5])]
)
def test_pools_leave_padding_out(kind: int, expected: list[int]) -> None:
    m = HandMade()
    data, output = m.tensor([[[[1], [5]]]], 1.0, 0), m.tensor(np.zeros((1, 1, 2, 1)), 1.0, 0)
    options = conv_options(schema.Pool2DOptionsT(), schema.Padding.SAME)
    options.filterHeight, options.filterWidth = 3, 3
    assert m.run(kind, [data], output, options).ravel().tolist() == expected


def test_ends_of_a_file_change_types() -> None:
    m = HandMade()
    pixels, codes = m.tensor([0, 128, 255], 0.5, 128, Type.UINT8), m.tensor([0, 0, 0], 0.5, 0)
    assert m.run(Kind.QUANTIZE, [pixels], codes).tolist() == [-128, 0, 127]
    m.values[codes] = np.array([-128, 0, 64], np.int8)
    real = m.tensor([0, 0, 0], kind=Type.FLOAT32)
    assert m.run(Kind.DEQUANTIZE, [codes], real).tolist() == [-64.0, 0.0, 32.0]
    assert m.run(Kind.RELU6, [codes], m.tensor([0, 0, 0], 0.1, 0)).tolist() == [0, 0, 60]


def test_product_of_two_computed_matrices() -> None:
    m = HandMade()
    first, second = m.tensor([[3, 1], [-1, 5]], 0.5, 1), m.tensor([[4, 0], [2, 6]], 0.25, 0)
    output, options = m.tensor(np.zeros((2, 2)), 0.5, -2), schema.BatchMatMulOptionsT()
    # [[1, 0], [-1, 2]] with [[1, 0], [0.5, 1.5]], in halves above -2; the second transposed after.
    found = m.run(Kind.BATCH_MATMUL, [first, second], output, options)
    assert found.tolist() == [[0, -2], [-2, 4]]
    options.adjY = True
    found = m.run(Kind.BATCH_MATMUL, [first, second], output, options)
    assert found.tolist() == [[0, -1], [-4, 3]]


def test_parts_of_a_layer_norm() -> None:
    m = HandMade()
    rows, means = m.tensor([[4, 8], [2, -2]], 0.5, 0), m.tensor([[3], [1]], 1.0, 0)
    output = m.tensor(np.zeros((2, 2)), 0.25, 1)
    found = m.run(Kind.SUB, [rows, means], output, conv_options(schema.SubOptionsT()))
    assert found.tolist() == [[-3, 5], [1, -7]]
    variances, factors = m.tensor([16, 1, 0], 0.25, 0), m.tensor([0, 0, 0], 0.5, -128)
    # Of 4, 0.25 and 0: 1/2, 2, and infinity, which is the last code.
    assert m.run(Kind.RSQRT, [variances], factors).tolist() == [-127, -124, 127]


@pytest.mark.parametrize("scale", [0.01, 0.5])
def test_exact_gelu(scale: float) -> None:
    m, options = HandMade(), schema.GeluOptionsT()
    data, output = m.tensor([-4, 0, 2], 0.5, 0), m.tensor([0, 0, 0], scale, 0)
    # -2 * Phi(-2), 0 and Phi(1).
    expected = np.clip(np.rint(np.array([-2 * 0.0227501, 0, 0.8413447]) / scale), -128, 127)
    assert m.run(Kind.GELU, [data], output, options).tolist() == expected.tolist()


def test_parts_of_a_tensor_and_axes_in_another_order() -> None:
    m = HandMade()
    data = m.tensor([[1, 2, 3], [4, 5, 6]], 1.0, 0)
    begin, size = (m.tensor(v, kind=Type.INT32) for v in ([0, 1], [-1, 2]))
    part = m.run(Kind.SLICE, [data, begin, size], m.tensor(np.zeros((2, 2)), 1.0, 1))
    assert part.tolist() == [[3, 4], [6, 7]]
    order = m.tensor([1, 0], kind=Type.INT32)
    turned = m.run(Kind.TRANSPOSE, [data, order], m.tensor(np.zeros((3, 2)), 1.0, 0))
    assert turned.tolist() == [[1, 4], [2, 5], [3, 6]]


def test_an_operator_without_a_simulation_is_named() -> None:
    m = HandMade()
    with pytest.raises(NotImplementedError, match="no simulation of LOGISTIC"):
        m.run(Kind.LOGISTIC, [m.tensor([0], 1.0)], m.tensor([0], 1.0))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Files(tmp_path_factory.mktemp("files")).get("int8").path


def test_litert_differs_by_one_code_at_most(path: Path) -> None:
    differences = largest_difference(path, random_pixels(6))
    assert max(differences.values()) <= 1
    kinds = {name.split()[0] for name in differences}
    assert kinds == {
        *("QUANTIZE", "CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "MEAN", "RESHAPE", "SOFTMAX")
    }


def test_a_wrong_number_is_noticed(path: Path) -> None:
    model = read_model(path)
    interpreter = Interpreter(
        str(path),
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    interpreter.set_tensor(model.subgraphs[0].inputs[0], random_pixels(1))
    interpreter.invoke()
    convs = [o for o in model.subgraphs[0].operators if operator_kind(model, o) in CONVOLUTIONS]
    for operator in convs:
        index = operator.inputs[0]
        values = {index: interpreter.get_tensor(index)}
        given = interpreter.get_tensor(operator.outputs[0])
        assert np.abs(given - simulate(model, operator, values)).max() <= 1
        bias = model.subgraphs[0].tensors[operator.inputs[2]]
        steps = np.asarray(model.subgraphs[0].tensors[operator.outputs[0]].quantization.scale)
        codes = model.buffers[bias.buffer].data.view(np.int32) + np.rint(
            4 * steps / np.asarray(bias.quantization.scale)
        ).astype(np.int32)
        model.buffers[bias.buffer].data = codes.view(np.uint8)
        # Four steps of the output more, which only a clipped output does not show.
        assert np.abs(given - simulate(model, operator, values)).max() >= 3
