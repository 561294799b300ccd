"""tools.compare on made-up runs: the variant that the others are compared with."""

from pathlib import Path

from tests.benchmark_runs import evaluation, write_ensemble, write_run
from tests.programs import assert_refused, run_program


def write_runs(output: Path, *variants: str, **more: str) -> Path:
    """Runs of each variant, whose accuracy rises from one to the next."""
    for number, variant in enumerate(variants):
        found = evaluation(0, 0.5, {"a": (0.5 + number / 10, 0.5)})
        write_run(output, "a", 0, [found], variant=variant, **more)
    return output


def test_a_baseline_that_no_run_is_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    runs = write_runs(tmp_path, "erm", "qtdog7")
    refused = run_program("compare", runs=runs, baseline="qtdog")
    sentence = f"no single run in {runs} is 'qtdog': --baseline may be erm, qtdog7"
    assert_refused(refused, sentence)
    assert refused.stdout == ""
    done = run_program("compare", runs=runs, baseline="qtdog7")
    assert done.returncode == 0, done.stderr
    assert "variant minus qtdog7" in done.stdout and "-10.0" in done.stdout


def test_without_erm_there_are_means_and_it_is_said_why_no_pairs(tmp_path: Path) -> None:
    done = run_program("compare", runs=write_runs(tmp_path / "a", "qtdog5", "qtdog7"))
    assert done.returncode == 0, done.stderr
    assert "variant minus" not in done.stdout and "60.0" in done.stdout
    last = done.stdout.splitlines()[-1]
    assert last == "No paired differences: no run is erm; --baseline may be qtdog5, qtdog7"
    # The float run of an algorithm is called by it, and is found by its variant.
    sam = run_program("compare", runs=write_runs(tmp_path / "b", "erm", "qtdog7", algorithm="sam"))
    assert "variant minus sam" in sam.stdout and "No paired" not in sam.stdout
    write_ensemble(tmp_path / "c", "a", 0, 0.5, members=2)
    pooled = run_program("compare", runs=tmp_path / "c")
    assert pooled.stdout.endswith("no run is erm; there are only ensembles\n"), pooled.stderr
