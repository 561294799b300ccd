"""The real program on runs that are there already; that missing ones are trained is the sweep's."""

import json
import shutil
from pathlib import Path

import pytest
from absl import flags

from qtdog_tf.ablations import AblationRow
from qtdog_tf.errors import UserError
from qtdog_tf.evaluation import make_ensemble
from qtdog_tf.runs import claim_runs
from qtdog_tf.sweep.commands import Workplace
from qtdog_tf.sweep.record import claim_sweep
from tests.programs import REPOSITORY, assert_refused, run_program
from tests.small_data import make_small_data
from tests.untrained_runs import make_run
from tools._derived_runs import derive
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
    refused = run_program("ablate", **plan, per_channel=False)
    assert_refused(refused, "rows of table granularity differ by per_channel, which can therefore")
    only_read = run_program("ablate", "--quick", **plan, train="none")
    assert only_read.stdout == done.stdout, only_read.stderr
    wrong = run_program("ablate", **plan, train="base,bits")
    assert_refused(wrong, "train must be all, none, or of granularity_layer, base; received 'base,")


def test_weights_that_are_not_there_leave_the_papers_figures(tmp_path: Path) -> None:
    data = make_small_data(tmp_path / "small")
    plan = {**GIVEN, "table": "backbones", "data": data, "output": tmp_path / "runs"}
    refused = run_program("ablate", **plan)
    assert_refused(refused, "rows of table backbones differ by backbone")
    plan = {"split_by": "", "table": "backbones", "data": data, "output": tmp_path / "runs"}
    done = run_program("ablate", "--quick", **plan, train="backbones_deit_small")
    assert done.returncode == 0, done.stderr
    assert "not trained: configs/ablations/backbones_deit_small.flags needs weights/" in done.stderr
    rows = {line[:26].strip(): line[26:].split() for line in done.stdout.splitlines()}
    assert rows["DeiT-Small, QT-DoG"][:2] == ["0", "-"] and "86.2" in rows["DeiT-Small, QT-DoG"]
    assert "93.5" in rows["ResNeXt-50, EoQ (5)"]


@pytest.fixture(scope="module")
def members(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two trials, each with an ERM run that has two models, and their ensemble of one of them."""
    root = tmp_path_factory.mktemp("runs") / "plain"
    runs = []
    for seed in (0, 1):
        variant = {"name": "erm", "mode": "off", "bits": 32}
        run = make_run(root / f"line-trial{seed}" / "erm", data, seed, variant=variant)
        shutil.copy(run.model_path("selected_sma"), run.path / "selected.keras")
        row = {"step": 3, "target_in": 0.5, "source_accuracy": 0.9}
        names = ("raw/source_validation", "sma/source_validation", "raw/last", "sma/last")
        identity = json.loads((run.path / "run.json").read_text())
        summary = {**identity, "rows": dict.fromkeys(names, row)}
        (run.path / "summary.json").write_text(json.dumps(summary))
        runs.append(run)
    make_ensemble(runs, root / "line-ensemble0" / "erm")
    return root


@pytest.mark.parametrize("variant", ["ptq_rtn7", "erm"])
def test_runs_that_nobody_trains_are_made_once(
    members: Path, variant: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Quantized after training, or an ensemble of other models than the one that is there."""
    pooled = variant == "erm"
    row = AblationRow("a row", "base", variant, None, "selected", pooled=pooled)
    folder = members / ("line-ensemble0" if pooled else "line-trial0")
    workplace = Workplace(members.parent, 1, Path.cwd())
    derive(row, folder, workplace, "selected_sma")
    assert "making" in capfd.readouterr().err
    found = folder / f"{variant}-selected"
    assert (found / "selected.keras").exists() and not (found / "selected_sma.keras").exists()
    summary = json.loads((found / "summary.json").read_text())
    assert summary["variant"]["bits"] == (32 if pooled else 7)
    assert len(summary.get("members", ())) == (2 if pooled else 0)
    derive(row, folder, workplace, "selected_sma")
    assert capfd.readouterr().err == ""
    # Of a trial that has not been trained yet nothing is made, and a failure is one sentence.
    derive(row, members / "line-trial7", workplace, "selected_sma")
    shutil.rmtree(found)
    (members / "line-trial0" / "erm" / "selected.keras").rename(members / "aside")
    with pytest.raises(UserError, match=f"{variant}-selected failed: .*selected.keras"):
        derive(row, folder, workplace, "selected_sma")
    (members / "aside").rename(members / "line-trial0" / "erm" / "selected.keras")
