"""Grad-CAM: where in an image a model finds a class (Selvaraju et al., ICCV 2017; method, 7.6).

With A_k the channels of a convolution's output and y_c the logit of class c,

    alpha_k = mean over places of dy_c / dA_k
    heat    = ReLU(sum_k alpha_k A_k), upsampled to the image, then brought to 0..1

Start from `grad_cam`; `grad_cam_result` chooses images and gives plain values.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from qtdog_tf.analysis.layer_outputs import choose_convolution, watched
from qtdog_tf.analysis.samples import Sample
from qtdog_tf.ensemble import EnsembleAverage, members_of
from qtdog_tf.errors import UserError
from qtdog_tf.pictures.sampling import balanced_sample
from qtdog_tf.records import OUT, SOURCE, TARGET
from qtdog_tf.training.confidence import confidences

PREDICTED, TRUE = "predicted", "true"
SCORES = (PREDICTED, TRUE)
# Images at a time: what comes after the layer is kept for the gradient.
_BATCH_SIZE = 16


@dataclasses.dataclass(frozen=True, eq=False)
class GradCam:
    """Where a model found a class in each of n images.

    Attributes:
        layer: name of the convolution.
        map: height and width of its output.
        heat: at the size of the images, float32 [n, height, width] in 0..1; 0 all over where the
            map is constant, for example because nothing speaks for the class.
        coarse: the same before it is upsampled, float32 [n, *map] in 0..1.
        scores: the model's logits, float32 [n, classes].
    """

    layer: str
    map: tuple[int, int]
    heat: np.ndarray
    coarse: np.ndarray
    scores: np.ndarray


def grad_cam(
    model: keras.Model,
    pixels: np.ndarray,
    classes: np.ndarray | None = None,
    layer: str = "",
) -> GradCam:
    """Computes Grad-CAM; of a quantized model on the codes that it runs on.

    Args:
        model: from pixels [n, h, w, 3] to logits [n, classes], nested or flat, wrapped or not.
        pixels: uint8 or float [n, h, w, 3], n of at least 1.
        classes: the class of each image whose score is differentiated, int [n]. Default: the
            class that the model predicts.
        layer: name of a convolution; what it puts out is looked at before any norm or activation
            that is a layer of its own. Default: the last one whose map is at least 4 x 4. At
            224 pixels that is the last of the network, as in the paper; at 64 the last map of
            most networks is 2 x 2, and an earlier one is taken.

    Raises:
        UserError: if there is no such convolution, naming those that there are; for an ensemble.
    """
    _refuse_ensemble(model)
    convolution, size = choose_convolution(model, pixels[:1], layer)
    logits, maps = [], []
    for start in range(0, len(pixels), _BATCH_SIZE):
        batch = slice(start, start + _BATCH_SIZE)
        wanted = None if classes is None else classes[batch]
        found = _class_activation(model, convolution, pixels[batch], wanted)
        logits.append(found[0].numpy())
        maps.append(found[1])
    coarse = tf.concat(maps, axis=0)
    upsampled = tf.image.resize(coarse[..., tf.newaxis], pixels.shape[1:3], "bilinear")[..., 0]
    return GradCam(
        layer=convolution.name,
        map=size,
        heat=_min_max(upsampled.numpy()),
        coarse=_min_max(coarse.numpy()),
        scores=np.concatenate(logits),
    )


def grad_cam_result(
    model: keras.Model,
    samples: Sequence[Sample],
    classes: Sequence[str] | None = None,
    *,
    images: int = 12,
    seed: int = 0,
    score: str = PREDICTED,
    layer: str = "",
) -> dict[str, Any]:
    """Grad-CAM of a few images of the targets, as plain values.

    Args:
        model: as for `grad_cam`.
        samples: the images to choose from: those of targets, of validation parts of sources if
            there is no target. The choice does not depend on the model.
        classes: names of the classes. Default: they are called by their numbers.
        images: how many, as many of one class as of any other. Default 12.
        seed: of the choice.
        score: "predicted" or "true": whose logit is differentiated.
        layer: as for `grad_cam`.

    Returns:
        {"layer", "map", "score", "images": [{"path", "domain", "truth", "predicted", "confidence"
        (0 to 1), "heat"}]}, with "heat" at the size of the map, in thousandths.

    Raises:
        UserError: as `grad_cam`; for another score, or if there is no image.
    """
    if score not in SCORES:
        raise UserError(f"score must be one of {', '.join(SCORES)}; received {score!r}")
    shown = [s for s in samples if s.role == TARGET]
    shown = shown or [s for s in samples if (s.role, s.part) == (SOURCE, OUT)]
    if not shown or images < 1:
        raise UserError("Grad-CAM needs one image or more of a target, or of a validation part")
    labels = np.concatenate([s.labels for s in shown])
    chosen = balanced_sample(labels, images, seed)
    places = [(s, i) for s in shown for i in range(len(s.labels))]
    pixels = np.stack([places[c][0].pixels[places[c][1]] for c in chosen])
    found = grad_cam(model, pixels, labels[chosen] if score == TRUE else None, layer)
    predicted, sure = found.scores.argmax(axis=1), confidences(found.scores)

    def name(label: int) -> str | int:
        return classes[label] if classes else int(label)

    rows = []
    for number, (sample, i) in enumerate(places[c] for c in chosen):
        row = {
            "path": sample.paths[i],
            "domain": sample.domain,
            "truth": name(sample.labels[i]),
            "predicted": name(predicted[number]),
            "confidence": float(sure[number]),
            "heat": np.round(found.coarse[number].astype(np.float64), 3).tolist(),
        }
        rows.append(row)
    return {"layer": found.layer, "map": list(found.map), "score": score, "images": rows}


def _refuse_ensemble(model: keras.Model) -> None:
    if isinstance(model.layers[-1], EnsembleAverage):
        names = ", ".join(member.name for member in members_of(model))
        raise UserError(
            f"model {model.name!r} is an ensemble, each member of which has maps of its own: ask "
            f"for one of {names}, as qtdog_tf.ensemble.members_of gives them"
        )


def _class_activation(
    model: keras.Model,
    convolution: keras.layers.Layer,
    pixels: np.ndarray,
    classes: np.ndarray | None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Logits [n, classes] and ReLU(sum_k alpha_k A_k) [n, map], both float32."""
    outputs: list[tf.Tensor] = []
    # Recording begins at the layer: nothing before it has to be kept.
    with tf.GradientTape(watch_accessed_variables=False) as tape:

        def saw(_: keras.layers.Layer, output: tf.Tensor) -> None:
            tape.watch(output)
            outputs.append(output)

        with watched([convolution], saw):
            logits = tf.cast(model(tf.cast(pixels, tf.float32), training=False), tf.float32)
        wanted = tf.argmax(logits, axis=1) if classes is None else tf.cast(classes, tf.int64)
        score = tf.reduce_sum(tf.gather(logits, wanted, axis=1, batch_dims=1))
    (output,) = outputs
    gradient = tape.gradient(score, output, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    alpha = tf.reduce_mean(tf.cast(gradient, tf.float32), axis=(1, 2), keepdims=True)
    return logits, tf.nn.relu(tf.reduce_sum(alpha * tf.cast(output, tf.float32), axis=-1))


def _min_max(maps: np.ndarray) -> np.ndarray:
    """Brings each map [n, h, w] to 0..1; a constant one to 0."""
    low = maps.min(axis=(1, 2), keepdims=True)
    spread = maps.max(axis=(1, 2), keepdims=True) - low
    return np.divide(maps - low, spread, out=np.zeros_like(maps), where=spread > 0)
