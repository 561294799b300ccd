"""Low bits: quantization from step 0, SAGM with selective freezing, and their flagfiles."""

from pathlib import Path

import numpy as np
import pytest
from absl import flags

from qtdog_tf.algorithms import AlgorithmSettings
from qtdog_tf.data.domains import DomainSet
from qtdog_tf.files import read_json
from qtdog_tf.training.callbacks import StartQuantization
from qtdog_tf.training.model import build_training_model
from qtdog_tf.training.settings import TrainSettings
from qtdog_tf.training.variants import parse_variants
from tests.programs import REPOSITORY, run_program
from tests.small_data import TINY_RUN
from tests.trials import SETTINGS, make_trial, run_with_a_break, weights_of

CONFIGS = Path("configs/low_bits")
FROM_0 = TrainSettings(**{**vars(SETTINGS), "quantize_step": 0})
FREEZING = AlgorithmSettings(algorithm="saqat", saqat_window=3, saqat_threshold=0.6)
VARIANTS = parse_variants(("qtdog4",))


@pytest.fixture(scope="module")
def finished(domain_set: DomainSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Killed after step 10 and resumed after step 8, in the middle of a window of three."""
    output = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        run_with_a_break(
            domain_set, output, VARIANTS, 10, patch, settings=FROM_0, algorithm=FREEZING
        )
    return output / "line-trial0" / "qtdog4"


def test_from_step_0_there_are_codes_and_some_step_sizes_freeze(finished: Path) -> None:
    summary = read_json(finished / "summary.json")
    assert summary["selected_from"] == 0 and summary["algorithm"] == "saqat"
    assert all(row["quantized"] for row in summary["rows"].values())
    results = (finished / "results.jsonl").read_text().splitlines()
    # The weights as trained and their average, after steps 0, 4, 8, 12 and 13.
    assert len(results) == 10 and all('"quantized": true' in line for line in results)
    lines = (finished / "scalars.jsonl").read_text().splitlines()
    frozen = [float(line.split('"frozen": ')[1].split(",")[0]) for line in lines[::2]]
    assert frozen[0] == 0 and 0 < max(frozen) < 1
    assert not any("frozen" in line for line in lines[1::2]), "of the average nothing is frozen"


def test_from_step_0_a_fork_that_was_killed_equals_a_straight_fit(
    domain_set: DomainSet, finished: Path, tmp_path: Path
) -> None:
    trial = make_trial(domain_set, tmp_path, FROM_0, algorithm=FREEZING)
    model = build_training_model(
        FROM_0,
        len(domain_set.classes),
        bits=4,
        seed=trial.data.seed,
        algorithm=FREEZING,
        num_domains=2,
    )
    batches = trial.data.batches().between(0, FROM_0.steps)
    model.fit(batches, verbose=0, shuffle=False, callbacks=[StartQuantization(0)])
    forked = weights_of(finished / "last.keras")
    for mine, theirs in zip(model.get_weights(), forked, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def given(name: str) -> dict[str, str]:
    """The flags of a flagfile and of those in it; of one that comes twice the last value."""
    lines = flags.FlagValues().read_flags_from_files([f"--flagfile={CONFIGS / name}.flags"])
    return dict(line.removeprefix("--").split("=", 1) for line in lines)


def test_flagfiles_differ_in_the_method_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    base = given("base")
    assert base["variants"] == "qtdog5,qtdog4,qtdog3" and base["trial_seeds"] == "0,1,2"
    methods = {
        "lsq_delayed": {"variants": "erm,qtdog5,qtdog4,qtdog3"},
        "lsq_from_0": {"quantize_step": "0"},
        "lsq_sam": {"algorithm": "sam", "sam_rho": "0.01"},
        "lsq_sagm": {"algorithm": "sagm", "sagm_rho": "0.01"},
        "lsq_sagm_freeze": {"algorithm": "saqat", "sagm_rho": "0.01", "saqat_window": "32"},
    }
    for name, expected in methods.items():
        assert given(name) == {**base, **expected, "output": f"runs/low_bits/{name}"}
    assert given("ptq_rtn") == {"method": "rtn", "narrow_range": "always"}
    assert {f"{path.stem}" for path in CONFIGS.iterdir()} == {*methods, "base", "ptq_rtn"}


def test_from_a_flagfile_to_code_exact_files(data: Path, tmp_path: Path) -> None:
    flagfile = f"--flagfile={CONFIGS / 'lsq_sagm_freeze.flags'}"
    plan = {**TINY_RUN, "data": data, "split_by": "", "variants": "qtdog4", "trial_seeds": 0}
    done = run_program(
        "train",
        flagfile,
        "--nocheck_data",
        **plan,
        output=tmp_path / "runs",
        target_domains="line",
    )
    assert done.returncode == 0, done.stderr
    assert " saqat+qtdog4 " in done.stdout
    for kind in ("int8", "int4"):
        file = tmp_path / f"{kind}.tflite"
        done = run_program(
            "export_tflite",
            run=tmp_path / "runs" / "line-trial0" / "qtdog4",
            kind=kind,
            output=file,
            model="last",
            min_agreement=0,
        )
        assert done.returncode == 0, done.stderr
        checks = read_json(file.with_name(f"{kind}.report.json"))["checks"]
        assert [check["value"] for check in checks if check["name"] == "codes"] == [0]
