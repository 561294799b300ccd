"""The scalars of training: by hand, and each once in TensorBoard's file, whatever happens."""

import json
import signal
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from tensorflow.core.util import event_pb2

from qtdog_tf.analysis.weights import dequantize, learned_weights
from qtdog_tf.data.domains import DomainSet
from qtdog_tf.errors import UserError
from qtdog_tf.quantization import quantize, quantize_wrappers, start_quantization
from qtdog_tf.records import Evaluation, Score
from qtdog_tf.training.evaluation import DomainEvaluation, Part
from qtdog_tf.training.interruption import Interrupted
from qtdog_tf.training.phase import PhaseFolder, copy_logs
from qtdog_tf.training.progress import PhaseProgress
from qtdog_tf.training.roles import Roles
from qtdog_tf.training.scalars import ScalarCollector, Scalars, ScalarsLog, weight_scalars
from qtdog_tf.training.settings import TrainSettings
from qtdog_tf.training.tensorboard import TensorBoardLog
from qtdog_tf.training.trial import Trial
from qtdog_tf.training.variants import parse_variants
from tests.small_data import TINY_RUN

SETTINGS = TrainSettings(**{**TINY_RUN, "data": "small"})  # type: ignore[arg-type]
(VARIANT,) = parse_variants(("qtdog5",))
Points = dict[str, list[tuple[int, float]]]


def points(folder: Path) -> Points:
    """Every scalar in TensorBoard's files, as they are there: (step, value) by tag."""
    found: Points = {}
    for path in sorted(folder.iterdir()):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = event_pb2.Event.FromString(record)
            for value in event.summary.value:
                pair = (event.step, float(tf.make_ndarray(value.tensor)))
                found.setdefault(value.tag, []).append(pair)
    return found


def small(mode: str = "train") -> keras.Model:
    """A model of 3 bits: 6 weights of a convolution on codes by hand, and 8 of a float head."""
    image = keras.Input((2, 2, 3))
    x = layers.Conv2D(2, 1, use_bias=False, name="conv")(image)
    head = layers.Dense(1, use_bias=False, kernel_initializer="ones")
    model = quantize(keras.Model(image, head(layers.Flatten()(x))), bits=3)
    start_quantization(model, mode)
    (wrapper,) = quantize_wrappers(model)
    [(weight, _, variables)] = wrapper.quantized_weights
    weight.assign(0.5 * np.array([[1, 3], [1, 0], [-2, -4]]).reshape(1, 1, 3, 2))
    variables["step_size"].assign(np.full((1, 1, 1, 2), 0.5))
    return model


def test_scalars_of_weights_by_hand() -> None:
    model = small()
    # Codes 1 3 1 0 -2 -4: five of eight. The squares of 0.5 * codes are 31 / 4, the head's are 8.
    on_lattice = {"weight_norm": np.sqrt(31 / 4 + 8), "codes_used": 5 / 8, "noise": 0.0}
    assert weight_scalars(model) == pytest.approx(on_lattice)
    [(weight, _, variables)] = quantize_wrappers(model)[0].quantized_weights
    # In step sizes: a quarter up and down, and 2 beyond the highest code, 3.
    moved = np.array([0.25, 2, -0.25, 0.25, -0.25, 0.25]).reshape(1, 1, 3, 2)
    weight.assign_add(0.5 * moved)
    noise = np.sqrt(12 * np.mean(moved**2))
    assert weight_scalars(model) == pytest.approx({**on_lattice, "noise": noise})
    # One step size of two is twice as large: the codes of its channel (3 0 -4) halve.
    weight.assign_sub(0.5 * moved)
    variables["step_size"].assign(np.array([0.5, 1.0]).reshape(1, 1, 1, 2))
    expected = np.sqrt((1 + 1 + 4) / 4 + (4 + 0 + 4) + 8)  # 1.5 is rounded to even
    assert weight_scalars(model)["weight_norm"] == pytest.approx(expected)
    assert weight_scalars(model)["codes_used"] == 4 / 8  # 1 -2 2 0
    assert weight_scalars(model)["noise"] == pytest.approx(np.sqrt(12 * 0.25 / 6))


