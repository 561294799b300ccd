r"""Tables of finished runs in DomainBed's format, beside the figures that papers print.

  Everything of a study, or of a sweep, or several folders:
    python -m tools.tables --runs=runs/estimate
    python -m tools.tables --runs=sweeps/pacs,sweeps/vlcs --trials=0,1,2 --format=latex \
        --output=tables.tex --trace=tables.json

One table a data set, of methods and target domains, and one of all data sets. Data sets are known
by their domains and classes; those of the papers get the published rows of the methods that have a
row here. "SMA" in a name: the moving average of the weights. Ensembles have two rows: on the part
of the target that single models are reported on, and on all of its images.

--selection: source_validation, leave_one_domain_out, last, oracle (the best checkpoint) and
oracle_last (the last one, DomainBed's); qtdog_tf/benchmark_tables/selection.py says what each does.
They choose for each trial by itself, also among draws of hyperparameters: the folder
<name>-hparams<h>-trial<t> beside <name> holds draw h of trial t.

A row says how many runs it rests on. One that lacks runs which others have has a star, and below
the table stands what is missing; with --trials it is compared with these trials, and others do not
count. --trace writes, for every cell, the folders of its runs and the step that was chosen in each.
"""

import sys
from pathlib import Path

from absl import flags

from qtdog_tf.benchmark_tables import (
    FORMATS,
    SELECTIONS,
    make_tables,
    read_benchmark_runs,
    trace,
)
from qtdog_tf.benchmark_tables.published_lines import ALL, NONE, SAME
from qtdog_tf.benchmark_tables.selection import LEAVE_ONE_DOMAIN_OUT
from qtdog_tf.errors import UserError
from qtdog_tf.files import write_json, write_text
from qtdog_tf.records import RAW, SMA, SWA, SWAD
from qtdog_tf.training.selection import SOURCE_VALIDATION
from tools._main import refuse_arguments, run_tool

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "runs", None, "Folders of runs: output folders of tools.train, or of sweeps.", required=True
)
flags.DEFINE_enum("format", "text", list(FORMATS), "What to write; csv has the raw numbers.")
flags.DEFINE_string("output", "", "File to write. Default: the terminal.")
flags.DEFINE_list(
    "selection", SOURCE_VALIDATION, f"How to choose, one or more of {', '.join(SELECTIONS)}."
)
flags.DEFINE_list(
    "average",
    [RAW, SMA],
    "Weights that get a row: raw (as trained), sma (moving average), swa, swad.",
)
flags.DEFINE_list("trials", "", "Trials that count, for example 0,1,2. Default: all.")
flags.DEFINE_enum(
    "published",
    SAME,
    [SAME, ALL, NONE],
    "Published rows to show: of the methods that have a row here, every one, none.",
)
flags.DEFINE_string("trace", "", "File to write, .json: from every cell to its runs.")


def main(argv: list[str]) -> None:
    """Prints or writes the tables."""
    refuse_arguments(argv)
    rules = _several("selection", tuple(SELECTIONS))
    weights = _several("average", (RAW, SMA, SWA, SWAD))
    trials = [_trial(text) for text in FLAGS.trials]
    for name in ("output", "trace"):
        if FLAGS[name].value and Path(FLAGS[name].value).is_dir():
            raise UserError(f"--{name}={FLAGS[name].value} is a folder: name a file")
    found = read_benchmark_runs(FLAGS.runs, logs=LEAVE_ONE_DOMAIN_OUT in rules)
    tables = [
        table
        for rule in rules
        for table in make_tables(found.runs, rule, weights, trials, FLAGS.published)
    ]
    text = FORMATS[FLAGS.format](tables)
    if FLAGS.trace:
        write_json(Path(FLAGS.trace), trace(tables))
    if FLAGS.output:
        write_text(Path(FLAGS.output), text + "\n")
    else:
        print(text)
    if found.unfinished:
        runs = "run is" if len(found.unfinished) == 1 else "runs are"
        print(f"{len(found.unfinished)} {runs} not finished, and left out", file=sys.stderr)


def _several(name: str, allowed: tuple[str, ...]) -> list[str]:
    values = list(dict.fromkeys(FLAGS[name].value))
    wrong = [value for value in values if value not in allowed]
    if wrong or not values:
        raise UserError(f"--{name} must be of {', '.join(allowed)}; received {','.join(values)!r}")
    return values


def _trial(text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise UserError(f"--trials must be whole numbers such as 0,1,2; received {text!r}")
    return int(text)


if __name__ == "__main__":
    run_tool(main)
