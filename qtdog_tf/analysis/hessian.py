"""Curvature of the training loss at the weights: top eigenvalue and trace of the Hessian H.

A flat minimum has a small H (method, section 7.1). The top eigenvalue comes from Lanczos'
iteration (Golub and Van Loan, "Matrix Computations", section 10.1), the trace from Hutchinson's
estimator, tr H = E[z.H z] for random signs z (1989). Start from `hessian`.
"""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from qtdog_tf.analysis.directions import RunningMean
from qtdog_tf.analysis.hessian_vector import BATCH_SIZE, HessianVector, pooled
from qtdog_tf.analysis.loss import DomainLoss, at_most
from qtdog_tf.analysis.samples import Sample, of_role
from qtdog_tf.analysis.weights import dequantize, learned_weights
from qtdog_tf.errors import UserError
from qtdog_tf.records import SOURCE
from qtdog_tf.settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class HessianSettings(Settings):
    """How the Hessian is measured. A value that is not allowed raises UserError, naming it."""

    images: int = setting(512, "Training images at most, over all source domains.", at_least=1)
    top_tolerance: float = setting(
        0.01, "Stop when |H v - x v| / |x| of the top eigenvalue x is at most this.", at_least=0.0
    )
    max_iterations: int = setting(30, "Products for the top eigenvalue at most.", at_least=1)
    trace_tolerance: float = setting(
        0.05, "Stop when the standard error of the trace is at most this part.", at_least=0.0
    )
    min_probes: int = setting(5, "Probes for the trace at least.", at_least=2)
    max_probes: int = setting(50, "Probes for the trace at most.", at_least=2)
    seed: int = setting(0, "Seed of images, start vector and probes.", at_least=0)


@dataclasses.dataclass(frozen=True)
class Eigenvalue:
    """The largest eigenvalue of a symmetric matrix.

    Attributes:
        value: the estimate, never above the largest eigenvalue.
        residual: |H v - value v| / |value| for the estimated v, |v| = 1: some eigenvalue is as
            near as that. Not divided if the value is 0.
        iterations: products made.
        converged: whether `residual` reached the tolerance.
    """

    value: float
    residual: float
    iterations: int
    converged: bool


@dataclasses.dataclass(frozen=True)
class Trace:
    """Estimate of a trace: mean over probes, its standard error, and the number of probes."""

    mean: float
    standard_error: float
    probes: int


def hessian(
    model: keras.Model,
    samples: Sequence[Sample],
    settings: HessianSettings | None = None,
    *,
    batch_size: int = BATCH_SIZE,
    on_product: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Measures the Hessian of the mean training loss over all learned weights.

    Args:
        model: freshly loaded. It is used up: it is a float model with its weights on their lattice
            afterwards.
        samples: what `read_samples` returned; the training images of sources are looked at.
        settings: default `HessianSettings()`.
        batch_size: images at once. Default 128.
        on_product: called after each product with the number of products so far; at most
            max_iterations + max_probes.

    Returns:
        Plain values: "images", their number; "loss", mean over them; "top", see `Eigenvalue`;
        "trace", see `Trace`.

    Raises:
        UserError: if there is no training image, or the curvature is not finite.
    """
    settings = settings or HessianSettings()
    chosen = of_role(at_most(samples, settings.images, settings.seed), SOURCE)
    if not chosen:
        raise UserError(
            "there is no training image of a source domain to measure the curvature on: give the "
            "data that the run was trained on"
        )
    sample = pooled(chosen)
    dequantize(model)
    [loss] = DomainLoss(model, [sample], batch_size)()
    product = HessianVector(model, learned_weights(model), sample, batch_size)
    numbers, report = itertools.count(1), on_product or (lambda _: None)

    def multiply(vector: np.ndarray) -> np.ndarray:
        result = product(vector)
        report(next(numbers))
        return result

    top = top_eigenvalue(
        multiply, product.size, settings.top_tolerance, settings.max_iterations, settings.seed
    )
    trace = hutchinson(
        lambda signs: float(signs @ multiply(signs)),
        product.size,
        settings.trace_tolerance,
        (settings.min_probes, settings.max_probes),
        settings.seed,
    )
    return {
        "images": len(sample.labels),
        "loss": float(loss),
        "top": dataclasses.asdict(top),
        "trace": dataclasses.asdict(trace),
    }


def top_eigenvalue(
    product: Callable[[np.ndarray], np.ndarray],
    size: int,
    tolerance: float = 0.01,
    max_iterations: int = 30,
    seed: int = 0,
) -> Eigenvalue:
    """The largest eigenvalue (not the largest by magnitude), by Lanczos' iteration.

    Needs fewer products than power iteration, which a negative eigenvalue of larger magnitude would
    mislead too. All vectors are kept (8 x size bytes an iteration) and each new one is made
    orthogonal to them: without, rounding makes copies of eigenvalues that have converged.

    Args:
        product: a symmetric matrix times a float64 vector [size].
        size: of the vectors, at least 1.
        tolerance: see `Eigenvalue.residual`. float32 products cannot reach less than about 1e-6.
        max_iterations: products at most.
        seed: of the Gaussian vector that the iteration starts from.
    """
    vector = np.random.default_rng((seed, size)).standard_normal(size)
    basis = [vector / np.linalg.norm(vector)]
    diagonal: list[float] = []
    beside: list[float] = []
    while True:
        image = np.array(product(basis[-1]))
        diagonal.append(float(basis[-1] @ image))
        for _ in range(2):  # The second pass takes away what rounding left in the first.
            for known in basis:
                image -= (known @ image) * known
        length = float(np.linalg.norm(image))
        # H in this basis is tridiagonal; eigh reads the lower half.
        values, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(beside, -1))
        value, residual = float(values[-1]), float(length * abs(vectors[-1, -1]))
        converged = residual <= tolerance * abs(value)
        if converged or len(basis) == min(max_iterations, size):
            relative = residual / abs(value) if value else residual
            return Eigenvalue(value, relative, len(basis), converged)
        beside.append(length)
        basis.append(image / length)


def hutchinson(
    curvature: Callable[[np.ndarray], float],
    size: int,
    tolerance: float = 0.05,
    probes: tuple[int, int] = (5, 50),
    seed: int = 0,
) -> Trace:
    """The trace of a matrix H, the mean of z.H z over vectors z of random signs.

    Args:
        curvature: z.H z of a float64 vector z [size] of +1 and -1. With z.(S H S) z, S diagonal, it
            is the sum of s_i^2 H_ii that comes out.
        size: of the vectors.
        tolerance: stop when the standard error is at most this part of the mean's magnitude.
        probes: at least (2 or more, or there is no error) and at most.
        seed: of the signs.
    """
    found = RunningMean()
    while found.count < probes[1]:
        rng = np.random.default_rng((seed, size, found.count))
        found.add(np.array(curvature(rng.choice((-1.0, 1.0), size))))
        small = found.standard_error <= tolerance * np.abs(found.mean)
        if found.count >= probes[0] and small:
            break
    return Trace(float(found.mean), float(found.standard_error), found.count)
