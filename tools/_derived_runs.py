"""Runs of an ablation that nobody trains: quantized afterwards, or members averaged once more."""

import sys
from pathlib import Path

from qtdog_tf.ablations import AblationRow
from qtdog_tf.ablations.values import run_folder
from qtdog_tf.errors import UserError
from qtdog_tf.evaluation.run_values import MEMBERS
from qtdog_tf.evaluation.summary_values import read_summary
from qtdog_tf.sweep.commands import Workplace
from qtdog_tf.sweep.task import run_task
from qtdog_tf.training.finish import SUMMARY


def derive(row: AblationRow, folder: Path, workplace: Workplace, default_model: str) -> None:
    """Makes the run of a row that trains nothing itself, if it is not there and can be made.

    Args:
        row: of a table.
        folder: of a trial or an ensemble.
        workplace: of the sweep.
        default_model: which model of the run, where the row does not say.

    Raises:
        UserError: if that fails.
    """
    model, output = row.model or default_model, run_folder(folder, row, default_model)
    source = folder / row.trained
    if source == output or not (source / SUMMARY).exists() or (output / SUMMARY).exists():
        return
    if row.after_training:
        method, bits = row.after_training
        plan = {"run": source, "method": method, "bits": bits, "models": model}
    else:
        members = [member["run"] for member in read_summary(source / SUMMARY)[MEMBERS]]
        plan = {"runs": ",".join(members), "model": model}
    program = "tools.quantize_run" if row.after_training else "tools.ensemble"
    name = f"{workplace.output.name}/{folder.parent.name}/{folder.name}/{output.name}"
    print(f"making {output}", file=sys.stderr, flush=True)
    arguments = [f"--{flag}={value}" for flag, value in {**plan, "output": output}.items()]
    result = run_task(workplace.task(name, program, *arguments))
    if result.code:
        raise UserError(f"{output} failed: {result.error}")
