"""Damaged files for every reader: each is opened or refused by a sentence, and nothing else."""

from pathlib import Path

import pytest

from tests.programs import REPOSITORY, run_program
from tools._fuzz_child import damaged, read_corpus
from tools._fuzz_readers import READERS, attempt
from tools._fuzz_watch import try_numbers

CORPUS = REPOSITORY / "tests" / "fuzz_corpus"
# Each named <reader>-<what was wrong>.
FOUND = REPOSITORY / "tests" / "fuzz_found"
EXECUTIONS, COSTLY_EXECUTIONS = 300, 25
SEED = 20_000


@pytest.mark.parametrize("name", READERS)
def test_damaged_files_are_opened_or_refused(name: str, tmp_path: Path) -> None:
    reader = READERS[name]
    path = tmp_path / reader.file
    path.parent.mkdir(exist_ok=True)
    corpus = read_corpus(CORPUS / name)
    outcomes = []
    for number in range(COSTLY_EXECUTIONS if reader.costly else EXECUTIONS):
        path.write_bytes(damaged(corpus, name, SEED, number))
        outcomes.append(attempt(reader, path))
        assert outcomes[-1] in ("accepted", "refused"), f"file {number} of {name}: {outcomes[-1]}"
    # The whole files come first.
    assert outcomes[: len(corpus)] == ["accepted"] * len(corpus)
    assert "refused" in outcomes


@pytest.mark.parametrize("found", sorted(FOUND.iterdir()), ids=lambda path: path.name)
def test_findings_of_the_past(found: Path, tmp_path: Path) -> None:
    reader = READERS[found.name.split("-")[0]]
    path = tmp_path / reader.file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(found.read_bytes())
    assert attempt(reader, path) == "refused"


def test_the_corpus_is_small() -> None:
    files = [path for folder in (CORPUS, FOUND) for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 300_000
    assert {path.name for path in CORPUS.iterdir()} == set(READERS)


def test_the_same_seed_makes_the_same_files() -> None:
    corpus = read_corpus(CORPUS / "png")
    files = [damaged(corpus, "png", 0, number) for number in range(100)]
    assert files == [damaged(corpus, "png", 0, number) for number in range(100)]
    assert len(set(files)) > 90


def test_a_child_that_takes_too_long_is_a_finding_and_the_next_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # -m tools._fuzz_child READER CORPUS SEED START STOP; the first file is the one that hangs.
    child = tmp_path / "child"
    child.write_text(
        "#!/bin/sh\necho ready\n[ $6 = 0 ] && exec sleep 600\nprintf '1\\trefused\\n'\n"
    )
    child.chmod(0o700)
    monkeypatch.setattr("tools._fuzz_watch.sys.executable", str(child))
    outcome = try_numbers("labels", CORPUS / "labels", 0, 2, seconds=0.3, memory_bytes=10**9)
    assert outcome.findings == {"takes too long": [0]}
    assert (outcome.executions, outcome.refusals) == (2, 1)


def test_the_program_writes_its_figures(tmp_path: Path) -> None:
    output = tmp_path / "figures.json"
    done = run_program("fuzz", readers="labels", executions=20, output=output, keep=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "labels" in done.stdout
    assert '"executions": 20' in output.read_text()
