r"""Draws what trained models say about images of a domain that training never saw.

  Two variants on the domain that both have held out:
    python -m tools.gallery --runs=runs/a/night-trial0/erm,runs/a/night-trial0/qtdog7 \
        --output=predictions.png

  One run on photographs from elsewhere:
    python -m tools.gallery --runs=runs/a/night-trial0/qtdog7 --data=more --domain=fog \
        --output=fog.png

The images are drawn at random with a seed, equally from every class; the caption says so and how
often the models are right on all images of the domain. For the figures: python -m tools.evaluate.
"""

from pathlib import Path

from absl import flags

from qtdog_tf.data import open_domains
from qtdog_tf.errors import UserError
from qtdog_tf.evaluation import MODELS, Predictions, Run, choose_images, evaluate_run, open_runs
from qtdog_tf.pictures.gallery import MAX_IMAGES, MAX_MODELS, draw_gallery, make_gallery
from tools._main import refuse_arguments, run_tool

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "runs",
    None,
    f"Folders of one to {MAX_MODELS} runs: <output>/<targets>-trial<k>/<variant>.",
    required=True,
)
flags.DEFINE_string("output", None, "The picture to write, a .png file.", required=True)
flags.DEFINE_enum(
    "model", MODELS[0], MODELS, "Which model of each run; see python -m tools.evaluate --help."
)
flags.DEFINE_string(
    "data",
    "",
    "Images: emoji_styles, a folder of <domain>/<class>/<image>, or tfds:<name>. Default: the data "
    "that the runs were trained on.",
)
flags.DEFINE_string("domain", "", "The domain to show. Default: the one that the runs held out.")
flags.DEFINE_integer("images", 24, "How many images to show.", 1, MAX_IMAGES)
flags.DEFINE_integer("seed", 0, "Chooses the images.", 0)


def main(argv: list[str]) -> None:
    """Evaluates the runs on the domain and draws the picture."""
    refuse_arguments(argv)
    output = Path(FLAGS.output)
    if output.suffix.lower() != ".png":
        raise UserError(f"--output={output} must end in .png")
    runs = open_runs(FLAGS.runs)
    if len(runs) > MAX_MODELS:
        raise UserError(f"a gallery shows at most {MAX_MODELS} runs; received {len(runs)}")
    domain = FLAGS.domain or common_target(runs)
    predictions = {label: predict(run, label, domain) for label, run in runs.items()}
    draw_gallery(make_gallery(predictions, FLAGS.images, FLAGS.seed), output)
    print(f"predictions on {domain}: {output}")


def common_target(runs: dict[str, Run]) -> str:
    """The one domain that every run held out.

    Raises:
        UserError: if there is none, or there are several.
    """
    held_out = [run.targets for run in runs.values()]
    common = [name for name in held_out[0] if all(name in targets for targets in held_out)]
    if len(common) != 1:
        what = f"several domains ({', '.join(common)})" if common else "no domain in common"
        raise UserError(f"the runs held out {what}: name the one to show with --domain")
    return common[0]


def predict(run: Run, label: str, domain: str) -> Predictions:
    """The predictions of a run on the images of a domain that it was not trained on."""
    chosen = choose_images(run, open_domains(FLAGS.data or run.data), (domain,))
    return evaluate_run(run, FLAGS.model, chosen, label=label)[0]


if __name__ == "__main__":
    run_tool(main)
