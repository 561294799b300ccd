"""The real program writes one page, and refuses by one sentence."""

from pathlib import Path

import pytest

from tests import analysis_fixtures as made
from tests.programs import assert_refused, run_program
from tests.report_checks import Page


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> made.Study:
    return made.write_study(tmp_path_factory.mktemp("study"), layers=2)


def test_one_file_of_everything(study: made.Study, tmp_path: Path) -> None:
    output = tmp_path / "new" / "report.html"
    done = run_program(
        "report",
        runs=",".join(map(str, study.outputs)),
        analyses=study.analyses,
        exports="tools/results/export/emoji_line_qtdog7_int8.report.json",
        title="Flat & good",
        output=output,
        images=2,
    )
    assert done.returncode == 0, done.stderr
    assert f"report of 6 runs: {output}, 0." in done.stdout
    assert list(output.parent.iterdir()) == [output]
    text = output.read_text(encoding="utf-8")
    page = Page(text)
    assert not page.problems and page.tags.count("img") == 2 * 5
    assert page.headings[0] == "Flat & good" and "--images=2" in page.text


def test_what_cannot_be_reported_on_is_refused(study: made.Study, tmp_path: Path) -> None:
    output = tmp_path / "report.html"
    assert_refused(run_program("report", output=output), "name what to report on")
    done = run_program("report", runs=tmp_path / "none", output=tmp_path / "report.pdf")
    assert_refused(done, "must end in .html")
    (tmp_path / "noise.json").write_text("{")
    done = run_program("report", analyses=tmp_path, output=output)
    assert_refused(done, "noise.json is damaged")
    assert not output.exists()
