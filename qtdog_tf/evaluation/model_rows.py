"""What one saved model of a run gets right, as a row of its summary, as training measures it.

For models that are made of a finished run. Start from `measure_row`.
"""

from collections.abc import Sequence
from typing import Any

import keras

from qtdog_tf.data.domains import DomainSet
from qtdog_tf.data.path_list import PathList
from qtdog_tf.evaluation.pixels import naming_unreadable
from qtdog_tf.evaluation.run_folder import Run
from qtdog_tf.quantization import is_quantized
from qtdog_tf.records import RAW, SOURCE, TARGET, Evaluation, Score
from qtdog_tf.training.evaluation import Part, predict_logits, score
from qtdog_tf.training.parts import evaluation_parts
from qtdog_tf.training.roles import Roles
from qtdog_tf.training.settings import TrainSettings
from qtdog_tf.training.summary import summary_row
from qtdog_tf.training.validation import plan_validation


def parts_of_run(run: Run, domain_set: DomainSet, tested: bool = False) -> list[Part]:
    """What the evaluations of a run's training look at.

    Args:
        run: a single run.
        domain_set: data that the run `owns`.
        tested: whether half of what is set aside of source domains was for a test there. Then the
            summary has "source_test".

    Raises:
        UserError: if run.json does not give the run's split.
    """
    roles = Roles(run.sources, run.targets)
    settings = TrainSettings(split_by=run.split_by, in_domain_test=tested)
    planned = plan_validation(domain_set, run.splits(domain_set), roles, run.trial_seed, settings)
    return evaluation_parts(domain_set, planned.splits, roles, run.image_size, planned.tests)


def knows_validation(run: Run, domain_set: DomainSet, teacher: Any) -> bool:
    """Whether the validation images of `parts_of_run` are those that the run was selected on.

    A student is selected on images that its teacher was not trained on either. How many these were
    stands in its run.json; which they were only the teacher's folder says, which may be gone.

    Args:
        run: a single run.
        domain_set: data that the run `owns`.
        teacher: what run.json says of one; None without.
    """
    if teacher is None:
        return True
    splits = run.splits(domain_set)
    every = {name: len(splits[name].out) for name in run.sources}
    return isinstance(teacher, dict) and teacher.get("validation_images") == every


def measure_row(
    model: keras.Model, parts: Sequence[Part], step: int, domain_set: DomainSet
) -> dict[str, Any]:
    """Evaluates a model on every part.

    Args:
        model: from pixels to logits.
        parts: see `parts_of_run`.
        step: the step whose weights the model was made of.
        domain_set: what the parts are of, to name an image that cannot be read.

    Returns:
        The values of a row, see `summarize`.

    Raises:
        UserError: if an image cannot be read, naming it.
    """
    measured: dict[str, dict[str, dict[str, Score]]] = {SOURCE: {}, TARGET: {}}
    with naming_unreadable(PathList.join([domain.paths for domain in domain_set.domains])):
        for part in parts:
            found = score(predict_logits(model, part.images), part.labels)
            measured[part.role].setdefault(part.domain, {})[part.split] = found
    evaluation = Evaluation(step, RAW, is_quantized(model), measured[SOURCE], measured[TARGET])
    return summary_row(evaluation)
