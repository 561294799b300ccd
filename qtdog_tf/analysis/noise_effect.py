"""What the noise of quantization does to the loss, as theory has it and as measured.

With d zero-mean, independent and uniform over a step, E[L(w + d)] - L(w) is about
sum_i s_i^2 H_ii / 24 (method, section 7.1): quantization penalises curvature. But the noise that
quantization makes, d = w_q - w, is one vector that follows from w, clips, and is not small at few
bits. So beside the prediction stand the rise that uniform noise makes (is the loss quadratic over a
step? H does not see the kinks of ReLUs, which bend it too) and the rise that quantization makes,
with its own first- and second-order terms g.d and d.H d / 2 (is its noise random?). Start from
`noise_effect`.
"""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from qtdog_tf.analysis.code_use import QuantizedWeight, quantization_off, quantized_weights
from qtdog_tf.analysis.directions import RunningMean
from qtdog_tf.analysis.hessian import hutchinson
from qtdog_tf.analysis.hessian_vector import BATCH_SIZE, HessianVector, pooled
from qtdog_tf.analysis.loss import DomainLoss, at_most, restored
from qtdog_tf.analysis.samples import Sample, of_role
from qtdog_tf.errors import UserError
from qtdog_tf.records import SOURCE, TARGET
from qtdog_tf.settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class NoiseEffectSettings(Settings):
    """How the noise is measured. A value that is not allowed raises UserError, naming it."""

    images: int = setting(512, "Images of each role at most.", at_least=1)
    tolerance: float = setting(
        0.05, "Stop when the standard error of the prediction is at most this part.", at_least=0.0
    )
    min_probes: int = setting(5, "Probes for the prediction at least.", at_least=2)
    max_probes: int = setting(50, "Probes for the prediction at most.", at_least=2)
    draws: int = setting(20, "Draws of uniform noise; each is added and subtracted.", at_least=2)
    seed: int = setting(0, "Seed of images, probes and draws.", at_least=0)


def noise_effect(
    model: keras.Model,
    samples: Sequence[Sample],
    settings: NoiseEffectSettings | None = None,
    *,
    batch_size: int = BATCH_SIZE,
    on_step: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Measures how much the loss rises from the latent weights w to the quantized w_q.

    Args:
        model: quantized, as it was trained; it is afterwards what it was. What is not quantized
            keeps its weights throughout.
        samples: what `read_samples` returned. The loss is the mean over images of each role.
        settings: default `NoiseEffectSettings()`.
        batch_size: images at once. Default 128.
        on_step: called after each draw and each probe with the number of them so far; at most
            draws + 2 max_probes.

    Returns:
        Plain values: {"roles": {"source": {...}, "target": {...}}}, as far as there are images,
        with "images"; the losses "latent", L(w), and "quantized", L(w_q); "measured", their
        difference; "first_order" and "second_order", its terms g.d and d.H d / 2 with g and H at w;
        "predicted", sum s^2 H_ii / 24, its "standard_error" over "probes"; "uniform", the mean rise
        under independent noise U(-s/2, s/2), its "uniform_standard_error" over "draws". Of a float
        model: {"roles": {}}.

    Raises:
        UserError: if there are no images, or the curvature is not finite.
    """
    settings = settings or NoiseEffectSettings()
    weights = quantized_weights(model)
    if not weights:
        return {"roles": {}}
    chosen = at_most(samples, settings.images, settings.seed)
    groups = {role: of_role(chosen, role) for role in (SOURCE, TARGET)}
    images = {role: pooled(group) for role, group in groups.items() if group}
    if not images:
        raise UserError(
            "there is neither a training image of a source domain nor an image of a target to "
            "measure a loss on: give the data that the run was trained on"
        )
    numbers, report = itertools.count(1), on_step or (lambda _: None)

    def done() -> None:
        report(next(numbers))

    variables = [weight.variable for weight in weights]
    with quantization_off(model), restored(variables) as latent:
        loss = DomainLoss(model, list(images.values()), batch_size)
        start = loss()
        _assign(variables, [weight.value for weight in weights])
        quantized = loss()
        uniform = _uniform_rises(weights, latent, loss, settings, done)
        _assign(variables, latent)
        roles = {}
        for i, (role, sample) in enumerate(images.items()):
            product = HessianVector(model, variables, sample, batch_size)
            roles[role] = {
                "images": len(sample.labels),
                "latent": float(start[i]),
                "quantized": float(quantized[i]),
                "measured": float(quantized[i] - start[i]),
                **_expansion(product, weights, settings, done),
                "uniform": float(uniform.mean[i]),
                "uniform_standard_error": float(uniform.standard_error[i]),
                "draws": uniform.count,
            }
    return {"roles": roles}


def uniform_noise(weights: Sequence[QuantizedWeight], seed: tuple[int, ...]) -> list[np.ndarray]:
    """Independent noise U(-s/2, s/2) for each weight; float64, of the shapes of the weights."""
    rng = np.random.default_rng(seed)
    return [w.step_size * rng.uniform(-0.5, 0.5, w.codes.shape) for w in weights]


def _uniform_rises(
    weights: Sequence[QuantizedWeight],
    latent: Sequence[np.ndarray],
    loss: DomainLoss,
    settings: NoiseEffectSettings,
    done: Callable[[], None],
) -> RunningMean:
    """The rise of the loss of each sample from the latent weights, under uniform noise.

    Each draw is taken with both signs, which are equally likely: the slope of the loss, which is
    most of what a draw changes and nothing of the mean, cancels.
    """
    variables = [weight.variable for weight in weights]
    _assign(variables, latent)
    start, rises = loss(), RunningMean()
    for draw in range(settings.draws):
        noise = uniform_noise(weights, (settings.seed, draw))
        both = []
        for sign in (1, -1):
            _assign(variables, [w + sign * d for w, d in zip(latent, noise, strict=True)])
            both.append(loss())
        rises.add(np.mean(both, axis=0) - start)
        done()
    return rises


def _expansion(
    product: HessianVector,
    weights: Sequence[QuantizedWeight],
    settings: NoiseEffectSettings,
    done: Callable[[], None],
) -> dict[str, Any]:
    """The terms of the loss's expansion at w: for the noise as it is, and for uniform noise."""
    d = [w.value.astype(np.float64) - w.variable.numpy() for w in weights]
    slope, curvature = product.along(_flat(d))
    step_sizes = _flat([np.broadcast_to(w.step_size, w.codes.shape) for w in weights])

    def predicted(signs: np.ndarray) -> float:
        # (s z).H (s z) has the mean of sum s^2 z (H z), sum s^2 H_ii, and never more variance:
        # s_i s_j stands where (s_i^2 + s_j^2) / 2 would.
        found = product.along(step_sizes * signs)[1] / 24
        done()
        return found

    probes = (settings.min_probes, settings.max_probes)
    trace = hutchinson(predicted, product.size, settings.tolerance, probes, settings.seed)
    return {
        "first_order": slope,
        "second_order": curvature / 2,
        "predicted": trace.mean,
        "standard_error": trace.standard_error,
        "probes": trace.probes,
    }


def _flat(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.ravel(array) for array in arrays])


def _assign(variables: Sequence[keras.Variable], values: Sequence[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
