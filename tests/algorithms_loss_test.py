"""Values and gradients of the losses, against NumPy in float64 and hand-worked numbers."""

import numpy as np
import pytest
import tensorflow as tf

from qtdog_tf.algorithms.coral import CORAL, coral_penalty
from qtdog_tf.algorithms.erm import ERM
from qtdog_tf.algorithms.fishr import Fishr
from qtdog_tf.algorithms.group_dro import GroupDRO
from qtdog_tf.algorithms.irm import IRM
from qtdog_tf.algorithms.mixup import Mixup
from qtdog_tf.algorithms.mmd import MMD
from qtdog_tf.algorithms.rsc import RSC, percentile
from qtdog_tf.algorithms.vrex import VREx
from tests import algorithms_reference as reference
from tests.algorithms_reference import DOMAINS, IMAGES, LABELS, PAIRS, PER_DOMAIN, domain


def check(algorithm, expected, step=0, **state):
    """Loss and gradients are those of `expected`, a function of the weights, in this `state`."""
    model = reference.build(algorithm)
    for name, value in state.items():
        getattr(algorithm, name).assign(value)
    result = algorithm.gradients(model, reference.batch(step))
    w = reference.weights(model)
    loss = expected(w)
    assert float(result.outcome.loss) == pytest.approx(loss, rel=1e-5)
    reference.assert_close(result.gradients, reference.gradient(expected, w))
    return model, result.outcome


def test_erm():
    check(ERM(), reference.mean_loss)


def test_groupdro_weighs_by_the_losses_of_all_steps_so_far():
    w = reference.weights(reference.build(GroupDRO()))
    q = np.exp(2 * reference.domain_losses(w))
    q /= q.sum()
    algorithm = GroupDRO(eta=2.0)
    model, outcome = check(algorithm, lambda w: q @ reference.domain_losses(w) / DOMAINS)
    ((variable, value),) = outcome.updates
    assert variable is algorithm.weights
    np.testing.assert_allclose(value, q, rtol=1e-5)
    # A loss alone assigns nothing; a step does, and the next goes on from there.
    np.testing.assert_allclose(algorithm.weights.numpy(), np.full(3, 1 / 3), rtol=1e-6)
    algorithm.step(model, reference.batch())
    np.testing.assert_allclose(algorithm.weights.numpy(), q, rtol=1e-5)
    q = q * np.exp(2 * reference.domain_losses(reference.weights(model)))
    algorithm.step(model, reference.batch(1))
    np.testing.assert_allclose(algorithm.weights.numpy(), q / q.sum(), rtol=1e-4)


@pytest.mark.parametrize(("step", "weight"), [(6, 1.0), (7, 10.0)])
def test_vrex(step, weight):
    def expected(w):
        losses = reference.domain_losses(w)
        return losses.mean() + weight * losses.var()

    check(VREx(anneal_steps=7), expected, step)


@pytest.mark.parametrize(("step", "weight"), [(6, 1.0), (7, 100.0)])
def test_irm(step, weight):
    def slope(w, images):
        """The derivative by the scale of the logits, numerically: not the closed form."""
        logits = reference.run(w, IMAGES[images])[1]
        up, down = (reference.entropy(s * logits, LABELS[images]).mean() for s in (1.001, 0.999))
        return (up - down) / 0.002

    def expected(w):
        starts = range(0, DOMAINS * PER_DOMAIN, PER_DOMAIN)
        penalties = [
            slope(w, np.arange(s, s + PER_DOMAIN, 2))
            * slope(w, np.arange(s + 1, s + PER_DOMAIN, 2))
            for s in starts
        ]
        return reference.mean_loss(w) + weight * np.mean(penalties)

    check(IRM(anneal_steps=7), expected, step)


def test_coral():
    def expected(w):
        features, _ = reference.run(w)
        penalty = 0
        for i, j in PAIRS:
            x, y = features[domain(i)], features[domain(j)]
            penalty += np.mean((x.mean(0) - y.mean(0)) ** 2)
            penalty += np.mean((np.cov(x.T) - np.cov(y.T)) ** 2)
        return reference.mean_loss(w) + 3 * penalty / len(PAIRS)

    check(CORAL(gamma=3.0), expected)


