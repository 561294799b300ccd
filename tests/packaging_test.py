"""pyproject.toml: what `pip install .` gives is the whole package and all that it imports."""

import re
import tomllib

from tests.build_files import ROOT, imported, label_of

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def declared(requirements: list[str]) -> set[str]:
    return {label_of(re.match(r"[\w.-]+", line)[0]) for line in requirements}


def imports_of(*patterns: str) -> set[str]:
    sources = [path for pattern in patterns for path in ROOT.glob(pattern)]
    found = set().union(*(imported(str(path.relative_to(ROOT))) for path in sources))
    return {label for label in found if label.startswith("@pypi//")}


def test_every_import_is_a_declared_dependency() -> None:
    runtime = declared(PROJECT["project"]["dependencies"])
    optional = PROJECT["project"]["optional-dependencies"]
    development, cluster = declared(optional["dev"]), declared(optional["cluster"])
    assert imports_of("qtdog_tf/**/*.py", "tools/*.py") - runtime == cluster
    assert imports_of("tests/*.py") - runtime - development == set()


def test_every_file_that_is_not_code_is_package_data() -> None:
    patterns = PROJECT["tool"]["setuptools"]["package-data"]
    for path in (ROOT / "qtdog_tf").rglob("*"):
        if path.is_file() and path.suffix not in (".py", ".pyc"):
            package = ".".join(path.relative_to(ROOT).parent.parts)
            assert any(path.match(pattern) for pattern in patterns.get(package, [])), path


def test_every_folder_of_code_is_a_package() -> None:
    for path in (ROOT / "qtdog_tf").rglob("*.py"):
        assert (path.parent / "__init__.py").is_file(), path.parent
