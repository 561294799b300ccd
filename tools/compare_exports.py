r"""Puts the reports of several exports side by side: one row a file.

    python -m tools.compare_exports --reports=a.report.json,b.report.json

tools.export_tflite writes a report beside each file. For latencies that may be compared, measured
in turn in one process: python -m tools.benchmark_tflite.
"""

from pathlib import Path
from typing import Any

from absl import flags

from qtdog_tf.errors import UserError
from qtdog_tf.files import read_json
from qtdog_tf.tables import format_table
from tools._main import refuse_arguments, run_tool

HEADER = (
    *("file", "kind", "bits", "MB", "deflated MB", "entropy"),
    *("codes differ", "same class", "worst domain", "dead channels"),
)
LEGEND = """\
entropy: bits a weight that an ideal coder needs for the learned codes. codes differ: stored weights
that are not the learned code. same class: share of images, in %, on which file and model agree.
worst domain: largest change of accuracy from model to file, percentage points."""

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "reports", None, "Files <name>.report.json of tools.export_tflite.", required=True
)


def main(argv: list[str]) -> None:
    """Prints the table."""
    refuse_arguments(argv)
    rows = [report_row(Path(path)) for path in FLAGS.reports]
    print(format_table(HEADER, rows) + "\n" + LEGEND)


def report_row(path: Path) -> list[str]:
    """The row of one report.

    Raises:
        UserError: if it cannot be read, or is no report.
    """
    try:
        values = read_json(path)
    except OSError as error:
        raise UserError(f"report {path} cannot be read: {error.strerror}") from error
    try:
        return _row(path, values)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is no report of tools.export_tflite ({error!r})") from error


def _row(path: Path, values: dict[str, Any]) -> list[str]:
    checks = {check["name"]: check for check in values["checks"]}
    sizes, entropy = values["sizes"], values["sizes"]["entropy_bits"]
    changes = [d["file_accuracy"] - d["model_accuracy"] for d in values["domains"]]
    return [
        path.name.removesuffix(".report.json"),
        values["settings"]["kind"],
        str(sizes["bits"]),
        f"{sizes['bytes'] / 1e6:.3f}",
        f"{sizes['deflated_bytes'] / 1e6:.3f}",
        "-" if entropy is None else f"{entropy:.2f}",
        f"{checks['codes']['value']:.0f}" if "codes" in checks else "-",
        f"{100 * checks['agreement']['value']:.2f}",
        f"{100 * max(changes, key=abs):+.1f}",
        str(len(values["dead_channels"])),
    ]


if __name__ == "__main__":
    run_tool(main)
