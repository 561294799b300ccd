"""Folding by hand: what becomes of norms, ReLUs and reshapes, number by number."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from qtdog_tf.export.graph import ops
from qtdog_tf.export.graph.fold import fold, scale_channels
from tests.export_models import execute

INF = np.inf


def image(size: int = 4, channels: int = 3) -> ops.Image:
    return ops.Image("image", (), (size, size, channels), "the input")


def conv(name: str, source: str, codes: np.ndarray, scale: list[float], **values) -> ops.Conv:
    kernel = ops.Kernel(np.array(scale), np.asarray(codes, np.int16), bits=4, learned=True)
    bias = np.asarray(values.pop("bias", np.zeros(len(scale))), np.float64)
    shape = (4, 4, len(scale))
    return ops.Conv(name, (source,), shape, f"{name} (Conv2D)", kernel=kernel, bias=bias, **values)


def affine(name: str, source: str, scale: list[float], offset: list[float], shape=None) -> ops.Op:
    shape = shape or (4, 4, len(scale))
    arrays = np.array(scale, np.float64), np.array(offset, np.float64)
    return ops.Affine(name, (source,), shape, f"{name} (BatchNormalization)", *arrays)


def clip(name: str, source: str, low: float, high: float) -> ops.Clip:
    return ops.Clip(name, (source,), (4, 4, 2), f"{name} (ReLU)", clip=(low, high))


CODES = np.array([[[[3, -2], [0, 1], [-7, 5]]]])
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3)).astype(np.uint8)


def names(graph: ops.Graph) -> list[str]:
    return [op.name for op in graph.ops]


def test_a_norm_scales_the_step_size_flips_signs_and_moves_the_bias() -> None:
    norm = affine("norm", "conv", [-2.0, 0.5], [10.0, -1.0])
    graph = ops.Graph((image(), conv("conv", "image", CODES, [0.25, 0.5], bias=[1.0, 4.0]), norm))
    folded = fold(graph)
    assert names(folded) == ["image", "conv"]
    assert isinstance(folded.output, ops.Conv)
    assert folded.output.kernel.codes.tolist() == [[[[-3, -2], [0, 1], [7, 5]]]]
    assert folded.output.kernel.scale.tolist() == [0.5, 0.25]
    # 1 * -2 + 10, and 4 * 0.5 - 1.
    assert folded.output.bias.tolist() == [8.0, 1.0]
    assert (folded.output.kernel.bits, folded.output.kernel.learned) == (4, True)
    np.testing.assert_array_equal(execute(folded, PIXELS), execute(graph, PIXELS))


def test_a_gamma_of_0_makes_a_scale_of_0_and_keeps_the_codes() -> None:
    kernel = scale_channels(ops.Kernel(np.array([0.5, 0.5]), CODES), np.array([0.0, -1.0]))
    assert kernel.scale.tolist() == [0.0, 0.5]
    np.testing.assert_array_equal(kernel.codes, CODES * [1, -1])


def test_float_weights_take_the_factor_with_its_sign() -> None:
    values = np.ones((1, 1, 3, 2), np.float32)
    kernel = scale_channels(ops.Kernel(np.ones(2), values=values), np.array([-0.5, 3.0]))
    np.testing.assert_array_equal(kernel.to_float(), values * [-0.5, 3.0])


def test_the_opposite_of_the_code_minus_128_is_kept_for_the_refusal() -> None:
    codes = np.array([[[[-128]]]], np.int16)
    assert scale_channels(ops.Kernel(np.ones(1), codes), -np.ones(1)).codes.item() == 128


def test_norms_fold_one_after_the_other() -> None:
    first = affine("first", "conv", [2.0, 2.0], [1.0, 1.0])
    second = affine("second", "first", [3.0, -1.0], [5.0, 0.0])
    graph = fold(ops.Graph((image(), conv("conv", "image", CODES, [1.0, 1.0]), first, second)))
    assert names(graph) == ["image", "conv"]
    assert graph.output.bias.tolist() == [8.0, -1.0]
    assert graph.output.kernel.scale.tolist() == [6.0, 2.0]


def test_a_norm_behind_a_relu_becomes_a_depthwise_convolution_of_full_codes() -> None:
    relu = conv("conv", "image", CODES, [1.0, 1.0], clip=(0.0, INF))
    graph = ops.Graph((image(), relu, affine("norm", "conv", [-2.0, 0.254], [1.0, 3.0])))
    folded = fold(graph)
    assert names(folded) == ["image", "conv", "norm"]
    norm = folded.output
    assert isinstance(norm, ops.Conv) and norm.is_depthwise
    assert norm.kernel.codes.tolist() == [[[[-127, 127]]]]
    np.testing.assert_allclose(norm.kernel.scale, [2 / 127, 0.254 / 127], rtol=1e-12)
    assert norm.bias.tolist() == [1.0, 3.0]
    assert not norm.kernel.learned
    np.testing.assert_allclose(execute(folded, PIXELS), execute(graph, PIXELS), rtol=1e-6)


def test_a_convolution_that_two_others_read_keeps_its_norm() -> None:
    graph = ops.Graph(
        (
            image(),
            conv("conv", "image", CODES, [1.0, 1.0]),
            affine("norm", "conv", [2.0, 2.0], [0.0, 0.0]),
            ops.Add("sum", ("conv", "norm"), (4, 4, 2), "sum (Add)"),
        )
    )
    folded = fold(graph)
    assert names(folded) == ["image", "conv", "norm", "sum"]
    np.testing.assert_array_equal(next(iter(folded.convs)).kernel.codes, CODES)
    np.testing.assert_allclose(execute(folded, PIXELS), execute(graph, PIXELS), rtol=1e-6)


def test_a_norm_folds_through_a_reshape_that_keeps_channels() -> None:
    def shapes(between: tuple[int, ...]) -> list[str]:
        reshape = ops.Reshape("reshape", ("conv",), between, "reshape (Reshape)")
        factors = [2.0] * between[-1]
        norm = affine("norm", "reshape", factors, factors, between)
        return names(
            fold(ops.Graph((image(), conv("conv", "image", CODES, [1.0, 1.0]), reshape, norm)))
        )

    assert shapes((2, 8, 2)) == ["image", "conv", "reshape"]
    assert shapes((2, 4, 4)) == ["image", "conv", "reshape", "norm"]


def test_reshapes_join_and_idle_ones_go() -> None:
    def reshape(name: str, source: str, *shape: int) -> ops.Op:
        return ops.Reshape(name, (source,), shape, name)

    first = conv("conv", "image", CODES, [1.0, 1.0])
    there, back = reshape("a", "conv", 32), reshape("b", "a", 4, 4, 2)
    assert names(fold(ops.Graph((image(), first, there, back)))) == ["image", "conv"]
    graph = fold(ops.Graph((image(), first, there, reshape("c", "a", 8, 2, 2))))
    assert names(graph) == ["image", "conv", "a"]
    assert graph.output.shape == (8, 2, 2)


def test_clips_intersect_in_the_operation_before() -> None:
    first = conv("conv", "image", CODES, [0.1, 0.1])
    relus = clip("relu6", "conv", 0, 6), clip("relu4", "relu6", 0, 4), clip("relu", "relu4", 0, INF)
    graph = ops.Graph((image(), first, *relus))
    folded = fold(graph)
    assert names(folded) == ["image", "conv"]
    assert folded.output.clip == (0, 4)
    np.testing.assert_array_equal(execute(folded, PIXELS), execute(graph, PIXELS))


def test_a_relu_joins_a_sum_but_no_pool() -> None:
    first = conv("one", "image", CODES, [1.0, 1.0])
    second = conv("two", "image", -CODES, [1.0, 1.0])
    total = ops.Add("sum", ("one", "two"), (4, 4, 2), "sum")
    folded = fold(ops.Graph((image(), first, second, total, clip("relu", "sum", 0, INF))))
    assert folded.output.name == "sum" and folded.output.clip == (0, INF)
    pool = ops.Pool("pool", ("one",), (4, 4, 2), "pool", "max", (2, 2), (1, 1), "SAME")
    graph = fold(ops.Graph((image(), first, pool, clip("relu", "pool", 0, INF))))
    assert names(graph) == ["image", "one", "pool", "relu"]


def test_pixels_carry_factors_one_after_the_other() -> None:
    shape = (4, 4, 3)
    first = affine("first", "image", [0.25] * 3, [-1.0] * 3, shape)
    second = affine("second", "first", [0.5] * 3, [-0.5] * 3, shape)
    folded = fold(ops.Graph((image(), first, second)))
    # x / 8 - 1: black is -8 steps.
    assert names(folded) == ["image"]
    assert (folded.image.scale, folded.image.offset) == (0.125, -1.0)
    unabsorbed = fold(ops.Graph((image(), first, second)), absorb_normalization=False)
    assert (unabsorbed.image.scale, unabsorbed.image.offset) == (1.0, 0.0)
    np.testing.assert_allclose(execute(unabsorbed, PIXELS), execute(folded, PIXELS), atol=1e-6)


@pytest.mark.parametrize("offset", [0.3, 1.0, -256.0])
def test_pixels_do_not_carry_a_black_that_is_none_of_their_256_codes(offset: float) -> None:
    # A zero of 0.3 steps, of one below the first code, and of one above the last.
    graph = fold(ops.Graph((image(), affine("a", "image", [1.0] * 3, [offset] * 3))))
    assert names(graph) == ["image", "a"] and graph.image.offset == 0.0


def test_reversed_channels_become_a_convolution_that_takes_the_norm() -> None:
    reverse = ops.ReverseChannels("bgr", ("image",), (4, 4, 3), "bgr (ReverseChannels)")
    norm = affine("norm", "bgr", [1.0, 2.0, -3.0], [1.0, 2.0, 3.0])
    graph = ops.Graph((image(), reverse, norm))
    folded = fold(graph)
    assert names(folded) == ["image", "bgr"]
    assert folded.output.kernel.codes.tolist() == [[[[0, 0, -127], [0, 127, 0], [127, 0, 0]]]]
    np.testing.assert_allclose(execute(folded, PIXELS), execute(graph, PIXELS), rtol=1e-6)


def test_what_members_compute_alike_is_computed_once() -> None:
    def member(number: int, codes: np.ndarray) -> list[ops.Op]:
        norm = affine(f"m{number}.norm", "image", [0.1, 0.2, 0.3], [0.0, 0.0, 0.0])
        return [norm, conv(f"m{number}.conv", norm.name, codes, [1.0, 1.0])]

    average = ops.Average("average", ("m0.conv", "m1.conv"), (4, 4, 2), "average")
    graph = ops.Graph((image(), *member(0, CODES), *member(1, -CODES), average))
    assert names(fold(graph)) == ["image", "m0.norm", "m0.conv", "m1.conv", "average"]
    same = ops.Graph((image(), *member(0, CODES), *member(1, CODES), average))
    folded = fold(same)
    assert folded.output.inputs == ("m0.conv", "m0.conv")
    np.testing.assert_allclose(execute(folded, PIXELS), execute(same, PIXELS), rtol=1e-6)


factors = npst.arrays(np.float64, 2, elements=st.floats(-4, 4).filter(lambda x: abs(x) > 0.01))
codes = npst.arrays(np.int16, (1, 1, 3, 2), elements=st.integers(-127, 127))


@given(codes, factors, factors, factors)
def test_folding_changes_the_magnitude_of_no_code_and_no_output(
    codes: np.ndarray, scale: np.ndarray, factor: np.ndarray, offset: np.ndarray
) -> None:
    first = conv("conv", "image", codes, np.abs(scale).tolist(), bias=offset)
    graph = ops.Graph((image(), first, affine("norm", "conv", factor.tolist(), offset.tolist())))
    folded = fold(graph)
    np.testing.assert_array_equal(np.abs(folded.output.kernel.codes), np.abs(codes))
    assert np.all(folded.output.kernel.scale > 0)
    expected = execute(graph, PIXELS)
    slack = 1e-6 * 255 * 127 * 3 * np.abs(scale * factor).max()
    np.testing.assert_allclose(execute(folded, PIXELS), expected, rtol=1e-5, atol=slack)


def test_a_positive_factor_behind_a_relu6_goes_into_the_convolution() -> None:
    """As in the gate of squeeze-excite: min(max(x + 3, 0), 6) / 6."""
    parts = (
        image(),
        conv("conv", "image", CODES, [0.25, 0.5], bias=[1.0, 4.0]),
        affine("plus", "conv", [1.0, 1.0], [3.0, 3.0]),
        clip("relu6", "plus", 0.0, 6.0),
        affine("sixth", "relu6", [0.25, 0.25], [0.0, 0.0]),
    )
    folded = fold(ops.Graph(parts))
    assert names(folded) == ["image", "conv"]
    assert isinstance(folded.output, ops.Conv)
    assert folded.output.clip == (0.0, 1.5)
    assert folded.output.bias.tolist() == [1.0, 1.75]
    assert folded.output.kernel.scale.tolist() == [0.0625, 0.125]
    np.testing.assert_array_equal(folded.output.kernel.codes, CODES)
    np.testing.assert_allclose(execute(folded, PIXELS), execute(ops.Graph(parts), PIXELS))


@pytest.mark.parametrize(
    ("scale", "offset", "high"),
    [([-1.0, 1.0], [0.0, 0.0], 6.0), ([0.5, 0.5], [0.0, 1.0], INF), ([0.5, 1.0], [0.0, 0.0], 6.0)],
)
def test_other_factors_behind_a_relu_stay_there(
    scale: list[float], offset: list[float], high: float
) -> None:
    parts = (
        image(),
        conv("conv", "image", CODES, [0.25, 0.5]),
        clip("relu", "conv", 0.0, high),
        affine("affine", "relu", scale, offset),
    )
    folded = fold(ops.Graph(parts))
    assert names(folded) == ["image", "conv", "affine"]
    np.testing.assert_allclose(execute(folded, PIXELS), execute(ops.Graph(parts), PIXELS))
