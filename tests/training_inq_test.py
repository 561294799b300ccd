"""INQ as a variant: resumed and straight runs are the same, and all of its models are on levels."""

from pathlib import Path

import keras
import numpy as np
import pytest

from qtdog_tf.data.domains import DomainSet
from qtdog_tf.errors import UserError
from qtdog_tf.evaluation.saved_model import load_saved_model
from qtdog_tf.export import ExportSettings, plan_graph
from qtdog_tf.files import read_json
from qtdog_tf.quantization import quantize_wrappers
from qtdog_tf.quantization.quantizer import is_step_size
from qtdog_tf.training.callbacks import FixPortions, StartQuantization
from qtdog_tf.training.evaluation import predict_logits, score
from qtdog_tf.training.model import build_training_model
from qtdog_tf.training.run_settings import RunSettings
from qtdog_tf.training.settings import TrainSettings
from qtdog_tf.training.variant_quantizers import quantizer_of
from qtdog_tf.training.variants import Variant, parse_variants
from tests.trials import (
    MODELS,
    SETTINGS,
    assert_same_run,
    make_trial,
    run_with_a_break,
    validation_parts,
    weights_of,
)

# Portions at steps 6, 8, 10 and 12 of 14; evaluations after 0, 4, 8, 12 and 13.
VARIANTS = parse_variants(("inq5", "qtdog5"))
INQ = VARIANTS[0]


@pytest.fixture(scope="module")
def finished(domain_set: DomainSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("runs")
    make_trial(domain_set, output).run(VARIANTS)
    return output / "line-trial0"


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_fork_equals_a_straight_fit(
    domain_set: DomainSet, finished: Path, tmp_path: Path, variant: Variant
) -> None:
    """Also for QT-DoG after INQ in one process, which shares the model with it."""
    trial = make_trial(domain_set, tmp_path)
    model = build_training_model(SETTINGS, len(domain_set.classes), bits=5, seed=trial.data.seed)
    make_quantizer = quantizer_of(variant, SETTINGS, trial.data.seed)
    callbacks = [StartQuantization(SETTINGS.quantize_step, variant.wrapper_mode, make_quantizer)]
    if variant is INQ:
        schedule = [(6, 0.5), (8, 0.75), (10, 0.875), (12, 1.0)]
        callbacks.append(FixPortions(schedule, model.optimizer.averages))
    batches = trial.data.batches().between(0, SETTINGS.steps)
    model.fit(batches, verbose=0, shuffle=False, callbacks=callbacks)
    forked = weights_of(finished / variant.name / "last.keras")
    for mine, theirs in zip(model.get_weights(), forked, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    # The average began anew with the last portion: where all is fixed it is the same to the bit.
    fixed = {id(weight) for w in quantize_wrappers(model) for weight, _, _ in w.quantized_weights}
    (average,) = model.optimizer.averages
    for weight, mean in zip(model.trainable_variables, average.values(), strict=True):
        if variant is INQ and id(weight) in fixed:
            np.testing.assert_array_equal(weight, mean, weight.path)
        elif not is_step_size(weight):
            assert not np.array_equal(weight, mean), weight.path


# What is saved last is the state after step 7, when the second portion is due, and after step 10,
# when the third has been fixed.
@pytest.mark.parametrize("stop_at", [8, 11])
def test_interrupted_run_resumes_to_the_same_bits(
    domain_set: DomainSet,
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop_at: int,
) -> None:
    every_step = RunSettings(checkpoint_every=1)
    run_with_a_break(domain_set, tmp_path, [INQ], stop_at, monkeypatch, every_step)
    assert_same_run(tmp_path / "line-trial0" / "inq5", finished / "inq5")


def test_every_model_is_on_powers_of_two_and_is_the_one_that_was_measured(
    domain_set: DomainSet, finished: Path, tmp_path: Path
) -> None:
    summary = read_json(finished / "inq5" / "summary.json")
    assert summary["variant"] == {"name": "inq5", "mode": "inq", "bits": 5}
    # 776 weights at 5 bits, and a largest level for each of 4 layers.
    plain = read_json(finished / "qtdog5" / "summary.json")
    assert summary["float_bytes"] == plain["float_bytes"]
    assert plain["bytes"] - summary["bytes"] == 4 * (8 + 8 + 8 + 16 - 4)
    # Selected among the steps at which all is fixed.
    assert summary["selected_from"] == 12 and plain["selected_from"] == 6
    assert all(row["quantized"] and row["step"] >= 12 for row in summary["rows"].values())
    parts = validation_parts(make_trial(domain_set, tmp_path))
    rows = ("raw/source_validation", "sma/source_validation", "raw/last", "sma/last")
    for row, file in zip(rows, MODELS, strict=True):
        model = load_saved_model(finished / "inq5" / file)
        for wrapper in quantize_wrappers(model):
            assert (wrapper.mode, wrapper.holds_codes, wrapper.quantizes) == ("frozen", True, False)
            [(weight, quantizer, variables)] = wrapper.quantized_weights
            value = weight.numpy()
            np.testing.assert_array_equal(quantizer(weight, False, variables), value)
            mantissa, exponent = np.frexp(np.abs(value[value != 0]))
            assert np.all(mantissa == 0.5) and np.ptp(exponent) < 8
        scores = [score(predict_logits(model, part.images), part.labels) for part in parts]
        assert np.mean([s.accuracy for s in scores]) == summary["rows"][row]["source_accuracy"]
    assert " 5 " in (finished / "inq5" / "layers.txt").read_text()


def test_export_keeps_powers_of_two_in_float_files_and_refuses_integers(finished: Path) -> None:
    model = keras.saving.load_model(finished / "inq5" / "last.keras", compile=False)
    for kind in ("int8", "int4", "dynamic"):
        with pytest.raises(UserError, match=f"powers of two .INQ., which --kind={kind} would"):
            plan_graph(model, ExportSettings(kind=kind))
    graph = plan_graph(model, ExportSettings(kind="float32"))
    assert all(not conv.kernel.learned for conv in graph.convs)


def test_the_schedule() -> None:
    paper = TrainSettings(inq_every=750)
    assert paper.portion_steps == [(2000, 0.5), (2750, 0.75), (3500, 0.875), (4250, 1.0)]
    # 3001 steps by four portions are 750 too.
    assert TrainSettings().portion_steps == paper.portion_steps
    strided = TrainSettings(steps_per_execution=8, inq_portions=("0.3", "1"))
    assert strided.portion_steps == [(2000, 0.3), (3496, 1.0)]
    for values, sentence in (
        ({"inq_portions": ("0.5", "0.5", "1")}, "must be rising numbers above 0, the last one 1"),
        ({"inq_portions": ("0.5",)}, "the last one 1; received 0.5"),
        ({"inq_portions": ("half", "1")}, "received half,1"),
        ({"inq_portions": ()}, "must be rising"),
        ({"inq_every": 1001}, "its last portion at step 5003, and steps is 5001: lower inq_every"),
        ({"inq_every": 100, "steps_per_execution": 8}, "must divide inq_every"),
        ({"inq_levels": "all"}, "inq_levels must be one of paper, code; received 'all'"),
    ):
        with pytest.raises(UserError, match=sentence):
            TrainSettings(**values)  # type: ignore[arg-type]
