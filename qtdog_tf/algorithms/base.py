"""What every method of domain generalization has in common: `Algorithm`, and what goes in and out.

A method is either a loss (most are), or takes more than one pass a step and then has `gradients`
(one update in the end) or `step` (several updates) of its own. Whatever it does, a step whose loss
is not finite raises before anything has changed.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from qtdog_tf.algorithms.optimizer_state import reset_slots, unscaled
from qtdog_tf.algorithms.passes import Outcome, Pass, backpropagate, forward_state, write
from qtdog_tf.errors import UserError

HEAD = "head"


class Batch(NamedTuple):
    """The images of one step: n of each source domain, domain by domain.

    Attributes:
        images: [D * n, height, width, 3], raw pixels.
        labels: integer [D * n], the class.
        step: int64 scalar, the optimizer updates before this one.
        sample_weight: [D * n] or None; ERM and what is made of its loss only.
    """

    images: tf.Tensor
    labels: tf.Tensor
    step: tf.Tensor
    sample_weight: tf.Tensor | None = None


class Algorithm:
    """A training method. One object serves one model.

    Attributes:
        name: its name in `AlgorithmSettings`.
        splits_over_replicas: whether a batch may be divided between replicas: true where the loss
            is a mean over images, see `qtdog_tf/algorithms/replicas.py`.
        min_domains: how many source domains it needs; with 1 it does not look at domains.
        min_images: how many images of each domain it needs in a batch.
        needs_inner: whether it looks into the optimizer, which must then be a
            `QuantizationOptimizer`.
        reset_step: the step at whose beginning the optimizer's moments are forgotten, or None.
        num_domains: D, after `build`.
    """

    name = ""
    splits_over_replicas = False
    min_domains = 1
    min_images = 1
    needs_inner = False
    reset_step: int | None = None

    def build(self, model: keras.Model, num_domains: int) -> None:
        """Creates what the method needs to know of the model, and its variables.

        Args:
            model: the functional model that will be trained.
            num_domains: number of source domains D in each batch.

        Raises:
            UserError: if there are too few domains, or the method needs features and no layer of
                the model is called "head".
        """
        if num_domains < self.min_domains:
            raise UserError(
                f"algorithm {self.name} needs at least {self.min_domains} source domains; received "
                f"{num_domains}"
            )
        self.num_domains = num_domains

    def connect(self, optimizer: keras.optimizers.Optimizer) -> None:
        """Looks at the optimizer that the model was compiled with.

        Args:
            optimizer: of the model, with Keras' loss scaling around it if that is in use.

        Raises:
            UserError: if the method cannot work with it.
        """
        if self.needs_inner and not hasattr(unscaled(optimizer), "step_size_optimizer"):
            raise UserError(
                f"algorithm {self.name} looks into the optimizer and received "
                f"{type(unscaled(optimizer)).__name__}: compile the model with a "
                "QuantizationOptimizer around it"
            )

    @property
    def variables(self) -> list[Any]:
        """Keras variables of the method's own state; they belong into a checkpoint."""
        return []

    @property
    def scalars(self) -> dict[str, float]:
        """What is worth a look while training goes on, by name; logged at every evaluation."""
        return {}

    def loss(self, model: keras.Model, batch: Batch) -> Outcome:
        """The loss of a batch, with the model run in training mode.

        Args:
            model: the one given to `build`.
            batch: the images.

        Returns:
            The loss and what goes with it. Nothing is assigned here: new values of `variables` are
            `updates` of the outcome.
        """
        raise NotImplementedError(f"{type(self).__name__} has no single loss")

    def gradients(self, model: keras.Model, batch: Batch) -> Pass:
        """The gradients that the optimizer gets. Default: those of `loss`."""
        return backpropagate(model, lambda: self.loss(model, batch))

    def step(self, model: keras.Model, batch: Batch) -> Outcome:
        """One step of training.

        Args:
            model: compiled; the one given to `build`.
            batch: the images.

        Returns:
            The outcome, its loss checked: whatever depends on it happens only if it is finite.

        Raises:
            tf.errors.InvalidArgumentError: if the loss is not finite. Nothing has changed then.
        """
        result = self.gradients(model, batch)
        with tf.control_dependencies([result.outcome.loss]):
            write(forward_state(model), result.layer_values)
            for variable, value in result.outcome.updates:
                variable.assign(value)
            if self.reset_step is not None:
                reset_slots(model.optimizer, when=batch.step == self.reset_step)
            variables = model.trainable_variables
            model.optimizer.apply_gradients(zip(result.gradients, variables, strict=True))
        return result.outcome

    def by_domain(self, values: tf.Tensor) -> tf.Tensor:
        """Reshapes [D * n, ...] to [D, n, ...]."""
        return tf.reshape(values, [self.num_domains, -1, *values.shape[1:]])


def cross_entropy(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Cross-entropy of each image, float32 [B], from classes [B] and logits [B, classes]."""
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, tf.cast(logits, tf.float32))


def head_of(model: keras.Model) -> keras.layers.Layer:
    """The linear classifier of a model, its layer "head".

    Raises:
        UserError: if there is none.
    """
    names: Sequence[str] = [layer.name for layer in model.layers]
    if HEAD not in names:
        raise UserError(
            f"model {model.name!r} has no layer called {HEAD!r}, whose input this algorithm takes "
            "as the features: give its classifier layer that name"
        )
    return model.get_layer(HEAD)


class FeatureAlgorithm(Algorithm):
    """A method that looks at the features, the input of the layer "head".

    Attributes:
        network: images -> (features [B, d], logits [B, classes]); shares the model's layers.
        head: the classifier layer.
    """

    def build(self, model: keras.Model, num_domains: int) -> None:
        """See `Algorithm.build`."""
        super().build(model, num_domains)
        self.head = head_of(model)
        self.network = keras.Model(model.inputs[0], [self.head.input, self.head.output])

    def run(self, batch: Batch) -> tuple[tf.Tensor, tf.Tensor]:
        """Features and logits in training mode, float32 also under mixed precision."""
        features, logits = self.network(batch.images, training=True)
        return tf.cast(features, tf.float32), tf.cast(logits, tf.float32)
