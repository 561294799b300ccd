"""The README's example runs as it stands, and what it names is there."""

import re
import subprocess
import sys
from pathlib import Path

from tests.programs import REPOSITORY

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def test_pipeline_example_runs(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
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


def test_every_path_and_program_that_is_named_exists() -> None:
    paths = re.findall(r"`((?:qtdog_tf|tools|configs)/[\w./]*)`", README)
    programs = re.findall(r"python -m tools\.(\w+)", README)
    paths += [f"tools/{name}.py" for name in programs] + re.findall(r"\]\((tools/[^)]*)\)", README)
    assert len(paths) > 10
    assert [path for path in paths if not (REPOSITORY / path).exists()] == []


def test_every_flag_that_is_named_exists() -> None:
    programs = [path.read_text() for path in (REPOSITORY / "tools").glob("*.py")]
    texts = [path.read_text() for path in (REPOSITORY / "qtdog_tf").glob("*/*.py")]
    settings = "".join(text for text in texts if "(Settings):" in text)
    for name in set(re.findall(r"--(?!flagfile|help)([a-z_]+)", README)):
        plain = name.removeprefix("no")
        defined = any(f'"{plain}"' in text for text in programs)
        assert defined or re.search(rf"^    {plain}: ", settings, re.MULTILINE), name
