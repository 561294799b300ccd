"""Observers by hand, and which range each operation of a graph gets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtdog_tf.ensemble import build_ensemble
from qtdog_tf.export.calibration import PROBABILITY_RANGE, Calibration, calibrate, has_own_range
from qtdog_tf.export.graph import ops
from qtdog_tf.export.graph.fold import fold
from qtdog_tf.export.graph.lower import lower, with_probabilities
from qtdog_tf.export.observers import OBSERVERS, make_observer
from tests.export_models import predict, random_pixels, shared_tiny, tiny

BATCHES = [np.array([[-1.0, 0.5], [3.0, 2.0]]), np.array([[-2.0, 1.0], [1.0, 1.0]])]


def observed(name: str, percent: float = 99.99) -> tuple[float, float]:
    observer = make_observer(name, percent)
    for batch in BATCHES:
        observer.update(batch)
    return observer.range()


def test_observers_by_hand() -> None:
    assert observed("minmax") == (-2.0, 3.0)
    # The first batch whole, then a tenth of the second: 0.9 * -1 + 0.1 * -2, 0.9 * 3 + 0.1 * 1.
    assert observed("moving_average") == pytest.approx((-1.1, 2.8))
    assert observed("percentile", 100) == (-1.5, 2.0)
    # Sorted -1, 0.5, 2, 3 and -2, 1, 1, 1: quarters of the way, linearly between neighbours.
    assert observed("percentile", 75) == pytest.approx(((0.125 + 0.25) / 2, (2.25 + 1.0) / 2))


@pytest.mark.parametrize("percent", [50.0, 101.0, -1.0])
def test_percentages_out_of_range_are_refused(percent: float) -> None:
    with pytest.raises(ValueError, match="percent must be above 50 and at most 100, received"):
        make_observer("percentile", percent)


def test_unknown_observers_are_refused() -> None:
    with pytest.raises(ValueError, match="observer must be one of .*received 'median'"):
        make_observer("median")


@given(st.lists(st.floats(-100, 100, width=32), min_size=1), st.floats(51, 100))
def test_no_observer_reports_values_beyond_the_extremes(
    values: list[float], percent: float
) -> None:
    array = np.array(values, np.float32)
    for name in OBSERVERS:
        observer = make_observer(name, percent)
        observer.update(array)
        low, high = observer.range()
        assert array.min() - 1e-6 <= low <= high <= array.max() + 1e-6


def hand_made(*operations: ops.Op, scale: float = 1.0, offset: float = 0.0) -> ops.Graph:
    image = ops.Image("image", (), (2, 2, 1), "the input", scale=scale, offset=offset)
    return ops.Graph((image, *operations))


def conv(weight: float, bias: float, size: int = 1, **values) -> ops.Conv:
    kernel = ops.Kernel(np.array([abs(weight)]), np.full((size, size, 1, 1), np.sign(weight), int))
    shape = (2 - size + 1, 2 - size + 1, 1)
    return ops.Conv(
        "conv", ("image",), shape, "conv", kernel=kernel, bias=np.array([bias]), **values
    )


GREY = np.full((2, 2, 2, 1), 100, np.uint8)


def test_the_range_of_pixels_and_of_their_normalization_is_known_beforehand() -> None:
    graph = hand_made(conv(-0.5, 1.0), scale=1 / 128, offset=-1.0)
    ranges = calibrate(graph, [GREY]).ranges
    assert ranges["image"] == (-1.0, 255 / 128 - 1)
    # White is 127/128 * -0.5 + 1, black 1.5; 0 is inside.
    assert ranges["conv"] == pytest.approx((0.0, 1.5))
    ranges = calibrate(hand_made(conv(2.0, -10.0, clip=(0.0, 6.0))), [GREY]).ranges
    assert ranges["conv"] == (0.0, 6.0)


def test_a_larger_convolution_of_pixels_is_measured() -> None:
    calibration = calibrate(hand_made(conv(0.5, -20.0, size=2)), [GREY, GREY[:1] + 20])
    assert calibration.ranges["conv"] == (0.0, 220.0)
    # Two images of 4 * 50 - 20, one of 4 * 60 - 20.
    assert calibration.means["conv"] == pytest.approx([(2 * 180 + 220) / 3])
    assert calibration.images == 3


def test_what_moves_values_has_the_range_of_its_input() -> None:
    shape = (3, 3, 1)
    graph = hand_made(
        conv(1.0, -20.0, size=2),
        ops.Pad("pad", ("conv",), shape, "pad", pads=((1, 1), (1, 1))),
        ops.Pool("max", ("pad",), shape, "max", "max", (1, 1), (1, 1), "SAME"),
        ops.Pool("mean", ("max",), shape, "mean", "average", (2, 2), (1, 1), "SAME"),
        ops.Reshape("reshape", ("mean",), (9,), "reshape"),
    )
    assert [op.name for op in graph.ops if has_own_range(op)] == ["image", "conv", "mean"]
    ranges = calibrate(graph, [GREY]).ranges
    assert ranges["conv"] == ranges["pad"] == ranges["max"] == (0.0, 380.0)
    assert ranges["reshape"] == ranges["mean"] != ranges["max"]


def test_an_activation_that_is_always_0_gets_some_range() -> None:
    low, high = calibrate(hand_made(conv(1.0, -900.0, size=2, clip=(0.0, np.inf))), [GREY]).ranges[
        "conv"
    ]
    assert low == 0 < high


def test_a_calibration_without_images_is_refused() -> None:
    with pytest.raises(ValueError, match="needs at least one image"):
        calibrate(hand_made(), [])


def calibrated(average: str, observer: str = "minmax") -> tuple[ops.Graph, Calibration]:
    ensemble = build_ensemble([shared_tiny(seed=0), tiny(seed=1)], average)
    graph = fold(with_probabilities(lower(ensemble)))
    pixels = random_pixels(24)
    return graph, calibrate(graph, [pixels[:16], pixels[16:]], observer=observer)


def test_members_of_an_ensemble_share_one_range() -> None:
    graph, calibration = calibrated("logits")
    (average,) = [op for op in graph.ops if isinstance(op, ops.Average)]
    shared = {calibration.ranges[name] for name in average.inputs}
    assert len(shared) == 1
    logits = [
        predict(shared_tiny(seed=0), random_pixels(24)),
        predict(tiny(seed=1), random_pixels(24)),
    ]
    assert shared.pop() == pytest.approx((np.min(logits), np.max(logits)), rel=1e-4)
    # What a reshape hands on is the range of what it takes.
    for name in average.inputs:
        (reshape,) = [op for op in graph.ops if op.name == name]
        assert calibration.ranges[reshape.inputs[0]] == calibration.ranges[name]
    assert calibration.ranges[graph.output.name] == PROBABILITY_RANGE


@pytest.mark.parametrize("observer", OBSERVERS)
def test_0_has_a_code_in_every_range(observer: str) -> None:
    graph, calibration = calibrated("probabilities", observer)
    assert set(calibration.ranges) == {op.name for op in graph.ops}
    for low, high in calibration.ranges.values():
        assert low <= 0 <= high and low < high
    assert calibration.ranges["average"] == PROBABILITY_RANGE
    assert calibration.ranges["m0.stem_conv"][1] <= 6
