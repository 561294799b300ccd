"""The gate notices every changed number, and keeps a file that fails from getting its name."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from qtdog_tf.errors import UserError
from qtdog_tf.export import (
    Export,
    ExportSettings,
    ImageSet,
    ModelInfo,
    export_model,
    format_report,
    open_file,
    plan_graph,
    report_values,
)
from qtdog_tf.export.tflite.flatbuffer_file import read_model
from qtdog_tf.export.tflite.layers_of_file import FileConv, float_operators
from tests.export_changes import add, change_numbers, changed, scale_by, set_to
from tests.export_files import QUIET, Files
from tests.export_models import CLASSES, predict, random_pixels, shared_tiny, tiny

NAMES = tuple("abcd")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("files"))


LAYERS = pytest.mark.parametrize(
    "layer", ["stem_conv", "block_depthwise", "top_conv", "head.product"]
)


@LAYERS
def test_one_code_that_is_one_off_is_noticed(files: Files, layer: str) -> None:
    file = files.get("int8")
    assert file.failed() == set()
    path = changed(file, layer, change_numbers("weights", np.int8, add(7, 1)))
    assert file.failed(path) == {"codes"}
    (codes,) = [check for check in file.checks(path) if check.name == "codes"]
    assert codes.detail.startswith("1 mismatches of ") and codes.value == 1


@LAYERS
def test_one_scale_that_is_off_by_a_ten_thousandth_is_noticed(files: Files, layer: str) -> None:
    file = files.get("int8")
    assert file.failed(changed(file, layer, scale_by(1 + 1e-4))) == {"scales"}
    assert file.failed(changed(file, layer, scale_by(1 + 1e-7))) == set()


@LAYERS
def test_a_bias_that_is_two_steps_off_is_noticed(files: Files, layer: str) -> None:
    file = files.get("int8")
    path = changed(file, layer, change_numbers("bias", np.int32, add(3, 2)))
    assert file.failed(path) == {"biases"}


def test_a_code_of_a_dead_channel_is_noticed(files: Files) -> None:
    model = tiny()
    gamma = np.ones(8)
    gamma[2] = 0
    model.get_layer("stem_bn").gamma.assign(gamma)
    file = files.of("dead", model)
    assert [(d.layer, d.channel) for d in file.built.dead] == [("stem_conv", 2)]
    assert file.failed() == set()
    # [out, h, w, in] in the file.
    path = changed(file, "stem_conv", change_numbers("weights", np.int8, add(2 * 27, 1)))
    assert "codes" in file.failed(path)


def test_an_output_that_is_no_number_is_noticed(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = files.get("int8")
    monkeypatch.setattr("qtdog_tf.export.checks.integer.simulate", lambda *arguments: np.nan)
    (check,) = [check for check in file.checks() if check.name == "layers"]
    assert not check.passed and check.value == 2**31


def test_a_bias_that_does_not_fit_into_32_bits_is_noticed(files: Files) -> None:
    file = files.get("int8")
    path = changed(file, "top_conv", change_numbers("bias", np.int32, set_to(2, 2**31 - 1)))
    (biases,) = [check for check in file.checks(path) if check.name == "biases"]
    assert not biases.passed and biases.detail.endswith("1 saturated")


def test_a_layer_that_is_missing_or_new_is_noticed(files: Files) -> None:
    def rename(model: Any, conv: FileConv) -> None:
        conv.weights.name = "another/weights"
        model.subgraphs[0].tensors[conv.output].name = "another/output"

    file = files.get("int8")
    with pytest.raises(UserError, match="missing top_conv; unknown another"):
        file.checks(changed(file, "top_conv", rename))


def test_float_operators_are_found(files: Files) -> None:
    assert float_operators(read_model(files.get("int8").path)) == []
    found = float_operators(read_model(files.get("float32").path))
    assert {name.split()[0] for name in found} >= {"CONV_2D", "ADD", "MEAN", "SOFTMAX"}

    def add_float_operator(model: Any, conv: FileConv) -> None:
        graph, real = model.subgraphs[0], schema.TensorT()
        real.name, real.shape = "real", graph.tensors[conv.output].shape
        real.type = schema.TensorType.FLOAT32
        graph.tensors.append(real)
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
        model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(model.operatorCodes) - 1
        operator.inputs, operator.outputs = [conv.output], [len(graph.tensors) - 1]
        graph.operators.append(operator)

    file = files.get("int8")
    path = changed(file, "top_conv", add_float_operator)
    (check,) = [check for check in file.checks(path) if check.name == "float operators"]
    assert not check.passed and check.detail == "DEQUANTIZE (real)"


def export(model: keras.Model, truth: keras.Model, output: Path, **settings: Any) -> Export:
    """Exports `model`, and compares the file with `truth`."""
    chosen = ExportSettings(**settings)
    pixels = random_pixels(60, seed=2)
    half = [slice(0, 20), slice(20, 60)]
    labels = predict(truth, pixels).argmax(axis=1)
    sets = [ImageSet(n, "source", pixels[s], labels[s]) for n, s in zip("uv", half, strict=True)]
    return export_model(
        truth,
        plan_graph(model, chosen),
        output,
        chosen,
        ModelInfo("name", "description", "1", NAMES),
        calibration_pixels=pixels,
        image_sets=sets,
        stages=QUIET,
    )


def test_a_file_that_passes_gets_its_name_and_a_report(tmp_path: Path) -> None:
    output = tmp_path / "new" / "model.tflite"
    done = export(shared_tiny(), shared_tiny(), output, min_agreement=0.9)
    assert done.passed and done.latency is not None and set(done.latency) == {1, 2}
    assert sorted(p.name for p in output.parent.iterdir()) == ["model.log", "model.tflite"]
    with open_file(output) as classifier:
        assert (classifier.classes, classifier.class_count) == (NAMES, CLASSES)
    assert [(a.domain, a.images, a.model_accuracy) for a in done.agreements] == [
        ("u", 20, 1.0),
        ("v", 40, 1.0),
    ]
    assert all(a.file_accuracy == a.same_class >= 0.9 for a in done.agreements)
    values = json.loads(json.dumps(report_values(done, ExportSettings(), None)))
    assert [check["name"] for check in values["checks"]] == [
        *("codes", "scales", "biases", "layers", "float operators", "agreement")
    ]
    assert values["sizes"]["bytes"] == output.stat().st_size
    assert values["rounded_layers"] == ["head.product"]
    text = format_report(done, ExportSettings(), None)
    assert "Float weights rounded to 8 bits: head.product." in text
    assert text.count("ok      ") == 6 and "FAILED" not in text


def test_a_file_that_says_something_else_does_not_get_its_name(tmp_path: Path) -> None:
    output = tmp_path / "model.tflite"
    done = export(shared_tiny(), tiny(seed=9), output, min_agreement=1.0)
    assert not done.passed and done.latency is None
    assert [check.name for check in done.checks if not check.passed] == ["agreement"]
    assert [path.name for path in tmp_path.iterdir()] == ["model.log"]
    text = format_report(done, ExportSettings(), None)
    assert text.count("FAILED  agreement") == 1 and text.count("ok      ") == 5