def test_coral_of_two_domains_by_hand():
    features = tf.constant([[[0.0, 0.0], [2.0, 0.0]], [[1.0, 3.0], [1.0, 3.0]]])
    # Means (1, 0) and (1, 3); covariances ((2, 0), (0, 0)) and 0.
    assert float(coral_penalty(features)) == pytest.approx(9 / 2 + 4 / 4)


def test_mmd():
    def kernel(x, y):
        squares = ((x[:, None] - y[None]) ** 2).sum(-1)
        return sum(np.exp(-g * squares) for g in 10.0 ** np.arange(-3, 4)).mean()

    def expected(w):
        features, _ = reference.run(w)
        penalty = 0
        for i, j in PAIRS:
            x, y = features[domain(i)], features[domain(j)]
            penalty += kernel(x, x) + kernel(y, y) - 2 * kernel(x, y)
        return reference.mean_loss(w) + penalty / len(PAIRS)

    check(MMD(), expected)


def fishr_variances(w):
    """By the gradient of each image, one after the other."""
    features, logits = reference.run(w)
    errors = reference.softmax(logits) - np.eye(3)[LABELS]
    gradients = np.stack(
        [np.outer(np.append(f, 1), e) for f, e in zip(features, errors, strict=True)]
    )
    return gradients.reshape(DOMAINS, PER_DOMAIN, -1).var(1)


@pytest.mark.parametrize(("step", "weight"), [(6, 0.0), (7, 1000.0)])
def test_fishr(step, weight):
    algorithm = Fishr(anneal_steps=7, ema=0.75)
    before = np.random.default_rng(2).uniform(0, 0.1, (DOMAINS, 4 + 1, 3))

    def expected(w):
        smoothed = 0.75 / 0.25 * before.reshape(DOMAINS, -1) + fishr_variances(w)
        return reference.mean_loss(w) + weight * np.mean((smoothed - smoothed.mean(0)) ** 2)

    model, outcome = check(algorithm, expected, step, running=before)
    ((_, value),) = outcome.updates
    running = 0.75 * before.reshape(DOMAINS, -1) + 0.25 * fishr_variances(reference.weights(model))
    np.testing.assert_allclose(np.reshape(value, running.shape), running, rtol=1e-4, atol=1e-7)


def test_mixup():
    algorithm = Mixup(seed=4)
    algorithm.num_domains = DOMAINS
    ring, shares = (draw.numpy() for draw in algorithm.draw(tf.constant(2, tf.int64)))
    assert sorted(ring) == [0, 1, 2] and ((shares > 0) & (shares < 1)).all()

    def expected(w):
        total = 0
        for k in range(DOMAINS):
            i, j, a = domain(ring[k]), domain(ring[(k + 1) % DOMAINS]), float(shares[k])
            logits = reference.run(w, a * IMAGES[i] + (1 - a) * IMAGES[j])[1]
            total += a * reference.entropy(logits, LABELS[i]).mean()
            total += (1 - a) * reference.entropy(logits, LABELS[j]).mean()
        return total / DOMAINS

    _, outcome = check(algorithm, expected, step=2)
    larger = [ring[k] if shares[k] >= 0.5 else ring[(k + 1) % DOMAINS] for k in range(DOMAINS)]
    wanted = np.concatenate([LABELS[domain(number)] for number in larger])
    np.testing.assert_array_equal(outcome.labels, wanted)


def test_rsc():
    w = reference.weights(reference.build(RSC()))
    features, logits = reference.run(w)
    rows = np.arange(len(LABELS))
    useful = w[2].T[LABELS]
    keep = useful < np.percentile(useful, 100 * 2 / 3, axis=1, keepdims=True)
    muted = features * keep @ w[2] + w[3]
    fall = (reference.softmax(logits) - reference.softmax(muted))[rows, LABELS]
    keep |= (fall < np.percentile(fall, 100 * 2 / 3))[:, None]
    # A third of the images, and of their four features the first two.
    assert (~keep).sum() == 2 * 4

    def expected(w):
        features, _ = reference.run(w)
        return reference.entropy(features * keep @ w[2] + w[3]).mean()

    check(RSC(), expected)


def test_percentiles_are_those_of_numpy():
    values = np.random.default_rng(0).normal(size=(5, 11)).astype("float32")
    for fraction in (0.0, 0.31, 0.5, 1.0):
        expected = np.percentile(values, 100 * fraction, axis=1, keepdims=True)
        np.testing.assert_allclose(percentile(tf.constant(values), fraction), expected, rtol=1e-5)
