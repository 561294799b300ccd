"""The training program with every kind of variant, and the programs that take what it made."""

import json
from pathlib import Path

from tests.programs import assert_refused, run_program
from tests.small_data import TINY_RUN, make_small_data

VARIANTS = ("erm", "qtdog7", "noise7", "uniform1e-3", "inq5")


def test_variants_in_one_command(tmp_path: Path) -> None:
    data, output = make_small_data(tmp_path / "small"), tmp_path / "runs"
    plan = {**TINY_RUN, "data": data, "output": output, "target_domains": "line"}
    done = run_program("train", variants=",".join(VARIANTS), check_data=False, **plan)
    assert done.returncode == 0, done.stderr
    trial = output / "line-trial0"
    summaries = {name: json.loads((trial / name / "summary.json").read_text()) for name in VARIANTS}
    assert [s["variant"]["bits"] for s in summaries.values()] == [32, 7, 32, 32, 5]
    sizes = [s["bytes"] for s in summaries.values()]
    assert sizes[0] == sizes[2] == sizes[3] > sizes[1] > sizes[4]
    compared = run_program("compare", runs=output)
    assert compared.returncode == 0, compared.stderr
    assert all(name in compared.stdout for name in VARIANTS)

    runs = ",".join(str(trial / name) for name in ("noise7", "inq5"))
    evaluated = run_program("evaluate", runs=runs, domains="line", part="in")
    assert evaluated.returncode == 0, evaluated.stderr
    refused = run_program("export_tflite", run=trial / "inq5", output=tmp_path / "model.tflite")
    assert_refused(refused, "the weights of layer stem_conv are powers of two (INQ)")
    assert not (tmp_path / "model.tflite").exists()
    # A model that was trained with noise is a float one: quantizing it after training is possible.
    quantized = run_program("quantize_run", run=trial / "noise7", models="last", bits=4)
    assert quantized.returncode == 0, quantized.stderr
    assert (trial / "noise7_ptq_rtn4" / "summary.json").exists()
    refused = run_program("quantize_run", run=trial / "inq5")
    assert_refused(refused, "is quantized already (inq5): name a float run")
