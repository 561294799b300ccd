"""Whether a model knows when it does not know: calibration and selective accuracy, by domain.

A model is calibrated if of the images that it is 80 % sure of it gets 80 % right. Its accuracy on
the images that it is most sure of says whether one may trust it to refuse the others. Start from
`calibration`; the arithmetic of the bins is in `training/confidence.py`.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from qtdog_tf.analysis.samples import Sample
from qtdog_tf.analysis.worst_group import worst_group
from qtdog_tf.errors import UserError
from qtdog_tf.records import OUT, SOURCE, TARGET
from qtdog_tf.training.confidence import BINS, Reliability, confidences, reliability
from qtdog_tf.training.evaluation import score

# Images a batch. Of float32 at 224 px they take 40 MB.
BATCH_SIZE = 64
# Parts of the images, in tenths: whole numbers, so that 0.7 of 10 images are 7.
_TENTHS = tuple(range(10, 0, -1))


def calibration(
    model: keras.Model, samples: Sequence[Sample], classes: Sequence[str] | None = None
) -> dict[str, Any]:
    """Measures how sure a model is, and how right, on each sample.

    Args:
        model: from pixels [n, h, w, 3] to logits [n, classes]. An ensemble that averages
            probabilities returns their logarithms, whose softmax they are.
        samples: the images, each sample with at least one, all of one size.
        classes: names of the classes. Default: they are called by their numbers.

    Returns:
        {"bins": 15, "domains": [...], "worst": {...} or None, "worst_source": {...} or None}: for
        each sample what `sample_calibration` returns, after "domain", "role" and "part"; the worst
        group (see `worst_group`) of the targets, and of the validation parts of the sources.

    Raises:
        UserError: if the model gives logits that are no numbers.
    """
    predictions = predict_samples(model, samples)
    domains = []
    for sample, logits in zip(samples, predictions, strict=True):
        if not np.isfinite(logits).all():
            raise UserError(
                f"model {model.name} gives logits that are not finite on {sample.domain}: it has "
                "diverged, choose another model of the run"
            )
        where = {"domain": sample.domain, "role": sample.role, "part": sample.part}
        domains.append({**where, **sample_calibration(logits, sample.labels)})
    right = [p.argmax(axis=1) == s.labels for s, p in zip(samples, predictions, strict=True)]
    pairs = list(zip(samples, right, strict=True))
    return {
        "bins": BINS,
        "domains": domains,
        "worst": worst_group([p for p in pairs if p[0].role == TARGET], classes),
        "worst_source": worst_group(
            [p for p in pairs if (p[0].role, p[0].part) == (SOURCE, OUT)], classes
        ),
    }


def predict_samples(model: keras.Model, samples: Sequence[Sample]) -> list[np.ndarray]:
    """The logits of each sample, in inference mode, by one function that is traced once.

    Args:
        model: from pixels to logits [n, classes].
        samples: with images of one size.

    Returns:
        float32 [n, classes] each.
    """
    if not samples:
        return []
    # Without a batch size, or each smaller batch would be traced too.
    signature = [tf.TensorSpec([None, *samples[0].pixels.shape[1:]], tf.float32)]

    @tf.function(input_signature=signature)
    def run(pixels: tf.Tensor) -> tf.Tensor:
        return tf.cast(model(pixels, training=False), tf.float32)

    def logits(pixels: np.ndarray) -> np.ndarray:
        starts = range(0, len(pixels), BATCH_SIZE)
        parts = [run(tf.cast(pixels[i : i + BATCH_SIZE], tf.float32)).numpy() for i in starts]
        return np.concatenate(parts)

    return [logits(sample.pixels) for sample in samples]


def sample_calibration(logits: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Accuracy, loss and confidence of logits, all in float64.

    Args:
        logits: float [n, classes], n of at least 1. Of equal ones the first is predicted.
        labels: int [n].

    Returns:
        "images", "accuracy" (0 to 1), "loss" (mean cross-entropy, nats), "ece" (see
        `Reliability.error`), "confidence" (mean), "reliability" (one entry a bin (low, high]; null
        where an empty bin has no mean) and "selective", see `selective_accuracy`.
    """
    sure = confidences(logits)
    right = np.asarray(logits).argmax(axis=1) == labels
    bins = reliability(sure, right)
    scored = score(logits, labels)
    return {
        "images": scored.images,
        "accuracy": scored.accuracy,
        "loss": scored.loss,
        "ece": bins.error,
        "confidence": float(sure.mean()),
        "reliability": [_bin(bins, b) for b in range(len(bins.images))],
        "selective": selective_accuracy(sure, right),
    }


def _bin(bins: Reliability, b: int) -> dict[str, Any]:
    images = int(bins.images[b])
    return {
        "low": float(bins.edges[b]),
        "high": float(bins.edges[b + 1]),
        "images": images,
        "accuracy": float(bins.accuracy[b]) if images else None,
        "confidence": float(bins.confidence[b]) if images else None,
    }


def selective_accuracy(confidence: np.ndarray, right: np.ndarray) -> list[dict[str, float]]:
    """The accuracy on the images that a model is most sure of.

    Args:
        confidence: float [n], n of at least 1.
        right: bool [n].

    Returns:
        For coverages 1.0, 0.9, ..., 0.1 the accuracy on that part of the images, rounded up to
        whole ones, most confident first; of equally confident ones the first come first.
    """
    ordered = np.asarray(right)[np.argsort(-np.asarray(confidence), kind="stable")]
    rows = []
    for tenths in _TENTHS:
        images = -(-len(ordered) * tenths // 10)
        rows.append({"coverage": tenths / 10, "accuracy": float(ordered[:images].mean())})
    return rows
