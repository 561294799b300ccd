"""Batches for training and evaluation, as `tf.data`.

Start from `training_batches`. The batch of step t is a pure function of (seed, t): every image of
it is chosen and augmented with a seed folded from these two and its place in the batch. So a
resumed run sees the images that the interrupted one would have seen, however many threads decode
them.
"""

import os
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from absl import logging

from qtdog_tf.data.augment import domainbed_augment, resize_squash
from qtdog_tf.data.cache import DEFAULT_CACHE_BYTES, plan_cache
from qtdog_tf.data.decode import decode_image
from qtdog_tf.data.domains import Domain, DomainSet
from qtdog_tf.data.image_table import build_image_table
from qtdog_tf.data.splits import Split
from qtdog_tf.errors import UserError

# One graph for each size in a process, not one for each data set.
_augment = tf.function(domainbed_augment, autograph=False)
_resize = tf.function(resize_squash, autograph=False)


def training_batches(
    domain_set: DomainSet,
    splits: Mapping[str, Split],
    source_domains: Sequence[str],
    *,
    image_size: int,
    images_per_domain: int,
    seed: int,
    start_step: int,
    stop_step: int,
    replicas: int = 1,
    cache_bytes: int = DEFAULT_CACHE_BYTES,
    augment: bool = True,
) -> tf.data.Dataset:
    """Draws n training images of each source domain a step, with replacement.

    Args:
        domain_set: the domains.
        splits: the split of each domain; images are drawn from the "in" parts.
        source_domains: names of the domains to train on. Their order here gives the domain ids.
        image_size: edge of the images in pixels.
        images_per_domain: n.
        seed: chooses images and augmentation.
        start_step: the step whose batch comes first.
        stop_step: the step before which the batches end.
        replicas: R; the batch is R equal slices, each with n / R images of every domain.
        cache_bytes: the files are kept in memory if they take no more than this.
        augment: DomainBed's augmentation; if False, images are only resized.

    Returns:
        A finite data set of ({"image": uint8 [n*D, size, size, 3], "domain": int32 [n*D]}, label
        int32 [n*D]). Its element k is the batch of step start_step + k.

    Raises:
        UserError: if n is not divisible by R, a domain does not exist or is named twice, no domain
            is named, or a file is gone.
    """
    _check_batch(source_domains, images_per_domain, replicas)
    plan = plan_cache(domain_set, splits, source_domains, cache_bytes)
    logging.info("%s", plan)
    table = build_image_table(domain_set, splits, source_domains, in_memory=plan.fits)
    places = tf.constant(_batch_layout(len(source_domains), images_per_domain, replicas))
    batch_size = len(places)

    @tf.autograph.experimental.do_not_convert
    def make_example(number: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        place = places[number % batch_size]
        image_seed = _fold([seed, 0], number // batch_size, place)
        domain = tf.cast(place // images_per_domain, tf.int32)
        index = table.draw(domain, image_seed)
        # The data check has seen the sizes. Looking again, which for GIF takes Python code, would
        # lengthen the preparation of every pass.
        image = decode_image(table.contents(index), check_size=False)
        if augment:
            image = _augment(image, image_size, _fold(image_seed, 1))
        else:
            image = _resize(image, image_size)
        return {"image": image, "domain": domain}, table.labels[index]

    dataset = tf.data.Dataset.range(start_step * batch_size, stop_step * batch_size)
    dataset = dataset.map(make_example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    dataset = dataset.batch(batch_size, drop_remainder=True)
    return dataset.prefetch(tf.data.AUTOTUNE).with_options(_options())


def drawn_images(
    domain_set: DomainSet,
    splits: Mapping[str, Split],
    source_domains: Sequence[str],
    *,
    images_per_domain: int,
    seed: int,
    step: int,
) -> list[str]:
    """The paths of the images in the batch of a step, to name the culprit of one that failed.

    The arguments are those of `training_batches`.
    """
    table = build_image_table(domain_set, splits, source_domains, in_memory=False)
    paths = []
    for place in tf.range(len(source_domains) * images_per_domain, dtype=tf.int64):
        image_seed = _fold([seed, 0], tf.constant(step, tf.int64), place)
        index = table.draw(tf.cast(place // images_per_domain, tf.int32), image_seed)
        paths.append(table.paths[int(index)])
    return paths


def evaluation_batches(
    domain: Domain,
    indices: np.ndarray,
    *,
    image_size: int,
    batch_size: int,
    check_size: bool = True,
) -> tf.data.Dataset:
    """Resizes the images of a part of a domain, in order.

    Args:
        domain: the domain.
        indices: int64, positions in `domain.paths`.
        image_size: edge of the images in pixels.
        batch_size: the last batch may be smaller.
        check_size: see `decode_image`; training, which has checked its data, does without.

    Returns:
        A data set of (image uint8 [b, size, size, 3], label int32 [b]).
    """
    labels = domain.labels[np.asarray(indices, np.int64)]
    paths = domain.paths.take(indices)

    @tf.autograph.experimental.do_not_convert
    def make_example(row: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return _read(paths.look_up(row), image_size, check_size), label

    dataset = tf.data.Dataset.from_tensor_slices((paths.rows, labels))
    dataset = dataset.map(make_example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    dataset = dataset.batch(batch_size)
    return dataset.prefetch(tf.data.AUTOTUNE).with_options(_options())


def read_image(path: str, image_size: int) -> tf.Tensor:
    """One image of `evaluation_batches`, without its pipeline; for files that are checked.

    Args:
        path: the file.
        image_size: edge of the image in pixels.

    Returns:
        uint8 [size, size, 3].

    Raises:
        tf.errors.OpError: if it cannot be read.
    """
    # Where pipelines run: an accelerator's pixels might differ in the last bit.
    with tf.device("CPU:0"):
        return _read_alone(tf.constant(os.fsencode(path)), image_size, check_size=False)


def _read(path: tf.Tensor, image_size: int, check_size: bool) -> tf.Tensor:
    return _resize(decode_image(tf.io.read_file(path), check_size), image_size)


_read_alone = tf.function(_read, autograph=False)


def without_domains(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Turns training batches into (image, label), which any `keras.Model` takes."""
    return dataset.map(lambda inputs, label: (inputs["image"], label))


def without_labels(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Turns evaluation batches into images alone."""
    return dataset.map(lambda image, _: image)


def _batch_layout(domains: int, images_per_domain: int, replicas: int) -> np.ndarray:
    """Returns, for each position in the batch, the image's number: domain * n + number in it.

    The numbers do not depend on the replicas: a step sees the same images on any number of them.
    """
    numbers = np.arange(domains * images_per_domain, dtype=np.int64)
    return numbers.reshape(domains, replicas, -1).swapaxes(0, 1).reshape(-1)


def _fold(seed: Sequence[int] | tf.Tensor, *numbers: tf.Tensor | int) -> tf.Tensor:
    """Mixes numbers into a seed, int64 [2]; the results are independent of each other."""
    folded = tf.convert_to_tensor(seed, tf.int64)
    for number in numbers:
        folded = tf.random.fold_in(folded, number, alg=tf.random.Algorithm.PHILOX)
    return folded


def _check_batch(source_domains: Sequence[str], images_per_domain: int, replicas: int) -> None:
    if not source_domains or len(set(source_domains)) < len(source_domains):
        raise UserError(
            f"source domains are {', '.join(source_domains) or 'none'}; "
            "name at least one, each once"
        )
    if images_per_domain < 1 or replicas < 1 or images_per_domain % replicas:
        raise UserError(
            f"{images_per_domain} images of each domain cannot be shared equally by {replicas} "
            "replicas; choose a multiple"
        )


def _options() -> tf.data.Options:
    options = tf.data.Options()
    options.deterministic = True
    # A replica gets its slice of each batch; there are no files to divide.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return options
