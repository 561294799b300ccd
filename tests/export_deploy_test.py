"""What an integer file leaves out has to be too little to matter."""

from pathlib import Path

import keras
import pytest
from keras import layers

from qtdog_tf.errors import UserError
from qtdog_tf.export.calibration import calibrate
from qtdog_tf.export.graph.deploy import save_for_conversion
from qtdog_tf.export.graph.fold import fold
from qtdog_tf.export.graph.lower import lower
from tests.export_models import network, random_pixels


def model(epsilon: float) -> keras.Model:
    return network(
        lambda x: layers.LayerNormalization(epsilon=epsilon, name="norm")(
            layers.Reshape((16, 3))(x)
        ),
        size=4,
    )


def test_an_epsilon_that_matters_has_no_integer_file(tmp_path: Path) -> None:
    # Of pixels between 0 and 1 the variance is 0.25 at most, and a step of it 0.001.
    pixels = random_pixels(8, 4)
    for epsilon in (1e-3, 2e-4):
        graph = fold(lower(model(epsilon)))
        ranges = dict(calibrate(graph, [pixels]).ranges)
        with pytest.raises(UserError) as refused:
            save_for_conversion(graph, tmp_path, ranges=ranges)
        assert f"layer norm (LayerNormalization) adds an epsilon of {epsilon:g} to variances" in (
            str(refused.value)
        )
        assert not list(tmp_path.iterdir())
    # A file that computes with floats has the epsilon, whatever its size.
    save_for_conversion(graph, tmp_path / "float")
    assert (tmp_path / "float" / "saved_model.pb").exists()


def test_an_epsilon_that_rounding_hides_is_left_out(tmp_path: Path) -> None:
    graph = fold(lower(model(1e-6)))
    ranges = dict(calibrate(graph, [random_pixels(8, 4)]).ranges)
    save_for_conversion(graph, tmp_path, ranges=ranges)
    assert (tmp_path / "saved_model.pb").exists()
