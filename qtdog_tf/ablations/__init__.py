"""The paper's ablations (method, sections 8.3 to 8.7): what a table is made of, and its text.

A table names its rows; a row names the experiment, a flagfile of `configs/ablations/`, and the run
in it that it reports. `tools/ablate.py` trains what is missing. Start from `TABLES`.
"""

from qtdog_tf.ablations.tables import TABLES
from qtdog_tf.ablations.text import ablation_text
from qtdog_tf.ablations.types import AblationRow, AblationTable, Paper
from qtdog_tf.ablations.values import RowValues, read_rows

__all__ = [
    "TABLES",
    "AblationRow",
    "AblationTable",
    "Paper",
    "RowValues",
    "ablation_text",
    "read_rows",
]
