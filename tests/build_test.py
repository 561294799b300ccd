"""BUILD agrees with the files: nothing missing, nothing misspelled, every import covered."""

import re

import pytest

from tests.build_files import ROOT, problems, read_targets


def test_build_agrees_with_the_files() -> None:
    targets = read_targets((ROOT / "BUILD").read_text())
    found = list(problems(targets))
    assert not found, "\n".join(found)
    rules = {target.name: target.rule for target in targets.values()}
    for path in (ROOT / "tools").glob("[!_]*.py"):
        assert rules[f"tools/{path.stem}"] == "py_binary"
    for path in (ROOT / "tests").glob("*_test.py"):
        assert rules[f"tests/{path.stem}"] == "py_test"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('":base"', '":bsae"', ":quantization: no such dependency :bsae"),
        ('"@pypi//tqdm"', '"@pypi//tpdm"', ":training: no such dependency @pypi//tpdm"),
        ('["qtdog_tf/runs.py"]', '["qtdog_tf/run.py"]', ":training: no file qtdog_tf/run.py"),
        ('["qtdog_tf/runs.py"]', "[]", "qtdog_tf/runs.py is in no target"),
        ('"@pypi//safetensors",', "", ":models: qtdog_tf/models/"),
        ('        ":quantization",\n', "", ":training: qtdog_tf/training/"),
    ],
)
def test_a_mistake_is_noticed(old: str, new: str, problem: str) -> None:
    text = (ROOT / "BUILD").read_text()
    head, tail = text.split('name = "quantization"')
    assert old in tail
    # The exclusion of runs.py from the first library stays: only what follows it is changed.
    found = list(problems(read_targets(head + 'name = "quantization"' + tail.replace(old, new))))
    assert any(line.startswith(problem) for line in found), found


def test_a_rule_has_to_be_loaded() -> None:
    with pytest.raises(NameError, match="py_library"):
        read_targets('py_library(name = "a", srcs = [], deps = [])')


def test_the_development_requirements_contain_the_others() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^[\w.-]+==[^ ]+", (ROOT / name).read_text(), re.MULTILINE))

    assert pins("requirements.txt")
    assert pins("requirements.txt") < pins("requirements-dev.txt")
