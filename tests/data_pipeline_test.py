"""The batch of step t: what is in it, that it depends on (seed, t) alone, and its order."""

import functools
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from qtdog_tf.data import (
    DomainSet,
    Split,
    drawn_images,
    evaluation_batches,
    plan_cache,
    read_folder,
    split_domains,
    training_batches,
    without_domains,
)
from qtdog_tf.data.kept_batches import KeptBatches, kept_images
from qtdog_tf.errors import UserError

SIZE = 8
DOMAINS = ("ink", "oil", "pen")
CLASSES = ("cat", "dog")
PER_CLASS = 6
# The images of step 4 by their number in the class. A resumed run relies on them.
GOLDEN_NUMBERS = [4, 3, 0, 4, 2, 5, 1, 0]


@pytest.fixture(scope="module")
def domain_set(tmp_path_factory: pytest.TempPathFactory) -> DomainSet:
    """Plain images: red is the domain, green the class, blue the number in the class."""
    root = tmp_path_factory.mktemp("plain")
    for d, domain in enumerate(DOMAINS):
        for c, name in enumerate(CLASSES):
            folder = root / domain / name
            folder.mkdir(parents=True)
            for i in range(PER_CLASS):
                colour = (50 * (d + 1), 50 * (c + 1), 20 * (i + 1))
                Image.new("RGB", (9 + i, 12), colour).save(folder / f"{i}.png")
    return read_folder(root)


@pytest.fixture(scope="module")
def splits(domain_set: DomainSet) -> dict[str, Split]:
    return split_domains(domain_set, trial_seed=0, holdout=0.25)


class Batches:
    """Calls `training_batches` with settings of its own, and returns NumPy arrays."""

    def __init__(self, domain_set: DomainSet, splits: dict[str, Split]) -> None:
        self._data = domain_set, splits

    def dataset(
        self, sources: tuple[str, ...] = ("pen", "ink"), **changes: object
    ) -> tf.data.Dataset:
        settings = {
            "image_size": SIZE,
            "images_per_domain": 4,
            "seed": 3,
            "start_step": 0,
            "stop_step": 5,
        }
        return training_batches(*self._data, sources, **(settings | changes))

    @functools.cache  # noqa: B019 (the fixture lives as long as the module)
    def __call__(self, **changes: object) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        return [
            (inputs["image"], inputs["domain"], label)
            for inputs, label in self.dataset(**changes).as_numpy_iterator()
        ]


@pytest.fixture(scope="module")
def batches(domain_set: DomainSet, splits: dict[str, Split]) -> Batches:
    return Batches(domain_set, splits)


def assert_same(
    actual: list[tuple[np.ndarray, ...]], expected: list[tuple[np.ndarray, ...]]
) -> None:
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_shapes_and_domains(batches: Batches) -> None:
    dataset = batches.dataset()
    assert dataset.cardinality() == 5
    assert dataset.element_spec == (
        {
            "image": tf.TensorSpec([8, SIZE, SIZE, 3], tf.uint8),
            "domain": tf.TensorSpec([8], tf.int32),
        },
        tf.TensorSpec([8], tf.int32),
    )
    for _, domain, _ in batches():
        np.testing.assert_array_equal(domain, [0] * 4 + [1] * 4)


