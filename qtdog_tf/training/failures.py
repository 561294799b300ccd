"""Why a step of training failed, in one sentence.

Keras and TensorFlow report where in a graph an operator failed; what the user needs to know is
which image, which layer, or that memory ran out. Start from `bad_training_images`.
"""

from typing import NoReturn

import keras
import tensorflow as tf

from qtdog_tf.errors import UserError
from qtdog_tf.training.bad_images import unreadable
from qtdog_tf.training.batches import Batches
from qtdog_tf.training.checkpoints import CheckpointStore
from qtdog_tf.training.divergence import first_bad_layer, is_divergence
from qtdog_tf.training.settings import TrainSettings


def bad_training_images(
    error: tf.errors.OpError,
    model: keras.Model,
    batches: Batches,
    skipped: frozenset[str],
    settings: TrainSettings,
    checkpoints: CheckpointStore,
) -> dict[str, str]:
    """The training images that made a step fail.

    Args:
        error: what `fit` raised. The model is as it was before the step.
        model: at work.
        batches: of the run.
        skipped: paths of images that are skipped already.
        settings: of the run.
        checkpoints: of the phase.

    Returns:
        What is wrong with each, by path; at least one.

    Raises:
        UserError: if it was anything else that can be named.
        tf.errors.OpError: `error`, if not.
    """
    step = int(model.optimizer.iterations.numpy())
    if is_divergence(error):
        (inputs, _), *_ = batches.between(step, step + 1, skipped)
        where = first_bad_layer(model, inputs["image"])
        saved = checkpoints.steps()
        kept = f"the checkpoint of step {saved[-1]} is kept" if saved else "nothing was saved yet"
        raise UserError(
            f"the loss of step {step} is not finite"
            + (f", first {where}" if where else ", though every layer's output is")
            + f"; {kept} in {checkpoints.folder}: choose another output folder and a lower "
            f"learning rate than {settings.learning_rate:g}"
        ) from error
    if isinstance(error, tf.errors.ResourceExhaustedError):
        raise UserError(
            f"memory ran out at step {step}: lower images_per_domain (now "
            f"{settings.images_per_domain}) or image_size (now {settings.image_size}) in another "
            "output folder"
        ) from error
    if isinstance(error, tf.errors.UnimplementedError) and "deterministic" in error.message.lower():
        raise UserError(
            "an operation of this network cannot repeat itself bit for bit on this device "
            f"({_first_line(error)}): add --nodeterministic, with another output folder"
        ) from error
    steps = range(step, step + settings.steps_per_execution)
    problems = unreadable([path for s in steps for path in batches.paths(s, skipped)])
    if not problems:
        _blame_evaluation(error, batches)
    return problems


def _blame_evaluation(error: tf.errors.OpError, batches: Batches) -> NoReturn:
    """An evaluation on fewer images would be another figure, so its images are never skipped."""
    domains = batches.domain_set.domains
    problems = unreadable([path for domain in domains for path in domain.paths])
    if not problems:
        raise error
    raise UserError(
        f"image {some(problems)}: evaluations need it; mend it and the same command goes on"
    ) from error


def _first_line(error: tf.errors.OpError) -> str:
    return error.message.strip().partition("\n")[0].rstrip(".")


def some(problems: dict[str, str]) -> str:
    """The first few problems in words."""
    return "; ".join(f"{path} {problem}" for path, problem in list(problems.items())[:3])
