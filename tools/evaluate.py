r"""Tests trained models on the data of their run or on any other folder of domains.

  What the run has not trained on (source domains: their validation part):
    python -m tools.evaluate --runs=runs/a/night-trial0/qtdog7

  Two variants side by side, with pictures and figures in a folder:
    python -m tools.evaluate --runs=runs/a/night-trial0/erm,runs/a/night-trial0/qtdog7 \
        --output=evaluation

  Photographs from elsewhere, in <domain>/<class>/<image>:
    python -m tools.evaluate --runs=runs/a/night-trial0/qtdog7 --data=more_photos

New data may lack classes. Images of classes that a run does not know are skipped, listed and
counted; with --strict they are an error.

--output gets evaluation.json (every figure, confusion matrices included) and a picture of the
confusion matrices of each run. Pictures of predictions: python -m tools.gallery.
"""

from pathlib import Path

from absl import flags

from qtdog_tf.data import open_domains
from qtdog_tf.errors import UserError
from qtdog_tf.evaluation import (
    MODELS,
    PARTS,
    DomainResult,
    Run,
    choose_images,
    class_table,
    domain_table,
    evaluate_run,
    notes,
    open_runs,
    refuse_unknown,
)
from qtdog_tf.files import write_json
from qtdog_tf.pictures.confusion import draw_confusion
from qtdog_tf.runs import versions
from tools._main import refuse_arguments, run_tool

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "runs", None, "Folders of runs: <output>/<targets>-trial<k>/<variant>.", required=True
)
flags.DEFINE_enum(
    "model",
    MODELS[0],
    MODELS,
    "Which model of each run: chosen on source validation or that of the last step, moving average "
    "(sma) or weights as trained.",
)
flags.DEFINE_string(
    "data",
    "",
    "Images: emoji_styles, a folder of <domain>/<class>/<image>, or tfds:<name>. Default: the data "
    "that each run was trained on.",
)
flags.DEFINE_list("domains", "", "Domains to evaluate on. Default: every domain of the data.")
flags.DEFINE_enum(
    "part",
    PARTS[0],
    PARTS,
    "unseen: what the run was not trained on. all: every image, training images included. in, out: "
    "the 80 % and 20 % parts of the run's split (of its own data only).",
)
flags.DEFINE_bool("strict", False, "Make images of classes that a run does not know an error.")
flags.DEFINE_bool("per_class", True, "Print the recall of each class too.")
flags.DEFINE_string("output", "", "Folder for evaluation.json and pictures. Default: none.")


def main(argv: list[str]) -> None:
    """Evaluates each run, prints the tables, writes figures and pictures."""
    refuse_arguments(argv)
    output = Path(FLAGS.output) if FLAGS.output else None
    if output and output.exists() and not output.is_dir():
        raise UserError(f"--output={output} is a file, a folder is needed")
    runs = open_runs(FLAGS.runs)
    results = {label: evaluate_one(run, label) for label, run in runs.items()}
    print_report(results)
    if output:
        write_report(output, runs, results)


def evaluate_one(run: Run, label: str) -> list[DomainResult]:
    """The figures of one run on the images that the flags ask for."""
    domain_set = open_domains(FLAGS.data or run.data)
    chosen = choose_images(run, domain_set, FLAGS.domains, FLAGS.part)
    if FLAGS.strict:
        refuse_unknown(chosen)
    return [p.result for p in evaluate_run(run, FLAGS.model, chosen, label=label)]


def print_report(results: dict[str, list[DomainResult]]) -> None:
    """Prints the tables and what to mind with them."""
    print(domain_table(results))
    if FLAGS.per_class:
        for label, of_run in results.items():
            print(f"\n{label}: recall of each class in % (images)")
            print(class_table(of_run))
    for note in notes(results):
        print(f"\nnote: {note}")


def write_report(
    output: Path, runs: dict[str, Run], results: dict[str, list[DomainResult]]
) -> None:
    """Writes the figures as JSON and one picture a run."""
    entries = []
    for label, run in runs.items():
        picture = f"confusion-{label.replace('/', '-')}.png"
        data = FLAGS.data or run.data
        draw_confusion(results[label], output / picture, f"{label}, {FLAGS.model}, on {data}")
        entries.append(
            {
                "run": str(run.path),
                "label": label,
                "model": FLAGS.model,
                "variant": run.variant,
                "bits": run.bits,
                "data": data,
                "picture": picture,
                "domains": [result.to_dict() for result in results[label]],
            }
        )
    write_json(output / "evaluation.json", {"runs": entries, "versions": versions()})
    print(f"\nfigures and pictures: {output}")


if __name__ == "__main__":
    run_tool(main)
