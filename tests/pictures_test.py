"""What pictures show, that nothing in them covers anything else, and that samples are fair."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from qtdog_tf.data import Domain
from qtdog_tf.errors import UserError
from qtdog_tf.evaluation import DomainResult, Images, Predictions, domain_result
from qtdog_tf.pictures import canvas, confusion, gallery
from qtdog_tf.pictures.confusion import draw_confusion
from qtdog_tf.pictures.gallery import RIGHT, WRONG, draw_gallery, make_gallery
from qtdog_tf.pictures.sampling import balanced_sample


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that were saved."""
    figures: list[Figure] = []

    def save(figure: Figure, path: Path) -> None:
        figures.append(figure)
        canvas.save_figure(figure, path)

    monkeypatch.setattr(confusion, "save_figure", save)
    monkeypatch.setattr(gallery, "save_figure", save)
    return figures


def texts_of(figure: Figure) -> list[Any]:
    found = [*figure.texts]
    for axes in figure.axes:
        labels = [*axes.get_xticklabels(), *axes.get_yticklabels()]
        found += [*axes.texts, *labels, axes.title, axes._left_title]
    return [text for text in found if text.get_text()]


def assert_legible(figure: Figure) -> None:
    """Every text is inside the picture, and none covers another."""
    boxes = [(t.get_text(), t.get_window_extent()) for t in texts_of(figure)]
    for text, box in boxes:
        x, y = figure.bbox.size
        assert box.x0 >= -1 and box.x1 <= x + 1 and box.y0 >= -1 and box.y1 <= y + 1, text
    edges = np.array([box.extents for _, box in boxes])
    # Names of neighbouring classes may touch, since their boxes also hold room for descenders.
    left, low, right, high = (edges + np.array([1, 1, -1, -1]) * 1.5).T
    over = (left[:, None] < right) & (left < right[:, None])
    over &= (low[:, None] < high) & (low < high[:, None])
    np.fill_diagonal(over, False)
    assert not over.any(), [(boxes[i][0], boxes[j][0]) for i, j in np.argwhere(over)[:3]]


def result(domain: str, classes: tuple[str, ...], counts: np.ndarray) -> DomainResult:
    return DomainResult(domain, "target", "all", {}, classes, counts, 0.5)


@pytest.mark.parametrize(("classes", "panels"), [(2, 3), (11, 4), (65, 1), (120, 1)])
def test_confusion_pictures_are_legible(
    drawn: list[Figure], tmp_path: Path, classes: int, panels: int
) -> None:
    names = tuple(f"class_number_{i}" for i in range(classes))
    generator = np.random.default_rng(0)
    counts = generator.poisson(0.3, (panels, classes, classes)) + 30 * np.eye(classes, dtype=int)
    results = [result(f"domain{i}", names, counts[i]) for i in range(panels)]
    draw_confusion(results, tmp_path / "picture.png", "qtdog7, selected_sma, on photos")
    (figure,) = drawn
    assert_legible(figure)
    assert len(figure.axes) == panels
    for axes, domain in zip(figure.axes, results, strict=True):
        shown = {
            (int(t.get_position()[1]), int(t.get_position()[0])): t.get_text() for t in axes.texts
        }
        nonzero = {
            tuple(cell): str(domain.confusion[tuple(cell)])
            for cell in np.argwhere(domain.confusion)
        }
        assert shown == (nonzero if classes <= 100 else {})
        assert domain.domain in axes.get_title("left")
        np.testing.assert_allclose(np.sum(axes.images[0].get_array(), axis=1), 1)


def test_odd_names_are_drawn_as_they_are(drawn: list[Figure], tmp_path: Path) -> None:
    names = ("$1^2", "a_b", "50 % \\off")
    draw_confusion([result("$day$", names, np.eye(3, dtype=int))], tmp_path / "p.png", "run $x")
    labels = {text.get_text() for text in texts_of(drawn[0])}
    assert {"$1^2 (1)", "a_b (1)", "50 % \\off (1)", "run $x"} <= labels
    assert all(not text.get_parse_math() for text in texts_of(drawn[0]) if "$" in text.get_text())


def test_a_class_without_images_is_hatched_not_wrong(drawn: list[Figure], tmp_path: Path) -> None:
    counts = np.array([[3, 1], [0, 0]])
    draw_confusion([result("day", ("cat", "dog"), counts)], tmp_path / "p.png", "run")
    (hatched,) = [patch for patch in drawn[0].axes[0].patches if patch.get_hatch()]
    assert (hatched.get_y(), hatched.get_height()) == (0.5, 1)


def test_huge_pictures_stay_within_what_viewers_open(tmp_path: Path) -> None:
    canvas.save_figure(canvas.new_figure(400, 2), tmp_path / "p.png")
    with Image.open(tmp_path / "p.png") as picture:
        assert max(picture.size) <= 12_000