def test_images_belong_to_their_domain_class_and_training_part(
    batches: Batches, splits: dict[str, Split]
) -> None:
    seen: dict[str, set[int]] = {"pen": set(), "ink": set()}
    for images, domains, labels in batches(augment=False, stop_step=40):
        for image, domain, label in zip(images, domains, labels, strict=True):
            assert (image == image[0, 0]).all()
            red, green, blue = image[0, 0]
            name = ("pen", "ink")[domain]
            assert red == 50 * (DOMAINS.index(name) + 1)
            assert green == 50 * (label + 1)
            seen[name].add(int(label) * PER_CLASS + int(blue) // 20 - 1)
    # With replacement: 160 draws from 9 images leave one out once in 10 million.
    assert seen == {name: set(splits[name].in_) for name in seen}


def test_draws_are_uniform_with_replacement(batches: Batches) -> None:
    images, _, _ = zip(*batches(augment=False, stop_step=1, images_per_domain=900), strict=True)
    _, counts = np.unique(images[0][:900, 0, 0], axis=0, return_counts=True)
    # Chi squared of 8 degrees of freedom exceeds 31.8 once in 10,000; the seed is fixed.
    assert ((counts - 100) ** 2 / 100).sum() < 31.8


def test_step_does_not_depend_on_where_the_run_started(batches: Batches) -> None:
    assert_same(batches(start_step=3), batches()[3:])


def test_choices_are_the_same_on_every_machine_and_in_every_version(batches: Batches) -> None:
    images, _, _ = batches(augment=False)[4]
    numbers = images[:, 0, 0, 2] // 20 - 1
    assert numbers.tolist() == GOLDEN_NUMBERS


def test_batch_does_not_depend_on_the_cache(batches: Batches) -> None:
    assert_same(batches(cache_bytes=0), batches())


def test_seeds_and_steps_differ(batches: Batches) -> None:
    steps = batches()
    assert (steps[0][0] != steps[1][0]).any()
    assert (steps[0][0] != batches(seed=4, stop_step=1)[0][0]).any()
    images = steps[0][0]
    assert len({image.tobytes() for image in images}) == len(images)


@pytest.mark.parametrize("replicas", [2, 4])
def test_each_replica_holds_its_share_of_each_domain(batches: Batches, replicas: int) -> None:
    for shared, alone in zip(batches(replicas=replicas), batches(), strict=True):
        for part in np.split(shared[1], replicas):
            np.testing.assert_array_equal(np.bincount(part), [4 // replicas] * 2)
        # The same images and labels as on one replica, in another order.
        order = [
            np.lexsort(np.column_stack([image.reshape(8, -1), label]).T)
            for image, _, label in (shared, alone)
        ]
        np.testing.assert_array_equal(shared[0][order[0]], alone[0][order[1]])
        np.testing.assert_array_equal(shared[2][order[0]], alone[2][order[1]])


def test_impossible_batches_are_refused(batches: Batches) -> None:
    with pytest.raises(UserError, match="4 images of each domain cannot be shared equally by 3"):
        batches.dataset(replicas=3)
    with pytest.raises(UserError, match="0 images of each domain"):
        batches.dataset(images_per_domain=0)
    with pytest.raises(UserError, match="no domain 'sea'"):
        batches.dataset(("ink", "sea"))
    with pytest.raises(UserError, match="source domains are ink, ink; name at least one"):
        batches.dataset(("ink", "ink"))
    with pytest.raises(UserError, match="source domains are none"):
        batches.dataset(())


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name / "c").mkdir(parents=True)
        for i in range(5):
            Image.new("RGB", (4, 4)).save(tmp_path / name / "c" / f"{i}.png")
    domain_set = read_folder(tmp_path)
    splits = split_domains(domain_set, 0)
    gone = Path(domain_set.domain("a").paths[splits["a"].in_[0]])
    gone.unlink()
    with pytest.raises(UserError, match=f"image {gone} cannot be read: No such file"):
        Batches(domain_set, splits).dataset(("a",))


def test_cache_plan_says_what_it_takes(domain_set: DomainSet, splits: dict[str, Split]) -> None:
    domain = domain_set.domain("ink")
    needed = sum(Path(domain.paths[i]).stat().st_size for i in splits["ink"].in_)
    plan = plan_cache(domain_set, splits, ["ink"], cache_bytes=needed)
    assert plan.needed_bytes == needed
    assert plan.fits
    assert "9 training files" in str(plan)
    assert not plan_cache(domain_set, splits, ["ink"], cache_bytes=needed - 1).fits


def test_evaluation_is_in_order_and_whole(domain_set: DomainSet) -> None:
    domain = domain_set.domain("oil")
    indices = np.array([7, 0, 11, 3, 4])
    dataset = evaluation_batches(domain, indices, image_size=SIZE, batch_size=2)
    images, labels = zip(*dataset.as_numpy_iterator(), strict=True)
    assert [len(batch) for batch in images] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate(labels), domain.labels[indices])
    pixels = np.concatenate(images)[:, 0, 0]
    np.testing.assert_array_equal(pixels[:, 2], 20 * (indices % PER_CLASS + 1))


@pytest.mark.parametrize("cache_bytes", [0, 2**20])
def test_images_are_the_same_in_each_pass_in_memory_or_not(
    domain_set: DomainSet, cache_bytes: int
) -> None:
    domain, indices = domain_set.domain("oil"), np.array([7, 0, 11, 3, 4])
    kept = kept_images(domain, indices, image_size=SIZE, batch_size=2, cache_bytes=cache_bytes)
    assert isinstance(kept, KeptBatches) == bool(cache_bytes)
    dataset = evaluation_batches(domain, indices, image_size=SIZE, batch_size=2)
    for _ in range(2):
        for mine, (theirs, _labels) in zip(kept, dataset, strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_kept_batches_are_read_once_and_not_before_a_pass_is_whole(tmp_path: Path) -> None:
    paths = [str(tmp_path / f"{number}.png") for number in range(3)]
    for number, path in enumerate(paths):
        Image.new("RGB", (SIZE, SIZE), (number, 0, 0)).save(path)
    Path(paths[1]).rename(tmp_path / "gone")
    kept = KeptBatches(paths, SIZE, batch_size=1)
    with pytest.raises(tf.errors.NotFoundError, match="1.png"):
        list(kept)
    (tmp_path / "gone").rename(paths[1])
    next(iter(kept))
    passes = [[int(batch[0, 0, 0, 0]) for batch in kept]]
    for path in paths:
        Path(path).unlink()
    passes.append([int(batch[0, 0, 0, 0]) for batch in kept])
    assert passes == [[0, 1, 2], [0, 1, 2]]


def test_evaluation_of_nothing_is_empty(domain_set: DomainSet) -> None:
    none = np.array([], np.int64)
    dataset = evaluation_batches(domain_set.domain("oil"), none, image_size=SIZE, batch_size=2)
    assert list(dataset.as_numpy_iterator()) == []


def test_a_plain_keras_model_can_be_fitted(batches: Batches) -> None:
    model = keras.Sequential([keras.Input([SIZE, SIZE, 3]), keras.layers.Flatten()])
    model.add(keras.layers.Dense(2))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss)
    history = model.fit(without_domains(batches.dataset()), verbose=0, shuffle=False)
    assert np.isfinite(history.history["loss"]).all()


def test_the_files_of_a_batch_are_named(
    domain_set: DomainSet, splits: dict[str, Split], batches: "Batches"
) -> None:
    images, _, _ = batches(augment=False)[3]
    paths = drawn_images(domain_set, splits, ("pen", "ink"), images_per_domain=4, seed=3, step=3)
    for image, path in zip(images, paths, strict=True):
        with Image.open(path) as picture:
            np.testing.assert_array_equal(image[0, 0], np.asarray(picture)[0, 0])
