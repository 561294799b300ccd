"""Weights and biases that integers can hold: rounding, dead channels, refusals."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from qtdog_tf.errors import UserError
from qtdog_tf.export.calibration import Calibration, calibrate
from qtdog_tf.export.graph import ops
from qtdog_tf.export.graph.fold import fold
from qtdog_tf.export.graph.kernels import round_to_int8
from qtdog_tf.export.graph.lower import lower
from qtdog_tf.export.graph.quantize import activation_scale, check_int4, quantize_graph
from tests.export_models import execute, random_pixels, shared_tiny, tiny

IMAGE = ops.Image("image", (), (4, 4, 1), "the input")


def graph_of(codes: list[int], scale: list[float], bias: list[float], **kernel) -> ops.Graph:
    """A 1x1 convolution of grey images, one weight a channel."""
    array = np.array(codes, np.int16).reshape(1, 1, 1, -1)
    weights = ops.Kernel(np.array(scale), array, **{"bits": 7, "learned": True, **kernel})
    conv = ops.Conv(
        "conv", ("image",), (4, 4, len(codes)), "c (Conv2D)", kernel=weights, bias=np.array(bias)
    )
    return ops.Graph((IMAGE, conv))


def quantized(graph: ops.Graph, means: list[float]) -> tuple[ops.Conv, list]:
    ranges = {"image": (0.0, 255.0), "conv": (-100.0, 100.0)}
    converted, dead = quantize_graph(graph, Calibration(ranges, {"conv": np.array(means)}, 1))
    assert isinstance(converted.output, ops.Conv)
    return converted.output, dead


def test_a_range_has_255_steps() -> None:
    assert activation_scale((-1.0, 4.1)) == pytest.approx(0.02)


def test_live_channels_are_left_alone() -> None:
    graph = graph_of([3, -64], [0.5, 0.25], [1e6, -2.0])
    conv, dead = quantized(graph, [0.0, 0.0])
    assert conv is not graph.output and dead == []
    np.testing.assert_array_equal(conv.kernel.codes, graph.output.kernel.codes)
    np.testing.assert_array_equal(conv.kernel.scale, [0.5, 0.25])
    np.testing.assert_array_equal(conv.bias, [1e6, -2.0])


@pytest.mark.parametrize("bias", [0.5, -2.0, 1e-30])
def test_biases_that_are_all_the_same_differ_by_a_float32(bias: float) -> None:
    conv, _ = quantized(graph_of([3, 9, 1], [0.5, 0.25, 0.5], [bias] * 3), [0.0] * 3)
    stored = conv.bias.astype(np.float32)
    assert stored[0] == np.nextafter(np.float32(bias), np.float32(np.inf))
    assert stored[1] == stored[2] == np.float32(bias) != stored[0]


def test_biases_of_0_stay_0() -> None:
    conv, _ = quantized(graph_of([3, 9], [0.5, 0.25], [0.0, 0.0]), [0.0, 0.0])
    assert conv.bias.tolist() == [0.0, 0.0]


def test_a_channel_whose_bias_would_overflow_gives_its_mean() -> None:
    # In steps of 1 (the pixels') times 1e-10, a bias of 3 is 3e10: no 32-bit integer.
    graph = graph_of([3, 0, 9], [0.5, 1e-10, 1e-10], [1.0, 3.0, -2.0])
    conv, dead = quantized(graph, [7.0, 3.25, -1.75])
    assert conv.kernel.codes.ravel().tolist() == [3, 0, 0]
    assert conv.bias.tolist() == [1.0, 3.25, -1.75]
    assert conv.kernel.scale[0] == 0.5
    assert [(d.layer, d.channel, d.scale, d.constant, d.nonzero_codes) for d in dead] == [
        ("conv", 1, 1e-10, 3.25, 0),
        ("conv", 2, 1e-10, -1.75, 1),
    ]


def test_a_channel_whose_range_the_converter_would_widen_gives_its_mean() -> None:
    # 2 * 127 * 3.9e-9 is just below a millionth, 2 * 127 * 4e-9 just above.
    graph = graph_of([127, 127], [3.9e-9, 4e-9], [-1e-3, -1e-3])
    conv, dead = quantized(graph, [-2e-3, -2e-3])
    assert [d.channel for d in dead] == [0]
    assert conv.kernel.codes.ravel().tolist() == [0, 127]
    assert conv.bias.tolist() == [-2e-3, -1e-3]


def test_the_range_of_4_bits_is_18_times_narrower() -> None:
    graph = graph_of([7, 7], [7e-8, 7.2e-8], [0.0, 0.0], bits=4)
    calibration = Calibration({"image": (0.0, 255.0)}, {"conv": np.zeros(2)}, 1)
    assert [d.channel for d in quantize_graph(graph, calibration, weight_bits=4)[1]] == [0]
    assert quantize_graph(graph, calibration)[1] == []


def test_the_limit_is_half_of_what_32_bits_hold() -> None:
    scale = 2.0**-20
    _, dead = quantized(graph_of([1, 1], [scale, scale], [1023.0, 1024.0]), [0.0, 0.0])
    assert [d.channel for d in dead] == [1]


@pytest.mark.parametrize("constants", [[0.003, 0.0], [0.0, 0.0], [-5.0, 1e-6], [1e5, 1e5]])
@pytest.mark.parametrize("live", [True, False])
def test_constants_of_dead_channels_are_exact_to_a_step_of_their_output(
    constants: list[float], live: bool
) -> None:
    # The scales of a BatchNorm with gamma 0 are 0; without a live channel none is left to follow.
    scale, bias = [0.0, 0.0], list(constants)
    means, codes = list(constants), [5, 0]
    if live:
        scale, bias, means, codes = [*scale, 0.001], [*bias, 0.0], [*means, 9.0], [*codes, 1]
    conv, dead = quantized(graph_of(codes, scale, bias), means)
    assert [d.channel for d in dead] == [0, 1]
    assert np.all(conv.kernel.scale > 0) and np.all(np.isfinite(conv.kernel.scale))
    stored = np.rint(conv.bias / conv.kernel.scale)
    assert np.abs(stored).max() < 2**30
    error = np.abs(stored * conv.kernel.scale - conv.bias)
    # The output's range reaches from 0 to the largest constant, or over the live channel.
    width = np.abs(means).max() if not live else 0.001 * 255
    assert np.all(error <= width / 255 / 2)


def test_a_network_with_dead_channels_computes_what_it_did() -> None:
    model = tiny(seed=5)
    norm = model.get_layer("block_depthwise_bn")
    gamma = norm.gamma.numpy()
    gamma[2], gamma[5] = 0.0, 1e-12
    norm.gamma.assign(gamma)
    graph = fold(lower(model))
    pixels = random_pixels(16)
    converted, dead = quantize_graph(graph, calibrate(graph, [pixels]))
    assert [(d.layer, d.channel) for d in dead] == [("block_depthwise", 2), ("block_depthwise", 5)]
    # Beta, clipped by the ReLU6 behind.
    constants = np.clip(norm.beta.numpy()[[2, 5]], 0, 6)
    np.testing.assert_allclose([d.constant for d in dead], constants, atol=1e-6)
    rounded = ops.Graph(
        tuple(
            dataclasses.replace(op, kernel=round_to_int8(op.kernel))
            if isinstance(op, ops.Conv)
            else op
            for op in graph.ops
        )
    )
    np.testing.assert_allclose(execute(converted, pixels), execute(rounded, pixels), atol=1e-4)


def test_learned_codes_stay_and_the_head_is_rounded() -> None:
    graph = fold(lower(shared_tiny()))
    converted, dead = quantize_graph(graph, calibrate(graph, [random_pixels(8)]))
    assert dead == []
    for before, after in zip(graph.convs, converted.convs, strict=True):
        if before.kernel.learned:
            np.testing.assert_array_equal(before.kernel.codes, after.kernel.codes)
            np.testing.assert_array_equal(before.kernel.scale, after.kernel.scale)
    assert before.name == "head.product" and before.kernel.codes is None
    assert np.abs(after.kernel.codes).max(axis=(0, 1, 2)).tolist() == [127] * 4
    assert (after.kernel.bits, after.kernel.learned) == (8, False)


values = npst.arrays(
    np.float32, (2, 2, 3, 4), elements=st.floats(-8, 8, width=32, allow_subnormal=False)
)


@given(values)
def test_rounding_to_8_bits_errs_by_half_a_step_at_most(weights: np.ndarray) -> None:
    kernel = ops.Kernel(np.array([1.0, -2.0, 0.5, 1e-3]), values=weights)
    rounded = round_to_int8(kernel)
    error = np.abs(rounded.codes * rounded.scale - weights.astype(np.float64) * kernel.scale)
    assert np.all(error <= rounded.scale * (0.5 + 1e-9))
    assert np.all(rounded.scale > 0)
    assert np.abs(rounded.codes).max(initial=0) <= 127
    assert round_to_int8(rounded) is rounded


def test_a_channel_of_zeros_has_a_scale_like_the_others() -> None:
    # Its bias is stored in steps of that scale, so 1 would round it off.
    weights = np.zeros((1, 1, 2, 3), np.float32)
    weights[..., 0], weights[..., 2] = 0.0127, -0.0381
    rounded = round_to_int8(ops.Kernel(np.ones(3), values=weights))
    np.testing.assert_allclose(rounded.scale, [1e-4, 2e-4, 3e-4], rtol=1e-6)
    assert rounded.codes[0, 0, 0].tolist() == [127, 0, -127]
    nothing = round_to_int8(ops.Kernel(np.ones(3), values=0 * weights))
    assert np.all(nothing.scale > 0) and not nothing.codes.any()


@pytest.mark.parametrize("code", [-128, 128])
def test_the_code_minus_128_is_refused_whatever_its_sign_after_folding(code: int) -> None:
    with pytest.raises(UserError, match="c .Conv2D. uses the code -128.*--narrow_range=auto"):
        quantized(graph_of([code], [1.0], [0.0], bits=8), [0.0])


def test_int4_takes_learned_codes_of_4_bits_from_minus_7_to_7() -> None:
    check_int4(graph_of([-7, 7], [1.0, 1.0], [0.0, 0.0], bits=4))
    check_int4(graph_of([-2, 1], [1.0, 1.0], [0.0, 0.0], bits=2))
    how = "train for int4 with --variants=qtdog4 --narrow_range=always"
    with pytest.raises(UserError, match=f"c .Conv2D. has 7-bit codes, int4 takes 4.*{how}"):
        check_int4(graph_of([1], [1.0], [0.0]))
    for code in (-8, 8):
        with pytest.raises(UserError, match=f"c .Conv2D. uses the code -8.*{how}"):
            check_int4(graph_of([code], [1.0], [0.0], bits=4))
    with pytest.raises(UserError, match=f"no layer of this model has learned codes: {how}"):
        check_int4(graph_of([1], [1.0], [0.0], learned=False, bits=8))
