"""Algorithms of several passes a step, against NumPy in float64."""

import numpy as np
import pytest
import tensorflow as tf

from qtdog_tf.algorithms import passes
from qtdog_tf.algorithms.fish import Fish
from qtdog_tf.algorithms.mldg import MLDG
from qtdog_tf.algorithms.randomness import derived, permutation, step_seed, uniform
from qtdog_tf.algorithms.sagm import SAGM
from qtdog_tf.algorithms.sagnet import SagNet
from qtdog_tf.algorithms.sam import SAM
from qtdog_tf.errors import UserError
from qtdog_tf.quantization.quantizer import is_step_size
from qtdog_tf.quantization.start import start_quantization
from tests import algorithms_models as models
from tests import algorithms_reference as reference
from tests.algorithms_reference import DOMAINS, IMAGES, LABELS, RATE, domain


def norm(gradients):
    return np.sqrt(sum((g**2).sum() for g in gradients))


def moved(w, gradients, factor):
    return [a + factor * g for a, g in zip(w, gradients, strict=True)]


@pytest.mark.parametrize("algorithm", [SAM(rho=0.5), SAGM(rho=0.5, alpha=0.2)])
def test_sam_and_sagm(algorithm):
    model = reference.build(algorithm)
    w = reference.weights(model)
    first = reference.gradient(reference.mean_loss, w)
    factor = 0.5 / norm(first) - getattr(algorithm, "alpha", 0.0)
    expected = reference.gradient(reference.mean_loss, moved(w, first, factor))
    if isinstance(algorithm, SAGM):
        expected = [(g + h) / 2 for g, h in zip(first, expected, strict=True)]
    result = algorithm.gradients(model, reference.batch())
    reference.assert_close(result.gradients, expected)
    assert float(result.outcome.loss) == pytest.approx(reference.mean_loss(w), rel=1e-5)
    for ours, before in zip(reference.weights(model), w, strict=True):
        np.testing.assert_array_equal(ours, before)


