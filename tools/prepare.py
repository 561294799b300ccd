r"""Turns the downloads of a benchmark's data set into the folders that training reads.

    python -m tools.prepare --dataset=pacs                                 # what to download, where
    python -m tools.prepare --dataset=pacs --from=downloads --output=data/pacs
    python -m tools.prepare --dataset=domain_net --from=downloads --output=data/domain_net \
        --duplicates=domain_net_duplicates.txt
    python -m tools.prepare --dataset=rotated_fashion_mnist \
        --from=/usr/share/datasets/fashion-mnist --output=data/rotated_fashion_mnist

It writes <output>/<domain>/<class>/<image>, compares the number of images with the known versions
of the data set, and names what is missing. Archives (.zip, .tar, .tar.gz) may be unpacked already.
One that is truncated, holds links or names that lead elsewhere, or would unpack to far more than
its size is refused. The same command goes on with what an interrupted one left. The folder gets its
name when it is whole; then: python -m tools.train --data=<output>
"""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from absl import flags
from tqdm import tqdm

from qtdog_tf.data.catalog import CATALOG, find_entry
from qtdog_tf.errors import UserError
from qtdog_tf.prepare import Prepared, PrepareSettings, prepare
from qtdog_tf.tables import format_table
from tools._flags import define_flags, settings_from_flags
from tools._main import refuse_arguments, run_tool

FLAGS = flags.FLAGS
flags.DEFINE_enum("dataset", None, list(CATALOG), "The data set.", required=True)
flags.DEFINE_string("from", "", "The folder of the downloads; without it, says what to download.")
flags.DEFINE_string("output", "", "The folder to make.")
define_flags(PrepareSettings)


def main(argv: list[str]) -> None:
    """Prepares the data set and prints the table of counts and the warnings."""
    refuse_arguments(argv)
    entry = find_entry(FLAGS.dataset)
    downloads = FLAGS["from"].value
    if not downloads:
        print(entry.described())
        return
    if not FLAGS.output:
        raise UserError("--output is missing: name the folder to make")
    settings = settings_from_flags(PrepareSettings)
    result = prepare(entry, Path(downloads), Path(FLAGS.output), settings, show_progress)
    print(describe(result))
    print(f"\n{FLAGS.output}: {result.counts.sum():,} images, {result.kept:,} of them were there")
    print(f"to open every image: python -m tools.check_data --data={FLAGS.output}")


@contextlib.contextmanager
def show_progress(total: int, unit: str) -> Iterator[Callable[[int], object]]:
    """A bar with the time to go; in a log file one line every half minute."""
    interval = 0.5 if sys.stderr.isatty() else 30.0
    with tqdm(
        total=total,
        desc="preparing",
        unit=unit,
        unit_scale=unit == "B",
        mininterval=interval,
        maxinterval=interval,
    ) as bar:
        yield bar.update


def describe(result: Prepared) -> str:
    """The table of images for each domain, and the warnings."""
    known = result.entry.counts
    rows = [
        [name, f"{found:,}", str((row > 0).sum()), *(f"{c.images[i]:,}" for c in known)]
        for i, (name, found, row) in enumerate(
            zip(result.entry.domains, result.counts.sum(axis=1), result.counts, strict=True)
        )
    ]
    header = ["domain", "images", "classes", *(c.version for c in known)]
    verdict = (
        f"the counts are those of: {result.version}"
        if result.version
        else "the counts are those of no known version"
    )
    return "\n".join(
        [format_table(header, rows), verdict, *(f"warning: {w}" for w in result.warnings)]
    )


if __name__ == "__main__":
    run_tool(main, resumes=True, place="the last image")
