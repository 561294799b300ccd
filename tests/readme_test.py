"""The README's examples run as they stand, and what it and the page of results name is there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.programs import REPOSITORY

PAGES = {
    name: (REPOSITORY / name).read_text(encoding="utf-8")
    for name in ("README.md", "tools/results/README.md")
}
README = PAGES["README.md"]


def test_pipeline_examples_run_one_after_the_other(tmp_path: Path) -> None:
    examples = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(examples) == 2
    example = "".join(examples)
    done = subprocess.run(
        [sys.executable, "-c", example],
        cwd=tmp_path,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "model.keras").exists()
    assert re.search(r"conv2d\s.*\b7\b", done.stdout), done.stdout
    # The step that is selected, of the quantized ones, and the accuracy there.
    assert re.search(r"^(40|50|60|70|79) [01]\.\d+$", done.stdout, re.MULTILINE), done.stdout


@pytest.mark.parametrize("name", PAGES)
def test_every_path_and_program_that_is_named_exists(name: str) -> None:
    page, folder = PAGES[name], (REPOSITORY / name).parent
    paths = re.findall(r"`((?:qtdog_tf|tools|configs)/[\w./]*)`", page)
    programs = re.findall(r"python -m tools\.(\w+)", page)
    named = [REPOSITORY / path for path in [*paths, *(f"tools/{each}.py" for each in programs)]]
    named += [folder / link for link in re.findall(r"\]\(([^)#:]*)\)", page)]
    assert len(named) > 10
    assert [str(path) for path in named if not path.exists()] == []


@pytest.mark.parametrize("name", PAGES)
def test_every_flag_that_is_named_exists(name: str) -> None:
    programs = [path.read_text() for path in (REPOSITORY / "tools").glob("*.py")]
    texts = [path.read_text() for path in (REPOSITORY / "qtdog_tf").glob("*/*.py")]
    settings = "".join(text for text in texts if "(Settings):" in text)
    for flag in set(re.findall(r"--(?!flagfile|help)([a-z_]+)", PAGES[name])):
        plain = flag.removeprefix("no")
        defined = any(f'"{plain}"' in text for text in programs)
        assert defined or re.search(rf"^    {plain}: ", settings, re.MULTILINE), flag
