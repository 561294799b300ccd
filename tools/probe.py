"""Measures how fast settings train here: a few real steps on the real data, thrown away.

    python -m tools.probe --flagfile=configs/emoji_styles.flags

Takes the flags of tools.train that say what is trained. tools.sweep --plan calls it for each
group of experiments.
"""

from pathlib import Path

from absl import flags

from qtdog_tf.algorithms import AlgorithmSettings
from qtdog_tf.data import open_domains
from qtdog_tf.evaluation.teacher import open_teacher
from qtdog_tf.files import write_json
from qtdog_tf.sweep.probe import measure
from qtdog_tf.training.model import build_training_model
from qtdog_tf.training.plan_settings import PlanSettings
from qtdog_tf.training.roles import plan_roles
from qtdog_tf.training.run_settings import RunSettings
from qtdog_tf.training.settings import TrainSettings
from qtdog_tf.training.trial_data import TrialData
from tools._flags import define_flags, settings_from_flags
from tools._main import refuse_arguments, run_tool

FLAGS = flags.FLAGS
define_flags(TrainSettings, AlgorithmSettings, RunSettings, PlanSettings)
flags.DEFINE_string("output", "", "Not used; flagfiles of tools.train have it.")
flags.DEFINE_integer("probe_steps", 5, "Steps that are timed.", lower_bound=1)
flags.DEFINE_string("report", "", "Write the seconds to this JSON file.")
# Enough for one step.
_BITS = 7


def main(argv: list[str]) -> None:
    """Measures, and prints seconds."""
    refuse_arguments(argv)
    settings = settings_from_flags(TrainSettings)
    algorithm = settings_from_flags(AlgorithmSettings)
    wanted = settings_from_flags(PlanSettings)
    domain_set = open_domains(settings.data)
    roles = plan_roles(domain_set.names, wanted.target_domains, wanted.source_domains)[0]
    teacher = None
    if algorithm.teacher:
        teacher = open_teacher(
            algorithm.teacher, algorithm.teacher_model, domain_set, roles, settings.image_size
        )
    data = TrialData(settings, domain_set, roles, wanted.seeds[0], teacher)
    model = build_training_model(
        settings,
        len(domain_set.classes),
        bits=_BITS,
        seed=data.seed,
        algorithm=algorithm,
        num_domains=len(roles.sources),
        teacher=teacher.load() if teacher else None,
    )
    speed = measure(data, model, FLAGS.probe_steps)
    print(f"{speed.step:.4f} s a step, {1000 * speed.image:.3f} ms an image of an evaluation")
    if FLAGS.report:
        write_json(Path(FLAGS.report), vars(speed))


if __name__ == "__main__":
    run_tool(main)