@pytest.mark.parametrize("mode", ["train", "frozen", "off", "frozen_float"])
def test_the_norm_is_that_of_the_weights_that_flatness_moves(mode: str) -> None:
    model = small(mode)
    scalars = weight_scalars(model)
    assert ("noise" in scalars) == (mode in ("train", "frozen"))
    dequantize(model)
    squares = sum(np.sum(np.square(v.numpy(), dtype=np.float64)) for v in learned_weights(model))
    assert scalars["weight_norm"] == pytest.approx(np.sqrt(squares))


def test_frozen_layers_do_not_count() -> None:
    model = small("off")
    quantize_wrappers(model)[0].trainable = False
    assert weight_scalars(model) == {"weight_norm": pytest.approx(np.sqrt(8))}


def test_what_is_left_of_a_broken_off_evaluation_is_dropped() -> None:
    collector = ScalarCollector()
    part = Part("line", "target", "in", tf.data.Dataset.range(1), np.array([1, 0]))
    # Sure by 0.8, once right: the error is |0.5 - 0.8|.
    logits = np.log(np.array([[0.2, 0.8], [0.2, 0.8]], np.float32))
    collector.observe(3, "sma", part, logits)
    collector.observe(7, "raw", part, -logits)
    collector.observe(7, "raw", part, logits)
    model = small()
    collector(Evaluation(7, "raw", True, {}, {}), model)
    (found,) = collector.take(7)
    measured = {"ece/line/in": 0.3, "confidence/line/in": 0.8, **weight_scalars(model)}
    assert (found.step, found.weights, dict(found.values)) == (7, "raw", pytest.approx(measured))
    assert collector.take(3) == []


def train(domain_set: DomainSet, output: Path) -> Path:
    roles = Roles(("flat",), ("line",))
    Trial(SETTINGS, domain_set, roles, 0, output, PhaseProgress(9, False)).run([VARIANT])
    return output / "line-trial0" / "qtdog5"


