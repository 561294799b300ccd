"""The real program on small files: what it prints and writes, not how fast anything is."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from qtdog_tf.export.timing import summarize, time_in_turn
from tests.programs import assert_refused, run_program
from tests.tflite_files import write_tflite

SHORT = {"rounds": 4, "round_seconds": 0.001, "warm_up": 0.001}


@pytest.mark.parametrize("given", ["random", "emoji_styles"])
def test_table_and_figures(given: str, tmp_path: Path) -> None:
    files = [write_tflite(tmp_path, kind) for kind in ("float32", "uint8")]
    output = tmp_path / "new" / "times.json"
    done = run_program(
        "benchmark_tflite",
        files=",".join(map(str, files)),
        threads="1,2",
        input=given,
        output=output,
        **SHORT,
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith(str(tmp_path))]
    expected = [(str(file), threads) for threads in ("1", "2") for file in files]
    assert [(row[0], row[2]) for row in rows] == expected
    assert rows[0][5] == "1.000" and rows[2][5] == "1.000"
    written = json.loads(output.read_text())
    assert written["machine"]["cores"] >= 1 and written["machine"]["cpu"]
    assert written["machine"]["versions"]["ai-edge-litert"]
    for file in files:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        assert written["files"][str(file)]["sha256"] == digest
    for entry in written["figures"]:
        assert len(entry["milliseconds"]) == len(entry["ratios"]) == SHORT["rounds"]
        assert min(entry["milliseconds"]) > 0
    first, second = written["figures"][:2]
    assert second["ratios"] == pytest.approx(
        np.divide(second["milliseconds"], first["milliseconds"])
    )


def test_mistakes_are_one_sentence(tmp_path: Path) -> None:
    file = write_tflite(tmp_path)

    def refused(sentence: str, **values: object) -> None:
        assert_refused(
            run_program("benchmark_tflite", **{**SHORT, "files": file, **values}), sentence
        )

    refused("--threads=1,0 must be numbers from 1 on", threads="1,0")
    refused("names a file twice", files=f"{file},{file}")
    refused("is a folder, the name of a file is needed", output=tmp_path)
    refused("none.tflite cannot be opened", files=f"{file},{tmp_path}/none.tflite")


def test_each_round_times_everything_once_in_its_own_order() -> None:
    made: list[str] = []
    done: list[None] = []
    calls = {name: lambda name=name: made.append(name) for name in "abc"}
    options = {"rounds": 6, "seconds": 0.0, "warm_up": 0.0}
    times = time_in_turn(calls, **options, seed=3, progress=lambda: done.append(None))
    assert {name: len(values) for name, values in times.items()} == {"a": 6, "b": 6, "c": 6}
    assert len(done) == 21
    rounds = [made[start : start + 3] for start in range(0, 21, 3)]
    assert all(sorted(order) == ["a", "b", "c"] for order in rounds)
    assert len({tuple(order) for order in rounds}) > 2
    first, made[:] = list(made), []
    time_in_turn(calls, **options, seed=3)
    assert made == first


def test_summary_of_rounds() -> None:
    spread = summarize([1.0, 2.0, 3.0, 4.0, 100.0])
    assert (spread.median, spread.low, spread.high) == (3.0, 2.0, 4.0)