@given(st.lists(st.integers(0, 5), max_size=60), st.integers(1, 70), st.integers(0, 9))
def test_samples_take_as_many_of_each_class(labels: list[int], count: int, seed: int) -> None:
    array = np.array(labels, np.int32)
    sample = balanced_sample(array, count, seed)
    assert len(sample) == len(set(sample.tolist())) == min(count, len(labels))
    np.testing.assert_array_equal(sample, balanced_sample(array, count, seed))
    assert list(array[sample]) == sorted(array[sample])
    there, taken = Counter(labels), Counter(array[sample].tolist())
    most = max(taken.values(), default=0)
    # A class has fewer than the others by two or more only if it has no more images.
    assert all(taken[c] >= most - 1 or taken[c] == there[c] for c in there)


def test_samples_are_drawn_uniformly() -> None:
    labels = np.repeat([0, 1, 2], [2, 10, 30])
    draws = 3000
    counts = np.zeros(len(labels))
    for seed in range(draws):
        counts[balanced_sample(labels, 4, seed)] += 1
    # Each class gives 4/3 images on average, whatever its size, each of them equally often.
    expected = draws * 4 / 3 / np.bincount(labels)[labels]
    deviation = np.abs(counts - expected) / np.sqrt(expected)
    assert deviation.max() < 5
    assert np.mean(deviation) < 1.2


CLASSES = ("cat", "dog", "a_very_long_name_of_a_class")


@pytest.fixture
def images(tmp_path: Path) -> Images:
    """Four pictures, of different shapes and formats."""
    paths = []
    for i, (size, mode) in enumerate(
        [((8, 8), "RGB"), ((20, 5), "L"), ((5, 20), "P"), ((9, 9), "1")]
    ):
        path = tmp_path / f"{i}.png"
        Image.new(mode, size, i).save(path)
        paths.append(str(path))
    return Images(Domain("night", tuple(paths), np.array([0, 1, 2, 2])), "target", "all", {})


def predictions(images: Images, logits: list[list[float]]) -> Predictions:
    array = np.array(logits, np.float32)
    return Predictions(images, array, domain_result(images, CLASSES, array))


def test_gallery_shows_what_each_model_said(
    drawn: list[Figure], tmp_path: Path, images: Images
) -> None:
    erm = predictions(images, [[3, 0, 0], [0, 3, 0], [0, 0, 3], [3, 0, 0]])
    quantized = predictions(images, [[0, 0, 0], [9, 0, 0], [0, 9, 0], [0, 0, 9]])
    shown = make_gallery({"erm": erm, "qtdog7": quantized}, 24, seed=0)
    draw_gallery(shown, tmp_path / "p.png")
    (figure,) = drawn
    assert_legible(figure)
    texts = [text.get_text() for text in figure.texts]
    long = CLASSES[2][:13] + "\N{HORIZONTAL ELLIPSIS}"
    confident = f"{100 * np.exp(3) / (np.exp(3) + 2):.0f} %"
    assert texts.count(f"{RIGHT} cat 33 %") == 1
    assert texts.count(f"{RIGHT} cat {confident}") == texts.count(f"{WRONG} cat {confident}") == 1
    assert texts.count(f"{RIGHT} {long} {confident}") == 1
    assert texts.count(f"{WRONG} dog 100 %") == texts.count(f"{WRONG} cat 100 %") == 1
    # The ground tells right from wrong without colour.
    for text in figure.texts:
        assert (text.get_bbox_patch() is not None) == text.get_text().startswith(WRONG)
    assert "erm 75.0 %, qtdog7 50.0 %" in " ".join(shown.caption.split())
    assert "held out" in shown.title and "'night'" in shown.title


def test_gallery_of_many_is_legible(drawn: list[Figure], tmp_path: Path, images: Images) -> None:
    domain = Domain("night", tuple(images.domain.paths) * 5, np.tile(images.domain.labels, 5))
    many = Images(domain, "source", "out", {})
    logits = np.random.default_rng(0).normal(size=(20, 3)).tolist()
    models = {f"night-trial{i}/erm": predictions(many, logits) for i in range(3)}
    shown = make_gallery(models, 13, seed=1)
    draw_gallery(shown, tmp_path / "p.png")
    assert_legible(drawn[0])
    assert len(drawn[0].axes) == 13
    assert "13 of 20 images" in shown.caption and "seed 1" in shown.caption
    assert "was trained on" in shown.title


def test_galleries_compare_like_with_like(images: Images) -> None:
    one = predictions(images, [[0, 0, 0]] * 4)
    fewer = Images(
        Domain("night", images.domain.paths[:3], images.domain.labels[:3]), "new", "all", {}
    )
    with pytest.raises(UserError, match="run b has not held out the same images"):
        make_gallery({"a": one, "b": predictions(fewer, [[0, 0, 0]] * 3)}, 4, 0)
    renamed = Predictions(
        images, one.logits, result("night", ("x", "y", "z"), np.eye(3, dtype=int))
    )
    with pytest.raises(UserError, match="run b has other classes"):
        make_gallery({"a": one, "b": renamed}, 4, 0)
    with pytest.raises(UserError, match="one to 3 runs; received 4"):
        make_gallery(dict.fromkeys("abcd", one), 4, 0)
