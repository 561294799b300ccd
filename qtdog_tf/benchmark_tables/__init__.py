"""Tables of the benchmark, in DomainBed's format, from the folders of finished runs.

read_benchmark_runs    what was run            (runs.py)
choose                 which step, which draw  (selection.py)
make_tables            rows, cells, notes      (tables.py)
FORMATS                text, LaTeX, ...        (formats.py)
trace                  from a cell to folders  (trace.py)
"""

from qtdog_tf.benchmark_tables.formats import FORMATS
from qtdog_tf.benchmark_tables.runs import BenchmarkRun, read_benchmark_runs
from qtdog_tf.benchmark_tables.selection import SELECTIONS, Choice, choose
from qtdog_tf.benchmark_tables.tables import make_tables
from qtdog_tf.benchmark_tables.trace import trace

__all__ = [
    "FORMATS",
    "SELECTIONS",
    "BenchmarkRun",
    "Choice",
    "choose",
    "make_tables",
    "read_benchmark_runs",
    "trace",
]
