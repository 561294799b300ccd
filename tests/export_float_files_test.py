"""The gate of files with float activations notices every changed number, and what is none."""

from typing import Any

import numpy as np
import pytest
from keras import layers

from qtdog_tf.errors import UserError
from qtdog_tf.export import ExportSettings, plan_graph
from tests.export_changes import add, change_numbers, changed, scale_by, set_to
from tests.export_files import Files
from tests.export_models import head, learned_codes, network, quantized, spread


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("files"))


def test_changed_weights_of_float_activations_are_noticed(files: Files) -> None:
    real, dynamic = files.get("float32"), files.get("dynamic")
    path = changed(real, "top_conv", change_numbers("weights", np.uint32, add(5, 1)))
    assert real.failed(path) == {"weights"}
    path = changed(dynamic, "top_conv", change_numbers("weights", np.int8, add(5, -1)))
    assert dynamic.failed(path) == {"codes"}
    assert dynamic.failed(changed(dynamic, "block_depthwise", scale_by(1 - 1e-4))) == {"scales"}
    for file in (real, dynamic):
        path = changed(file, "top_conv", change_numbers("bias", np.uint32, add(5, 1)))
        assert file.failed(path) == {"biases"}


@pytest.mark.parametrize(("of", "check"), [("weights", "weights"), ("bias", "biases")])
def test_what_is_no_number_is_noticed(files: Files, of: str, check: str) -> None:
    real = files.get("float32")
    path = changed(real, "top_conv", change_numbers(of, np.float32, set_to(5, np.nan)))
    assert real.failed(path) == {check}


def test_a_layer_with_another_activation_has_its_codes_compared(files: Files) -> None:
    """The activation alone stays float."""
    model = quantized(network(lambda x: head(layers.Conv2D(8, 3, activation="swish", name="c")(x))))
    file = files.of("swish", spread(model), "dynamic")
    assert file.failed() == set()
    codes, _ = learned_codes(model, "c")
    (conv,) = [conv for conv in file.graph.convs if conv.name == "c.linear"]
    np.testing.assert_array_equal(conv.kernel.codes, codes)
    path = changed(file, "c.linear", change_numbers("weights", np.int8, add(7, 1)))
    assert file.failed(path) == {"codes"}


def test_learned_codes_that_a_file_would_hold_as_floats_are_refused() -> None:
    def first(x: Any) -> Any:
        return layers.Conv2D(4, 3, data_format="channels_first", padding="same", name="first")(x)

    model = quantized(network(lambda x: head(first(x))))
    with pytest.raises(UserError, match=r"layer first \(Conv2D\) has learned codes, which a dyn"):
        plan_graph(model, ExportSettings(kind="dynamic"))
    assert plan_graph(model, ExportSettings(kind="float32")).output.name == "head.probabilities"
