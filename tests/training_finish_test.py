"""What a run leaves behind: the models that were selected, as they were when they were."""

from pathlib import Path

import keras
import numpy as np
import pytest

from qtdog_tf.models import build_classifier
from qtdog_tf.quantization import is_quantized, quantize, quantize_wrappers, start_quantization
from qtdog_tf.records import Evaluation, Score
from qtdog_tf.training.batch_statistics import BatchStatistics
from qtdog_tf.training.finish import save_models
from qtdog_tf.training.selection import KeepSelected

PIXELS = np.random.default_rng(0).uniform(0, 255, (4, 8, 8, 3)).astype("float32")


def evaluation(step: int, quantized: bool, accuracy: float) -> Evaluation:
    return Evaluation(step, "raw", quantized, {"a": {"out": Score(accuracy, 1.0, 10)}}, {})


def selected(folder: Path) -> keras.Model:
    return keras.saving.load_model(folder / "selected.keras", compile=False)


@pytest.mark.parametrize("mode", ["train", "frozen"])
@pytest.mark.parametrize("float_accuracy", [0.9, 0.1])
def test_a_float_step_that_was_selected_is_saved_as_a_float_model(
    tmp_path: Path, mode: str, float_accuracy: float
) -> None:
    plain = build_classifier("tiny", 2, image_size=8, weights=None, seed=1)
    model = quantize(plain, bits=3)
    keeper = KeepSelected("raw")
    keeper(evaluation(10, False, float_accuracy), model)
    as_float = model.predict(PIXELS, verbose=0)
    start_quantization(model, mode)
    keeper(evaluation(20, True, 0.5), model)
    as_codes = model.predict(PIXELS, verbose=0)
    learned = [variable.path for variable in model.trainable_variables]
    save_models(model, [keeper], [], tmp_path, BatchStatistics(list))

    found = selected(tmp_path).predict(PIXELS, verbose=0)
    np.testing.assert_array_equal(found, as_float if float_accuracy > 0.5 else as_codes)
    assert np.abs(as_float - as_codes).max() > 1e-3
    assert is_quantized(selected(tmp_path)) == (float_accuracy < 0.5)
    # Training could go on with the model.
    assert {wrapper.mode for wrapper in quantize_wrappers(model)} == {mode}
    assert [variable.path for variable in model.trainable_variables] == learned
    np.testing.assert_array_equal(model.predict(PIXELS, verbose=0), as_codes)