@pytest.fixture(scope="module")
def straight(domain_set: DomainSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(domain_set, tmp_path_factory.mktemp("straight"))


def test_every_evaluation_has_its_scalars(straight: Path) -> None:
    found = points(straight / "tensorboard")
    for weights in ("raw", "sma"):
        for part in ("flat/out", "line/in", "line/out"):
            for name in ("accuracy", "loss", "ece", "confidence"):
                steps = [step for step, _ in found[f"{name}/{part}/{weights}"]]
                assert steps == [0, 4, 8, 11], (name, part, weights)
        assert [step for step, _ in found[f"ece/flat/in/{weights}"]] == [11]
        assert [step for step, _ in found[f"weight_norm/{weights}"]] == [0, 4, 8, 11]
        # Quantized from step 6 on.
        for name in ("codes_used", "noise"):
            assert [step for step, _ in found[f"{name}/{weights}"]] == [8, 11]
        assert all(0 < value <= 1 for _, value in found[f"codes_used/{weights}"])
        assert all(0.5 < value < 2 for _, value in found[f"noise/{weights}"])
    last = keras.saving.load_model(straight / "last_sma.keras", compile=False)
    for name, value in weight_scalars(last).items():
        assert found[f"{name}/sma"][-1][1] == pytest.approx(value)
    # Nothing of it is in the records.
    line = json.loads((straight / "results.jsonl").read_text().splitlines()[0])
    assert set(line) == {"step", "weights", "quantized", "source", "target"}
    assert set(line["source"]["flat"]["out"]) == {"accuracy", "loss", "images"}


def stop_at(
    patch: pytest.MonkeyPatch, owner: type, method: str, calls: int, error: BaseException
) -> None:
    """Has a method raise when it is called so often."""
    original, count = getattr(owner, method), [0]

    def stopping(*args: Any, **kwargs: Any) -> Any:
        count[0] += 1
        if count[0] == calls:
            raise error
        return original(*args, **kwargs)

    patch.setattr(owner, method, stopping)


def test_a_run_that_goes_on_has_every_scalar_once(
    domain_set: DomainSet, straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lines(run: Path) -> list[int]:
        logs = (run / "results.jsonl", run / "scalars.jsonl")
        return [len(log.read_text().splitlines()) for log in logs]

    trial = tmp_path / "line-trial0"
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        # At step 4, when the weights as trained are measured and the average is not: saved so.
        stop_at(patch, DomainEvaluation, "_measure", 4, Interrupted(signal.SIGTERM))
        train(domain_set, tmp_path)
    assert lines(trial / "float") == [2, 2]
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        # When it is measured again and the records are written, the scalars not: not saved.
        stop_at(patch, ScalarsLog, "append", 1, KeyboardInterrupt())
        train(domain_set, tmp_path)
    assert lines(trial / "float") == [4, 2]
    run = train(domain_set, tmp_path)
    assert lines(run) == [8, 8]
    for name in ("results.jsonl", "scalars.jsonl", "summary.json"):
        assert (run / name).read_bytes() == (straight / name).read_bytes(), name
    assert points(run / "tensorboard") == points(straight / "tensorboard")


def test_logs_that_an_older_version_began(tmp_path: Path) -> None:
    """Its checkpoints know two logs; the scalars begin where the run goes on."""
    older, fork = PhaseFolder(tmp_path / "float", {}), PhaseFolder(tmp_path / "erm", {})
    for name in ("results.jsonl", "loss.csv", "scalars.jsonl"):
        for folder in (older, fork):
            folder.path.mkdir(exist_ok=True)
            (folder.path / name).write_bytes(b"0123456789")
    older.checkpoints.save(3, {}, {"logs": {"results.jsonl": 4, "loss.csv": 2}})
    found = older.checkpoints.load(check=older._check_logs)
    assert found is not None and found.step == 3
    copy_logs(older, fork, 3)
    older.cut_logs(3)
    for folder in (older, fork):
        logs = [(folder.path / n).read_bytes() for n in ("results.jsonl", "loss.csv")]
        assert logs == [b"0123", b"01"]
        assert folder.scalars.path.read_bytes() == b""
    older.checkpoints.save(5, {}, {"logs": {path.name: 5 for path in older._logs}})
    said: list[str] = []
    older.losses.write_bytes(b"01234")
    older.results.path.write_bytes(b"01234")
    found = older.checkpoints.load(said.append, older._check_logs)
    assert found is not None and found.step == 3
    assert "scalars.jsonl is shorter than it was at step 5" in said[0]


def test_a_listener_alone_writes_accuracy_and_loss(tmp_path: Path) -> None:
    log = TensorBoardLog(tmp_path)
    log(Evaluation(3, "raw", False, {"flat": {"out": Score(0.5, 2.0, 4)}}, {}))
    assert points(tmp_path) == {
        "accuracy/flat/out/raw": [(3, 0.5)],
        "loss/flat/out/raw": [(3, 2.0)],
        "accuracy/source_validation/raw": [(3, 0.5)],
    }


def test_scalars_come_back_and_damage_is_one_sentence(tmp_path: Path) -> None:
    log = ScalarsLog(tmp_path / "run" / "scalars.jsonl")
    assert log.read() == []
    written = [Scalars(4, "raw", {"noise": 1.0}), Scalars(4, "sma", {"noise": 0.1 + 0.2})]
    log.append(written[:1])
    log.append(written[1:])
    assert log.read() == written
    for line in ("{", "[]", '{"step": 1}', '{"step": 1, "weights": "raw", "values": {"a": "b"}}'):
        log.path.write_text(line + "\n")
        with pytest.raises(UserError, match="scalars.jsonl, line 1 is damaged: "):
            log.read()
