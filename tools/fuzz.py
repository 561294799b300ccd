r"""Hands damaged files to every reader of this project and reports what they do not bear.

    python -m tools.fuzz --executions=20000
    python -m tools.fuzz --readers=png,tflite --executions=2000 --seed=7 --output=fuzz.json

The files are made from small whole ones in tests/fuzz_corpus by changes of bits, bytes, sizes, JSON
values and members of archives; the same --seed makes the same files. A reader may open a file or
refuse it by one sentence. Another exception, a crash, and too much time or memory are findings:
their files are kept under --keep, and the exit code is 1. Readers run in processes of their own.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from absl import flags
from tqdm import tqdm

from qtdog_tf.errors import UserError
from qtdog_tf.files import write_json
from qtdog_tf.tables import format_table
from tools._fuzz_child import damaged, read_corpus
from tools._fuzz_readers import READERS
from tools._fuzz_watch import Outcome, try_numbers
from tools._main import refuse_arguments, run_tool

EXIT_FINDINGS = 1

FLAGS = flags.FLAGS
flags.DEFINE_list("readers", "", f"Readers to try, of {', '.join(READERS)}. Default: all.")
flags.DEFINE_integer("executions", 2000, "Files for each reader.", 1)
flags.DEFINE_integer(
    "costly_executions", 0, "Files for readers that start a process. Default: a twentieth.", 0
)
flags.DEFINE_integer("seed", 0, "Chooses the damage.", 0)
flags.DEFINE_string("corpus", "tests/fuzz_corpus", "Folder with a folder of whole files a reader.")
flags.DEFINE_float("seconds", 60.0, "What one file may take, seconds.", 0.1)
flags.DEFINE_integer("memory_mb", 1500, "By how much one file may make the process grow, MB.", 1)
flags.DEFINE_string("output", "", "JSON file for the figures.")
flags.DEFINE_string("keep", "runs/fuzz", "Folder for the files that are findings.")


def main(argv: list[str]) -> None:
    """Tries the readers in turn, prints the table, keeps the findings."""
    refuse_arguments(argv)
    unknown = [name for name in FLAGS.readers if name not in READERS]
    if unknown:
        raise UserError(f"there is no reader {unknown[0]!r}; there are {', '.join(READERS)}")
    figures = {}
    for name in FLAGS.readers or READERS:
        begin = time.monotonic()
        outcome = try_reader(name)
        figures[name] = entry_of(outcome, time.monotonic() - begin)
        keep_findings(name, outcome)
        # After each reader: a later one may take hours.
        if FLAGS.output:
            write_json(Path(FLAGS.output), {"seed": FLAGS.seed, "readers": figures})
    print(table(figures))
    for name, entry in figures.items():
        for what, numbers in entry["findings"].items():
            print(f"{name}: {what} (files {', '.join(map(str, numbers[:5]))})")
    if any(entry["findings"] for entry in figures.values()):
        sys.exit(EXIT_FINDINGS)


def try_reader(name: str) -> Outcome:
    """Tries one reader.

    Raises:
        UserError: if there is no whole file to begin with.
    """
    corpus = Path(FLAGS.corpus) / name
    if not corpus.is_dir() or not any(corpus.iterdir()):
        raise UserError(f"there is no file in {corpus}: run from the root of the repository")
    executions = FLAGS.executions
    if READERS[name].costly:
        executions = FLAGS.costly_executions or -(-executions // 20)
    # disable=None: on a terminal only.
    with tqdm(total=executions, desc=name, unit="file", disable=None, leave=False) as bar:
        return try_numbers(
            name,
            corpus,
            FLAGS.seed,
            executions,
            seconds=FLAGS.seconds,
            memory_bytes=FLAGS.memory_mb * 10**6,
            progress=bar.update,
        )


def keep_findings(name: str, outcome: Outcome) -> None:
    """Writes the first file of each kind of finding, to look into."""
    corpus = read_corpus(Path(FLAGS.corpus) / name)
    for what, numbers in outcome.findings.items():
        path = Path(FLAGS.keep) / f"{name}-{FLAGS.seed}-{numbers[0]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(damaged(corpus, name, FLAGS.seed, numbers[0]))
        print(f"{name}: {what}: {path}", file=sys.stderr)


def entry_of(outcome: Outcome, seconds: float) -> dict[str, Any]:
    """The figures of a reader, for JSON."""
    return {
        "executions": outcome.executions,
        "acceptances": outcome.acceptances,
        "refusals": outcome.refusals,
        "findings": json.loads(json.dumps(outcome.findings)),
        "seconds": round(seconds, 1),
    }


def table(figures: dict[str, dict[str, Any]]) -> str:
    """One row a reader."""
    header = ["reader", "files", "opened", "refused", "findings", "seconds"]
    keys = ("executions", "acceptances", "refusals")
    rows = [
        [
            name,
            *(f"{entry[key]:,}" for key in keys),
            f"{sum(map(len, entry['findings'].values())):,}",
            f"{entry['seconds']:,.0f}",
        ]
        for name, entry in figures.items()
    ]
    return format_table(header, rows)


if __name__ == "__main__":
    run_tool(main)
