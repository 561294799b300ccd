"""Settings of the whole suite."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# TensorFlow reports its CPU features on every start. Errors still get through.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf
from tensorflow.python.framework import config

from qtdog_tf.data import open_domains
from qtdog_tf.data.domains import DomainSet
from qtdog_tf.export import convert
from tests.converter import fork_converter
from tests.small_data import make_small_data

# To optimize a graph takes longer than a test runs it. A program that is started anew, not forked
# (`tests/programs.py`), does optimize.
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})

# The same examples in every run, however busy the machine: a failure is never a matter of luck.
hypothesis.settings.register_profile("qtdog_tf", deadline=None, derandomize=True)
hypothesis.settings.load_profile("qtdog_tf")


# Long files come first, so that at the end no worker has one left while others idle.
_LONG_FILES = (
    *("tools_", "training_", "sweep_", "evaluation_", "export_"),
    *("algorithms_", "analysis_", "fuzz_", "report_"),
)

# Each as pytest names it, or without its parameters for all of them.
_LONG_TESTS = frozenset((Path(__file__).parent / "long_tests.txt").read_text().splitlines())


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds --all."""
    parser.addoption("--all", action="store_true", help="also the tests in tests/long_tests.txt")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out long tests unless --all is given; sorts files by how long they may take.

    A test that is asked for by its name is never left out.
    """
    if not (config.getoption("all") or any("::" in argument for argument in config.args)):
        names = {item: item.nodeid.removeprefix("tests/") for item in items}
        long = {item for item, name in names.items() if {name, name.split("[")[0]} & _LONG_TESTS}
        _check_that_none_is_gone(set(names.values()))
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]
    items.sort(key=lambda item: not item.path.name.startswith(_LONG_FILES))


def _check_that_none_is_gone(names: set[str]) -> None:
    """A test that has another name now would be run always, and nobody would know why."""
    names |= {name.split("[")[0] for name in names}
    files = {name.split("::")[0] for name in names}
    gone = sorted(name for name in _LONG_TESTS - names if name.split("::")[0] in files)
    if gone:
        raise pytest.UsageError(f"tests/long_tests.txt names what is gone: {', '.join(gone)}")


@pytest.fixture(autouse=True, scope="module")
def determinism_ends_with_a_module() -> Iterator[None]:
    """Training switches it on for the whole process, and XLA does not go with it."""
    yield
    config.disable_op_determinism()


@pytest.fixture(autouse=True, scope="module")
def graphs_of_a_module_are_forgotten() -> Iterator[None]:
    """Graphs stay in memory to the end of the process; to look through them again takes long."""
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def converters_start_at_once() -> Iterator[None]:
    """Those of programs that a test runs start as they do for a person."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convert, "run_child", fork_converter)
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the small data set."""
    return make_small_data(tmp_path_factory.mktemp("data") / "small")


@pytest.fixture(scope="module")
def domain_set(data: Path) -> DomainSet:
    """The small data set."""
    return open_domains(str(data))
