"""Sharpness-aware quantization-aware training with selective freezing: GAQAT / FQAT, reconstructed.

SAGM at low bits gives each step size two gradients, that of the task and that of the place near by.
Where the task's points one way step after step, the two are said to pull against each other, and
that step size stops to follow the task for a while.

This is a reconstruction. Published (abstracts and reviews; no code): LSQ under SAGM, whose
smoothing enters the step sizes too ("scales"); the measure, gradient disorder; that the task's
part of a step size's gradient is frozen where disorder is low, decided anew every K steps, with
permanent freezing as an ablation. Inferred by this project: K and the threshold, decisions per
channel rather than per layer, windows that do not overlap, and that the other part keeps its
weight of 1/2. The papers quantize activations too (4 and 3 bits); here they stay float.

References: Jiang et al., "GAQAT: gradient-adaptive quantization-aware training for domain
generalization", arXiv:2412.05551; Jiang et al., "Quantization Meets OOD: Generalizable
Quantization-aware Training from a Flatness Perspective" (FQAT), arXiv:2509.00859.
"""

from typing import Any

import keras
import tensorflow as tf

from qtdog_tf.algorithms.base import Batch
from qtdog_tf.algorithms.gradient_disorder import Disorder, no_disorder, take_in
from qtdog_tf.algorithms.passes import Pass, read
from qtdog_tf.algorithms.sagm import SAGM, mean_of_passes
from qtdog_tf.quantization.quantizer import is_step_size

CHANNEL, LAYER = "channel", "layer"
MASKS = (CHANNEL, LAYER)


class SAQAT(SAGM):
    """SAGM, but the gradient of a frozen step size is g' / 2 instead of (g + g') / 2.

    g is the gradient at the weights (the task's), g' that at w + (rho / |g| - alpha) g. A step size
    is frozen for `window` steps if in the window before the disorder of its g was below
    `threshold`; see `gradient_disorder`. Windows count from the first step in which step sizes
    have gradients, step K; before it, and without quantization, this is SAGM.

    Args:
        rho: see `SAGM`. Default 0.05.
        alpha: see `SAGM`. Default 0.001.
        window: steps from one decision to the next, at least 2. Default 200 (inferred).
        threshold: of disorder, 0 (nothing is ever frozen: SAGM) to 1. Default 0.3 (inferred).
        mask: "channel" (default): each step size by itself. "layer": all step sizes of a layer
            together, by the disorder of the sum of their gradients.
        permanent: what is frozen once stays frozen (the ablation). Default false.
    """

    name = "saqat"

    def __init__(
        self,
        rho: float = 0.05,
        alpha: float = 1e-3,
        window: int = 200,
        threshold: float = 0.3,
        mask: str = CHANNEL,
        permanent: bool = False,
    ) -> None:
        super().__init__(rho, alpha)
        self.window = window
        self.threshold = threshold
        self.mask = mask
        self.permanent = permanent

    def build(self, model: keras.Model, num_domains: int) -> None:
        """See `Algorithm.build`."""
        super().build(model, num_domains)
        self._step_sizes = [v for v in model.trainable_variables if is_step_size(v)]
        self._counts = [
            tf.TensorShape(v.shape).num_elements() if self.mask == CHANNEL else 1
            for v in self._step_sizes
        ]
        start = no_disorder(sum(self._counts))
        self.disorder = [
            keras.Variable(value, dtype=value.dtype.name, trainable=False, name=name)
            for name, value in start._asdict().items()
        ]

    @property
    def variables(self) -> list[Any]:
        """Those of `Disorder`, for all step sizes in one vector."""
        return list(self.disorder)

    @property
    def scalars(self) -> dict[str, float]:
        """The part of the step sizes (of the layers, with mask "layer") that is frozen now."""
        frozen = Disorder(*self.disorder).frozen.numpy()
        return {"frozen": float(frozen.mean())} if frozen.size else {}

    def gradients(self, model: keras.Model, batch: Batch) -> Pass:
        """Those of SAGM, without the first pass' part where step sizes are frozen."""
        first, second = self.both_passes(model, batch)
        result = mean_of_passes(first, second)
        places = {
            id(variable): place
            for place, variable in enumerate(model.trainable_variables)
            if is_step_size(variable) and first.gradients[place] is not None
        }
        if not places:
            return result
        before = Disorder(*read(self.disorder))
        task = [
            self._signals(first.gradients[places[id(v)]]) if id(v) in places else tf.zeros([count])
            for v, count in zip(self._step_sizes, self._counts, strict=True)
        ]
        after = take_in(
            before,
            tf.concat(task, axis=0),
            window=self.window,
            threshold=self.threshold,
            permanent=self.permanent,
        )
        gradients = list(result.gradients)
        masks = tf.split(before.frozen, self._counts)
        for variable, mask in zip(self._step_sizes, masks, strict=True):
            place = places.get(id(variable))
            if place is not None:
                frozen = tf.reshape(mask, variable.shape) if self.mask == CHANNEL else mask
                gradients[place] = tf.where(frozen, 0.5 * second.gradients[place], gradients[place])
        updates = list(zip(self.disorder, after, strict=True))
        return result._replace(
            gradients=gradients, outcome=result.outcome._replace(updates=updates)
        )

    def _signals(self, gradient: tf.Tensor) -> tf.Tensor:
        """What disorder is measured of, [number of masks of a layer]."""
        return tf.reshape(gradient if self.mask == CHANNEL else tf.reduce_sum(gradient), [-1])
