"""tools/setup_env.sh with a stand-in for Python: what it says when it cannot go on."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "tools" / "setup_env.sh"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with the script, one requirement and a disk with room for it."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "bin").mkdir()
    shutil.copy(SCRIPT, tmp_path / "tools")
    (tmp_path / "requirements.txt").write_text("a==1 \\\n    --hash=sha256:0\n")
    (tmp_path / "requirements-dev.txt").write_text("a==1 \\\n    --hash=sha256:0\nb==2\n")
    set_free_disk(tmp_path, kilobytes=10**8)
    return tmp_path


def write_program(path: Path, body: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def set_free_disk(checkout: Path, kilobytes: int) -> None:
    write_program(checkout / "bin" / "df", f"echo header; echo disk 0 0 {kilobytes}")


def set_pip(checkout: Path, says: str, code: int) -> None:
    """Puts a whole environment there, whose `pip install` says this and exits so."""
    body = f'case "$*" in *"pip install"*) echo "{says}"; exit {code};; esac'
    write_program(checkout / ".venv" / "bin" / "python", body)


def set_up(checkout: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PATH": f"{checkout / 'bin'}:{os.environ['PATH']}"} | variables
    command = ["bash", "tools/setup_env.sh", *arguments]
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)


def test_an_old_python_is_named_and_refused(checkout: Path) -> None:
    old = checkout / "bin" / "python3"
    write_program(old, 'case "$1" in --version) echo Python 3.9.2;; *) exit 1;; esac')
    done = set_up(checkout, PYTHON=str(old))
    assert done.returncode == 1
    assert done.stderr.startswith("error: Python 3.11, 3.12 or 3.13 is needed and was not found")
    assert "is Python 3.9.2" in done.stderr
    assert not (checkout / ".venv").exists()


def test_too_little_room_is_noticed_before_anything_is_made(checkout: Path) -> None:
    set_free_disk(checkout, kilobytes=2**20)
    done = set_up(checkout)
    assert done.returncode == 1
    assert "4 GB are needed" in done.stderr
    assert "1024 MB are free" in done.stderr
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("ERROR: [Errno 28] No space left on device", "the disk is full"),
        ("NewConnectionError: Connection refused", "the package index cannot be reached"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", "is not the pinned one"),
        ("ERROR: No matching distribution found for a==1", "No matching distribution found for a"),
        ("something else", "installing requirements.txt failed for the reason above"),
    ],
)
def test_what_pip_says_becomes_a_sentence(checkout: Path, said: str, sentence: str) -> None:
    set_pip(checkout, said, code=1)
    done = set_up(checkout)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert sentence in done.stderr
    assert not (checkout / ".venv" / "requirements.txt").exists()


def test_it_installs_again_only_what_has_changed(checkout: Path) -> None:
    set_pip(checkout, "fine", code=0)
    assert "Installing 1 pinned packages" in set_up(checkout).stdout
    assert set_up(checkout).stdout == ""
    assert "Installing 2 pinned packages" in set_up(checkout, "--dev").stdout
    assert set_up(checkout).stdout == ""
    (checkout / "requirements.txt").write_text("a==2 \\\n    --hash=sha256:0\n")
    assert "Installing 1 pinned packages" in set_up(checkout).stdout
    assert "Installing 2 pinned packages" in set_up(checkout, "--dev").stdout


def test_a_package_that_was_cut_off_is_forgotten_so_that_pip_installs_it_again(
    checkout: Path,
) -> None:
    set_pip(checkout, "fine", code=0)
    packages = checkout / ".venv" / "lib" / "python3.11" / "site-packages"
    for name in ("whole-1.dist-info", "cut_off-1.dist-info", "~eft_over"):
        (packages / name).mkdir(parents=True)
    (packages / "whole-1.dist-info" / "INSTALLER").write_text("pip\n")
    assert set_up(checkout).returncode == 0
    assert [path.name for path in packages.iterdir()] == ["whole-1.dist-info"]


def test_an_unknown_argument_is_refused(checkout: Path) -> None:
    done = set_up(checkout, "--devel")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: unknown argument --devel: there is only --dev\n"


def test_packages_are_compiled_where_programs_may_not_keep_what_they_compile(
    checkout: Path,
) -> None:
    packages = checkout / ".venv" / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "a.py").write_text("1\n")
    (packages / "template.py").write_text("{{ not Python }}(\n")
    body = f'case "$*" in *compileall*) exec {sys.executable} "$@";; esac'
    write_program(checkout / ".venv" / "bin" / "python", body)
    done = set_up(checkout, PYTHONDONTWRITEBYTECODE="1")
    assert done.returncode == 0 and done.stderr == ""
    (compiled,) = packages.rglob("*.pyc")
    assert compiled.name.startswith("a.")
