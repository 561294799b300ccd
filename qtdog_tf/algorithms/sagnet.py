"""SagNet: a classifier that must not use style, and features that must not show the class by it."""

from typing import Any

import keras
import tensorflow as tf

from qtdog_tf.algorithms.base import Batch, FeatureAlgorithm, cross_entropy
from qtdog_tf.algorithms.optimizer_state import refuse_loss_scaling
from qtdog_tf.algorithms.passes import Outcome, all_or_nothing, forward_state, read, write
from qtdog_tf.algorithms.randomness import derived, permutation, step_seed, uniform

EPSILON = 1e-5


class SagNet(FeatureAlgorithm):
    """Three updates a step, each with an optimizer of its own; style is mean and variance of f.

    1. backbone and head, by the cross-entropy of the head on features with random style;
    2. a second classifier, the style head, by its cross-entropy on features with random content;
    3. the backbone, against it: `adversarial_weight` times the mean cross-entropy of the style
       head to the uniform distribution.

    The backbone's optimizer is the model's, and makes two updates a step; the heads have copies of
    it. The style head and its optimizer belong to the algorithm. Nam et al., "Reducing Domain Gap
    by Reducing Style Bias", CVPR 2021; on the features, as in DomainBed.

    Args:
        adversarial_weight: see above. Default 0.1.
        seed: of styles and of the style head. Default 0.
    """

    name = "sagnet"
    # Style and content may come from any image of the batch.
    splits_over_replicas = False
    needs_inner = True

    def __init__(self, adversarial_weight: float = 0.1, seed: int = 0) -> None:
        self.adversarial_weight = adversarial_weight
        self.seed = seed
        self._heads: list[keras.optimizers.Optimizer] = []

    def build(self, model: keras.Model, num_domains: int) -> None:
        """See `Algorithm.build`; makes the style head, which starts as torch's Linear does."""
        super().build(model, num_domains)
        width = self.head.input.shape[-1]
        kernel, bias = (
            keras.initializers.RandomUniform(-(width**-0.5), width**-0.5, seed=self.seed + number)
            for number in range(2)
        )
        self.style_head = keras.layers.Dense(
            self.head.output.shape[-1],
            kernel_initializer=kernel,
            bias_initializer=bias,
            dtype="float32",
            name="style_head",
        )
        self.style_head.build((None, width))

    def connect(self, optimizer: keras.optimizers.Optimizer) -> None:
        """Makes the optimizers of both heads; refuses loss scaling, see `refuse_loss_scaling`."""
        super().connect(optimizer)
        refuse_loss_scaling(optimizer, self.name)
        own = self.head.trainable_variables, self.style_head.trainable_variables
        self._heads = [_copy(optimizer.optimizer) for _ in own]
        for copy, variables in zip(self._heads, own, strict=True):
            copy.build(variables)

    @property
    def variables(self) -> list[Any]:
        """The style head and the state of both heads' optimizers."""
        slots = [variable for head in self._heads for variable in head.variables]
        return [*self.style_head.variables, *slots]

    def step(self, model: keras.Model, batch: Batch) -> Outcome:
        """See the class and `Algorithm.step`. The loss is that of the first update."""
        main = model.optimizer
        inner = [*main.optimizer.variables, *main.step_size_optimizer.variables]
        layers = forward_state(model)
        changing = [*layers, *model.trainable_variables, *inner, *self.variables]
        before = read(changing)
        seed = step_seed(self.seed, batch.step)

        content_loss, logits, quantized = self._learn_content(model, batch, derived(seed, 0))
        after = read(layers)
        # The second pass is over the same images: same dropout, and statistics count once.
        write(layers, before[: len(layers)])
        style_losses = self._learn_style(model, batch, derived(seed, 1))
        write(layers, after)
        checked = all_or_nothing(changing, before, [content_loss, *style_losses])
        with tf.control_dependencies([checked]):
            main.finish_step(quantized=quantized)
        return Outcome(checked[0], logits)

    def _learn_content(
        self, model: keras.Model, batch: Batch, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, bool]:
        backbone, head = self._backbone(model), self.head.trainable_variables
        with tf.GradientTape() as tape:
            features, _ = self.run(batch)
            logits = self.head(randomize(features, seed, style=True))
            loss = tf.reduce_mean(cross_entropy(batch.labels, logits))
        gradients = tape.gradient(loss, [*backbone, *head])
        quantized = model.optimizer.update_variables(gradients[: len(backbone)], backbone)
        self._heads[0].apply(gradients[len(backbone) :], head)
        return loss, logits, quantized

    def _learn_style(
        self, model: keras.Model, batch: Batch, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        backbone, head = self._backbone(model), self.style_head.trainable_variables
        with tf.GradientTape() as tape:
            features, _ = self.run(batch)
            with tf.GradientTape() as head_tape:
                fixed = randomize(tf.stop_gradient(features), derived(seed, 0), style=False)
                loss = tf.reduce_mean(cross_entropy(batch.labels, self.style_head(fixed)))
            self._heads[1].apply(head_tape.gradient(loss, head), head)
            mixed = randomize(features, derived(seed, 1), style=False)
            shares = tf.nn.log_softmax(self.style_head(mixed))
            adversarial = -self.adversarial_weight * tf.reduce_mean(shares)
        model.optimizer.update_variables(tape.gradient(adversarial, backbone), backbone)
        return loss, adversarial

    def _backbone(self, model: keras.Model) -> list[Any]:
        head = {id(variable) for variable in self.head.variables}
        return [variable for variable in model.trainable_variables if id(variable) not in head]


def randomize(features: tf.Tensor, seed: tf.Tensor, *, style: bool) -> tf.Tensor:
    """Features with another style, or another content.

    Style is the mean and variance (over d - 1) of an image's features, content is what remains
    when these are normalised to 0 and 1. A random style lies between an image's own and that of
    another image, at a place uniform in [0, 1]; random content is that of another image, without
    a gradient.

    Args:
        features: float32 [B, d].
        seed: of the partners and places.
        style: which of the two is changed.
    """
    size = tf.shape(features)[0]
    count = tf.cast(tf.shape(features)[1], tf.float32)
    # Tensors of their own: see `mmd_penalty`.
    mean, variance = tf.nn.moments(tf.identity(features), axes=[1], keepdims=True)
    variance = variance * count / (count - 1.0)
    content = (features - mean) / tf.sqrt(variance + EPSILON)
    partners = permutation(size, derived(seed, 0))
    mean, variance = tf.identity(mean), tf.identity(variance)
    if style:
        share = uniform([size, 1], derived(seed, 1))
        mean = share * mean + (1.0 - share) * tf.gather(mean, partners)
        variance = share * variance + (1.0 - share) * tf.gather(variance, partners)
    else:
        content = tf.stop_gradient(tf.gather(content, partners))
    return content * tf.sqrt(variance + EPSILON) + mean


def _copy(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """An optimizer of the same settings and learning rate, whatever that becomes, without state."""
    config = optimizer.get_config()
    config["learning_rate"] = optimizer._get_current_learning_rate
    return type(optimizer).from_config(config)