@pytest.mark.parametrize("algorithm", [SAM(), SAGM()])
def test_two_passes_see_the_same_masks_move_no_step_size_and_count_once(algorithm, monkeypatch):
    model = models.build(algorithm)
    start_quantization(model)
    seen = []

    def spy(model, compute, elsewhere=()):
        assert not any(is_step_size(variable) for variable, _ in elsewhere)

        def watched():
            seen.append([v.numpy() for v in passes.forward_state(model)])
            return compute()

        result = passes.backpropagate(model, watched, elsewhere)
        seen.append([np.array(value) for value in result.layer_values])
        return result

    for name in {algorithm.name, "sam"}:
        monkeypatch.setattr(f"qtdog_tf.algorithms.{name}.backpropagate", spy)
    images, labels = tf.constant(models.IMAGES[0]), tf.constant(models.LABELS[0])
    batch = reference.Batch(images, labels, tf.constant(0, tf.int64))
    algorithm.step(model, batch)
    before, after, before_second, _ = seen
    for ours, theirs in zip(before_second, before, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for ours, theirs in zip(passes.forward_state(model), after, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs)
    assert any(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def domain_gradient(w, number):
    images = domain(number)
    return reference.gradient(lambda w: reference.mean_loss(w, IMAGES[images], LABELS[images]), w)


@pytest.mark.parametrize("test_domains", [1, 2])
def test_mldg(test_domains):
    algorithm = MLDG(beta=0.5, test_domains=test_domains, seed=1)
    model = reference.build(algorithm)
    w = reference.weights(model)
    order = algorithm.draw(tf.constant(3, tf.int64)).numpy()
    pairs = DOMAINS - test_domains
    total, loss = [np.zeros_like(a) for a in w], 0
    for k in range(pairs):
        i, j = order[k], order[pairs + k % test_domains]
        first = domain_gradient(w, i)
        inner = [a - RATE * g / (np.abs(g) + 1e-8) for a, g in zip(w, first, strict=True)]
        second = domain_gradient(inner, j)
        total = [t + (g + 0.5 * h) / 3 for t, g, h in zip(total, first, second, strict=True)]
        images, others = domain(i), domain(j)
        loss += reference.mean_loss(w, IMAGES[images], LABELS[images]) / 3
        loss += 0.5 * reference.mean_loss(inner, IMAGES[others], LABELS[others]) / 3
    result = algorithm.gradients(model, reference.batch(3))
    reference.assert_close(result.gradients, total)
    assert float(result.outcome.loss) == pytest.approx(loss, rel=1e-5)
    for ours, before in zip(reference.weights(model), w, strict=True):
        np.testing.assert_array_equal(ours, before)


def test_mldg_needs_a_domain_to_train_on():
    with pytest.raises(UserError, match="lower mldg_test_domains"):
        reference.build(MLDG(test_domains=3))


def test_fish():
    algorithm = Fish(meta_lr=0.25)
    model = reference.build(algorithm)
    w = reference.weights(model)
    adam = reference.ReferenceAdam()
    for step in range(2):
        inner = w
        for number in range(DOMAINS):
            inner = adam.update(inner, domain_gradient(inner, number))
        w = [a + 0.25 * (b - a) for a, b in zip(w, inner, strict=True)]
        algorithm.step(model, reference.batch(step))
        reference.assert_close(reference.weights(model), w, tolerance=1e-5)
    assert int(model.optimizer.iterations.numpy()) == 2


def randomized(features, seed, style):
    """As in DomainBed, with the random numbers of `seed`."""
    partners = permutation(len(features), derived(seed, 0)).numpy()
    share = uniform([len(features), 1], derived(seed, 1)).numpy().astype("float64")
    mean, var = features.mean(1, keepdims=True), features.var(1, ddof=1, keepdims=True)
    content = (features - mean) / np.sqrt(var + 1e-5)
    if style:
        mean = share * mean + (1 - share) * mean[partners]
        var = share * var + (1 - share) * var[partners]
    else:
        content = content[partners]
    return content, np.sqrt(var + 1e-5), mean


class ReferenceSagNet:
    """The three updates of DomainBed, on the network of `algorithms_reference`."""

    def __init__(self, w, style):
        self.w, self.style = w, style
        self.backbone_adam, self.head_adam, self.style_adam = (
            reference.ReferenceAdam() for _ in range(3)
        )

    def step(self, seed):
        """Updates everything; returns the content loss before."""

        def content_loss(w):
            content, scale, mean = randomized(reference.run(w)[0], derived(seed, 0), True)
            return reference.entropy((content * scale + mean) @ w[2] + w[3]).mean()

        loss = content_loss(self.w)
        gradients = reference.gradient(content_loss, self.w)
        backbone = self.backbone_adam.update(self.w[:2], gradients[:2])
        self.w = backbone + self.head_adam.update(self.w[2:], gradients[2:])

        features = reference.run(self.w)[0]
        content, scale, mean = randomized(features, derived(derived(seed, 1), 0), False)
        fixed = content * scale + mean

        def style_loss(style):
            return reference.entropy(fixed @ style[0] + style[1]).mean()

        gradients = reference.gradient(style_loss, self.style)
        self.style = self.style_adam.update(self.style, gradients)

        key = derived(derived(seed, 1), 1)
        other, _, _ = randomized(features, key, False)

        def adversarial(backbone):
            features = reference.run([*backbone, *self.w[2:]])[0]
            _, scale, mean = randomized(features, key, False)
            logits = (other * scale + mean) @ self.style[0] + self.style[1]
            return -0.5 * np.log(reference.softmax(logits)).mean()

        gradients = reference.gradient(adversarial, self.w[:2])
        self.w = self.backbone_adam.update(self.w[:2], gradients) + self.w[2:]
        return loss


def test_sagnet():
    algorithm = SagNet(adversarial_weight=0.5, seed=2)
    model = reference.build(algorithm)
    style = [np.asarray(v.numpy(), np.float64) for v in algorithm.style_head.variables]
    expected = ReferenceSagNet(reference.weights(model), style)
    for step in range(2):
        loss = expected.step(step_seed(2, tf.constant(step, tf.int64)))
        outcome = algorithm.step(model, reference.batch(step))
        assert float(outcome.loss) == pytest.approx(loss, rel=1e-5)
        reference.assert_close(reference.weights(model), expected.w, tolerance=2e-5)
        ours = [v.numpy() for v in algorithm.style_head.variables]
        reference.assert_close(ours, expected.style, tolerance=2e-5)


@pytest.mark.parametrize("algorithm", [Fish(), SagNet()])
def test_several_updates_do_not_go_with_loss_scaling(algorithm):
    with pytest.raises(UserError, match="use mixed_precision bfloat16 or none"):
        models.build(algorithm, policy="mixed_float16")
