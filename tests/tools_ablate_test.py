"""The real program on runs that are there already; that missing ones are trained is the sweep's."""

import json
import shutil
from pathlib import Path

import pytest
from absl import flags

from qtdog_tf.runs import claim_runs
from qtdog_tf.sweep.record import claim_sweep
from tests.programs import REPOSITORY, assert_refused, run_program
from tests.small_data import make_small_data
from tests.untrained_runs import make_run
from tools._experiments import SETTINGS, read_experiments
from tools._flags import define_flags

GIVEN = {"backbone": "tiny", "weights": "none", "image_size": 16, "split_by": ""}
ACCURACIES = {"base": 0.75, "granularity_layer": 0.70}


def finish_runs(output: Path, data: Path) -> None:
    """Finished runs of both experiments, as training would leave them."""
    values = flags.FlagValues()
    define_flags(*SETTINGS, values=values)
    values(["ablate", *(f"--{name}={value}" for name, value in {**GIVEN, "data": data}.items())])
    paths = [f"configs/ablations/{name}.flags" for name in ACCURACIES]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(REPOSITORY)
        experiments = read_experiments(paths, values, output)
    for experiment in experiments:
        claim_runs(output / experiment.group, experiment.settings, experiment.algorithm)
        for variant in experiment.wanted.variants:
            run = make_run(output / experiment.group / "line-trial0" / variant, data)
            for name in ("selected", "last", "last_sma"):
                shutil.copy(run.model_path("selected_sma"), run.path / f"{name}.keras")
            row = {"step": 320, "target_in": ACCURACIES[experiment.name], "source_accuracy": 0.9}
            identity = json.loads((run.path / "run.json").read_text())
            summary = {**identity, "rows": {"raw/source_validation": row}}
            (run.path / "summary.json").write_text(json.dumps(summary))


def test_a_table_of_two_experiments(tmp_path: Path) -> None:
    data, output = make_small_data(tmp_path / "small"), tmp_path / "ablations"
    claim_sweep(output, 1)
    finish_runs(output, data)
    plan = {**GIVEN, "table": "granularity", "data": data, "output": output}
    done = run_program("ablate", "--quick", **plan)
    assert done.returncode == 0, done.stdout + done.stderr
    table = done.stdout.split("\n\n")[1]
    rows = {line[:13].strip(): line[13:].split() for line in table.splitlines()}
    assert rows["one a layer"] == [
        *("1", "70.0", "-5.0", "0", "/", "1", "90.0", "-", "86.3", "+-", "0.4"),
    ]
    assert rows["one a channel"] == ["1", "75.0", "90.0", "-", "87.8", "+-", "0.3"]
    assert "0 hold, 0 are reversed, 1 are undecided." in done.stdout
    refused = run_program("ablate", **plan, variants="erm")
    assert_refused(refused, "the table decides on variants: leave out --variants")
    only_read = run_program("ablate", "--quick", **plan, train="none")
    assert only_read.stdout == done.stdout, only_read.stderr
    wrong = run_program("ablate", **plan, train="base,bits")
    assert_refused(wrong, "train must be all, none, or of granularity_layer, base; received 'base,")
