r"""Checks a data set before training and draws a contact sheet of it.

    python -m tools.check_data --data=photos --target_domains=night

prints the number of images of each class and domain and everything that is wrong with them, and
writes a picture with images of each class as testing and training see them. The exit code is 2 if
there are errors, which training would refuse too, and 0 if there are at most warnings.
"""

import sys

from absl import flags

from qtdog_tf.data import open_domains
from qtdog_tf.data.contact_sheet import write_contact_sheet
from qtdog_tf.training.preflight import check_roles
from qtdog_tf.training.roles import plan_roles
from tools._main import EXIT_USER_ERROR, refuse_arguments, run_tool

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "data",
    "emoji_styles",
    "emoji_styles (inside the package), a folder of <domain>/<class>/<image>, or "
    "tfds:<name>[:<data_dir>] of TensorFlow Datasets.",
)
flags.DEFINE_list(
    "target_domains",
    "all",
    "Domains to hold out together, which must not have classes that no other domain has; or all: "
    "each in turn; or none.",
)
flags.DEFINE_string("output", "contact_sheet.png", "The picture to write; empty writes none.")
flags.DEFINE_integer("image_size", 64, "Edge of the images in the picture, pixels.", 8, 512)
flags.DEFINE_integer("seed", 0, "Chooses the images in the picture and their augmentation.", 0)


def main(argv: list[str]) -> None:
    """Prints the report, writes the picture, exits with 2 if there are errors."""
    refuse_arguments(argv)
    domain_set = open_domains(FLAGS.data)
    print(f"opening {len(domain_set):,} images of {domain_set.name} ...", file=sys.stderr)
    several = len(domain_set.names) > 1
    report = check_roles(
        domain_set, plan_roles(domain_set.names, FLAGS.target_domains) if several else []
    )
    print(report)
    if FLAGS.output:
        write_contact_sheet(domain_set, FLAGS.output, image_size=FLAGS.image_size, seed=FLAGS.seed)
        print(f"\nimages of each class: {FLAGS.output}")
    if report.errors:
        sys.exit(EXIT_USER_ERROR)


if __name__ == "__main__":
    run_tool(main)
