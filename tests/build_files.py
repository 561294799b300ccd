"""Reads BUILD and the imports of every file, and compares the two. Start from `problems`."""

import ast
import dataclasses
import functools
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
RULES = ("py_binary", "py_library", "py_test")
FIRST_PARTY = ("qtdog_tf", "tests", "tools")
DISTRIBUTIONS = metadata.packages_distributions()
# Not among the requirements: used by those who have them.
OPTIONAL = ("mediapipe", "torch", "torchvision")


@dataclasses.dataclass(frozen=True)
class Target:
    rule: str
    name: str
    srcs: tuple[str, ...]
    deps: tuple[str, ...]
    files: tuple[str, ...]


def read_targets(text: str) -> dict[str, Target]:
    """Runs BUILD as Python, which this subset of Starlark is, with rules that only take notes."""
    targets: dict[str, Target] = {}
    scope: dict[str, object] = {}

    def rule(kind: str) -> Callable[..., None]:
        def declare(
            name: str,
            srcs: list[str],
            deps: list[str],
            data: Sequence[str] = (),
            main: str = "",
            **_: object,
        ) -> None:
            assert f":{name}" not in targets, f"two targets are named {name}"
            files = (*srcs, *data, *([main] if main else []))
            targets[f":{name}"] = Target(kind, name, tuple(srcs), tuple(deps), files)

        return declare

    def load(_: str, *names: str) -> None:
        scope.update({name: rule(name) for name in names if name in RULES})

    def glob(include: list[str], exclude: Sequence[str] = ()) -> list[str]:
        found = [path for pattern in include for path in ROOT.glob(pattern) if path.is_file()]
        kept = [path for path in found if not any(path.match(pattern) for pattern in exclude)]
        assert kept, f"glob({include}) matches no file"
        return sorted(str(path.relative_to(ROOT)) for path in kept)

    scope |= {"load": load, "glob": glob, "package": lambda **_: None}
    exec(compile(text, "BUILD", "exec"), scope)
    return targets


@functools.cache
def imported(source: str) -> frozenset[str]:
    """Returns what a file imports: files of this repository, and labels of third-party packages."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / source).read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            top = name.split(".")[0]
            if top in FIRST_PARTY:
                found.add(file_of(name))
            elif top not in sys.stdlib_module_names and top not in OPTIONAL:
                found.add(label_of(DISTRIBUTIONS.get(top, [top])[0]))
    return frozenset(found)


def file_of(name: str) -> str:
    """Returns the file that a dotted name (of a module, or of something in one) comes from."""
    path = name.replace(".", "/")
    candidates = (f"{path}.py", f"{path}/__init__.py", f"{Path(path).parent}.py")
    found = [candidate for candidate in candidates if (ROOT / candidate).is_file()]
    return found[0] if found else f"{Path(path).parent}/__init__.py"


def label_of(distribution: str) -> str:
    return "@pypi//" + re.sub(r"[-_.]+", "_", distribution).lower()


def closure(label: str, targets: dict[str, Target]) -> set[str]:
    """Returns the labels that a target depends on, directly or not."""
    reached: set[str] = set()
    waiting = [label]
    while waiting:
        for dep in targets[waiting.pop()].deps:
            if dep not in reached:
                reached.add(dep)
                waiting += [dep] if dep in targets else []
    return reached


def problems(targets: dict[str, Target]) -> Iterator[str]:
    """Yields a sentence for each disagreement of BUILD and the files."""
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / "requirements-dev.txt").read_text(), re.MULTILINE)
    known = set(targets) | {label_of(name) for name in pinned}
    for label, target in targets.items():
        yield from (
            f"{label}: no file {file}" for file in target.files if not (ROOT / file).is_file()
        )
        unknown = [dep for dep in target.deps if dep not in known]
        yield from (f"{label}: no such dependency {dep}" for dep in unknown)
        if unknown:
            continue
        # A library names what it imports; a program or a test may lean on its libraries.
        deps = set(target.deps) if target.rule == "py_library" else closure(label, targets)
        covered = deps.union(target.srcs, *(targets[dep].srcs for dep in deps & set(targets)))
        for source in target.srcs:
            missing = imported(source) - covered if (ROOT / source).is_file() else set()
            yield from (f"{label}: {source} imports {name}" for name in sorted(missing))
    sources = {source for target in targets.values() for source in target.srcs}
    for folder, pattern in (("qtdog_tf", "**/*.py"), ("tools", "*.py"), ("tests", "*.py")):
        for path in sorted((ROOT / folder).glob(pattern)):
            source = str(path.relative_to(ROOT))
            if source not in sources:
                yield f"{source} is in no target"
