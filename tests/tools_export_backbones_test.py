"""What was just found and what was read from a report are the same rows of the table."""

import json
import subprocess
import sys
from pathlib import Path

from tests.programs import REPOSITORY

# In a process of its own, since its flags are those of other programs too.
PROGRAM = """
import json, pathlib, sys
from types import SimpleNamespace
from tools import export_backbones as tool

folder = pathlib.Path(sys.argv[1])
tool.NETWORKS["tiny"] = 16
tool.export_tflite = lambda *args, **settings: SimpleNamespace(
    passed=settings["kind"] == "int8",
    checks=[],
    agreements=[SimpleNamespace(mean_difference=0.01)],
    sizes=SimpleNamespace(bytes=1_000_000),
    latency={1: 2.5, 2: 1.5} if settings["kind"] == "int8" else None,
)
found = [tool.export_network("tiny", kind, folder) for kind in ("int8", "dynamic")]
print(json.dumps([tool.report_table(found), tool.report_table(json.loads(json.dumps(found)))]))
"""


def test_latencies_of_fresh_exports_are_in_the_table(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    fresh, read = json.loads(done.stdout.splitlines()[-1])
    assert fresh == read
    rows = [line.split() for line in fresh.splitlines() if line.startswith("tiny")]
    assert rows == [
        ["tiny", "16", "int8", "passed", "-", "1.0", "2.50"],
        ["tiny", "16", "dynamic", "FAILED", "-", "1.0", "-"],
    ]
