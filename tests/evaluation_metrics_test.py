"""Confusion matrices, the figures that follow from them, and the tables that show them."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtdog_tf.data import Domain
from qtdog_tf.evaluation import (
    DomainResult,
    Images,
    class_table,
    confusion_matrix,
    domain_result,
    domain_table,
    notes,
)

CLASSES = ("cat", "dog", "owl")


def result(confusion: list[list[int]], domain: str = "night", **changes: object) -> DomainResult:
    values = {"role": "target", "part": "all", "unknown": {}, "loss": 0.5, **changes}
    return DomainResult(domain=domain, classes=CLASSES, confusion=np.array(confusion), **values)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=50))
def test_confusion_matrix_counts_pairs(pairs: list[tuple[int, int]]) -> None:
    truth = np.array([t for t, _ in pairs], np.int32)
    predicted = np.array([p for _, p in pairs], np.int64)
    matrix = confusion_matrix(truth, predicted, 4)
    assert matrix.shape == (4, 4)
    for t in range(4):
        for p in range(4):
            assert matrix[t, p] == pairs.count((t, p))


def test_figures_of_a_matrix_worked_out_by_hand() -> None:
    figures = result([[6, 2, 0], [1, 1, 0], [0, 0, 0]])
    assert figures.images == 10
    assert figures.accuracy == pytest.approx(7 / 10)
    np.testing.assert_allclose(figures.recalls, [6 / 8, 1 / 2, np.nan])
    np.testing.assert_allclose(figures.precisions, [6 / 7, 1 / 3, np.nan])
    # Over the two classes that occur, each counting the same.
    assert figures.mean_recall == pytest.approx((6 / 8 + 1 / 2) / 2)
    assert figures.absent == ("owl",)


def test_json_has_null_where_there_is_no_number() -> None:
    plain = result([[6, 2, 0], [1, 1, 0], [0, 0, 0]]).to_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["classes"]["owl"] == {"images": 0, "recall": None, "precision": None}
    assert plain["confusion"] == [[6, 2, 0], [1, 1, 0], [0, 0, 0]]
    empty = result([[0] * 3] * 3, loss=float("nan")).to_dict()
    assert (empty["images"], empty["accuracy"], empty["loss"]) == (0, None, None)


def test_loss_is_the_cross_entropy_in_double_precision() -> None:
    logits = np.array([[50.0, 0.0, 0.0], [0.0, 1.0, 2.0]], np.float32)
    images = Images(Domain("night", ("a", "b"), np.array([1, 2])), "target", "all", {})
    figures = domain_result(images, CLASSES, logits)
    # -log softmax: 50 + log(1 + 2 e^-50), and log(1 + e^-1 + e^-2).
    expected = (50 + np.log(1 + np.exp(-1) + np.exp(-2))) / 2
    assert figures.loss == pytest.approx(expected, rel=1e-12)
    np.testing.assert_array_equal(figures.confusion, [[0, 0, 0], [1, 0, 0], [0, 0, 1]])


def test_a_domain_without_images_has_no_figures() -> None:
    images = Images(Domain("night", (), np.zeros(0, np.int32)), "new", "all", {"robot": 2})
    figures = domain_result(images, CLASSES, np.zeros((0, 3), np.float32))
    assert (figures.images, figures.absent) == (0, CLASSES)
    assert np.isnan([figures.accuracy, figures.mean_recall, figures.loss]).all()


def test_domain_table_puts_the_runs_of_a_domain_below_each_other() -> None:
    one = [result([[4, 0, 0]] * 1 + [[0] * 3] * 2, "day"), result([[1, 1, 0]] + [[0] * 3] * 2)]
    other = [result([[2, 2, 0]] + [[0] * 3] * 2, "day"), result([[0] * 3] * 3, loss=float("nan"))]
    lines = domain_table({"erm": one, "qtdog7": other}).splitlines()[2:6]
    cells = [line.split() for line in lines]
    assert [(c[0], c[4], c[5]) for c in cells] == [
        ("day", "erm", "100.0"),
        ("day", "qtdog7", "50.0"),
        ("night", "erm", "50.0"),
        ("night", "qtdog7", "-"),
    ]


def test_class_table_shows_recall_and_images() -> None:
    lines = class_table([result([[6, 2, 0], [1, 1, 0], [0, 0, 0]])]).splitlines()
    assert [" ".join(line.split()) for line in lines[2:]] == [
        "cat 75.0 (8)",
        "dog 50.0 (2)",
        "owl -",
    ]


def test_notes_say_once_what_holds_for_every_run() -> None:
    full = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    both = result(full, unknown={"robot": 3, "yeti": 1})
    absent = result([[1, 0, 0], [0, 1, 0], [0, 0, 0]], unknown={"robot": 3, "yeti": 1})
    said = notes({"erm": [both], "qtdog7": [absent]})
    skipped = "night: skipped 4 images of classes that the run does not know: robot (3), yeti (1)"
    assert said == [skipped, "qtdog7: night: no image of owl"]
    many = result(full, unknown={f"class{i:02d}": 1 for i in range(30)})
    assert notes({"erm": [many]})[0].endswith("class07 (1) and 22 more")
    assert "may have been trained on" in notes({"erm": [result(full, role="source?")]})[0]
    assert notes({"erm": [result(full)]}) == []
