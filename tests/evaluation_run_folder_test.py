"""Run folders that are whole, and all the ways in which they are not."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtdog_tf.errors import UserError
from qtdog_tf.evaluation import open_run, open_runs
from qtdog_tf.models import build_classifier
from tests.run_folders import IDENTITY, make_run


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("model") / "model.keras"
    build_classifier("tiny", 2, image_size=16, weights=None).save(path)
    return path.read_bytes()


def test_opens_what_training_wrote(tmp_path: Path, saved_model: bytes) -> None:
    run = open_run(make_run(tmp_path / "qtdog7"))
    assert (run.variant, run.bits, run.image_size) == ("qtdog7", 7, 16)
    assert (run.classes, run.sources, run.targets) == (("cat", "dog"), ("day",), ("night",))
    (run.path / "selected_sma.keras").write_bytes(saved_model)
    logits = run.load_model("selected_sma").predict(np.zeros((3, 16, 16, 3)), verbose=0)
    assert logits.shape == (3, 2)


def test_names_are_as_short_as_tells_the_runs_apart(tmp_path: Path) -> None:
    paths = [str(make_run(tmp_path / f"night-trial{i}" / "erm")) for i in range(2)]
    assert list(open_runs(paths[:1])) == ["erm"]
    assert list(open_runs(paths)) == ["night-trial0/erm", "night-trial1/erm"]
    with pytest.raises(UserError, match="different run folders"):
        open_runs([paths[0], paths[0] + "/"])
    with pytest.raises(UserError, match="one or more"):
        open_runs([])


def test_what_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        open_run(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is not a folder"):
        open_run(tmp_path / "file")
    (tmp_path / "photos").mkdir()
    with pytest.raises(UserError, match=r"holds no run\.json, which tools\.train writes"):
        open_run(tmp_path / "photos")


def test_the_folders_around_runs_name_the_runs(tmp_path: Path) -> None:
    make_run(tmp_path / "out" / "night-trial0" / "erm")
    for folder in (tmp_path / "out", tmp_path / "out" / "night-trial0"):
        with pytest.raises(UserError, match="holds runs; name one of them: .*night-trial0/erm"):
            open_run(folder)
    shared = tmp_path / "out" / "night-trial0" / "float"
    shared.mkdir()
    (shared / "results.jsonl").write_text("")
    with pytest.raises(UserError, match="the runs beside it share"):
        open_run(shared)


def test_an_unfinished_run_is_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path / "erm", finished=False)
    for file in ("run.json", "summary.json"):
        with pytest.raises(UserError, match="not finished"):
            open_run(run)
        (run / file).unlink(missing_ok=True)


# Control characters aside, some of which count as unprintable and some not.
NAMES = st.characters(categories=["L", "N", "P"])
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(NAMES, max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


def _fits(field: str, value: Any) -> bool:
    if type(value) is not type(IDENTITY[field]) or field == "variant":
        return False
    if isinstance(value, (int, float)):
        lowest, highest = {"holdout": (0, 1), "image_size": (1, 2**14)}.get(field, (0, 2**63 - 1))
        return lowest <= value <= highest
    if field == "classes" and not value:
        return False
    texts = value if isinstance(value, list) else []
    return all(isinstance(text, str) and text.isprintable() for text in texts)


@given(field=st.sampled_from(sorted(IDENTITY)), value=json_values)
def test_wrong_values_in_a_run_are_refused_by_name(
    tmp_path_factory: pytest.TempPathFactory, field: str, value: Any
) -> None:
    path = make_run(tmp_path_factory.mktemp("run"), {**IDENTITY, field: value})
    if _fits(field, value):
        open_run(path)
        return
    with pytest.raises(UserError, match=f"run.json is damaged.*{field}"):
        open_run(path)


@pytest.mark.parametrize("text", ["", "[]", "{", '"run"', "\x00"])
def test_a_run_that_is_no_table_is_refused(tmp_path: Path, text: str) -> None:
    path = make_run(tmp_path / "erm")
    (path / "run.json").write_text(text)
    with pytest.raises(UserError, match=r"run\.json is damaged"):
        open_run(path)


def test_missing_models_are_named_with_those_that_are_there(
    tmp_path: Path, saved_model: bytes
) -> None:
    run = open_run(make_run(tmp_path / "erm"))
    (run.path / "last.keras").write_bytes(saved_model)
    with pytest.raises(UserError, match=r"no model .*selected\.keras; .* has last$"):
        run.load_model("selected")


def test_truncated_models_are_refused(tmp_path: Path, saved_model: bytes) -> None:
    run = open_run(make_run(tmp_path / "erm"))
    for length in (0, 1, 100, len(saved_model) // 2, len(saved_model) - 1):
        (run.path / "last.keras").write_bytes(saved_model[:length])
        with pytest.raises(UserError, match="truncated or damaged"):
            run.load_model("last")


def test_a_changed_byte_is_noticed_or_of_no_importance(tmp_path: Path, saved_model: bytes) -> None:
    run = open_run(make_run(tmp_path / "erm"))
    path = run.path / "last.keras"
    path.write_bytes(saved_model)
    expected = run.load_model("last").get_weights()
    noticed = 0
    for place in np.random.default_rng(0).integers(len(saved_model), size=12):
        damaged = bytearray(saved_model)
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        try:
            weights = run.load_model("last").get_weights()
        except UserError:
            noticed += 1
            continue
        for a, b in zip(weights, expected, strict=True):
            np.testing.assert_array_equal(a, b)
    assert noticed >= 6


def test_models_of_other_classes_are_refused(tmp_path: Path) -> None:
    run = open_run(make_run(tmp_path / "erm"))
    build_classifier("tiny", 3, image_size=16, weights=None).save(run.path / "last.keras")
    with pytest.raises(UserError, match="belongs to another run"):
        run.load_model("last")


def test_models_of_unknown_layers_are_refused(tmp_path: Path) -> None:
    @keras.saving.register_keras_serializable("elsewhere")
    class Odd(keras.layers.Layer):
        def call(self, inputs: Any) -> Any:
            return inputs

    run = open_run(make_run(tmp_path / "erm"))
    image = keras.Input((16, 16, 3))
    path = run.path / "last.keras"
    keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(Odd()(image)))).save(path)
    del keras.saving.get_custom_objects()["elsewhere>Odd"]
    with pytest.raises(UserError, match="cannot be loaded"):
        run.load_model("last")
